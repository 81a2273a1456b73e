//! Each place: what is written, and the same with a secret that cannot be written there.

use super::{Outgoing, Placing, write};
use crate::scrub::tests::{CANARY, PLACEHOLDER};
use crate::secret::Secret;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use cloakroom_model::{
    BodyFault, Call, Code, Destination, HeaderForm, Path, Payload, Query, Refusal, RequestId, Rest,
    Timestamp, Way,
};
use cloakroom_policy::Spot;
use http::header::{AUTHORIZATION, COOKIE, HeaderName};
use http::{HeaderMap, HeaderValue, Method};
use http_body::Body;
use http_body_util::{BodyExt, Full};
use zeroize::Zeroizing;

fn call(path: &str, query: &str, fields: &[(&str, &str)], body: &str) -> Call {
    let field = |(name, value): &(&str, &str)| {
        (name.parse::<HeaderName>().unwrap(), HeaderValue::from_str(value).unwrap())
    };
    Call {
        request: RequestId::new(Timestamp::from_millis(1), [1; 10]),
        way: Way::Connect,
        method: Method::POST,
        destination: Destination::parse("https://api.example.com:8443").unwrap(),
        path: Path::parse(path).unwrap(),
        query: Query::parse(query).unwrap(),
        headers: fields.iter().map(field).collect(),
        upgrade: None,
        body: Payload::complete(Bytes::copy_from_slice(body.as_bytes())),
    }
}

fn placing(spot: Spot, secret: &str) -> Placing {
    let secret = Secret::new(Zeroizing::new(secret.as_bytes().to_vec()));
    Placing { spot, text: PLACEHOLDER.into(), secret, user: None }
}

fn armed(call: Call, spot: Spot, secret: &str) -> Result<Outgoing, Refusal> {
    write(call, &[placing(spot, secret)], false)
}

fn refused(call: Call, spot: Spot, secret: &str) -> Option<Code> {
    armed(call, spot, secret).err().map(|refusal| refusal.code())
}

async fn body_of(outgoing: Outgoing) -> String {
    let length = outgoing.body.size_hint().exact();
    let bytes = outgoing.body.collect().await.unwrap().to_bytes();
    assert_eq!(length, Some(bytes.len() as u64), "the length is declared and right");
    String::from_utf8(bytes.to_vec()).unwrap()
}

fn basic(user: &str, password: &str) -> String {
    format!("Basic {}", STANDARD.encode(format!("{user}:{password}")))
}

#[test]
fn a_header_carries_the_secret_alone_or_after_its_scheme() {
    for (form, before, after) in [
        (HeaderForm::Raw, PLACEHOLDER.to_owned(), CANARY.to_owned()),
        (HeaderForm::Bearer, format!("Bearer {PLACEHOLDER}"), format!("Bearer {CANARY}")),
        (HeaderForm::Bearer, format!("token {PLACEHOLDER}"), format!("token {CANARY}")),
        (HeaderForm::BasicUser, basic(PLACEHOLDER, "x:y"), basic(CANARY, "x:y")),
        (HeaderForm::BasicUser, basic(PLACEHOLDER, ""), basic(CANARY, "")),
        (HeaderForm::BasicPassword, basic("user", PLACEHOLDER), basic("user", CANARY)),
    ] {
        let call = call("/", "", &[("authorization", &before)], "");
        let outgoing = armed(call, Spot::Header(AUTHORIZATION, form), CANARY).unwrap();
        let value = &outgoing.head.headers[AUTHORIZATION];
        assert_eq!(value.to_str().unwrap(), after);
        assert!(value.is_sensitive() && !format!("{:?}", outgoing.head.headers).contains(CANARY));
    }
}

#[test]
fn t45_a_secret_that_a_header_cannot_carry_is_refused() {
    let awkward = ["a\r\nb", "a\nb", "a\rb", "a\0b", "a\tb", "a\x7fb", "schlüssel", " a", "a ", "\u{a0}b"];
    for secret in awkward {
        let call = call("/", "", &[("x-key", PLACEHOLDER)], "");
        let spot = Spot::Header("x-key".parse().unwrap(), HeaderForm::Raw);
        assert_eq!(refused(call, spot, secret), Some(Code::PlaceNotPermitted), "{secret:?}");
    }
    for secret in awkward.into_iter().chain(["a b"]) {
        let call = call("/", "", &[("authorization", &format!("Bearer {PLACEHOLDER}"))], "");
        let spot = Spot::Header(AUTHORIZATION, HeaderForm::Bearer);
        assert_eq!(refused(call, spot, secret), Some(Code::PlaceNotPermitted), "{secret:?}");
    }
    for (form, before, secret) in [
        (HeaderForm::BasicUser, basic(PLACEHOLDER, "x"), "a:b"),
        (HeaderForm::BasicUser, basic(PLACEHOLDER, "x"), "a\nb"),
        (HeaderForm::BasicPassword, basic("x", PLACEHOLDER), "a\0b"),
    ] {
        let call = call("/", "", &[("authorization", &before)], "");
        assert_eq!(refused(call, Spot::Header(AUTHORIZATION, form), secret), Some(Code::PlaceNotPermitted));
    }
}

