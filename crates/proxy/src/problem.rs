//! A refusal as an answer: a problem document (RFC 9457) and a `Proxy-Status` (RFC 9209).

use bytes::Bytes;
use cloakroom_model::{Code, Refusal, RequestId};
use http::header::{
    CACHE_CONTROL, CONTENT_TYPE, HeaderName, HeaderValue, PROXY_AUTHENTICATE, RETRY_AFTER, WWW_AUTHENTICATE,
};
use http::{HeaderMap, Response, StatusCode};
use serde_json::{Map, Value};

/// On every answer, ours or the upstream's: the call's name in the journal.
pub(crate) const REQUEST: HeaderName = HeaderName::from_static("cloakroom-request");
/// On refusals only, so that a workload can tell our *no* from the upstream's.
pub(crate) const PROXY_STATUS: HeaderName = HeaderName::from_static("proxy-status");
const CHALLENGE: HeaderValue = HeaderValue::from_static("Basic realm=\"cloakroom\"");

/// How a workload asks for what a policy could permit: fixed words.
pub(crate) const ASK: &str = "POST /.cloakroom/requests on the broker's own listener, with your workload key: {\"policy\": a policy file (TOML), \"reason\": why}; \
    an operator reads it, and nothing is permitted by asking";

/// Who reads the refusal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Audience {
    /// Nobody we know: learns the code and the fixed sentence, no facts.
    Stranger,
    /// A workload that proved who it is.
    Workload,
}

/// The answer. Everything in it is fixed text or a typed noun: no byte of the call comes back in it (T12).
pub(crate) fn answer(refusal: &Refusal, request: RequestId, audience: Audience) -> Response<Bytes> {
    let status = status(refusal);
    let mut response = Response::new(document(refusal, request, audience, status).to_string().into());
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    insert(headers, REQUEST, &request.to_string());
    let code = refusal.code();
    insert(headers, PROXY_STATUS, &format!("cloakroom; error={}; details=\"{code}\"", proxy_error(code)));
    if let Some(seconds) = refusal.facts().retry_after {
        insert(headers, RETRY_AFTER, &seconds.to_string());
    }
    match status {
        StatusCode::PROXY_AUTHENTICATION_REQUIRED => drop(headers.insert(PROXY_AUTHENTICATE, CHALLENGE)),
        StatusCode::UNAUTHORIZED => drop(headers.insert(WWW_AUTHENTICATE, CHALLENGE)),
        _ => {}
    }
    response
}

/// Our own texts are ASCII without controls; a value that is not would be left out rather than fail the answer.
fn insert(headers: &mut HeaderMap, name: HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.insert(name, value);
    }
}

