//! Status and fields of a reply.

use super::{CANARY, Length, PLACEHOLDER, Reply};
use cloakroom_model::Code;
use http::{HeaderMap, HeaderValue, Method};

#[tokio::test]
async fn t07_t08_the_secret_leaves_every_field_value() {
    for name in [
        "set-cookie",
        "etag",
        "location",
        "www-authenticate",
        "access-control-allow-origin",
        "x-request-id",
        "link",
        "content-disposition",
        "server",
        "content-location",
        "refresh",
        "content-type",
        "x-echo-authorization",
    ] {
        for status in [200, 201, 301, 302, 303, 307, 308, 400, 401, 500] {
            let value = format!("before {CANARY}; after");
            let (fields, ..) = Reply::new("").status(status).field(name, &value).answer().await;
            let expected = format!("before {PLACEHOLDER}; after");
            assert_eq!(fields.get(name).map(|v| v.to_str().unwrap()), Some(&*expected), "{name} of {status}");
        }
    }
}

#[tokio::test]
async fn t07_a_field_whose_name_is_the_secret_is_dropped() {
    let hex: String = CANARY.bytes().map(|b| format!("{b:02x}")).collect();
    for name in [CANARY.to_lowercase(), format!("x-{}", CANARY.to_lowercase()), hex] {
        let (fields, ..) = Reply::new("").field(&name, "x").field("x-kept", "y").answer().await;
        assert_eq!(fields.keys().map(|name| name.as_str()).collect::<Vec<_>>(), ["x-kept"]);
    }
}

#[tokio::test]
async fn t07_the_reason_phrase_is_not_forwarded() {
    let answer = Reply::new("").scrub().await.unwrap();
    assert!(answer.into_response().extensions().get::<hyper::ext::ReasonPhrase>().is_none());
}

#[tokio::test]
async fn t07_t10_t27_fields_that_end_here_are_dropped() {
    let mut reply =
        Reply::new("x").field("connection", "close, x-listed").field("x-listed", "1").field("x-kept", "1");
    for name in [
        "keep-alive",
        "te",
        "trailer",
        "upgrade",
        "alt-svc",
        "proxy-authenticate",
        "proxy-status",
        "proxy-connection",
        "authentication-info",
        "content-md5",
        "digest",
        "content-digest",
        "repr-digest",
        "cloakroom-workload",
    ] {
        reply = reply.field(name, "x");
    }
    let (fields, ..) = reply.answer().await;
    assert_eq!(fields.keys().map(|name| name.as_str()).collect::<Vec<_>>(), ["x-kept"]);
}

#[tokio::test]
async fn t07_trailers_are_scrubbed() {
    for length in [Length::Declared, Length::Chunked] {
        let mut reply = Reply::new("body").declared(length);
        let mut trailers = HeaderMap::new();
        trailers.insert("x-sum", HeaderValue::from_static(CANARY));
        trailers.insert("digest", HeaderValue::from_static("x"));
        reply.trailers = Some(trailers);
        let (_, body, trailers) = reply.answer().await;
        assert_eq!(body, b"body");
        assert_eq!(
            trailers,
            Some(HeaderMap::from_iter([("x-sum".parse().unwrap(), HeaderValue::from_static(PLACEHOLDER))]))
        );
    }
}

#[tokio::test]
async fn t06_a_part_that_was_not_asked_for_is_refused() {
    let partial = |status, kind: &str| Reply::new("part").status(status).field("content-type", kind);
    for reply in [partial(206, "text/plain"), partial(200, "Multipart/ByteRanges; boundary=x")] {
        assert_eq!(reply.scrub().await.map(|_| ()).map_err(|r| r.code()), Err(Code::ResponseNotScrubbable));
    }
    let mut allowed = partial(206, "text/plain");
    allowed.range_allowed = true;
    assert!(allowed.scrub().await.is_ok());
    let mut coded = partial(206, "text/plain").field("content-encoding", "gzip");
    coded.range_allowed = true;
    assert_eq!(coded.scrub().await.map(|_| ()).map_err(|r| r.code()), Err(Code::ResponseNotScrubbable));
}

