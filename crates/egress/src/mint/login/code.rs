//! The authorization code flow: the request with its PKCE challenge, the answer, and the exchange of its code
//! (RFC 6749 section 4.1, RFC 7636, RFC 8707, RFC 9207).

use super::draft::{Draft, incomplete};
use super::{LoggedIn, LoginCode, LoginError};
use crate::mint::ask::{Asker, Form};
use crate::mint::dpop::Prover;
use crate::upstream::Upstream;
use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use cloakroom_model::Query;
use std::fmt;
use zeroize::Zeroizing;

/// Parameters that a login says itself: nobody adds another.
const OWN: [&str; 12] = [
    "response_type",
    "response_mode",
    "client_id",
    "redirect_uri",
    "state",
    "code_challenge",
    "code_challenge_method",
    "scope",
    "resource",
    "request",
    "request_uri",
    "dpop_jkt",
];

/// A login through a browser that waits for its answer.
pub(super) struct Code {
    state: String,
    /// SECURITY: stays here. Without it the code is worth nothing to whoever sees the answer.
    verifier: Zeroizing<String>,
    redirect: String,
}

/// An authorization server's answer through the browser (RFC 6749, section 4.1.2), or what somebody wrote who would like it to be one.
pub struct Answer {
    state: String,
    code: Option<Zeroizing<String>>,
    issuer: Option<String>,
    error: Option<String>,
}

impl Code {
    /// The login, and the URL for the browser.
    pub(super) fn begin(draft: &Draft, redirect: &str) -> Result<(Self, String), LoginError> {
        let (state, verifier) = (random()?, Zeroizing::new(random()?));
        let challenge = URL_SAFE_NO_PAD.encode(digest(&SHA256, verifier.as_bytes()));
        let url = url(draft, redirect, &state, &challenge)?;
        Ok((Self { state, verifier, redirect: redirect.to_owned() }, url))
    }

    pub(super) fn is_for(&self, answer: &Answer) -> bool {
        verify_slices_are_equal(self.state.as_bytes(), answer.state.as_bytes()).is_ok()
    }

    pub(super) async fn redeem(
        self,
        answer: Answer,
        draft: Draft,
        asker: Asker,
        upstream: &Upstream,
    ) -> Result<LoggedIn, LoginError> {
        answer.check_issuer(&draft)?;
        let code = answer.code()?;
        let form = || {
            let mut form = Form::default();
            form.add("grant_type", "authorization_code");
            form.add("code", &code);
            form.add("redirect_uri", &self.redirect);
            form.add("code_verifier", &self.verifier);
            draft.course.resource.iter().for_each(|resource| form.add("resource", resource));
            form
        };
        let granted = draft.exchange(form, asker, upstream).await?;
        draft.finish(granted)
    }
}

impl Answer {
    /// From the query of the redirect; `None` where it is not one answer.
    pub fn read(query: &str) -> Option<Self> {
        let query = Query::parse(query).ok()?;
        // SECURITY: of two values one is somebody else's (RFC 6749, section 3.1: none is said twice).
        let one = |name: &str| {
            let mut values = query.pairs().iter().filter(|pair| pair.key() == name);
            let first = values.next().map(|pair| pair.value().to_owned());
            values.next().is_none().then_some(first)
        };
        Some(Self {
            state: one("state")??,
            code: one("code")?.map(Zeroizing::new),
            issuer: one("iss")?,
            error: one("error")?,
        })
    }

    /// SECURITY: the defence against mix-up (RFC 9207, section 2.4; T102): before anything of the answer is used.
    fn check_issuer(&self, draft: &Draft) -> Result<(), LoginError> {
        let course = &draft.course;
        let wrong = |reason| Err(LoginError::new(LoginCode::WrongIssuer, reason));
        match (&self.issuer, &course.issuer) {
            (Some(said), Some(asked)) if said != asked => {
                wrong("the answer comes from another authorization server than was asked")
            }
            // The issuer is not known by name: it has to be where the person was sent.
            (Some(said), None)
                if origin(said) != course.authorization_endpoint.as_deref().and_then(origin) =>
            {
                wrong("the answer comes from another authorization server than was asked")
            }
            (None, _) if course.names_itself => wrong(
                "the answer does not say which authorization server it comes from, and this one always says so",
            ),
            _ => Ok(()),
        }
    }

