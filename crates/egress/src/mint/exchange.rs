//! One exchange with a token endpoint: the request (RFC 6749, sections 2.3, 4.4, 6; RFC 7523) and what is made of the reply.

use super::ask::{Asker, Form, LONGEST, Reply, ask_proving, fields, head, sensitive};
use super::installation;
use super::jwt::{self, Claims};
use super::recipe::{Grant, Recipe, printable};
use super::token_exchange;
use crate::secret::Secret;
use crate::upstream::Upstream;
use bytes::Bytes;
use cloakroom_model::{CredentialId, Timestamp};
use cloakroom_policy::Narrowing;
use http::{HeaderMap, HeaderValue, Method, StatusCode, header, request};
use serde::Deserialize;
use serde_json::Value;
use std::time::Duration;
use zeroize::Zeroizing;

/// How long an access token is trusted that does not say how long it is valid (RFC 6749, section 5.1).
const UNSAID: Duration = Duration::from_secs(5 * 60);
/// Longer than this no access token is kept, whatever the reply says (T105).
const LONGEST_LIFE: Duration = Duration::from_secs(24 * 3600);
/// How long an assertion is valid.
pub(super) const ASSERTED: u64 = 300;

/// What an exchange brought.
pub(super) struct Granted {
    pub(super) access_token: Secret,
    pub(super) valid_for: Duration,
    /// Whether the server said how long that is.
    pub(super) says_when: bool,
    /// Whether it is bound to the key that was proved (RFC 9449, section 5).
    pub(super) is_bound: bool,
    /// A new refresh token, where the server replaces it each time.
    pub(super) refresh_token: Option<String>,
}

impl Granted {
    /// How long the access token may be good at its destination; `None` where nobody said, or longer than it is used.
    pub(super) fn lasts(&self) -> Option<Duration> {
        Some(self.valid_for).filter(|span| self.says_when && *span < LONGEST_LIFE)
    }
}

/// Why there is no access token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    /// Try again later; after so many seconds, where the server says so.
    Unavailable(&'static str, Option<u32>),
    /// Try again later: nothing of the question was sent.
    Unreached(&'static str),
    /// The grant is worth nothing any more: a person has to log in again, or give a new secret.
    Refused(&'static str),
    /// The same, because the server says of the grant itself that it was revoked, has expired or was used before.
    Revoked(&'static str),
}

/// Exchanges the grant.
pub(super) async fn exchange(
    recipe: &Recipe,
    narrowing: Option<&Narrowing>,
    upstream: &Upstream,
    credential: CredentialId,
    generation: u32,
) -> Result<Granted, Failure> {
    if let Grant::AccessToken { access_token, .. } = &recipe.grant {
        let access_token = Secret::new(Zeroizing::new(access_token.as_bytes().to_vec()));
        return Ok(Granted {
            access_token,
            valid_for: LONGEST_LIFE,
            says_when: false,
            is_bound: recipe.proof_key.is_some(),
            refresh_token: None,
        });
    }
    let prover = recipe.prover().map_err(Failure::Refused)?;
    let asker = Asker { credential, generation };
    let question = |path: &str| recipe.request(path, Timestamp::now().millis() / 1000, narrowing);
    let reply = ask_proving(upstream, asker, &recipe.token_endpoint, prover.as_ref(), question).await?;
    recipe.grant.understand(&reply, prover.is_some())
}

impl Recipe {
    /// The request, at so many seconds since 1970.
    fn request(
        &self,
        path: &str,
        now: u64,
        narrowing: Option<&Narrowing>,
    ) -> Result<(request::Parts, Bytes), &'static str> {
        let mut fields = fields();
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
                installation::narrowed(repositories, permissions, narrowing)?
            }
            grant => self.form(grant, now, &mut fields)?.finish(&mut fields),
        };
        Ok((head(Method::POST, path, fields)?, body))
    }

    fn form(&self, grant: &Grant, now: u64, fields: &mut HeaderMap) -> Result<Form, &'static str> {
        let mut form = Form::default();
        match grant {
            Grant::RefreshToken { client, refresh_token, scope } => {
                form.add("grant_type", "refresh_token");
                form.add("refresh_token", refresh_token);
                form.add_some("scope", scope.as_deref());
                // RFC 8707, section 2.2: what the login was for.
                let resources = self.login.iter().flat_map(|course| &course.resource);
                resources.for_each(|resource| form.add("resource", resource));
                client.authenticate(self.audience(), now, &mut form, fields)?;
            }
            Grant::ClientCredentials { client, scope } => {
                form.add("grant_type", "client_credentials");
                form.add_some("scope", scope.as_deref());
                client.authenticate(self.audience(), now, &mut form, fields)?;
            }
            Grant::JwtBearer { signer, issuer, subject, audience, scope } => {
                let claims = Claims {
                    iss: issuer,
                    sub: subject.as_deref(),
                    aud: Some(audience.as_deref().unwrap_or(&self.token_endpoint)),
                    scope: scope.as_deref(),
                    iat: now,
                    exp: now + ASSERTED,
                    jti: Some(jwt::fresh_id()?),
                };
                form.add("grant_type", "urn:ietf:params:oauth:grant-type:jwt-bearer");
                form.add("assertion", &Zeroizing::new(jwt::sign(signer, &claims)?));
            }
            Grant::TokenExchange(exchange) => exchange.write(self.audience(), now, &mut form, fields)?,
            Grant::GithubApp { .. } => return Err("an app's installation takes no form"),
            Grant::AccessToken { .. } => return Err("an access token without an end is not exchanged"),
        }
        Ok(form)
    }
}

