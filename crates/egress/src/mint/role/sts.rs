//! One question to AWS STS: `AssumeRoleWithWebIdentity` or `AssumeRole`, and what is made of the reply.
//!
//! SPEC: AWS Security Token Service API Reference, version 2011-06-15 (query protocol: a form goes out, XML comes back).

use super::sessions::Asking;
use super::{Narrowing, Proof, Role};
use crate::arm::sign_own;
use crate::custody::AccessKey;
use crate::mint::ask::{Asker, Form, Reply, ask, endpoint, fields, head};
use crate::mint::exchange::Failure;
use crate::mint::live::Means;
use crate::secret::Secret;
use cloakroom_model::{Name, Timestamp};
use http::{Method, StatusCode, header};
use std::time::Duration;
use zeroize::Zeroizing;

/// The keys of one session.
pub(super) struct Assumed {
    /// As custody keeps an access key.
    pub(super) key: Secret,
    pub(super) valid_for: Duration,
}

/// Asks for a session.
pub(super) async fn assume(
    role: &Role,
    asking: &Asking,
    policy: Option<&str>,
    means: &Means,
    asker: Asker,
) -> Result<Assumed, Failure> {
    let unavailable = |reason| Failure::Unavailable(reason, None);
    let (to, path) = endpoint(&role.endpoint).ok_or(unavailable("the STS endpoint cannot be read"))?;
    let now = Timestamp::now();
    let mut form = Form::default();
    form.add("Version", "2011-06-15");
    form.add("RoleArn", &role.role);
    form.add("RoleSessionName", &session_name(&asking.workload));
    form.add("DurationSeconds", &role.seconds.to_string());
    form.add_some("Policy", role.session_policy(policy).map_err(unavailable)?);
    let mut fields = fields();
    fields.remove(header::ACCEPT);
    let body = match &role.proof {
        Proof::WebIdentity { audience } => {
            let issuer = means.issuer.as_ref().ok_or(unavailable("the broker is no issuer: see [issuer]"))?;
            let token = issuer.token(asking.subject(), audience, now).map_err(unavailable)?;
            form.add("Action", "AssumeRoleWithWebIdentity");
            form.add("WebIdentityToken", &token);
            form.finish(&mut fields)
        }
        Proof::AccessKey { key } => {
            let key = AccessKey::deposited(key.as_bytes()).map_err(Failure::Refused)?;
            form.add("Action", "AssumeRole");
            form.add_some("ExternalId", role.external_id.as_deref());
            let body = form.finish(&mut fields);
            sign_own(&mut fields, (&to, path), &body, &key, (&role.region, "sts"), now)
                .map_err(|_| unavailable("the question to STS could not be signed"))?;
            body
        }
    };
    let head = head(Method::POST, path, fields).map_err(unavailable)?;
    let reply = ask(&means.upstream, asker, to, head, body).await?;
    understand(&reply, Duration::from_secs(role.seconds.into()), now)
}

impl Role {
    /// What a session is cut down to, of which this follows from the permit.
    ///
    /// # Errors
    /// One sentence, where it is to be cut down to the permit and nothing follows from that.
    fn session_policy<'p>(&'p self, of_permit: Option<&'p str>) -> Result<Option<&'p str>, &'static str> {
        match &self.narrowing {
            Narrowing::Whole => Ok(None),
            Narrowing::Policy(policy) => Ok(Some(policy)),
            Narrowing::Permit => of_permit
                .map(Some)
                .ok_or("no session policy follows from this permit, and the role is not to be used whole"),
        }
    }
}

/// AWS wants two characters at least.
fn session_name(workload: &Name) -> String {
    match workload.as_str() {
        name if name.len() < 2 => format!("workload-{name}"),
        name => name.to_owned(),
    }
}

