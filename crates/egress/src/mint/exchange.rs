//! One exchange with a token endpoint: the request (RFC 6749, sections 2.3, 4.4, 6; RFC 7523) and what is made of the reply.

use super::jwt::{self, Claims};
use super::recipe::{Authentication, Grant, OAuthClient, Recipe};
use crate::secret::Secret;
use crate::stage::OutBody;
use crate::upstream::{Hints, PoolKey, RawBody, Upstream};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use cloakroom_model::{CredentialId, Timestamp};
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode, header, request};
use http_body_util::BodyExt;
use serde::Deserialize;
use serde_json::{Value, json};
use std::time::Duration;
use zeroize::Zeroizing;

/// The longest reply that is read, in bytes.
const LONGEST: usize = 64 * 1024;
/// How long an access token is trusted that does not say how long it is valid (RFC 6749, section 5.1).
const UNSAID: Duration = Duration::from_secs(5 * 60);
/// Longer than this no access token is kept, whatever the reply says (T105).
const LONGEST_LIFE: Duration = Duration::from_secs(24 * 3600);
/// How long an assertion is valid.
const ASSERTED: u64 = 300;

/// What an exchange brought.
pub(super) struct Granted {
    pub(super) access_token: Secret,
    pub(super) valid_for: Duration,
    /// A new refresh token, where the server replaces it each time.
    pub(super) refresh_token: Option<String>,
}

/// Why there is no access token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    /// Try again later; after so many seconds, where the server says so.
    Unavailable(&'static str, Option<u32>),
    /// The grant is worth nothing any more: a person has to log in again, or give a new secret.
    Refused(&'static str),
}

/// Exchanges the grant.
pub(super) async fn exchange(
    recipe: &Recipe,
    upstream: &Upstream,
    credential: CredentialId,
    generation: u32,
) -> Result<Granted, Failure> {
    let (destination, path) =
        recipe.endpoint().ok_or(Failure::Refused("the grant's token endpoint cannot be read"))?;
    let (head, body) = recipe.request(path, Timestamp::now().millis() / 1000).map_err(Failure::Refused)?;
    let key = PoolKey { credentials: vec![(credential, generation)], destination };
    let mut ignore = |_, _| {};
    let sent = upstream.send(head, OutBody::whole(body), key, &mut Hints::new(&mut ignore)).await;
    let reply = sent.map_err(|refusal| {
        tracing::warn!(%credential, %refusal, "a token endpoint could not be asked");
        Failure::Unavailable("the authorization server could not be reached", None)
    })?;
    let (head, body) = reply.into_parts();
    let body = read(body, LONGEST)
        .await
        .ok_or(Failure::Unavailable("the token endpoint's reply broke off or is too long", None))?;
    recipe.grant.understand(&Response::from_parts(head, body))
}

impl Recipe {
    /// The request, at so many seconds since 1970.
    fn request(&self, path: &str, now: u64) -> Result<(request::Parts, Bytes), &'static str> {
        let mut fields = HeaderMap::new();
        fields.insert(header::ACCEPT, HeaderValue::from_static("application/json"));
        fields.insert(header::ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        fields.insert(header::USER_AGENT, HeaderValue::from_static("cloakroom"));
        let body = match &self.grant {
            Grant::GithubApp { signer, app, repositories, permissions } => {
                // GitHub takes at most ten minutes, and clocks that are a minute apart.
                let claims = Claims {
                    iss: app,
                    sub: None,
                    aud: None,
                    scope: None,
                    iat: now - 60,
                    exp: now + ASSERTED,
                    jti: None,
                };
                let assertion = Zeroizing::new(format!("Bearer {}", jwt::sign(signer, &claims)?));
                fields.insert(header::AUTHORIZATION, sensitive(&assertion)?);
                fields.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
                narrowed(repositories, permissions)
            }
            grant => {
                let kind = HeaderValue::from_static("application/x-www-form-urlencoded");
                fields.insert(header::CONTENT_TYPE, kind);
                let form = grant.form(&self.token_endpoint, now, &mut fields)?;
                Bytes::from_owner(form)
            }
        };
        let (mut head, ()) = http::Request::new(()).into_parts();
        head.method = Method::POST;
        head.uri = path.parse().map_err(|_| "the token endpoint's path cannot be written")?;
        head.headers = fields;
        Ok((head, body))
    }
}

impl Grant {
    fn form(
        &self,
        endpoint: &str,
        now: u64,
        fields: &mut HeaderMap,
    ) -> Result<Zeroizing<Vec<u8>>, &'static str> {
        let mut form = Form::default();
        match self {
            Self::RefreshToken { client, refresh_token, scope } => {
                form.add("grant_type", "refresh_token");
                form.add("refresh_token", refresh_token);
                form.add_some("scope", scope.as_deref());
                client.authenticate(&mut form, fields)?;
            }
            Self::ClientCredentials { client, scope } => {
                form.add("grant_type", "client_credentials");
                form.add_some("scope", scope.as_deref());
                client.authenticate(&mut form, fields)?;
            }
            Self::JwtBearer { signer, issuer, subject, audience, scope } => {
                let mut id = [0; 16];
                getrandom::fill(&mut id).map_err(|_| "the operating system gives no random bytes")?;
                let claims = Claims {
                    iss: issuer,
                    sub: subject.as_deref(),
                    aud: Some(audience.as_deref().unwrap_or(endpoint)),
                    scope: scope.as_deref(),
                    iat: now,
                    exp: now + ASSERTED,
                    jti: Some(STANDARD.encode(id)),
                };
                form.add("grant_type", "urn:ietf:params:oauth:grant-type:jwt-bearer");
                form.add("assertion", &Zeroizing::new(jwt::sign(signer, &claims)?));
            }
            Self::GithubApp { .. } => return Err("an app's installation takes no form"),
        }
        Ok(form.0)
    }

    fn understand(&self, reply: &Response<Zeroizing<Vec<u8>>>) -> Result<Granted, Failure> {
        let wanted =
            if matches!(self, Self::GithubApp { .. }) { StatusCode::CREATED } else { StatusCode::OK };
        if reply.status() == wanted {
            return granted(reply.body());
        }
        Err(refused(reply.status(), reply.headers(), reply.body()))
    }
}