#[test]
fn a_cookie_carries_the_secret_among_others() {
    let before = format!("a=1; session={PLACEHOLDER};b=2; quoted=\"x\"");
    let outgoing =
        armed(call("/", "", &[("cookie", &before)], ""), Spot::Cookie("session".into()), CANARY).unwrap();
    let value = &outgoing.head.headers[COOKIE];
    assert_eq!(value.to_str().unwrap(), format!("a=1; session={CANARY};b=2; quoted=\"x\""));
    assert!(value.is_sensitive());
    for secret in ["a;b", "a\"b", "a,b", "a b", "a\\b", "a\r\nb", "ü"] {
        let call = call("/", "", &[("cookie", &before)], "");
        assert_eq!(
            refused(call, Spot::Cookie("session".into()), secret),
            Some(Code::PlaceNotPermitted),
            "{secret:?}"
        );
    }
}

#[test]
fn a_query_carries_any_secret_percent_encoded() {
    for (secret, written) in [(CANARY, CANARY), ("a&b=c d+e%ü#\r\n", "a%26b%3Dc%20d%2Be%25%C3%BC%23%0D%0A")]
    {
        let call = call("/v1/x", &format!("a=1&key={PLACEHOLDER}&b=%20"), &[], "");
        let outgoing = armed(call, Spot::Query(1), secret).unwrap();
        assert_eq!(outgoing.head.uri, *format!("/v1/x?a=1&key={written}&b=%20"));
    }
}

#[test]
fn a_path_segment_carries_the_secret_or_refuses_it() {
    let at = |secret| armed(call(&format!("/bot/{PLACEHOLDER}/send"), "x=1", &[], ""), Spot::Path(1), secret);
    assert_eq!(at("123:ab cd").unwrap().head.uri, "/bot/123:ab%20cd/send?x=1");
    for secret in ["a/b", "..", ".", "a\\b", "a\r\nb", "a;b", "a%2fb"] {
        assert_eq!(at(secret).err().map(|r| r.code()), Some(Code::PlaceNotPermitted), "{secret:?}");
    }
}

#[tokio::test]
async fn a_json_string_carries_any_secret_escaped_and_the_rest_is_untouched() {
    let before = format!("{{ \"a\" : 1.0,\n\"key\":\"{PLACEHOLDER}\" , \"z\":[ ] }}");
    let start = before.find("\"canary").unwrap();
    let span = start..start + PLACEHOLDER.len() + 2;
    for (secret, written) in [(CANARY, CANARY), ("a\"b\\c\n\u{1}ü", "a\\\"b\\\\c\\n\\u0001ü")] {
        let outgoing = armed(call("/", "", &[], &before), Spot::Json(span.clone()), secret).unwrap();
        assert_eq!(body_of(outgoing).await, before.replace(PLACEHOLDER, written));
    }
}

#[tokio::test]
async fn a_form_field_carries_any_secret_encoded_and_the_rest_is_untouched() {
    let before = format!("a=x+y&key={PLACEHOLDER}&b=%7e");
    for (secret, written) in [(CANARY, CANARY), ("a&b=c d", "a%26b%3Dc%20d")] {
        let outgoing = armed(call("/", "", &[], &before), Spot::Form(1), secret).unwrap();
        assert_eq!(body_of(outgoing).await, before.replace(PLACEHOLDER, written));
    }
}

#[tokio::test]
async fn several_secrets_are_written_in_one_pass() {
    // The first secret is the text of the second placeholder: it must not be replaced in turn (invariant 9).
    let call = call("/", &format!("a={PLACEHOLDER}&b=other"), &[], &format!("k={PLACEHOLDER}"));
    let mut second = placing(Spot::Query(1), CANARY);
    second.text = "other".into();
    let all = [placing(Spot::Query(0), "other"), second, placing(Spot::Form(0), "other")];
    let outgoing = write(call, &all, false).unwrap();
    assert_eq!(outgoing.head.uri, *format!("/?a=other&b={CANARY}"));
    assert_eq!(body_of(outgoing).await, "k=other");
}

