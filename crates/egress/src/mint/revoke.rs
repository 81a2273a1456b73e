//! The last word to an authorization server: the grant is not needed any more (RFC 7009).

use super::ask::{Asker, Form, ask, endpoint, fields, head};
use super::exchange::{Failure, error_of, retry_after};
use super::recipe::{Grant, OAuthClient, Recipe};
use crate::upstream::Upstream;
use cloakroom_model::Timestamp;
use http::{Method, StatusCode};
use std::fmt;
use std::time::Duration;

/// A grant that is to be revoked: kept after its credential is gone, and no longer than that takes. Readable in egress only.
pub struct Farewell {
    pub(crate) recipe: Recipe,
    pub(crate) asker: Asker,
}

/// What the authorization server said to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Revocation {
    /// The grant is revoked, or was before.
    Revoked,
    /// The server will not.
    Refused,
    /// It could not be asked, or cannot do it now: try again, after so long if it says so.
    Unavailable(Option<Duration>),
}

impl Farewell {
    /// Whether there is anything to revoke, and where.
    pub(crate) fn is_due(&self) -> bool {
        self.recipe.revocation_endpoint.is_some() && revocable(&self.recipe.grant).is_some()
    }

    /// Asks once.
    pub(crate) async fn say(&self, upstream: &Upstream) -> Revocation {
        match self.asked(upstream).await {
            Ok(revocation) => revocation,
            Err(Failure::Unavailable(_, after)) => {
                Revocation::Unavailable(after.map(|seconds| Duration::from_secs(seconds.into())))
            }
            Err(Failure::Unreached(_)) => Revocation::Unavailable(None),
            Err(Failure::Refused(_) | Failure::Revoked(_)) => Revocation::Refused,
        }
    }

    async fn asked(&self, upstream: &Upstream) -> Result<Revocation, Failure> {
        let recipe = &self.recipe;
        let nowhere = Failure::Refused("the grant has no revocation endpoint");
        let (destination, path) = recipe.revocation_endpoint.as_deref().and_then(endpoint).ok_or(nowhere)?;
        let (client, token, hint) = revocable(&recipe.grant).ok_or(nowhere)?;
        let (mut form, mut fields) = (Form::default(), fields());
        form.add("token", token);
        form.add("token_type_hint", hint);
        let now = Timestamp::now().millis() / 1000;
        client.authenticate(recipe.audience(), now, &mut form, &mut fields).map_err(Failure::Refused)?;
        let body = form.finish(&mut fields);
        let head = head(Method::POST, path, fields).map_err(Failure::Refused)?;
        let reply = ask(upstream, self.asker, destination, head, body).await?;
        Ok(match reply.status() {
            // Also for one that the server does not know (any more): RFC 7009, section 2.2.
            StatusCode::OK => Revocation::Revoked,
            StatusCode::BAD_REQUEST if error_of(reply.body()).as_deref() == Some("invalid_token") => {
                Revocation::Revoked
            }
            status if status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS => {
                let after = retry_after(reply.headers());
                Revocation::Unavailable(after.map(|seconds| Duration::from_secs(seconds.into())))
            }
            _ => Revocation::Refused,
        })
    }
}

/// The OAuth client, what of the grant is revoked, and what that is called (RFC 7009, section 2.1).
fn revocable(grant: &Grant) -> Option<(&OAuthClient, &str, &'static str)> {
    match grant {
        Grant::RefreshToken { client, refresh_token, .. } => Some((client, refresh_token, "refresh_token")),
        Grant::AccessToken { client, access_token } => Some((client, access_token, "access_token")),
        _ => None,
    }
}

impl fmt::Debug for Farewell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Farewell")
    }
}
