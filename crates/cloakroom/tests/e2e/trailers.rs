//! Trailers of requests: they end at the broker, and what stands in them was put there by the workload.

use crate::support::{policy, setup};
use bytes::Bytes;
use cloakroom_testkit::{H2Client, H2Upstream, Response, Setup, TlsUpstream, echo, next_data, shaped};
use http::{HeaderMap, HeaderName, HeaderValue, Request};

/// Fields that would change the call were they taken for header fields, and harmless ones.
const TRAILERS: [(&str, &str); 6] = [
    ("x-sum", "1"),
    ("x-tenant", "other"),
    ("authorization", "Bearer other"),
    ("host", "evil.example"),
    ("content-length", "99"),
    ("grpc-status", "0"),
];

/// A placeholder that counts for `POST /v1/items` there.
fn placeholder(setup: &Setup, to: &str) -> String {
    setup.broker.deposit("c", "bearer", &[to], &shaped("sk_live_"));
    let permit = policy(to, "POST /v1/items", "header authorization bearer", "");
    setup.broker.permit("c", "robot", &permit, &[]).text
}

/// The requests that were refused, and the events, on record.
fn on_record(setup: &Setup) -> Vec<(String, String)> {
    let journal = setup.broker.cli_json(&["journal", "show"]);
    let text = |entry: &serde_json::Value, key: &str| entry[key].as_str().unwrap_or_default().to_owned();
    let entries = journal.as_array().unwrap().iter().map(|record| &record["entry"]);
    let told = entries.filter_map(|entry| match entry["kind"].as_str()? {
        kind @ "refusal" => Some((kind.to_owned(), text(entry, "code"))),
        kind @ "event" => Some((kind.to_owned(), text(entry, "event"))),
        _ => None,
    });
    told.collect()
}

/// A request of HTTP/1.1 in chunks, with these lines behind the last.
fn in_chunks(to: &str, placeholder: &str, body: &str, trailers: &str) -> Vec<u8> {
    let length = body.len();
    format!(
        "POST /v1/items HTTP/1.1\r\nHost: {to}\r\nAuthorization: Bearer {placeholder}\r\n\
         Trailer: x-sum\r\nTE: trailers\r\nTransfer-Encoding: chunked\r\n\r\n\
         {length:x}\r\n{body}\r\n0\r\n{trailers}\r\n"
    )
    .into_bytes()
}

/// The same over HTTP/2; the status and the code of a refusal.
fn over_http2(
    client: &mut H2Client,
    to: &str,
    placeholder: &str,
    body: &str,
    trailers: HeaderMap,
) -> (u16, String) {
    let head = Request::post(format!("https://{to}/v1/items"))
        .header("authorization", format!("Bearer {placeholder}"))
        .body(())
        .unwrap();
    let mut call = client.open(head);
    let body = Bytes::copy_from_slice(body.as_bytes());
    client.wait(async {
        cloakroom_testkit::send_all(&mut call.send, body, false).await.unwrap();
        call.send.send_trailers(trailers).unwrap();
        let (head, mut stream) = call.response.await.unwrap().into_parts();
        let mut text = Vec::new();
        while let Some(Ok(data)) = next_data(&mut stream).await {
            text.extend_from_slice(&data);
        }
        (head.status.as_u16(), String::from_utf8(text).unwrap())
    })
}

fn map(trailers: &[(&str, &str)]) -> HeaderMap {
    let field = |(name, value): &(&str, &str)| {
        (HeaderName::from_bytes(name.as_bytes()).unwrap(), HeaderValue::from_str(value).unwrap())
    };
    trailers.iter().map(field).collect()
}

fn lines(trailers: &[(&str, &str)]) -> String {
    trailers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect()
}

#[test]
fn t07_t36_trailers_of_a_request_end_here_and_the_next_request_is_read_whole() {
    let setup = setup();
    let upstream = TlsUpstream::start(&setup.authority, echo);
    let (to, placeholder) = (upstream.authority(), placeholder(&setup, &upstream.url()));
    // Read to its end before it is judged, and longer than that.
    let bodies = ["hello".to_owned(), "h".repeat(200_000)];
    let mut wire = setup.broker.tunnel(&to, Some(&setup.robot)).map_err(|no| no.text()).unwrap();
    let mut client = H2Client::tunnel(&setup.broker, &to, &setup.robot);
    for body in &bodies {
        wire.send(&in_chunks(&to, &placeholder, body, &lines(&TRAILERS)));
        let answer: Response = wire.receive("POST").unwrap();
        assert_eq!(answer.status, 200, "{}", answer.text());
        let (status, text) = over_http2(&mut client, &to, &placeholder, body, map(&TRAILERS));
        assert_eq!(status, 200, "{text}");
    }
    let requests = upstream.requests();
    assert_eq!(requests.len(), 4);
    for (request, body) in requests.iter().zip(bodies.iter().flat_map(|body| [body, body])) {
        assert_eq!(request.body, body.as_bytes());
        assert_eq!(
            (request.header("authorization"), request.header("host")),
            (Some(format!("Bearer {}", shaped("sk_live_")).as_str()), Some(to.as_str()))
        );
        let all = [&request.head[..], &request.raw_body].concat().to_ascii_lowercase();
        for gone in ["x-sum", "x-tenant", "bearer other", "evil.example", ": 99", "grpc-status", "trailer"] {
            assert!(!all.windows(gone.len()).any(|at| at == gone.as_bytes()), "{gone}");
        }
    }
    assert_eq!(on_record(&setup), []);
}

