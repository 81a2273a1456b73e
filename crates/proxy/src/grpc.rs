//! Refusals in the words of gRPC: a status in the head of an answer without a body, with details.
//!
//! SPEC: gRPC over HTTP/2, "Responses" (Trailers-Only), and google.rpc.Status.

use crate::problem::{Audience, PROXY_STATUS, REQUEST};
use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use bytes::{BufMut, Bytes};
use cloakroom_model::{Code, Refusal};
use http::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use http::{Response, StatusCode};

const STATUS: HeaderName = HeaderName::from_static("grpc-status");
const MESSAGE: HeaderName = HeaderName::from_static("grpc-message");
const DETAILS: HeaderName = HeaderName::from_static("grpc-status-details-bin");

/// Whether a request or a reply speaks gRPC: `application/grpc`, alone or with `+proto` or another format.
pub(crate) fn speaks(fields: &HeaderMap) -> bool {
    let Some(kind) = fields.get(CONTENT_TYPE) else { return false };
    let kind = kind.as_bytes();
    let (name, rest) = kind.split_at(kind.len().min("application/grpc".len()));
    name.eq_ignore_ascii_case(b"application/grpc") && matches!(rest.first(), None | Some(b'+' | b';' | b' '))
}

/// The refusal for a program that speaks gRPC. `problem` is the same for everybody else: what both have is taken over.
pub(crate) fn answer(refusal: &Refusal, audience: Audience, problem: &HeaderMap) -> Response<Bytes> {
    let mut response = Response::new(Bytes::new());
    *response.status_mut() = StatusCode::OK;
    let fields = response.headers_mut();
    fields.insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    for name in [REQUEST, PROXY_STATUS, http::header::RETRY_AFTER] {
        if let Some(value) = problem.get(&name) {
            fields.insert(name, value.clone());
        }
    }
    let status = status(refusal.code());
    fields.insert(STATUS, HeaderValue::from(status));
    let message = format!("{}: {}", refusal.code(), refusal.reason());
    let texts =
        [(MESSAGE, escaped(&message)), (DETAILS, details(refusal, audience, status, &message, problem))];
    for (name, text) in texts {
        if let Ok(value) = HeaderValue::from_str(&text) {
            fields.insert(name, value);
        }
    }
    response
}

/// The gRPC status that says it best (google.rpc.Code).
const fn status(code: Code) -> u32 {
    const INVALID_ARGUMENT: u32 = 3;
    const DEADLINE_EXCEEDED: u32 = 4;
    const PERMISSION_DENIED: u32 = 7;
    const RESOURCE_EXHAUSTED: u32 = 8;
    const INTERNAL: u32 = 13;
    const UNAVAILABLE: u32 = 14;
    const UNAUTHENTICATED: u32 = 16;
    match code {
        Code::MalformedCall | Code::AmbiguousCall => INVALID_ARGUMENT,
        Code::UnknownWorkload => UNAUTHENTICATED,
        Code::UnknownPlaceholder
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
        | Code::ApprovalRequired
        | Code::ApprovalDenied
        | Code::AddressNotPermitted => PERMISSION_DENIED,
        Code::RateLimited => RESOURCE_EXHAUSTED,
        Code::UpstreamUnreachable
        | Code::UpstreamUntrusted
        | Code::BrokerSealed
        | Code::CredentialUnavailable
        | Code::LoginRequired
        | Code::NotLocked
        | Code::JournalUnavailable => UNAVAILABLE,
        Code::UpstreamTimeout => DEADLINE_EXCEEDED,
        Code::ResponseNotScrubbable | Code::InternalFault => INTERNAL,
    }
}

/// Percent-encoded as `grpc-message` is: visible ASCII but `%` stands for itself.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'%' => out.push_str("%25"),
            b' '..=b'~' => out.push(char::from(byte)),
            _ => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}

/// `google.rpc.Status` with one `google.rpc.ErrorInfo`, in Base64. Strangers learn the code only (T69).
fn details(refusal: &Refusal, audience: Audience, status: u32, message: &str, problem: &HeaderMap) -> String {
    let facts = refusal.facts();
    let mut metadata = vec![("hint", Some(refusal.hint().to_owned()))];
    metadata.push(("request", problem.get(REQUEST).and_then(|id| id.to_str().ok()).map(str::to_owned)));
    if audience == Audience::Workload {
        metadata.extend([
            ("workload", facts.workload.as_ref().map(ToString::to_string)),
            ("credential", facts.credential.as_ref().map(ToString::to_string)),
            ("destination", facts.destination.as_ref().map(ToString::to_string)),
            ("permit", facts.permit.clone()),
            ("rule", facts.rule.clone()),
            ("retry_after", facts.retry_after.map(|seconds| seconds.to_string())),
        ]);
    }
    let mut info = Vec::new();
    put_text(&mut info, 1, refusal.code().as_str());
    put_text(&mut info, 2, "cloakroom");
    for (key, value) in metadata.into_iter().filter_map(|(key, value)| Some((key, value?))) {
        let mut entry = Vec::new();
        put_text(&mut entry, 1, key);
        put_text(&mut entry, 2, &value);
        put_bytes(&mut info, 3, &entry);
    }
    let mut any = Vec::new();
    put_text(&mut any, 1, "type.googleapis.com/google.rpc.ErrorInfo");
    put_bytes(&mut any, 2, &info);
    let mut out = Vec::new();
    // Field 1, a varint.
    out.put_u8(0x08);
    put_varint(&mut out, status as usize);
    put_text(&mut out, 2, message);
    put_bytes(&mut out, 3, &any);
    STANDARD_NO_PAD.encode(out)
}

