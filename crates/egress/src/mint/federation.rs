//! Google's workload identity federation: a token of the broker's own becomes an access token, and that of a service account where one is named.
//!
//! ```text
//!  the broker's token ─► sts.googleapis.com (RFC 8693) ─► federated access token ─► generateAccessToken ─► access token of a service account
//! ```
//!
//! SPEC: RFC 8693, section 2; Google, "Workload identity federation with other identity providers"; IAM Service Account Credentials API.

use super::ask::{self, Asker, Form, Reply, ask, fields, head, sensitive};
use super::exchange::{Failure, Granted, understand};
use super::live::Means;
use super::recipe::LONGEST;
use super::role::seconds_of;
use crate::issuer::Subject;
use crate::secret::Secret;
use bytes::Bytes;
use cloakroom_model::{Name, Timestamp};
use http::{HeaderValue, Method, StatusCode, header};
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::time::Duration;
use zeroize::Zeroizing;

/// What a federated access token is asked for that is exchanged for a service account's.
const PLATFORM: &str = "https://www.googleapis.com/auth/cloud-platform";
/// How long a service account's access token lives.
const SECONDS: u32 = 3600;

/// Where the broker's token is exchanged, and for what. Nothing of it is secret; it is sealed as every grant is, so that none of it is edited.
#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Federation {
    /// Google's token service.
    token_endpoint: String,
    /// The provider of the workload identity pool: `//iam.googleapis.com/projects/…`.
    provider: String,
    /// For whom the broker's token is, where the provider names an audience of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    audience: Option<String>,
    /// Scopes, with blanks between them.
    scope: String,
    /// The service account's `generateAccessToken`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    impersonation: Option<String>,
}

impl Federation {
    /// Reads what was deposited; `None` where it is another grant.
    ///
    /// # Errors
    /// One sentence, where it is this one and not complete.
    pub(crate) fn read(bytes: &[u8]) -> Option<Result<Self, &'static str>> {
        #[derive(Deserialize)]
        struct Deposited {
            federation: serde_json::Value,
        }
        let deposited: Deposited = serde_json::from_slice(bytes.get(..LONGEST.min(bytes.len()))?).ok()?;
        let read = serde_json::from_value::<Self>(deposited.federation);
        let read = read.map_err(|_| "the federation is not complete or not of a known form");
        Some(read.and_then(Self::checked))
    }

    /// As it is sealed.
    pub(crate) fn write(&self) -> Option<Vec<u8>> {
        serde_json::to_vec(&json!({ "federation": self })).ok()
    }

    /// What placeholders for it are made like.
    pub(crate) fn likeness() -> String {
        format!("ya29.{}", "a".repeat(64))
    }

    fn checked(self) -> Result<Self, &'static str> {
        let urls = [Some(&self.token_endpoint), self.impersonation.as_ref()];
        if urls.into_iter().flatten().any(|url| ask::endpoint(url).is_none()) {
            return Err("the token service is no https:// URL with a host and a path");
        }
        let word = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic());
        let fine = word(&self.provider)
            && self.audience.as_deref().is_none_or(word)
            && !self.scope.is_empty()
            && self.scope.split(' ').all(word);
        fine.then_some(self).ok_or("the provider, the audience or the scope is missing or has odd characters")
    }

    /// Exchanges a token of the broker's own.
    pub(super) async fn exchange(
        &self,
        means: &Means,
        asker: Asker,
        credential: &Name,
    ) -> Result<Granted, Failure> {
        let unavailable = |reason| Failure::Unavailable(reason, None);
        let issuer = means.issuer.as_ref().ok_or(unavailable("the broker is no issuer: see [issuer]"))?;
        let (to, path) =
            ask::endpoint(&self.token_endpoint).ok_or(unavailable("the token service cannot be read"))?;
        let subject = Subject { workload: None, credential };
        let audience = self.audience.as_deref().unwrap_or(&self.provider);
        let token = issuer.token(subject, audience, Timestamp::now()).map_err(unavailable)?;
        let mut form = Form::default();
        form.add("grant_type", "urn:ietf:params:oauth:grant-type:token-exchange");
        form.add("audience", &self.provider);
        form.add("scope", if self.impersonation.is_some() { PLATFORM } else { &self.scope });
        form.add("requested_token_type", "urn:ietf:params:oauth:token-type:access_token");
        form.add("subject_token_type", "urn:ietf:params:oauth:token-type:jwt");
        form.add("subject_token", &token);
        let mut fields = fields();
        let body = form.finish(&mut fields);
        let head = head(Method::POST, path, fields).map_err(unavailable)?;
        let reply = ask(&means.upstream, asker, to, head, body).await?;
        // What Google refuses, somebody mends there: the pool, its provider, the service account's policy.
        let federated = understand(&reply, StatusCode::OK, false).map_err(mended_elsewhere)?;
        match &self.impersonation {
            None => Ok(federated),
            Some(url) => self.impersonate(url, federated, means, asker).await,
        }
    }

    async fn impersonate(
        &self,
        url: &str,
        federated: Granted,
        means: &Means,
        asker: Asker,
    ) -> Result<Granted, Failure> {
        let unavailable = |reason| Failure::Unavailable(reason, None);
        let (to, path) = ask::endpoint(url).ok_or(unavailable("the service account's URL cannot be read"))?;
        let mut fields = fields();
        let text = std::str::from_utf8(federated.access_token.expose()).unwrap_or_default();
        let bearer = Zeroizing::new(format!("Bearer {text}"));
        fields.insert(header::AUTHORIZATION, sensitive(&bearer).map_err(unavailable)?);
        fields.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        let scopes: Vec<&str> = self.scope.split(' ').collect();
        let body = json!({ "scope": scopes, "lifetime": format!("{SECONDS}s") }).to_string();
        let head = head(Method::POST, path, fields).map_err(unavailable)?;
        let reply = ask(&means.upstream, asker, to, head, Bytes::from(body)).await?;
        impersonated(&reply, Timestamp::now())
    }
}