#[tokio::test]
async fn t07_a_switch_of_protocols_is_refused() {
    let refused = Reply::new("").status(101).scrub().await;
    assert_eq!(refused.map(|_| ()).map_err(|r| r.code()), Err(Code::ResponseNotScrubbable));
}

#[tokio::test]
async fn a_reply_without_a_body_keeps_its_fields_and_is_not_decoded() {
    for (method, status) in [(Method::HEAD, 200), (Method::GET, 204), (Method::GET, 304)] {
        let mut reply =
            Reply::new("").status(status).field("etag", "\"1\"").field("content-encoding", "exotic");
        reply.method = method;
        let (fields, body, _) = reply.answer().await;
        assert_eq!((fields.len(), body.len()), (1, 0), "{status}: {fields:?}");
    }
    let mut reply = Reply::new("").field("content-length", "1234");
    reply.method = Method::HEAD;
    let (fields, ..) = reply.answer().await;
    assert_eq!(fields["content-length"], "1234");
}

#[tokio::test]
async fn t02_a_transfer_coding_other_than_chunked_is_refused() {
    for (coding, scrubbed) in [
        ("chunked", true),
        ("Chunked", true),
        ("gzip, chunked", false),
        ("chunked, gzip", false),
        ("gzip", false),
    ] {
        let reply = Reply::new("x").field("transfer-encoding", coding).scrub().await;
        let expected = if scrubbed { Ok(()) } else { Err(Code::ResponseNotScrubbable) };
        assert_eq!(reply.map(|_| ()).map_err(|r| r.code()), expected, "{coding}");
    }
}

#[tokio::test]
async fn t04_a_character_set_in_which_no_secret_is_found_is_refused() {
    for (kind, scrubbed) in [
        ("text/plain", true),
        ("text/plain; charset=utf-8", true),
        ("text/plain; charset=\"UTF8\"; format=flowed", true),
        ("text/plain; charset=", true),
        ("text/plain;charset=ISO-8859-1", true),
        ("text/plain;charset=utf-16le", true),
        ("text/plain;charset=IBM037", false),
        ("text/plain;CHARSET = x-IBM1047", false),
        ("text/plain;charset=utf-7", false),
        ("text/plain;charset=\"utf-32be\"", false),
        ("text/plain;charset=utf-8;charset=cp500", false),
    ] {
        let reply = Reply::new("x").field("content-type", kind).scrub().await;
        let expected = if scrubbed { Ok(()) } else { Err(Code::ResponseNotScrubbable) };
        assert_eq!(reply.map(|_| ()).map_err(|r| r.code()), expected, "{kind}");
    }
}

#[tokio::test]
async fn t02_no_label_of_a_coding_goes_on() {
    for label in ["", ",", "identity", "identity, ,"] {
        let (fields, body, _) = Reply::new("x").field("content-encoding", label).answer().await;
        assert_eq!((fields.get("content-encoding"), &*body), (None, &b"x"[..]), "{label}");
    }
}

#[test]
fn t01_an_informational_reply_is_scrubbed_like_any_head() {
    let mut fields = HeaderMap::new();
    fields.insert("link", HeaderValue::from_str(&format!("</{CANARY}>; rel=preload")).unwrap());
    fields.insert("connection", HeaderValue::from_static("close"));
    let finder = crate::scrub::tests::finder(CANARY, PLACEHOLDER, None);
    let interim = crate::stage::Interim::scrub(http::StatusCode::EARLY_HINTS, fields, &finder);
    assert_eq!(interim.fields["link"], format!("</{PLACEHOLDER}>; rel=preload"));
    assert_eq!((interim.fields.len(), interim.status.as_u16()), (1, 103));
}