impl Grant {
    fn understand(&self, reply: &Reply, is_proved: bool) -> Result<Granted, Failure> {
        let wanted =
            if matches!(self, Self::GithubApp { .. }) { StatusCode::CREATED } else { StatusCode::OK };
        let granted = understand(reply, wanted, is_proved)?;
        if matches!(self, Self::TokenExchange(_)) {
            token_exchange::require_access_token(reply.body())?;
        }
        Ok(granted)
    }
}

/// What a token endpoint's reply means, where success has this status. Only who proved to have a key may be given an access token that is
/// bound to it.
pub(super) fn understand(reply: &Reply, wanted: StatusCode, is_proved: bool) -> Result<Granted, Failure> {
    // Some servers say 200 to a refusal: the word counts.
    if reply.status() == wanted && error_of(reply.body()).is_none() {
        return granted(reply.body(), is_proved);
    }
    Err(refused(reply.status(), reply.headers(), reply.body()))
}

/// The word of an error reply (RFC 6749, section 5.2).
pub(super) fn error_of(body: &[u8]) -> Option<String> {
    #[derive(Deserialize)]
    struct Error {
        error: String,
    }
    serde_json::from_slice::<Error>(body).ok().map(|error| error.error)
}

/// RFC 6749, section 5.1; GitHub says `token` and `expires_at`, always an hour ahead.
#[derive(Deserialize)]
struct Said {
    #[serde(alias = "token")]
    access_token: String,
    #[serde(default)]
    token_type: Option<String>,
    #[serde(default)]
    expires_in: Option<Value>,
    #[serde(default)]
    refresh_token: Option<String>,
}