fn put_text(out: &mut Vec<u8>, field: u8, text: &str) {
    put_bytes(out, field, text.as_bytes());
}

/// A field with a length (protobuf wire type 2).
fn put_bytes(out: &mut Vec<u8>, field: u8, bytes: &[u8]) {
    out.put_u8(field << 3 | 2);
    put_varint(out, bytes.len());
    out.put_slice(bytes);
}

fn put_varint(out: &mut Vec<u8>, mut number: usize) {
    while number >= 0x80 {
        out.put_u8(number.to_le_bytes()[0] | 0x80);
        number >>= 7;
    }
    out.put_u8(number.to_le_bytes()[0]);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(code: Code, audience: Audience) -> Response<Bytes> {
        let refusal = Refusal::new(code, "a fixed sentence, 100 % fixed").with(|facts| {
            facts.permit = Some("charges \u{fc}ber 5".into());
            facts.retry_after = Some(6);
        });
        let mut problem = HeaderMap::new();
        problem.insert(REQUEST, HeaderValue::from_static("01H"));
        problem.insert(PROXY_STATUS, HeaderValue::from_static("cloakroom"));
        problem.insert("www-authenticate", HeaderValue::from_static("Basic"));
        answer(&refusal, audience, &problem)
    }

    /// Reads fields with lengths: `(number, bytes)`, and a varint as its bytes.
    fn fields(mut bytes: &[u8]) -> Vec<(u8, Vec<u8>)> {
        fn varint(bytes: &mut &[u8]) -> usize {
            let mut number = 0;
            for shift in (0..).step_by(7) {
                let (first, rest) = bytes.split_first().unwrap();
                *bytes = rest;
                number |= usize::from(first & 0x7f) << shift;
                if first & 0x80 == 0 {
                    break;
                }
            }
            number
        }
        let mut found = Vec::new();
        while let Some((tag, rest)) = bytes.split_first() {
            bytes = rest;
            let number = varint(&mut bytes);
            if tag & 7 == 0 {
                found.push((tag >> 3, vec![u8::try_from(number).unwrap()]));
                continue;
            }
            let (value, rest) = bytes.split_at(number);
            found.push((tag >> 3, value.to_vec()));
            bytes = rest;
        }
        found
    }

    #[test]
    fn a_refusal_is_a_status_without_a_body() {
        let answer = refused(Code::RateLimited, Audience::Workload);
        assert_eq!(answer.status(), 200);
        let text = |name: &str| answer.headers()[name].to_str().unwrap().to_owned();
        assert_eq!(text("content-type"), "application/grpc");
        assert_eq!(text("grpc-status"), "8");
        assert_eq!(text("grpc-message"), "rate-limited: a fixed sentence, 100 %25 fixed");
        assert_eq!((text("cloakroom-request"), text("proxy-status")), ("01H".into(), "cloakroom".into()));
        assert!(answer.body().is_empty() && !answer.headers().contains_key("www-authenticate"));
    }

    #[test]
    fn t69_the_details_say_why_and_strangers_learn_the_code_only() {
        for (audience, knows) in [(Audience::Workload, true), (Audience::Stranger, false)] {
            let answer = refused(Code::CallNotPermitted, audience);
            let status = STANDARD_NO_PAD.decode(&answer.headers()["grpc-status-details-bin"]).unwrap();
            let status = fields(&status);
            assert_eq!(status[0], (1, vec![7]));
            assert_eq!(status[1], (2, b"call-not-permitted: a fixed sentence, 100 % fixed".to_vec()));
            let any = fields(&status[2].1);
            assert_eq!(any[0], (1, b"type.googleapis.com/google.rpc.ErrorInfo".to_vec()));
            let info = fields(&any[1].1);
            assert_eq!(info[..2], [(1, b"call-not-permitted".to_vec()), (2, b"cloakroom".to_vec())]);
            let metadata: Vec<_> = info[2..].iter().map(|(_, entry)| fields(entry)).collect();
            let has = |key: &str| metadata.iter().any(|entry| entry[0] == (1, key.as_bytes().to_vec()));
            assert!(has("hint") && has("request"));
            assert_eq!((has("permit"), has("retry_after")), (knows, knows));
        }
    }

    #[test]
    fn text_outside_visible_ascii_is_percent_encoded() {
        assert_eq!(escaped("a b%\n\u{fc}~"), "a b%25%0A%C3%BC~");
    }

    #[test]
    fn every_code_has_a_status_that_is_no_success() {
        for code in Code::ALL {
            assert!((1..=16).contains(&status(*code)), "{code}");
        }
        for (code, expected) in [
            (Code::MalformedCall, 3),
            (Code::UpstreamTimeout, 4),
            (Code::PlaceholderRevoked, 7),
            (Code::RateLimited, 8),
            (Code::InternalFault, 13),
            (Code::UpstreamUnreachable, 14),
            (Code::UnknownWorkload, 16),
        ] {
            assert_eq!(status(code), expected, "{code}");
        }
    }

    #[test]
    fn only_content_types_of_grpc_are_grpc() {
        for (kind, expected) in [
            ("application/grpc", true),
            ("application/grpc+proto", true),
            ("Application/gRPC;charset=utf-8", true),
            ("application/grpc-web", false),
            ("application/grpcx", false),
            ("application/json", false),
            ("application", false),
        ] {
            let mut fields = HeaderMap::new();
            fields.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
            assert_eq!(speaks(&fields), expected, "{kind}");
        }
        assert!(!speaks(&HeaderMap::new()));
    }
}