#[test]
fn t17_a_placeholder_that_is_not_at_its_spot_is_a_fault() {
    for spot in [
        Spot::Header(AUTHORIZATION, HeaderForm::Bearer),
        Spot::Header("x-none".parse().unwrap(), HeaderForm::Raw),
        Spot::Cookie("a".into()),
        Spot::Query(0),
        Spot::Query(9),
        Spot::Path(0),
        Spot::Json(0..3),
        Spot::Json(5..99),
        Spot::Form(0),
        Spot::Form(7),
    ] {
        let call = call("/x", "a=1", &[("authorization", "Bearer x"), ("cookie", "a=1")], "k=v");
        assert_eq!(refused(call, spot.clone(), CANARY), Some(Code::InternalFault), "{spot:?}");
    }
}

#[test]
fn t26_t33_t44_fields_that_would_change_the_call_are_not_forwarded() {
    let dropped = [
        "connection",
        "keep-alive",
        "te",
        "trailer",
        "transfer-encoding",
        "content-length",
        "upgrade",
        "expect",
        "host",
        "forwarded",
        "via",
        "x-forwarded-for",
        "x-forwarded-host",
        "x-forwarded-proto",
        "x-original-url",
        "x-original-host",
        "x-rewrite-url",
        "x-host",
        "x-real-ip",
        "proxy-authorization",
        "proxy-connection",
        "cloakroom-workload",
        "x-http-method-override",
        "x-method-override",
        "x-http-method",
        "range",
        "if-range",
    ];
    let mut fields: Vec<_> = dropped.iter().map(|name| (*name, "x")).collect();
    fields.extend([
        ("user-agent", "curl"),
        ("accept-encoding", "zstd, br"),
        ("grpc-accept-encoding", "identity, gzip"),
        ("accept", "a"),
        ("accept", "b"),
    ]);
    fields.push(("x-key", PLACEHOLDER));
    let spot = Spot::Header("x-key".parse().unwrap(), HeaderForm::Raw);
    let outgoing = armed(call("/", "", &fields, ""), spot, CANARY).unwrap();
    let mut expected = HeaderMap::new();
    for (name, value) in [
        ("host", "api.example.com:8443"),
        ("user-agent", "curl"),
        ("accept-encoding", "br"),
        ("grpc-accept-encoding", "identity"),
        ("accept", "a"),
        ("accept", "b"),
        ("x-key", CANARY),
    ] {
        expected.append(name, HeaderValue::from_static(value));
    }
    assert_eq!(outgoing.head.headers, expected);
    for name in dropped {
        let call = call("/", "", &[(name, PLACEHOLDER)], "");
        let spot = Spot::Header(name.parse().unwrap(), HeaderForm::Raw);
        let code = refused(call, spot, CANARY);
        let range = name == "range" || name == "if-range";
        assert_eq!(code, (!range).then_some(Code::PlaceNotPermitted), "{name}");
    }
}

#[test]
fn t06_a_range_is_forwarded_only_where_the_permit_says_so() {
    let fields = [("range", "bytes=0-19"), ("x-key", PLACEHOLDER)];
    for allowed in [true, false] {
        let spot = Spot::Header("x-key".parse().unwrap(), HeaderForm::Raw);
        let outgoing = write(call("/", "", &fields, ""), &[placing(spot, CANARY)], allowed).unwrap();
        assert_eq!(outgoing.head.headers.contains_key("range"), allowed);
    }
}

#[tokio::test]
async fn a_streaming_body_keeps_its_declared_length() {
    for declared in [true, false] {
        let mut call = call("/", &format!("k={PLACEHOLDER}"), &[], "head,");
        let rest: Rest = Full::new(Bytes::from_static(b"rest"))
            .map_err(|never| -> BodyFault { match never {} })
            .boxed_unsync();
        call.body = Payload {
            head: Bytes::from_static(b"head,"),
            rest: Some(rest),
            length: declared.then_some(9),
            trailers: None,
        };
        let outgoing = armed(call, Spot::Query(0), CANARY).unwrap();
        assert_eq!(outgoing.body.size_hint().exact(), declared.then_some(9));
        assert_eq!(outgoing.body.collect().await.unwrap().to_bytes(), "head,rest");
    }
}