impl OAuthClient {
    /// RFC 6749, section 2.3.1; a client without a secret only says its id.
    fn authenticate(&self, form: &mut Form, fields: &mut HeaderMap) -> Result<(), &'static str> {
        match (&self.secret, self.authentication) {
            (Some(secret), Authentication::Basic) => {
                // Both halves are form-encoded first.
                let pair = Zeroizing::new([encoded(&self.id), b":".to_vec(), encoded(secret)].concat());
                let value = Zeroizing::new(format!("Basic {}", STANDARD.encode(&*pair)));
                fields.insert(header::AUTHORIZATION, sensitive(&value)?);
            }
            (secret, _) => {
                form.add("client_id", &self.id);
                form.add_some("client_secret", secret.as_deref());
            }
        }
        Ok(())
    }
}

/// An `application/x-www-form-urlencoded` body.
#[derive(Default)]
struct Form(Zeroizing<Vec<u8>>);

impl Form {
    fn add(&mut self, name: &str, value: &str) {
        if !self.0.is_empty() {
            self.0.push(b'&');
        }
        self.0.extend_from_slice(name.as_bytes());
        self.0.push(b'=');
        self.0.extend_from_slice(&Zeroizing::new(encoded(value)));
    }

    fn add_some(&mut self, name: &str, value: Option<&str>) {
        if let Some(value) = value {
            self.add(name, value);
        }
    }
}

/// Everything but letters, digits and `*-._` percent-encoded: read alike by those who take `+` for a blank and those who do not.
fn encoded(text: &str) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len() * 3);
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"*-._".contains(&byte) {
            out.push(byte);
        } else {
            out.extend_from_slice(format!("%{byte:02X}").as_bytes());
        }
    }
    out
}