fn status(refusal: &Refusal) -> StatusCode {
    if refusal.facts().challenge {
        // git and others show a credential only after a challenge (RFC 9110, section 11.6.1).
        return StatusCode::UNAUTHORIZED;
    }
    StatusCode::from_u16(refusal.code().status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
}

/// What a workload was told of its own refusal, said again.
pub(crate) fn told(refusal: &Refusal, request: RequestId) -> Value {
    document(refusal, request, Audience::Workload, status(refusal))
}

fn document(refusal: &Refusal, request: RequestId, audience: Audience, status: StatusCode) -> Value {
    let code = refusal.code();
    let mut document = Map::new();
    let mut set = |key: &str, value: Value| drop(document.insert(key.to_owned(), value));
    set("type", format!("urn:cloakroom:refusal:{code}").into());
    set("title", code.title().into());
    set("status", status.as_u16().into());
    set("detail", refusal.reason().into());
    set("instance", format!("urn:cloakroom:request:{request}").into());
    set("code", code.as_str().into());
    // A stranger learns what the code says and no more.
    set("hint", if audience == Audience::Stranger { code.hint() } else { refusal.hint() }.into());
    if audience == Audience::Stranger {
        return Value::Object(document);
    }
    let facts = refusal.facts();
    let texts = [
        ("workload", facts.workload.as_ref().map(ToString::to_string)),
        ("credential", facts.credential.as_ref().map(ToString::to_string)),
        ("destination", facts.destination.as_ref().map(ToString::to_string)),
        ("permit", facts.permit.clone()),
        ("rule", facts.rule.clone()),
        ("approval", facts.approval.map(|id| id.to_string())),
        ("decide", facts.decide.clone()),
    ];
    for (key, value) in texts {
        if let Some(value) = value {
            set(key, value.into());
        }
    }
    if facts.use_returned {
        set("use_returned", true.into());
    }
    if may_be_asked_for(code) {
        set("ask", ASK.into());
    }
    if let Some(seconds) = facts.retry_after {
        set("retry_after", seconds.into());
    }
    if code == Code::PlaceholderSpent {
        let used = facts.last_use.as_ref();
        set("spent_at", used.map(|used| used.at.to_string()).into());
        set("spent_from", used.map(|used| used.peer.clone()).into());
        set("spent_by", used.map(|used| format!("urn:cloakroom:request:{}", used.request)).into());
    }
    Value::Object(document)
}

/// Whether a policy could permit what was refused.
const fn may_be_asked_for(code: Code) -> bool {
    matches!(
        code,
        Code::DestinationNotPermitted
            | Code::CallNotPermitted
            | Code::PlaceNotPermitted
            | Code::BodyNotPermitted
    )
}

/// The registered error type that says it best (RFC 9209, section 2.3).
const fn proxy_error(code: Code) -> &'static str {
    match code {
        Code::MalformedCall | Code::AmbiguousCall => "http_request_error",
        Code::UnknownWorkload
        | Code::UnknownPlaceholder
        | Code::WrongWorkload
        | Code::PlaceholderPending
        | Code::PlaceholderRevoked
        | Code::PlaceholderFrozen
        | Code::PlaceholderNotYet
        | Code::PlaceholderExpired
        | Code::PlaceholderSpent
        | Code::DestinationNotPermitted
        | Code::CallNotPermitted
        | Code::PlaceNotPermitted
        | Code::BodyNotPermitted
        | Code::RateLimited
        | Code::ApprovalRequired
        | Code::ApprovalDenied
        | Code::NotLocked => "http_request_denied",
        Code::AddressNotPermitted => "destination_ip_prohibited",
        Code::UpstreamUnreachable => "destination_unavailable",
        Code::UpstreamUntrusted => "tls_certificate_error",
        Code::UpstreamTimeout => "http_response_timeout",
        Code::ResponseNotScrubbable => "http_protocol_error",
        Code::BrokerSealed
        | Code::CredentialUnavailable
        | Code::LoginRequired
        | Code::JournalUnavailable
        | Code::InternalFault => "proxy_internal_error",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cloakroom_model::{Name, Timestamp};

    fn request() -> RequestId {
        RequestId::new(Timestamp::from_millis(1), [7; 10])
    }

    fn full(code: Code) -> Refusal {
        Refusal::new(code, "a fixed sentence").with(|facts| {
            facts.workload = Name::parse("robot").ok();
            facts.credential = Name::parse("stripe-live").ok();
            facts.destination = "https://api.example.com".parse().ok();
            facts.permit = Some("charges".into());
            facts.rule = Some("body field amount".into());
            facts.retry_after = Some(6);
        })
    }

    #[test]
    fn the_hint_is_that_of_the_situation_and_a_stranger_gets_the_codes_own() {
        let refusal = full(Code::UnknownPlaceholder).with(|facts| facts.hint = Some("look again"));
        let hint = |audience| {
            let answer = answer(&refusal, request(), audience);
            serde_json::from_slice::<Value>(answer.body()).unwrap()["hint"].clone()
        };
        assert_eq!(hint(Audience::Workload), "look again");
        assert_eq!(hint(Audience::Stranger), Code::UnknownPlaceholder.hint());
    }

    #[test]
    fn a_workload_learns_every_fact() {
        let answer = answer(&full(Code::RateLimited), request(), Audience::Workload);
        assert_eq!(answer.status(), 429);
        assert_eq!(answer.headers()["retry-after"], "6");
        assert_eq!(answer.headers()["content-type"], "application/problem+json");
        assert_eq!(
            answer.headers()["proxy-status"],
            "cloakroom; error=http_request_denied; details=\"rate-limited\""
        );
        assert_eq!(answer.headers()["cloakroom-request"], request().to_string());
        let document: Value = serde_json::from_slice(answer.body()).unwrap();
        let expected = serde_json::json!({
            "type": "urn:cloakroom:refusal:rate-limited",
            "title": Code::RateLimited.title(),
            "status": 429,
            "detail": "a fixed sentence",
            "instance": format!("urn:cloakroom:request:{}", request()),
            "code": "rate-limited",
            "hint": Code::RateLimited.hint(),
            "workload": "robot",
            "credential": "stripe-live",
            "destination": "https://api.example.com",
            "permit": "charges",
            "rule": "body field amount",
            "retry_after": 6,
        });
        assert_eq!(document, expected);
    }

    #[test]
    fn a_workload_learns_how_to_ask_for_what_a_policy_could_permit() {
        for code in Code::ALL {
            let answer = answer(&Refusal::new(*code, "why"), request(), Audience::Workload);
            let document: Value = serde_json::from_slice(answer.body()).unwrap();
            let said = document["ask"].as_str().is_some_and(|words| words.contains("/.cloakroom/requests"));
            assert_eq!(
                said,
                code.as_str().ends_with("-not-permitted") && *code != Code::AddressNotPermitted,
                "{code}"
            );
        }
    }

    #[test]
    fn t69_a_stranger_learns_the_code_only() {
        let answer = answer(&full(Code::UnknownWorkload), request(), Audience::Stranger);
        assert_eq!(answer.headers()["proxy-authenticate"], "Basic realm=\"cloakroom\"");
        let document: Map<String, Value> = serde_json::from_slice(answer.body()).unwrap();
        let keys: Vec<_> = document.keys().map(String::as_str).collect();
        assert_eq!(keys, ["type", "title", "status", "detail", "instance", "code", "hint"]);
    }

    #[test]
    fn a_call_without_its_basic_credential_is_challenged() {
        let refusal = Refusal::new(Code::UnknownPlaceholder, "none").with(|facts| facts.challenge = true);
        let answer = answer(&refusal, request(), Audience::Workload);
        assert_eq!((answer.status().as_u16(), &answer.headers()["www-authenticate"]), (401, &CHALLENGE));
        let document: Value = serde_json::from_slice(answer.body()).unwrap();
        assert_eq!(document["status"], 401);
    }

    #[test]
    fn every_code_has_an_answer_with_its_status() {
        for code in Code::ALL {
            let answer = answer(&Refusal::new(*code, "why"), request(), Audience::Workload);
            assert_eq!(answer.status().as_u16(), code.status(), "{code}");
            assert!(answer.headers().contains_key("proxy-status"));
        }
    }
}