fn understand(reply: &Reply, asked: Duration, now: Timestamp) -> Result<Assumed, Failure> {
    let text = std::str::from_utf8(reply.body()).unwrap_or_default();
    if reply.status() != StatusCode::OK {
        return Err(refused(reply.status(), element(text, "Code").unwrap_or_default()));
    }
    assumed(text, asked, now)
        .ok_or(Failure::Unavailable("AWS STS answered with something else than the keys of a session", None))
}

fn assumed(text: &str, asked: Duration, now: Timestamp) -> Option<Assumed> {
    let credentials = element(text, "Credentials")?;
    let part = |name| {
        element(credentials, name).filter(|value| super::is_word(value) && !value.contains(['&', '<']))
    };
    let line = Zeroizing::new(
        serde_json::json!({
            "AccessKeyId": part("AccessKeyId")?,
            "SecretAccessKey": part("SecretAccessKey")?,
            "SessionToken": part("SessionToken")?,
        })
        .to_string(),
    );
    let key = AccessKey::deposited(line.as_bytes()).ok()?.write();
    let ends = seconds_of(part("Expiration")?)?;
    let left = Duration::from_secs(ends.saturating_sub(now.millis() / 1000));
    // Longer than it was asked for no session is used, whatever the reply says.
    let valid_for = left.min(asked);
    (!valid_for.is_zero()).then_some(Assumed { key, valid_for })
}

/// The words of the reply are not repeated: they may hold anything.
fn refused(status: StatusCode, code: &str) -> Failure {
    let unavailable = |reason| Failure::Unavailable(reason, None);
    match code {
        "AccessDenied" | "AccessDeniedException" => {
            unavailable("AWS STS does not let the broker assume the role: compare the role's trust policy")
        }
        "InvalidIdentityToken" | "IDPRejectedClaim" | "ExpiredTokenException" | "IDPCommunicationError" => {
            unavailable("AWS STS does not accept the broker's token: compare issuer, audience and keys")
        }
        "InvalidClientTokenId" | "SignatureDoesNotMatch" | "UnrecognizedClientException" => {
            Failure::Refused("AWS STS does not accept the access key")
        }
        "MalformedPolicyDocument" | "PackedPolicyTooLarge" => {
            unavailable("AWS STS does not take the session policy")
        }
        "ValidationError" | "RegionDisabledException" => {
            unavailable("AWS STS does not take the question: the role's longest session may be shorter")
        }
        _ if status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS || code == "Throttling" => {
            unavailable("AWS STS is not available")
        }
        _ => unavailable("AWS STS refuses the role"),
    }
}

/// The content of an element without attributes that occurs once. No more of XML is needed here.
fn element<'t>(text: &'t str, name: &str) -> Option<&'t str> {
    let (open, close) = (format!("<{name}>"), format!("</{name}>"));
    let (_, rest) = text.split_once(&open)?;
    let (content, rest) = rest.split_once(&close)?;
    (!content.contains(&open) && !rest.contains(&open)).then_some(content)
}