fn narrowed(repositories: &[String], permissions: &std::collections::BTreeMap<String, String>) -> Bytes {
    let mut body = json!({});
    if !repositories.is_empty() {
        body["repositories"] = json!(repositories);
    }
    if !permissions.is_empty() {
        body["permissions"] = json!(permissions);
    }
    body.to_string().into()
}

fn sensitive(text: &str) -> Result<HeaderValue, &'static str> {
    let mut value =
        HeaderValue::from_str(text).map_err(|_| "the OAuth client cannot be written into a header")?;
    value.set_sensitive(true);
    Ok(value)
}

/// All of a short reply: of so many bytes at most.
pub(crate) async fn read(mut body: RawBody, longest: usize) -> Option<Zeroizing<Vec<u8>>> {
    let mut bytes = Zeroizing::new(Vec::with_capacity(longest.min(LONGEST)));
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame.ok()?.into_data() else { continue };
        if bytes.len() + data.len() > longest {
            return None;
        }
        bytes.extend_from_slice(&data);
    }
    Some(bytes)
}

/// RFC 6749, section 5.1; GitHub says `token` and `expires_at`, always an hour ahead.
#[derive(Deserialize)]
struct Reply {
    #[serde(alias = "token")]
    access_token: String,
    #[serde(default)]
    token_type: Option<String>,
    #[serde(default)]
    expires_in: Option<Value>,
    #[serde(default)]
    refresh_token: Option<String>,
}

fn granted(body: &[u8]) -> Result<Granted, Failure> {
    let malformed = |reason| Failure::Unavailable(reason, None);
    let reply: Reply = serde_json::from_slice(body)
        .map_err(|_| malformed("the token endpoint answered with something else than an access token"))?;
    let access_token = Zeroizing::new(reply.access_token.into_bytes());
    let refresh_token = reply.refresh_token;
    // RFC 6750, section 2.1: what a header can carry.
    let fine =
        (8..=LONGEST / 4).contains(&access_token.len()) && access_token.iter().all(u8::is_ascii_graphic);
    if !fine {
        return Err(malformed("the token endpoint's access token cannot be put into a call"));
    }
    if reply.token_type.is_some_and(|kind| !kind.eq_ignore_ascii_case("bearer")) {
        return Err(malformed("the token endpoint gives access tokens of another type than bearer"));
    }
    let valid_for = match &reply.expires_in {
        None | Some(Value::Null) => UNSAID,
        Some(seconds) => {
            seconds_of(seconds).ok_or(malformed("the token endpoint's expires_in is no number of seconds"))?
        }
    };
    Ok(Granted {
        access_token: Secret::new(access_token),
        valid_for: valid_for.min(LONGEST_LIFE),
        refresh_token,
    })
}

/// Some servers write the number as text.
fn seconds_of(value: &Value) -> Option<Duration> {
    let seconds = value.as_u64().or_else(|| value.as_str()?.parse().ok())?;
    Some(Duration::from_secs(seconds))
}

/// RFC 6749, section 5.2. The words of the reply are not repeated: they may hold anything.
fn refused(status: StatusCode, fields: &HeaderMap, body: &[u8]) -> Failure {
    #[derive(Deserialize)]
    struct Error {
        error: String,
    }
    let error = serde_json::from_slice::<Error>(body).map(|error| error.error).unwrap_or_default();
    match (status.as_u16(), error.as_str()) {
        (_, "invalid_grant") => Failure::Refused(
            "the authorization server says that the grant was revoked, has expired or was used before",
        ),
        (_, "invalid_client" | "unauthorized_client") => {
            Failure::Refused("the authorization server does not accept the OAuth client")
        }
        (_, "invalid_scope") => {
            Failure::Refused("the authorization server does not grant this scope any more")
        }
        (429 | 500..=599, _) => {
            Failure::Unavailable("the authorization server is not available", retry_after(fields))
        }
        (401 | 403 | 404, _) => Failure::Refused("the authorization server refuses the grant"),
        _ => {
            Failure::Unavailable("the token endpoint answered with something else than an access token", None)
        }
    }
}

