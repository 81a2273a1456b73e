//! For programs that insist on AWS credentials of their own: what they hold already, in the form that they expect.
//!
//! ```text
//!  GET /.cloakroom/aws/credentials    Authorization: KEY.PLACEHOLDER     container credentials
//!  POST / at sts.…amazonaws.com, in a tunnel, with the placeholder as web identity token: answered here, and never sent there
//! ```
//!
//! Nothing is given that the caller did not show. The access key id is the placeholder; the rest are fixed words, because no program does
//! without them.

use crate::authenticate::{authenticate, verify};
use crate::canonical::read_for_policy;
use crate::desk::Desk;
use crate::peer::Peer;
use crate::reply::{AnswerBody, own};
use crate::wire::{malformed, single};
use cloakroom_model::{Code, Destination, Host, Payload, Principal, Query, Refusal, Scheme, Timestamp};
use cloakroom_policy::PolicySet;
use http::header::{AUTHORIZATION, CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, Response};
use serde_json::json;
use std::time::Duration;

/// What stands where a secret would. Whoever signs with it signs for the broker alone, which signs anew.
const WORD: &str = "held-by-the-broker";
/// After this a program asks again. The placeholder's own state decides about each call.
const LENT: Duration = Duration::from_secs(3600);
/// What a program says to STS is shorter.
const LARGEST: usize = 16 * 1024;

/// What is shown for keys: the placeholder, and the workload key where the connection does not say who asks.
pub(crate) struct Ticket {
    key: Option<String>,
    pub(crate) placeholder: String,
}

impl Ticket {
    /// Of `Authorization`, where programs put what `AWS_CONTAINER_AUTHORIZATION_TOKEN` holds, as it is.
    ///
    /// # Errors
    /// `malformed-call` where there is none.
    pub(crate) fn of(fields: &HeaderMap) -> Result<Self, Refusal> {
        const NONE: &str =
            "the keys of a placeholder are asked for with Authorization: WORKLOAD_KEY.PLACEHOLDER";
        let value = single(fields, &AUTHORIZATION, "the ticket is shown twice")?;
        let text = value.and_then(|value| value.to_str().ok()).ok_or_else(|| malformed(NONE))?;
        let text = text.strip_prefix("Bearer ").unwrap_or(text).trim();
        if text.is_empty() || text.contains(' ') {
            return Err(malformed(NONE));
        }
        let (key, placeholder) = match text.split_once('.') {
            Some((key, placeholder)) => (Some(key.to_owned()), placeholder),
            None => (None, text),
        };
        Ok(Self { key, placeholder: placeholder.to_owned() })
    }

    /// Whether it shows a workload key, good or not.
    pub(crate) fn shows_key(&self) -> bool {
        self.key.is_some()
    }

    /// Who shows it.
    ///
    /// # Errors
    /// As [`authenticate`].
    pub(crate) fn identify(
        &self,
        fields: &HeaderMap,
        peer: Peer,
        policies: &PolicySet,
    ) -> Result<Principal, Refusal> {
        match &self.key {
            Some(key) => verify(Some((None, key)), peer, policies),
            None => authenticate(fields, peer, policies),
        }
    }
}

/// Whether AWS's token service answers there. What is said to it in a tunnel that no permit names is answered by the broker.
pub(crate) fn is_sts(destination: &Destination) -> bool {
    let Host::Name(name) = destination.host() else { return false };
    let of_amazon = [".amazonaws.com", ".amazonaws.com.cn"].iter().find_map(|end| name.strip_suffix(end));
    let region = |text: &str| !text.is_empty() && !text.contains('.');
    destination.scheme() == Scheme::Https
        && destination.port() == Scheme::Https.default_port()
        && of_amazon.is_some_and(|host| host == "sts" || host.strip_prefix("sts.").is_some_and(region))
}

impl Desk {
    /// The container credentials contract.
    ///
    /// # Errors
    /// `unknown-placeholder`, `wrong-workload`, `place-not-permitted` where it stands for no AWS key; why it does not count now.
    pub(crate) fn lend_keys(
        &self,
        principal: &Principal,
        placeholder: &str,
    ) -> Result<Response<AnswerBody>, Refusal> {
        let ends = self.ends(principal, placeholder)?;
        let document = json!({
            "AccessKeyId": placeholder, "SecretAccessKey": WORD, "Token": WORD, "Expiration": seconds(ends),
        });
        Ok(answer("application/json", document.to_string()))
    }