/// What `generateAccessToken` answers.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Said {
    access_token: String,
    expire_time: String,
}

fn impersonated(reply: &Reply, now: Timestamp) -> Result<Granted, Failure> {
    let unavailable = |reason| Failure::Unavailable(reason, None);
    if reply.status() != StatusCode::OK {
        return Err(unavailable(
            "Google does not let the broker act as the service account: compare its policy",
        ));
    }
    let malformed =
        unavailable("Google answered with something else than an access token of the service account");
    let said: Said = serde_json::from_slice(reply.body()).map_err(|_| malformed)?;
    let access_token = Zeroizing::new(said.access_token.into_bytes());
    let ends = seconds_of(&said.expire_time).ok_or(malformed)?;
    let left = ends.saturating_sub(now.millis() / 1000).min(SECONDS.into());
    if left == 0 || access_token.len() < 8 || !access_token.iter().all(u8::is_ascii_graphic) {
        return Err(malformed);
    }
    let valid_for = Duration::from_secs(left);
    Ok(Granted {
        access_token: Secret::new(access_token),
        valid_for,
        says_when: true,
        is_bound: false,
        refresh_token: None,
    })
}

fn mended_elsewhere(failure: Failure) -> Failure {
    match failure {
        Failure::Refused(_) | Failure::Revoked(_) => Failure::Unavailable(
            "Google does not accept the broker's token: compare the pool's provider, its audience and its conditions",
            None,
        ),
        unavailable => unavailable,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn deposited() -> serde_json::Value {
        json!({ "federation": {
            "token_endpoint": "https://sts.googleapis.com/v1/token", "provider": "//iam.googleapis.com/projects/1/x",
            "scope": "https://www.googleapis.com/auth/devstorage.read_only",
        } })
    }

    #[test]
    fn a_federation_is_read_and_one_step_wrong_is_refused() {
        let read =
            |value: &serde_json::Value| Federation::read(value.to_string().as_bytes()).unwrap().map(|_| ());
        assert_eq!(read(&deposited()), Ok(()));
        assert!(Federation::read(br#"{"token_endpoint":"https://a.example/t"}"#).is_none(), "another grant");
        for (member, bad) in [
            ("token_endpoint", "http://sts.googleapis.com/v1/token"),
            ("token_endpoint", "https://sts.googleapis.com"),
            ("provider", ""),
            ("audience", "a b"),
            ("scope", ""),
            ("impersonation", "iamcredentials.googleapis.com"),
            ("more", "x"),
        ] {
            let mut value = deposited();
            value["federation"][member] = bad.into();
            assert!(read(&value).is_err(), "{member} {bad}");
        }
    }

    #[test]
    fn t105_only_an_access_token_of_the_service_account_counts() {
        let of = |status: u16, body: &str| {
            let reply = http::Response::builder()
                .status(status)
                .body(Zeroizing::new(body.as_bytes().to_vec()))
                .unwrap();
            impersonated(&reply, Timestamp::from_millis(0)).map(|granted| granted.valid_for.as_secs())
        };
        let body = r#"{"accessToken":"ya29.canary-7Q2mZ9","expireTime":"1970-01-01T00:10:00Z"}"#;
        assert_eq!(of(200, body), Ok(600));
        assert_eq!(of(200, &body.replace("1970", "2100")), Ok(3600));
        for wrong in [
            "",
            "{}",
            &body.replace("00:10", "00:00"),
            &body.replace("ya29.", "a b"),
            &body.replace("Z\"", "\""),
        ] {
            assert!(of(200, wrong).is_err(), "{wrong}");
        }
        assert!(of(201, body).is_err() && of(403, body).is_err());
    }
}