/// How long the server asks to wait, in seconds.
pub(crate) fn retry_after(fields: &HeaderMap) -> Option<u32> {
    let seconds: u32 = fields.get(header::RETRY_AFTER)?.to_str().ok()?.parse().ok()?;
    Some(seconds.min(300))
}

#[cfg(test)]
mod tests {
    use super::super::recipe::tests::REFRESH;
    use super::*;

    fn request(text: &str) -> (HeaderMap, String) {
        let recipe = Recipe::read(text.as_bytes()).unwrap();
        let (_, path) = recipe.endpoint().unwrap();
        let (head, body) = recipe.request(path, 1_000_000).unwrap();
        assert_eq!((head.method, head.uri.path()), (Method::POST, "/token"));
        (head.headers, String::from_utf8(body.to_vec()).unwrap())
    }

    #[test]
    fn a_refresh_is_asked_for_as_rfc_6749_says() {
        let (fields, body) = request(REFRESH);
        assert_eq!(body, "grant_type=refresh_token&refresh_token=the%20refresh%20token");
        let value = &fields[header::AUTHORIZATION];
        assert!(value.is_sensitive());
        let pair = STANDARD.decode(value.to_str().unwrap().strip_prefix("Basic ").unwrap()).unwrap();
        assert_eq!(pair, b"app:the%20client%27s%20secret");
        let post = REFRESH.replace("\"id\":\"app\"", "\"authentication\":\"post\",\"id\":\"app\"");
        let (fields, body) = request(&post);
        assert!(!fields.contains_key(header::AUTHORIZATION));
        assert!(body.ends_with("&client_id=app&client_secret=the%20client%27s%20secret"), "{body}");
    }

    fn judged(status: u16, body: &str) -> Result<Duration, Failure> {
        let recipe = Recipe::read(REFRESH.as_bytes()).unwrap();
        let reply =
            Response::builder().status(status).body(Zeroizing::new(body.as_bytes().to_vec())).unwrap();
        recipe.grant.understand(&reply).map(|granted| granted.valid_for)
    }

    #[test]
    fn t105_only_an_access_token_counts_as_one() {
        let seconds = |body: &str| judged(200, body).map(|span| span.as_secs());
        let reply = |rest: &str| format!(r#"{{"access_token":"abcdefgh","token_type":"Bearer"{rest}}}"#);
        assert_eq!(seconds(&reply(",\"expires_in\":3600")), Ok(3600));
        assert_eq!(seconds(&reply(",\"expires_in\":\"60\"")), Ok(60));
        assert_eq!(seconds(&reply("")), Ok(300));
        assert_eq!(seconds(&reply(",\"expires_in\":99999999999")), Ok(24 * 3600));
        for bad in [
            reply(",\"expires_in\":-1"),
            reply(",\"expires_in\":{}"),
            reply("").replace("Bearer", "mac"),
            reply("").replace("abcdefgh", "a\\r\\nb: cdefgh"),
            reply("").replace("abcdefgh", "short"),
            reply("").replace("access_token", "acces_token"),
            "<html>error</html>".into(),
            "[]".into(),
            String::new(),
        ] {
            assert!(matches!(judged(200, &bad), Err(Failure::Unavailable(..))), "{bad}");
        }
        assert!(matches!(judged(201, &reply("")), Err(Failure::Unavailable(..))));
        assert!(matches!(judged(302, ""), Err(Failure::Unavailable(..))));
    }

    #[test]
    fn a_grant_that_is_worth_nothing_is_told_from_a_server_that_is_down() {
        let error = |status, word: &str| judged(status, &format!(r#"{{"error":"{word}"}}"#)).unwrap_err();
        assert!(matches!(error(400, "invalid_grant"), Failure::Refused(_)));
        assert!(matches!(error(401, "invalid_client"), Failure::Refused(_)));
        assert!(matches!(error(400, "temporarily_unavailable"), Failure::Unavailable(..)));
        assert!(matches!(judged(503, "busy"), Err(Failure::Unavailable(..))));
        assert!(matches!(judged(404, "gone"), Err(Failure::Refused(_))));
    }
}