    fn code(self) -> Result<Zeroizing<String>, LoginError> {
        let of = LoginError::new;
        match (self.error.as_deref(), self.code) {
            (None, Some(code)) if !code.is_empty() => Ok(code),
            (Some("access_denied"), _) => Err(of(LoginCode::Denied, "the person did not agree, or may not")),
            (Some("temporarily_unavailable" | "server_error"), _) => {
                Err(of(LoginCode::ServerUnavailable, "the authorization server is not available"))
            }
            (Some("invalid_scope"), _) => {
                Err(of(LoginCode::Refused, "the authorization server does not know this scope"))
            }
            (Some("invalid_target"), _) => {
                Err(of(LoginCode::Refused, "the authorization server does not know this resource"))
            }
            (Some(_), _) => Err(of(LoginCode::Refused, "the authorization server refuses the login")),
            (None, _) => Err(of(LoginCode::AnswerNotValid, "the answer holds no code")),
        }
    }
}

impl fmt::Debug for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Answer")
    }
}

fn url(draft: &Draft, redirect: &str, state: &str, challenge: &str) -> Result<String, LoginError> {
    let course = &draft.course;
    let missing = || incomplete("the authorization server has no authorization endpoint");
    let endpoint = course.authorization_endpoint.as_deref().ok_or_else(missing)?;
    if !is_redirect(redirect) {
        return Err(incomplete("the redirect URI is neither https:// nor http:// on this machine"));
    }
    if course.parameters.keys().any(|name| OWN.contains(&name.as_str())) {
        return Err(incomplete("a parameter of the login is named that the broker says itself"));
    }
    let mut pairs = vec![
        ("response_type", "code"),
        ("client_id", &draft.client.id),
        ("redirect_uri", redirect),
        ("state", state),
        ("code_challenge", challenge),
        ("code_challenge_method", "S256"),
    ];
    pairs.extend(course.scope.as_deref().map(|scope| ("scope", scope)));
    // RFC 9449, section 10: a code that is stolen is worth nothing without the key either.
    let thumbprint = draft.prover.as_ref().map(Prover::thumbprint);
    pairs.extend(thumbprint.as_deref().map(|thumbprint| ("dpop_jkt", thumbprint)));
    pairs.extend(course.resource.iter().map(|resource| ("resource", resource.as_str())));
    pairs.extend(course.parameters.iter().map(|(name, value)| (name.as_str(), value.as_str())));
    let query: Vec<String> = pairs
        .into_iter()
        .map(|(name, value)| format!("{}={}", Query::encode_value(name), Query::encode_value(value)))
        .collect();
    let joint = if endpoint.contains('?') { '&' } else { '?' };
    Ok(format!("{endpoint}{joint}{}", query.join("&")))
}

/// RFC 8252, section 7.3: without TLS only to the machine itself.
fn is_redirect(uri: &str) -> bool {
    let plain = uri.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'#');
    let loopback = uri.strip_prefix("http://").is_some_and(|rest| {
        let authority = rest.split('/').next().unwrap_or_default();
        let host = authority.rsplit_once(':').map_or(authority, |(host, _)| host);
        ["127.0.0.1", "[::1]", "localhost"].contains(&host)
    });
    plain && (loopback || uri.starts_with("https://"))
}

/// Scheme and authority of an `https://` URL.
fn origin(url: &str) -> Option<&str> {
    let rest = url.strip_prefix("https://")?;
    Some(rest.split(['/', '?', '#']).next().unwrap_or_default())
}

/// 256 bits in base64url: RFC 7636, section 4.1, wants 43 characters at least.
fn random() -> Result<String, LoginError> {
    let mut bytes = Zeroizing::new([0; 32]);
    getrandom::fill(bytes.as_mut()).map_err(|_| incomplete("the operating system gives no random bytes"))?;
    Ok(URL_SAFE_NO_PAD.encode(bytes.as_ref()))
}