fn granted(body: &[u8], is_proved: bool) -> Result<Granted, Failure> {
    let malformed = |reason| Failure::Unavailable(reason, None);
    let reply: Said = serde_json::from_slice(body)
        .map_err(|_| malformed("the token endpoint answered with something else than an access token"))?;
    let access_token = Zeroizing::new(reply.access_token.into_bytes());
    let refresh_token = reply.refresh_token;
    if refresh_token.as_deref().is_some_and(|token| printable(token).is_none()) {
        return Err(malformed("the token endpoint's refresh token has other than printable characters"));
    }
    // RFC 6750, section 2.1: what a header can carry.
    let fine =
        (8..=LONGEST / 4).contains(&access_token.len()) && access_token.iter().all(u8::is_ascii_graphic);
    if !fine {
        return Err(malformed("the token endpoint's access token cannot be put into a call"));
    }
    let is = |kind: &str| reply.token_type.as_deref().is_none_or(|said| said.eq_ignore_ascii_case(kind));
    let is_bound = reply.token_type.is_some() && is("dpop");
    if !(is("bearer") || is_bound && is_proved) {
        return Err(malformed("the token endpoint gives access tokens of another type than bearer"));
    }
    let says_when = reply.expires_in.as_ref().is_some_and(|said| !said.is_null());
    let valid_for = match &reply.expires_in {
        None | Some(Value::Null) => UNSAID,
        Some(seconds) => {
            seconds_of(seconds).ok_or(malformed("the token endpoint's expires_in is no number of seconds"))?
        }
    };
    Ok(Granted {
        access_token: Secret::new(access_token),
        valid_for: valid_for.min(LONGEST_LIFE),
        says_when,
        is_bound,
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
    let error = error_of(body).unwrap_or_default();
    match (status.as_u16(), error.as_str()) {
        (_, "invalid_grant") => Failure::Revoked(
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
    use base64::Engine;
    use base64::engine::general_purpose::STANDARD;

    fn request(text: &str) -> (HeaderMap, String) {
        let recipe = Recipe::read(text.as_bytes()).unwrap();
        let (_, path) = recipe.endpoint().unwrap();
        let (head, body) = recipe.request(path, 1_000_000, None).unwrap();
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

    #[test]
    fn a_token_is_exchanged_as_rfc_8693_says() {
        let grant = r#"{"token_endpoint":"https://as.example.com/token","grant":{"token-exchange":{"client":{"id":"app","secret":"the client's secret","authentication":"post"},"subject":{"token":"the subject's","type":"jwt"},"actor":{"token":"the actor's","type":"access-token"},"audience":["a","b"],"resource":["https://api.example.com/"],"scope":"read"}}}"#;
        let (_, body) = request(grant);
        let uri = |kind: &str| format!("urn%3Aietf%3Aparams%3Aoauth%3Atoken-type%3A{kind}");
        let expected = format!(
            "grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Atoken-exchange&subject_token=the%20subject%27s&subject_token_type={}&actor_token=the%20actor%27s&actor_token_type={}&requested_token_type={}&audience=a&audience=b&resource=https%3A%2F%2Fapi.example.com%2F&scope=read&client_id=app&client_secret=the%20client%27s%20secret",
            uri("jwt"),
            uri("access_token"),
            uri("access_token"),
        );
        assert_eq!(body, expected);
        let recipe = Recipe::read(grant.as_bytes()).unwrap();
        assert_eq!(recipe.secrets(), ["the client's secret", "the subject's", "the actor's"]);
        let judged = |kind: &str| {
            let body =
                format!(r#"{{"access_token":"abcdefgh","token_type":"Bearer","expires_in":60{kind}}}"#);
            let reply =
                http::Response::builder().status(200).body(Zeroizing::new(body.into_bytes())).unwrap();
            recipe.grant.understand(&reply, false).map(|granted| granted.valid_for.as_secs())
        };
        let issued = |kind: &str| {
            judged(&format!(r#","issued_token_type":"urn:ietf:params:oauth:token-type:{kind}""#))
        };
        assert_eq!((issued("access_token"), issued("jwt")), (Ok(60), Ok(60)));
        for bad in [issued("refresh_token"), issued("id_token"), judged("")] {
            assert!(matches!(bad, Err(Failure::Unavailable(..))), "{bad:?}");
        }
        for (good, bad) in [
            ("the subject's", ""),
            ("\"jwt\"", "\"jwe\""),
            ("https://api.example.com/", "api"),
            ("https://api.example.com/", "https://api.example.com/#x"),
            ("\"id\":\"app\"", "\"id\":\"\""),
        ] {
            assert!(Recipe::read(grant.replacen(good, bad, 1).as_bytes()).is_err(), "{bad}");
        }
    }

    fn judged(status: u16, body: &str) -> Result<Duration, Failure> {
        let recipe = Recipe::read(REFRESH.as_bytes()).unwrap();
        let reply =
            http::Response::builder().status(status).body(Zeroizing::new(body.as_bytes().to_vec())).unwrap();
        recipe.grant.understand(&reply, false).map(|granted| granted.valid_for)
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
        assert!(matches!(error(400, "invalid_grant"), Failure::Revoked(_)));
        assert!(matches!(error(401, "invalid_client"), Failure::Refused(_)));
        assert!(matches!(error(400, "temporarily_unavailable"), Failure::Unavailable(..)));
        assert!(matches!(judged(503, "busy"), Err(Failure::Unavailable(..))));
        assert!(matches!(judged(404, "gone"), Err(Failure::Refused(_))));
    }
}
