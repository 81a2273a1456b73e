//! A person's single sign-on at an OpenID provider (OpenID Connect Core 1.0, section 3.1): the authorization code flow as for any login,
//! and an ID token that is verified before anything of it counts.
//!
//! ```text
//!  discovery ─► browser to the provider ─► answer: state, iss ─► token endpoint ─► ID token ─► signature, iss, aud, exp, nonce
//!                                                     client's secret, opened here       keys of the provider, read anew
//! ```
//!
//! Nothing that the provider gives is kept, neither access token nor ID token. What the person may do here is left to `admin`.

use super::code::{Answer, Code, random};
use super::draft::{Draft, incomplete};
use super::id_token::{Expected, verified};
use super::key_set::KeySet;
use super::{LoginCode, LoginError, discovery};
use crate::mint::ask::{Asker, Reply, ask, endpoint, fields, head};
use crate::upstream::Upstream;
use bytes::Bytes;
use cloakroom_model::{Destination, SignOnSubject, Timestamp};
use http::{Method, StatusCode};
use serde::Deserialize;
use serde_json::Value;
use std::fmt;
use zeroize::Zeroizing;

/// An OpenID provider, and who the broker is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Provider {
    /// Its identifier, an `https://` URL: compared to the letter.
    pub issuer: String,
    /// The broker's client id there.
    pub client_id: String,
    /// What is asked for besides `openid`.
    pub scopes: Vec<String>,
    /// The claim of the ID token that lists the person's groups, where they count.
    pub groups: Option<String>,
}

/// A single sign-on that waits for its answer. Neither `Clone` nor readable outside.
pub struct SignOn {
    provider: Provider,
    draft: Draft,
    code: Code,
    asker: Asker,
    /// Ties the ID token to this sign-on.
    nonce: String,
    /// Where the provider's keys are.
    keys: String,
}

/// Somebody for whom the provider vouches: made here alone, of a token that was verified.
#[derive(Debug)]
pub struct SignedOn {
    subject: SignOnSubject,
    groups: Vec<String>,
}

/// What is read of the token endpoint's reply besides what any grant has.
#[derive(Deserialize)]
struct Given {
    id_token: String,
}

impl Provider {
    /// The scope of its authorization request.
    pub(super) fn scope(&self) -> String {
        std::iter::once("openid").chain(self.scopes.iter().map(String::as_str)).collect::<Vec<_>>().join(" ")
    }

    /// The groups that a token lists. SECURITY: of anything but a list of words nobody knows what it means.
    fn groups_of(&self, claims: &serde_json::Map<String, Value>) -> Result<Vec<String>, LoginError> {
        let Some(listed) = self.groups.as_ref().and_then(|claim| claims.get(claim)) else {
            return Ok(Vec::new());
        };
        let words = listed.as_array().and_then(|words| {
            words.iter().map(|word| word.as_str().map(str::to_owned)).collect::<Option<Vec<_>>>()
        });
        words.ok_or(not_valid("the claim with the groups is no list of words"))
    }
}

impl SignedOn {
    /// Who that is.
    pub fn subject(&self) -> &SignOnSubject {
        &self.subject
    }

    /// The person's groups, where they were asked for.
    pub fn groups(&self) -> &[String] {
        &self.groups
    }
}

impl SignOn {
    /// The sign-on, and the URL for the browser.
    pub(crate) async fn begin(
        provider: &Provider,
        asker: Asker,
        redirect: &str,
        upstream: &Upstream,
    ) -> Result<(Self, String), LoginError> {
        let metadata = discovery::metadata(&provider.issuer, asker, upstream).await?;
        let unusable =
            || LoginError::new(LoginCode::MetadataNotUsable, "the provider does not say where its keys are");
        let keys = metadata.jwks_uri.clone().filter(|url| endpoint(url).is_some()).ok_or_else(unusable)?;
        let nonce = random()?;
        let draft = Draft::of_provider(provider, metadata, &nonce)?;
        let (code, url) = Code::begin(&draft, redirect)?;
        Ok((Self { provider: provider.clone(), draft, code, asker, nonce, keys }, url))
    }

    /// Whether this answer is to this sign-on.
    pub fn is_for(&self, answer: &Answer) -> bool {
        self.code.is_for(answer)
    }

    /// Who answers, once it is known: once, whatever comes of it. The client's secret is asked for when nothing else can be refused.
    pub(crate) async fn redeem(
        mut self,
        answer: Answer,
        secret: impl FnOnce(&Destination) -> Result<Option<Zeroizing<String>>, LoginError>,
        upstream: &Upstream,
    ) -> Result<SignedOn, LoginError> {
        let code = answer.checked(&self.draft)?;
        let secret = secret(&self.draft.token_destination()?)?;
        self.draft.client.secret = secret.map(|secret| secret.as_str().to_owned());
        let draft = self.draft.checked()?;
        let reply = self.code.exchange(&code, &draft, self.asker, upstream).await?;
        draft.understand(&reply)?;
        let given: Given =
            serde_json::from_slice(reply.body()).map_err(|_| not_valid("the provider gave no ID token"))?;
        let keys = key_set(&self.keys, self.asker, upstream).await?;
        let expected = Expected {
            issuer: &self.provider.issuer,
            client_id: &self.provider.client_id,
            nonce: &self.nonce,
            now: Timestamp::now().millis() / 1000,
        };
        let claims = verified(&given.id_token, &keys, &expected).map_err(not_valid)?;
        let groups = self.provider.groups_of(&claims.all)?;
        Ok(SignedOn { subject: claims.subject, groups })
    }
}

/// The provider's keys as they are now: one that was exchanged a moment ago is among them.
async fn key_set(url: &str, asker: Asker, upstream: &Upstream) -> Result<KeySet, LoginError> {
    let unusable = |reason| LoginError::new(LoginCode::MetadataNotUsable, reason);
    let (destination, path) = endpoint(url).ok_or(incomplete("the provider's keys cannot be asked for"))?;
    let head = head(Method::GET, path, fields()).map_err(incomplete)?;
    let reply: Reply = ask(upstream, asker, destination, head, Bytes::new()).await?;
    if reply.status() != StatusCode::OK {
        return Err(LoginError::new(LoginCode::ServerUnavailable, "the provider does not give its keys out"));
    }
    KeySet::read(reply.body()).ok_or(unusable("the provider's keys cannot be read"))
}

const fn not_valid(reason: &'static str) -> LoginError {
    LoginError::new(LoginCode::IdTokenNotValid, reason)
}

impl fmt::Debug for SignOn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SignOn")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn groups_are_a_list_of_words_or_nobody_knows_what_they_are() {
        let mut provider = Provider {
            issuer: "https://a".into(),
            client_id: "c".into(),
            scopes: vec!["groups".into()],
            groups: None,
        };
        assert_eq!(provider.scope(), "openid groups");
        let of = |provider: &Provider, claims: Value| {
            provider.groups_of(claims.as_object().unwrap()).map_err(LoginError::code)
        };
        assert_eq!(of(&provider, json!({ "groups": ["a"] })), Ok(Vec::new()), "nobody asked");
        provider.groups = Some("groups".into());
        assert_eq!(of(&provider, json!({ "groups": ["a", "b"] })), Ok(vec!["a".into(), "b".into()]));
        assert_eq!(of(&provider, json!({ "roles": ["a"] })), Ok(Vec::new()), "none is said");
        for odd in [json!("a"), json!(["a", 1]), json!({ "a": true }), json!(null), json!([["a"]])] {
            assert_eq!(of(&provider, json!({ "groups": odd })), Err(LoginCode::IdTokenNotValid));
        }
    }
}