#[test]
fn t07_trailers_of_a_request_do_not_reach_a_destination_that_speaks_http2() {
    let setup = setup();
    let upstream = H2Upstream::start_with(&setup.authority, |request, mut respond| async move {
        let mut body = request.into_body();
        let mut length = 0;
        while let Some(Ok(data)) = next_data(&mut body).await {
            length += data.len();
        }
        let trailers = body.trailers().await;
        let told = format!("{length} bytes, trailers: {}", trailers.unwrap().map_or(0, |them| them.len()));
        let mut stream = respond.send_response(http::Response::new(()), false).unwrap();
        stream.send_data(told.into(), true).unwrap();
    });
    let (to, placeholder) = (upstream.authority(), placeholder(&setup, &upstream.url()));
    let mut wire = setup.broker.tunnel(&to, Some(&setup.robot)).map_err(|no| no.text()).unwrap();
    let mut client = H2Client::tunnel(&setup.broker, &to, &setup.robot);
    for body in ["hello".to_owned(), "h".repeat(200_000)] {
        let expected = format!("{} bytes, trailers: 0", body.len());
        wire.send(&in_chunks(&to, &placeholder, &body, &lines(&TRAILERS)));
        assert_eq!(wire.receive("POST").unwrap().text(), expected);
        assert_eq!(over_http2(&mut client, &to, &placeholder, &body, map(&TRAILERS)), (200, expected));
    }
}

#[test]
fn t14_t15_a_placeholder_in_a_trailer_is_a_stray_plain_or_disguised() {
    use base64::Engine;
    let setup = setup();
    let upstream = TlsUpstream::start(&setup.authority, echo);
    let (to, placeholder) = (upstream.authority(), placeholder(&setup, &upstream.url()));
    let encoded = base64::engine::general_purpose::STANDARD.encode(format!("x{placeholder}"));
    let mut client = H2Client::tunnel(&setup.broker, &to, &setup.robot);
    let mut refused = 0;
    for trailer in [("x-note", placeholder.as_str()), ("x-note", &encoded), ("authorization", &placeholder)] {
        let mut wire = setup.broker.tunnel(&to, Some(&setup.robot)).map_err(|no| no.text()).unwrap();
        wire.send(&in_chunks(&to, &placeholder, "hello", &lines(&[trailer])));
        let answer = wire.receive("POST").unwrap();
        assert_eq!(
            (answer.status, answer.code().as_deref()),
            (403, Some("place-not-permitted")),
            "{trailer:?}"
        );
        let (status, text) = over_http2(&mut client, &to, &placeholder, "hello", map(&[trailer]));
        assert!(status == 403 && text.contains("place-not-permitted"), "{trailer:?}: {text}");
        refused += 2;
    }
    // In no other place, it opens nothing either.
    let mut wire = setup.broker.tunnel(&to, Some(&setup.robot)).map_err(|no| no.text()).unwrap();
    wire.send(&in_chunks(
        &to,
        "none",
        "hello",
        &lines(&[("authorization", &format!("Bearer {placeholder}"))]),
    ));
    let answer = wire.receive("POST").unwrap();
    assert_eq!((answer.status, answer.code().as_deref()), (403, Some("place-not-permitted")));
    refused += 1;
    assert_eq!(upstream.connections(), 0);
    let record = on_record(&setup);
    let count = |what: &str| record.iter().filter(|(_, told)| told == what).count();
    assert_eq!(count("place-not-permitted"), refused, "{record:?}");
    assert_eq!(record.iter().filter(|(kind, _)| kind == "event").count(), refused, "{record:?}");
}

#[test]
fn t37_trailers_outside_the_grammar_are_refused_before_anything_is_sent() {
    let setup = setup();
    let upstream = TlsUpstream::start(&setup.authority, echo);
    let (to, placeholder) = (upstream.authority(), placeholder(&setup, &upstream.url()));
    for trailers in ["x : 1\r\n", " folded: 1\r\n", "x: 1\n", "x: a\rb\r\n", "x\r\n", "x: \0\r\n"] {
        let mut wire = setup.broker.tunnel(&to, Some(&setup.robot)).map_err(|no| no.text()).unwrap();
        wire.send(&in_chunks(&to, &placeholder, "hello", trailers));
        let answer = wire.receive("POST").unwrap();
        assert_eq!((answer.status, answer.code().as_deref()), (400, Some("malformed-call")), "{trailers:?}");
    }
    assert_eq!(upstream.connections(), 0);
}
