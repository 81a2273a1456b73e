//! A secret that the server makes for this broker alone: taken at a path, with a lease on it.
//!
//! SPEC: <https://openbao.org/api-docs/system/leases/>, <https://openbao.org/api-docs/secret/databases/#generate-credentials>

use super::super::lease::Handle;
use super::super::value;
use super::session::Session;
use super::{Access, Asker, document, encoded, is_path, says, unwilling};
use crate::mint::Failure;
use crate::secret::Secret;
use crate::source::{Desk, Fetched};
use cloakroom_model::LeaseId;
use http::{Method, StatusCode};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::time::Duration;

/// A new secret is taken this long before the lease ends, or when a tenth of its time is left, whichever is later.
const AHEAD: Duration = Duration::from_secs(60);
/// Longer than this no leased secret is used without a renewal, whatever the server says.
const LONGEST: Duration = Duration::from_secs(24 * 3600);

/// Where the server lends it, and which fields are the secret.
#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(in crate::source) struct VaultLease {
    pub(in crate::source) access: Access,
    path: String,
    /// The secret, or the password of a login.
    field: String,
    /// The user name of that login.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    user_field: Option<String>,
}

/// What became of an attempt to end a lease.
pub(in crate::source) enum Ended {
    /// The server says that there is none of this name.
    Gone,
    /// It does not say so.
    Lingers(&'static str),
}

impl VaultLease {
    pub(in crate::source) fn check(&self) -> Result<(), &'static str> {
        self.access.check()?;
        if !is_path(&self.path) {
            return Err("the path of a secret that is leased is names with slashes between them");
        }
        let name = |field: &str| !field.is_empty() && field.len() <= 255;
        if !name(&self.field) || !self.user_field.as_deref().is_none_or(name) {
            return Err("the field of a secret is a name");
        }
        Ok(())
    }

    /// As operators see it.
    pub(in crate::source) fn place(&self) -> String {
        let user = self.user_field.as_deref().map(|user| format!(" with user {user}")).unwrap_or_default();
        format!("{} {}, field {}{user}", self.access.place(), self.path, self.field)
    }

    pub(in crate::source) async fn fetch(&self, asker: &Asker<'_>, desk: &Desk) -> Result<Fetched, Failure> {
        match self.take(asker, desk).await? {
            Some(fetched) => Ok(fetched),
            // The login may have ended: once more with a new one.
            None => match self.take(asker, desk).await? {
                Some(fetched) => Ok(fetched),
                None => {
                    Err(Failure::Unavailable("the server does not permit the broker to lease there", None))
                }
            },
        }
    }

    /// `None` where the server says that this is not permitted; then the login is dropped.
    async fn take(&self, asker: &Asker<'_>, desk: &Desk) -> Result<Option<Fetched>, Failure> {
        let leases = desk.leases()?;
        let slot = desk.sessions.slot(asker);
        let session = Session::standing(&self.access, asker, desk, &slot).await?;
        // What a login that was given is good for is not ours to end, nor to foresee.
        let (accessor, ends_by) = match session.own {
            true => (session.accessor.as_deref(), session.left()),
            false => (None, None),
        };
        let id = leases.begin(asker, &self.access, accessor, ends_by).await?;
        let question = (Method::GET, encoded(&self.path));
        let asked = self.access.ask(asker, Some(&session.token), (question.0, &question.1), None).await;
        let reply = match asked {
            Ok(reply) => reply,
            Err(failure) => {
                leases.lost(id).await;
                return Err(failure);
            }
        };
        if reply.status != StatusCode::OK {
            leases.cancel(id).await;
            if reply.status == StatusCode::FORBIDDEN {
                Session::drop_from(&slot, &session).await;
                return Ok(None);
            }
            return Err(unwilling(&reply));
        }
        let lent = match document(&reply) {
            Ok(lent) => lent,
            Err(failure) => {
                leases.lost(id).await;
                return Err(failure);
            }
        };
        let name = lent["lease_id"].as_str().filter(|name| !name.is_empty() && name.len() <= 1024);
        let Some(name) = name else {
            leases.cancel(id).await;
            return Err(Failure::Unavailable("what the server gives at this path has no lease", None));
        };
        let lasts = lent["lease_duration"].as_u64().map(Duration::from_secs).unwrap_or_default();
        // A lease ends with its login at the latest.
        let lasts = lasts.min(session.left().unwrap_or(LONGEST)).min(LONGEST);
        let handle = Handle {
            access: &self.access,
            lease: Some(name.to_owned()),
            accessor: accessor.map(str::to_owned),
        };
        leases.hold(id, &handle, lasts, lent["renewable"].as_bool().unwrap_or(false)).await?;
        let picked = self.picked(&lent["data"], id, lasts);
        if picked.is_err() {
            leases.end(id).await;
        }
        picked.map(Some)
    }

    fn picked(&self, data: &Value, lease: LeaseId, lasts: Duration) -> Result<Fetched, Failure> {
        let secret = value::secret(value::field(data, &self.field)?)?;
        let user: Option<Secret> = match &self.user_field {
            Some(name) => Some(value::user(value::field(data, name)?)?),
            None => None,
        };
        let (fresh_for, valid_for) = spans(lasts);
        Ok(Fetched { secret, user, fresh_for, valid_for, also: Vec::new(), lease: Some(lease) })
    }
}