/// `2026-11-29T04:55:08Z`, with or without parts of a second, as seconds since 1970.
pub(in crate::mint) fn seconds_of(text: &str) -> Option<u64> {
    let (date, clock) = text.strip_suffix('Z')?.split_once('T')?;
    let numbers = |text: &str, mark: char| -> Option<[u64; 3]> {
        let parts: Vec<u64> = text.split(mark).map(|part| part.parse().ok()).collect::<Option<_>>()?;
        parts.try_into().ok()
    };
    let [year, month, day] = numbers(date, '-')?;
    let [hour, minute, second] = numbers(clock.split('.').next()?, ':')?;
    let fine = (1970..10_000).contains(&year) && (1..=12).contains(&month) && (1..=31).contains(&day);
    (fine && hour < 24 && minute < 60 && second <= 60).then_some(())?;
    // Years are counted from March on, so that a leap day is the last one.
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let days = year * 365 + year / 4 - year / 100 + year / 400 + (month * 153 + 2) / 5 + day - 1;
    (days.checked_sub(719_468)? * 86_400 + hour * 3600 + minute * 60 + second).into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::Response;

    const CANARY: &str = "canary-7Q2mZ9xKp4Lw8RtY3vNc6HsD";

    fn reply(status: u16, body: &str) -> Reply {
        Response::builder().status(status).body(Zeroizing::new(body.as_bytes().to_vec())).unwrap()
    }

    fn body() -> String {
        format!(
            "<AssumeRoleResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><AssumeRoleResult><Credentials>\
             <AccessKeyId>ASIAIOSFODNN7EXAMPLE</AccessKeyId><SecretAccessKey>{CANARY}</SecretAccessKey>\
             <SessionToken>{CANARY}==</SessionToken><Expiration>1970-01-01T01:00:00Z</Expiration></Credentials>\
             </AssumeRoleResult></AssumeRoleResponse>"
        )
    }

    fn judged(status: u16, body: &str) -> Result<u64, Failure> {
        let reply = reply(status, body);
        let assumed = understand(&reply, Duration::from_secs(3000), Timestamp::from_millis(1_000_000))?;
        let key = AccessKey::read(assumed.key.expose()).unwrap();
        assert_eq!((key.id.as_str(), key.secret.as_str()), ("ASIAIOSFODNN7EXAMPLE", CANARY));
        Ok(assumed.valid_for.as_secs())
    }

    #[test]
    fn t105_only_the_keys_of_a_session_count_as_such() {
        assert_eq!(judged(200, &body()), Ok(2600));
        assert_eq!(judged(200, &body().replace("1970", "2100")), Ok(3000), "no longer than was asked for");
        for (from, to) in [
            ("T01:00:00Z", "T00:00:00Z"),
            ("T01:00:00Z", "T01:00:00"),
            ("<Expiration>", "<Expires>"),
            ("<SessionToken>", "<SessionToken/>"),
            ("</AccessKeyId>", "</AccessKeyId><AccessKeyId>ASIAIOSFODNN7EXAMPLE</AccessKeyId>"),
            ("ASIAIOSFODNN7EXAMPLE", "ASIA"),
            (CANARY, "a&amp;bcdefgh"),
            (CANARY, "a b c d e f"),
            ("Credentials>", "credentials>"),
        ] {
            let wrong = body().replace(from, to);
            assert_ne!(wrong, body());
            assert!(matches!(judged(200, &wrong), Err(Failure::Unavailable(..))), "{from} {to}");
        }
        for status in [201, 204, 301, 302, 400, 500] {
            assert!(judged(status, &body()).is_err(), "{status}");
        }
        for text in ["", "<html>busy</html>", "{\"Credentials\":{}}"] {
            assert!(judged(200, text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_refusal_of_sts_says_what_to_look_at() {
        let of = |code: &str| {
            judged(403, &format!("<Error><Code>{code}</Code><Message>{CANARY}</Message></Error>"))
        };
        for (code, word) in [
            ("AccessDenied", "trust policy"),
            ("InvalidIdentityToken", "audience"),
            ("PackedPolicyTooLarge", "session policy"),
            ("ValidationError", "session"),
            ("Anything", "refuses"),
        ] {
            let Err(Failure::Unavailable(reason, None)) = of(code) else { panic!("{code}") };
            assert!(reason.contains(word) && !reason.contains(CANARY), "{reason}");
        }
        assert!(matches!(of("InvalidClientTokenId"), Err(Failure::Refused(_))));
    }

    #[test]
    fn a_date_is_a_number_of_seconds() {
        for (text, seconds) in [
            ("1970-01-01T00:00:00Z", Some(0)),
            ("2000-02-29T23:59:59Z", Some(951_868_799)),
            ("2026-11-29T04:55:08.123Z", Some(1_795_928_108)),
            ("2026-11-29T04:55:08+00:00", None),
            ("2026-13-29T04:55:08Z", None),
            ("2026-11-29 04:55:08Z", None),
            ("", None),
        ] {
            assert_eq!(seconds_of(text), seconds, "{text}");
        }
    }
}
