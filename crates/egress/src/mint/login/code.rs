//! The authorization code flow: the request with its PKCE challenge, the answer, and the exchange of its code
//! (RFC 6749 section 4.1, RFC 7636, RFC 8707, RFC 9207).

use super::draft::{Draft, incomplete};
use super::{LoggedIn, LoginCode, LoginError};
use crate::mint::ask::{Asker, Form, Reply};
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
        let code = answer.checked(&draft)?;
        let reply = self.exchange(&code, &draft, asker, upstream).await?;
        let granted = draft.understand(&reply)?;
        draft.finish(granted)
    }

    /// What the token endpoint says to this code.
    pub(super) async fn exchange(
        &self,
        code: &str,
        draft: &Draft,
        asker: Asker,
        upstream: &Upstream,
    ) -> Result<Reply, LoginError> {
        let form = || {
            let mut form = Form::default();
            form.add("grant_type", "authorization_code");
            form.add("code", code);
            form.add("redirect_uri", &self.redirect);
            form.add("code_verifier", &self.verifier);
            draft.course.resource.iter().for_each(|resource| form.add("resource", resource));
            form
        };
        draft.asked(form, asker, upstream).await
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

    /// The code, once it is known who answers.
    pub(super) fn checked(self, draft: &Draft) -> Result<Zeroizing<String>, LoginError> {
        self.check_issuer(draft)?;
        self.code()
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
pub(super) fn random() -> Result<String, LoginError> {
    let mut bytes = Zeroizing::new([0; 32]);
    getrandom::fill(bytes.as_mut()).map_err(|_| incomplete("the operating system gives no random bytes"))?;
    Ok(URL_SAFE_NO_PAD.encode(bytes.as_ref()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mint::Recipe;

    fn draft(more: &str) -> Draft {
        let text = format!(
            r#"{{"token_endpoint":"https://as.example/token","grant":{{"refresh-token":{{"client":{{"id":"a b"}},"refresh_token":"the refresh token"}}}},
            "login":{{"authorization_endpoint":"https://as.example/auth?tenant=1"{more}}}}}"#
        );
        Draft::again(Recipe::read(text.as_bytes()).unwrap()).unwrap()
    }

    #[test]
    fn the_url_says_all_that_a_login_needs_and_nothing_that_is_secret() {
        let draft = draft(
            r#","scope":"mail read","resource":["https://api.example"],"parameters":{"prompt":"consent"}"#,
        );
        let (code, url) = Code::begin(&draft, "http://localhost:8481/oauth/callback").unwrap();
        let challenge = URL_SAFE_NO_PAD.encode(digest(&SHA256, code.verifier.as_bytes()));
        assert!(code.verifier.len() == 43 && !url.contains(&*code.verifier));
        let state = &code.state;
        assert_eq!(
            url,
            format!(
                "https://as.example/auth?tenant=1&response_type=code&client_id=a%20b&redirect_uri=http%3A%2F%2Flocalhost%3A8481%2Foauth%2Fcallback&state={state}&code_challenge={challenge}&code_challenge_method=S256&scope=mail%20read&resource=https%3A%2F%2Fapi.example&prompt=consent"
            )
        );
        let (another, _) = Code::begin(&draft, "https://console.example/oauth/callback").unwrap();
        assert_ne!((&another.state, &*another.verifier), (&code.state, &*code.verifier));
    }

    #[test]
    fn a_redirect_leads_to_this_machine_or_goes_over_tls() {
        for good in
            ["http://127.0.0.1:1/callback", "http://[::1]:1/", "http://localhost/x", "https://a.example/"]
        {
            assert!(is_redirect(good), "{good}");
        }
        for bad in [
            "http://127.0.0.1.evil.example/",
            "http://evil.example/",
            "http://localhost@evil.example/",
            "ftp://localhost/",
            "https://a.example/#x",
            "https://a.example/ x",
            "urn:ietf:wg:oauth:2.0:oob",
            "",
        ] {
            assert!(!is_redirect(bad), "{bad}");
        }
    }

    fn answer(query: &str) -> Answer {
        Answer::read(query).unwrap()
    }

    #[test]
    fn t101_an_answer_says_each_thing_once() {
        let (code, _) = Code::begin(&draft(""), "https://a.example/").unwrap();
        let right = format!("state={}&code=c", code.state);
        assert!(code.is_for(&answer(&right)));
        assert!(
            !code.is_for(&answer("state=&code=c"))
                && !code.is_for(&answer(&format!("state={}x", code.state)))
        );
        for bad in [
            "",
            "code=c",
            "state=a&state=a",
            "state=a&code=b&code=c",
            "state=a&iss=b&iss=b",
            "state=a;code=b",
            "state=%zz",
        ] {
            assert!(Answer::read(bad).is_none(), "{bad}");
        }
    }

    #[test]
    fn t102_who_answers_is_judged_before_what_is_answered() {
        let judged = |draft: &Draft, query: &str| answer(query).check_issuer(draft).map_err(LoginError::code);
        let wrong = Err(LoginCode::WrongIssuer);
        let unknown = draft("");
        assert_eq!(judged(&unknown, "state=s&code=c"), Ok(()));
        assert_eq!(
            judged(&unknown, "state=s&code=c&iss=https%3A%2F%2Fas.example%2Fx"),
            Ok(()),
            "where the person was sent"
        );
        assert_eq!(judged(&unknown, "state=s&code=c&iss=https%3A%2F%2Fas.example.evil"), wrong);
        assert_eq!(judged(&unknown, "state=s&code=c&iss=as.example"), wrong);
        let known = draft(r#","issuer":"https://as.example""#);
        assert_eq!(judged(&known, "state=s&code=c&iss=https%3A%2F%2Fas.example"), Ok(()));
        assert_eq!(judged(&known, "state=s&code=c&iss=https%3A%2F%2Fas.example%2F"), wrong, "to the letter");
        assert_eq!(
            judged(&known, "state=s&error=access_denied&iss=https%3A%2F%2Fother.example"),
            wrong,
            "errors too"
        );
        assert_eq!(
            judged(&known, "state=s&code=c"),
            Ok(()),
            "this one does not say that it always names itself"
        );
        let proud = draft(r#","issuer":"https://as.example","names_itself":true"#);
        assert_eq!(judged(&proud, "state=s&code=c"), wrong);
    }

    #[test]
    fn a_server_s_no_is_told_in_our_words() {
        let code = |query: &str| answer(query).code().map(|code| code.to_string()).map_err(LoginError::code);
        assert_eq!(code("state=s&code=c%2F1"), Ok("c/1".into()));
        assert_eq!(code("state=s&error=access_denied&code=c"), Err(LoginCode::Denied));
        assert_eq!(code("state=s&error=server_error"), Err(LoginCode::ServerUnavailable));
        assert_eq!(code("state=s&error=%3Cscript%3E"), Err(LoginCode::Refused));
        assert_eq!(code("state=s"), Err(LoginCode::AnswerNotValid));
        assert_eq!(code("state=s&code="), Err(LoginCode::AnswerNotValid));
    }

    #[test]
    fn a_grant_that_no_login_made_begins_none() {
        let plain = Recipe::read(crate::mint::recipe::tests::REFRESH.as_bytes()).unwrap();
        assert_eq!(Draft::again(plain).map(drop).map_err(LoginError::code), Err(LoginCode::NotComplete));
    }
}