/// For how long a leased secret is used, and for how long where no other can be had.
pub(crate) fn spans(lasts: Duration) -> (Duration, Duration) {
    (lasts.saturating_sub(AHEAD.min(lasts / 10)), lasts)
}

impl Access {
    /// Asks for more time. Gives how much there is now, and whether there may be more.
    pub(in crate::source) async fn renew_lease(
        &self,
        asker: &Asker<'_>,
        desk: &Desk,
        lease: &str,
        lasts: Duration,
    ) -> Result<(Duration, bool), Failure> {
        let body = json!({ "lease_id": lease, "increment": lasts.as_secs() });
        let question = (Method::PUT, "sys/leases/renew");
        let renewed = document(&Session::ask(self, asker, desk, question, Some(&body)).await?)?;
        let none = Failure::Unavailable("the server renewed a lease without saying for how long", None);
        let lasts = renewed["lease_duration"].as_u64().map(Duration::from_secs).ok_or(none)?;
        let left = Session::standing(self, asker, desk, &desk.sessions.slot(asker)).await?.left();
        let lasts = lasts.min(left.unwrap_or(LONGEST)).min(LONGEST);
        Ok((lasts, renewed["renewable"].as_bool().unwrap_or(false)))
    }

    /// Has the lease ended, and looks whether it is gone: the server may answer long before it is.
    pub(in crate::source) async fn end_lease(
        &self,
        asker: &Asker<'_>,
        desk: &Desk,
        lease: Option<&str>,
        accessor: Option<&str>,
    ) -> Ended {
        let ended = match (lease, accessor) {
            (Some(lease), _) => self.revoke(asker, desk, lease).await,
            (None, Some(accessor)) => self.revoke_login(asker, desk, accessor).await,
            (None, None) => Ok(Ended::Lingers(
                "the broker never learnt which lease it was lent, and did not make the login that it asked with: it ends by its own time",
            )),
        };
        ended.unwrap_or_else(|failure| match failure {
            Failure::Refused(why)
            | Failure::Revoked(why)
            | Failure::Unreached(why)
            | Failure::Unavailable(why, _) => Ended::Lingers(why),
        })
    }

    async fn revoke(&self, asker: &Asker<'_>, desk: &Desk, lease: &str) -> Result<Ended, Failure> {
        let body = json!({ "lease_id": lease, "sync": true });
        let revoked =
            Session::ask(self, asker, desk, (Method::PUT, "sys/leases/revoke"), Some(&body)).await?;
        let body = json!({ "lease_id": lease });
        let looked = Session::ask(self, asker, desk, (Method::PUT, "sys/leases/lookup"), Some(&body)).await?;
        // SECURITY: only what the server says of this lease counts, never the answer to the wish.
        if looked.status == StatusCode::BAD_REQUEST && says(&looked.body, "invalid lease") {
            return Ok(Ended::Gone);
        }
        Ok(Ended::Lingers(match (revoked.status.as_u16(), looked.status.as_u16()) {
            (403, _) => "the server does not permit the broker to end leases (sys/leases/revoke)",
            (_, 403) => "the server does not permit the broker to look leases up (sys/leases/lookup)",
            (503, _) => "the server is sealed or not available",
            (400..=599, _) => "the server could not end it: what it was made at may be down",
            _ => "the server has not ended it yet",
        }))
    }

    /// A lease whose name is not known ends with the login that it was asked for with.
    async fn revoke_login(&self, asker: &Asker<'_>, desk: &Desk, accessor: &str) -> Result<Ended, Failure> {
        let body = json!({ "accessor": accessor });
        let question = (Method::POST, "auth/token/revoke-accessor");
        let revoked = Session::ask(self, asker, desk, question, Some(&body)).await?;
        Ok(match revoked.status.as_u16() {
            200 | 204 => Ended::Gone,
            400 | 404 if says(&revoked.body, "invalid accessor") => Ended::Gone,
            403 => Ended::Lingers(
                "the broker never learnt which lease it was lent, and the server does not permit it to end the login that it asked with \
                 (auth/token/revoke-accessor)",
            ),
            _ => Ended::Lingers("the server could not end the login that it was asked for with"),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_server_s_own_words_say_that_a_lease_is_gone() {
        assert!(says(br#"{"errors":["invalid lease"]}"#, "invalid lease"));
        for body in [
            r#"{"errors":["lease is not valid yet"]}"#,
            "invalid lease",
            "{}",
            "[]",
            r#"{"errors":"invalid lease"}"#,
        ] {
            assert!(!says(body.as_bytes(), "invalid lease"), "{body}");
        }
    }

    #[test]
    fn a_leased_secret_is_replaced_before_its_time() {
        let seconds = |lasts| {
            let (fresh, valid) = spans(Duration::from_secs(lasts));
            (fresh.as_millis(), valid.as_secs())
        };
        assert_eq!(seconds(3600), (3_540_000, 3600));
        assert_eq!(seconds(10), (9_000, 10));
        assert_eq!(seconds(0), (0, 0));
    }
}