    /// The web identity contract.
    ///
    /// # Errors
    /// As [`Desk::lend_keys`]; `call-not-permitted` for anything else that STS would do.
    pub(crate) async fn answer_sts(
        &self,
        principal: &Principal,
        body: Payload,
    ) -> Result<Response<AnswerBody>, Refusal> {
        let body = read_for_policy(body, LARGEST).await?;
        let text = body.whole().and_then(|body| std::str::from_utf8(body).ok());
        let form = text.ok_or_else(|| malformed("a question to STS is a form")).and_then(Query::parse)?;
        let mut fields = form.pairs().iter().filter(|pair| pair.key() == "WebIdentityToken");
        let (token, more) = (fields.next(), fields.next());
        let asks = form
            .pairs()
            .iter()
            .any(|pair| pair.key() == "Action" && pair.value() == "AssumeRoleWithWebIdentity");
        let (Some(token), None, true) = (token, more, asks) else {
            let reason =
                "no permit names this token service, and the broker answers AssumeRoleWithWebIdentity alone";
            return Err(Refusal::new(Code::CallNotPermitted, reason));
        };
        let placeholder = token.value().trim();
        let ends = seconds(self.ends(principal, placeholder)?);
        let name = principal.name();
        // The placeholder is letters and digits, or no placeholder was found in it; a name has no character that XML minds.
        let text = format!(
            "<AssumeRoleWithWebIdentityResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><AssumeRoleWithWebIdentityResult>\
             <SubjectFromWebIdentityToken>{name}</SubjectFromWebIdentityToken><Provider>cloakroom</Provider>\
             <AssumedRoleUser><AssumedRoleId>CLOAKROOM:{name}</AssumedRoleId>\
             <Arn>arn:aws:sts::000000000000:assumed-role/cloakroom/{name}</Arn></AssumedRoleUser>\
             <Credentials><AccessKeyId>{placeholder}</AccessKeyId><SecretAccessKey>{WORD}</SecretAccessKey>\
             <SessionToken>{WORD}</SessionToken><Expiration>{ends}</Expiration></Credentials></AssumeRoleWithWebIdentityResult>\
             <ResponseMetadata><RequestId>cloakroom</RequestId></ResponseMetadata></AssumeRoleWithWebIdentityResponse>"
        );
        Ok(answer("text/xml", text))
    }

    /// Until when keys are lent.
    fn ends(&self, principal: &Principal, placeholder: &str) -> Result<Timestamp, Refusal> {
        let _underway = self.shared.calls.begin(principal.workload())?;
        let now = Timestamp::now();
        let expires = self.shared.proxy.policies.load().aws_key(placeholder, principal, now)?;
        let lent = now.plus(LENT);
        Ok(expires.map_or(lent, |expires| expires.min(lent)))
    }
}

/// RFC 3339 in whole seconds: some programs read no fractions.
fn seconds(at: Timestamp) -> String {
    Timestamp::from_millis(at.millis() / 1000 * 1000).to_string()
}

fn answer(kind: &'static str, text: String) -> Response<AnswerBody> {
    let mut response = Response::new(own(text.into()));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ticket_is_a_workload_key_and_a_placeholder_or_a_placeholder_alone() {
        let of = |values: &[&str]| {
            let mut fields = HeaderMap::new();
            for value in values {
                fields.append(AUTHORIZATION, HeaderValue::from_str(value).unwrap());
            }
            Ticket::of(&fields).map(|ticket| (ticket.key, ticket.placeholder)).map_err(|no| no.code())
        };
        let both = Ok((Some("cwk_1".to_owned()), "AKIA2".to_owned()));
        assert_eq!(of(&["cwk_1.AKIA2"]), both);
        assert_eq!(of(&["Bearer cwk_1.AKIA2"]), both);
        assert_eq!(of(&["AKIA2"]), Ok((None, "AKIA2".to_owned())));
        for bad in [&[][..], &[""], &["Bearer "], &["Basic cwk_1.AKIA2"]] {
            assert_eq!(of(bad), Err(Code::MalformedCall), "{bad:?}");
        }
        assert_eq!(of(&["cwk_1.AKIA2", "cwk_1.AKIA2"]), Err(Code::AmbiguousCall));
    }

    #[test]
    fn the_token_service_of_amazon_is_known_by_its_name() {
        for (to, is) in [
            ("https://sts.amazonaws.com", true),
            ("https://sts.eu-west-1.amazonaws.com", true),
            ("https://sts.cn-north-1.amazonaws.com.cn", true),
            ("http://sts.amazonaws.com", false),
            ("https://sts.amazonaws.com:8443", false),
            ("https://s3.amazonaws.com", false),
            ("https://sts.a.b.amazonaws.com", false),
            ("https://sts.amazonaws.com.evil.example", false),
            ("https://stsamazonaws.com", false),
            ("https://127.0.0.1", false),
        ] {
            assert_eq!(is_sts(&to.parse().unwrap()), is, "{to}");
        }
    }
}
