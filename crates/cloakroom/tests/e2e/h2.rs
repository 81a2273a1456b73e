//! HTTP/2 with workloads: what works in HTTP/1.1 works in each stream, and streams do not disturb each other.

use crate::support::{eventually, items, policy, setup};
use bytes::Bytes;
use cloakroom_testkit::{
    After, BrokerBuilder, FrameWire, H2Client, H2Upstream, Lost, RawFrame, Received, Reply, Setup,
    TestAuthority, TlsUpstream, Verdict, echo, next_data, shaped,
};
use http::{Request, Response};
use std::sync::{Arc, Mutex};

const BEARER: &str = "header authorization bearer";

fn request(method: &str, authority: &str, path: &str, placeholder: &str) -> Request<Bytes> {
    Request::builder()
        .method(method)
        .uri(format!("https://{authority}{path}"))
        .header("authorization", format!("Bearer {placeholder}"))
        .body(Bytes::new())
        .unwrap()
}

/// A credential for this upstream and a placeholder under this policy.
fn placeholder(setup: &Setup, to: &str, call: &str) -> String {
    setup.broker.deposit("c", "bearer", &[to], &shaped("sk_live_"));
    setup.broker.permit("c", "robot", &policy(to, call, BEARER, ""), &[]).text
}

/// An HTTP/1.1 upstream that answers as told, and a connection of HTTP/2 to it.
fn stage(
    call: &str,
    answer: impl Fn(&Received) -> Reply + Send + Sync + 'static,
) -> (Setup, TlsUpstream, String, H2Client) {
    let setup = setup();
    let upstream = TlsUpstream::start(&setup.authority, answer);
    let placeholder = placeholder(&setup, &upstream.url(), call);
    let client = H2Client::tunnel(&setup.broker, &upstream.authority(), &setup.robot);
    (setup, upstream, placeholder, client)
}

#[test]
fn a_call_is_armed_and_its_reply_scrubbed_whichever_version_the_upstream_speaks() {
    let (_setup, upstream, placeholder, mut client) = stage("GET /v1/items/{id}", echo);
    let answer = client.call(request("GET", &upstream.authority(), "/v1/items/1", &placeholder)).unwrap();
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert!(answer.text().contains(&placeholder) && answer.field("cloakroom-request").is_some());
    assert_eq!(
        upstream.last().header("authorization"),
        Some(format!("Bearer {}", shaped("sk_live_")).as_str())
    );

    let setup = setup();
    let upstream = H2Upstream::start(&setup.authority);
    let placeholder = self::placeholder(&setup, &upstream.url(), "GET /v1/items/{id}");
    let mut client = H2Client::tunnel(&setup.broker, &upstream.authority(), &setup.robot);
    let answer = client.call(request("GET", &upstream.authority(), "/v1/items/1", &placeholder)).unwrap();
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert!(answer.text().contains(&placeholder), "{}", answer.text());
    assert_eq!(answer.trailers["x-echo"], format!("Bearer {placeholder}"));
}

#[test]
fn streams_are_judged_each_on_its_own_and_at_the_same_time() {
    let (_setup, upstream, placeholder, mut client) = stage("GET /v1/items/{id}", echo);
    let to = upstream.authority();
    let requests: Vec<_> = (0..100)
        .map(|number| match number % 4 {
            0 => request("GET", &to, &format!("/v1/items/{number}"), &placeholder),
            1 => request("GET", &to, "/v1/other", &placeholder),
            2 => request("GET", "other.example", "/v1/items/1", &placeholder),
            _ => request("GET", &to, "/v1/items/1", "sk_live_nothing"),
        })
        .collect();
    let outcomes = client.call_all(requests);
    for (number, outcome) in outcomes.into_iter().enumerate() {
        let answer = outcome.unwrap();
        let told = (answer.status, answer.code());
        let expected = match number % 4 {
            0 => (200, None),
            1 => (403, Some("call-not-permitted")),
            2 => (400, Some("ambiguous-call")),
            _ => (403, Some("unknown-placeholder")),
        };
        assert_eq!((told.0, told.1.as_deref()), expected, "{number}: {}", answer.text());
        assert!(number % 4 != 0 || answer.text().contains(&format!("/v1/items/{number}\"")));
    }
    assert_eq!(upstream.requests().len(), 25);
}

#[test]
fn answers_without_a_body_end_with_their_head() {
    let (_setup, upstream, placeholder, mut client) =
        stage("GET /v1/items/{id}\", \"HEAD /v1/items/{id}", |request| match request.target.as_str() {
            "/v1/items/204" => Reply::status("204 No Content"),
            "/v1/items/304" => Reply::status("304 Not Modified").with("etag", "\"x\""),
            _ => Reply::ok("text/plain", "hello"),
        });
    for (method, path, expected) in [
        ("GET", "/v1/items/204", (204, None, "")),
        ("GET", "/v1/items/304", (304, None, "")),
        ("HEAD", "/v1/items/1", (200, Some("5"), "")),
        ("GET", "/v1/items/1", (200, Some("5"), "hello")),
    ] {
        let answer = client.call(request(method, &upstream.authority(), path, &placeholder)).unwrap();
        let length = answer.field("content-length").filter(|length| length != "0");
        assert_eq!((answer.status, length.as_deref(), answer.text().as_str()), expected, "{method} {path}");
    }
}

#[test]
fn t38_a_body_is_invited_once_it_is_known_who_asks_and_for_what() {
    let (_setup, upstream, placeholder, mut client) = stage("POST /v1/items", echo);
    let with_body = |path: &str| {
        let (mut parts, _) = request("POST", &upstream.authority(), path, &placeholder).into_parts();
        parts.headers.insert("expect", "100-continue".parse().unwrap());
        parts.headers.insert("content-length", "5".parse().unwrap());
        Request::from_parts(parts, Bytes::from_static(b"hello"))
    };
    let answer = client.call(with_body("/v1/items")).unwrap();
    assert_eq!((answer.status, answer.informational.as_slice()), (200, &[100][..]), "{}", answer.text());
    assert!(answer.text().contains("\"body\":\"hello\""));
    let (mut parts, body) = with_body("/v1/items").into_parts();
    parts.headers.insert("expect", "200-ok".parse().unwrap());
    let answer = client.call(Request::from_parts(parts, body)).unwrap();
    assert_eq!((answer.status, answer.code().as_deref()), (400, Some("malformed-call")));
    assert!(answer.informational.is_empty());
}

#[test]
fn a_large_upload_and_a_large_reply_keep_within_the_windows() {
    let (_setup, upstream, placeholder, mut client) = stage("POST /v1/items", |request| {
        Reply::ok("application/octet-stream", request.body.clone()).in_chunks_of(70_000)
    });
    let body = Bytes::from((0..8_000_000u32).map(|n| (n % 251) as u8).collect::<Vec<u8>>());
    let (parts, _) = request("POST", &upstream.authority(), "/v1/items", &placeholder).into_parts();
    let answer = client.call(Request::from_parts(parts, body.clone())).unwrap();
    assert_eq!(answer.status, 200);
    assert!(answer.body == body, "{} bytes came back", answer.body.len());
}

#[test]
fn a_reply_that_breaks_off_is_a_reset_and_never_an_end() {
    let setup = setup();
    let upstream = TlsUpstream::start_with(&setup.authority, |_, out| {
        // Too long to be read whole first, when it would be a refusal.
        out.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 1000000\r\n\r\nhalf of it")?;
        out.flush()?;
        Ok(After::Close)
    });
    let placeholder = placeholder(&setup, &upstream.url(), "GET /v1/items/{id}");
    let mut client = H2Client::tunnel(&setup.broker, &upstream.authority(), &setup.robot);
    let lost = client.call(request("GET", &upstream.authority(), "/v1/items/1", &placeholder)).unwrap_err();
    assert_eq!(lost, Lost::Reset(2));
}

#[test]
fn t67_revocation_resets_an_open_stream_and_leaves_the_connection() {
    let setup = setup();
    let upstream = TlsUpstream::start_with(&setup.authority, |request, out| {
        if request.target != "/v1/items/1" {
            return echo(request).write_to(out, false);
        }
        out.write_all(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nfirst\r\n")?;
        out.flush()?;
        Ok(After::Hang)
    });
    setup.broker.deposit("c", "bearer", &[&upstream.url()], &shaped("sk_live_"));
    let [one, two] = [(); 2].map(|()| setup.broker.permit("c", "robot", &items(&upstream), &[]));
    let mut client = H2Client::tunnel(&setup.broker, &upstream.authority(), &setup.robot);
    let (parts, _) = request("GET", &upstream.authority(), "/v1/items/1", &one.text).into_parts();
    let mut call = client.open(Request::from_parts(parts, ()));
    call.send.send_data(Bytes::new(), true).unwrap();
    let mut body = client.wait(call.response).unwrap().into_body();
    assert_eq!(client.wait(next_data(&mut body)), Some(Ok(Bytes::from_static(b"first"))));
    setup.broker.cli(&["placeholder", "revoke", &one.id]);
    assert_eq!(client.wait(next_data(&mut body)), Some(Err(Lost::Reset(2))));
    let answer = client.call(request("GET", &upstream.authority(), "/v1/items/2", &two.text)).unwrap();
    assert_eq!(answer.status, 200);
}

#[test]
fn a_stream_that_the_workload_resets_ends_its_call_at_once() {
    let authority = TestAuthority::new();
    let gone = Arc::new(Mutex::new(None));
    let seen = gone.clone();
    let upstream = H2Upstream::start_with(&authority, move |_, mut respond| {
        let seen = seen.clone();
        async move {
            let mut stream = respond.send_response(Response::new(()), false).unwrap();
            stream.send_data(Bytes::from_static(b"first"), false).unwrap();
            let reason = std::future::poll_fn(|cx| stream.poll_reset(cx)).await;
            *seen.lock().unwrap() = Some(reason.is_ok());
        }
    });
    let broker = BrokerBuilder::new(crate::support::BINARY, &authority).start();
    let robot = broker.workload("robot");
    let setup = Setup { broker, authority, robot };
    let placeholder = placeholder(&setup, &upstream.url(), "GET /v1/items/{id}");
    let mut client = H2Client::tunnel(&setup.broker, &upstream.authority(), &setup.robot);
    let (parts, _) = request("GET", &upstream.authority(), "/v1/items/1", &placeholder).into_parts();
    let mut call = client.open(Request::from_parts(parts, ()));
    call.send.send_data(Bytes::new(), true).unwrap();
    let mut body = client.wait(call.response).unwrap().into_body();
    assert_eq!(client.wait(next_data(&mut body)), Some(Ok(Bytes::from_static(b"first"))));
    drop((body, call.send));
    eventually("the upstream's stream is over", || *gone.lock().unwrap());
}

#[test]
fn t20_t57_a_request_for_another_authority_or_scheme_than_the_tunnels_is_refused() {
    let (_setup, upstream, placeholder, mut client) = stage("GET /v1/items/{id}", echo);
    let to = upstream.authority();
    let mut told = |uri: &str, host: Option<&str>| {
        let mut request = Request::get(uri).header("authorization", format!("Bearer {placeholder}"));
        if let Some(host) = host {
            request = request.header("host", host);
        }
        client.call(request.body(Bytes::new()).unwrap()).unwrap().code()
    };
    let here = format!("https://{to}/v1/items/1");
    assert_eq!(told(&here, None), None);
    assert_eq!(told(&here, Some(&to)), None);
    assert_eq!(told(&here, Some("other.example")).as_deref(), Some("ambiguous-call"));
    assert_eq!(told("https://other.example/v1/items/1", None).as_deref(), Some("ambiguous-call"));
    assert_eq!(told(&format!("http://{to}/v1/items/1"), None).as_deref(), Some("malformed-call"));
    assert_eq!(told(&format!("https://{to}/v1/items/1/../2"), None).as_deref(), Some("ambiguous-call"));
    assert_eq!(upstream.requests().len(), 2);
}

/// Calls the broker on a fresh connection: is it still served?
fn is_served(setup: &Setup, upstream: &TlsUpstream, placeholder: &str) -> bool {
    let mut client = H2Client::tunnel(&setup.broker, &upstream.authority(), &setup.robot);
    client
        .call(request("GET", &upstream.authority(), "/v1/items/1", placeholder))
        .is_ok_and(|it| it.status == 200)
}

/// Sends until the broker ends the connection; the error it gave, where it gave one.
fn flood(wire: &mut FrameWire, mut frames: impl FnMut(u32) -> Vec<RawFrame>) -> Option<u32> {
    for round in 0..2000 {
        let bytes: Vec<u8> =
            (0..10).flat_map(|n| frames(10 * round + n)).flat_map(|frame| frame.bytes()).collect();
        wire.send(&bytes);
    }
    wire.end()
}

#[test]
fn t95_floods_end_their_connection_and_no_other() {
    let (setup, upstream, placeholder, _client) = stage("GET /v1/items/{id}", echo);
    let to = upstream.authority();
    let bearer = format!("Bearer {placeholder}");
    let fields = [
        (":method", "GET"),
        (":scheme", "https"),
        (":authority", to.as_str()),
        (":path", "/v1/items/1"),
        ("authorization", bearer.as_str()),
    ];
    let id = |n: u32| 2 * n + 1;
    type Script<'a> = Box<dyn FnMut(u32) -> Vec<RawFrame> + 'a>;
    let open = |flags| move |n: u32| (n == 0).then(|| RawFrame::headers(flags, 1, &fields));
    let scripts: Vec<(&str, Script<'_>)> = vec![
        // CVE-2023-44487
        (
            "rapid reset",
            Box::new(|n| {
                vec![RawFrame::headers(5, id(n), &fields), RawFrame::new(3, 0, id(n), [0, 0, 0, 8])]
            }),
        ),
        // CVE-2025-8671: each stream is made wrong, so that the broker resets it.
        (
            "made you reset",
            Box::new(|n| vec![RawFrame::headers(5, id(n), &fields), RawFrame::new(8, 0, id(n), [0; 4])]),
        ),
        ("SETTINGS", Box::new(|_| vec![RawFrame::new(4, 0, 0, [])])),
        ("SETTINGS acknowledged", Box::new(|_| vec![RawFrame::new(4, 1, 0, [])])),
        ("PING", Box::new(|_| vec![RawFrame::new(6, 0, 0, [0; 8])])),
        ("PRIORITY", Box::new(|_| vec![RawFrame::new(2, 0, 1, [0, 0, 0, 0, 1])])),
        ("WINDOW_UPDATE", Box::new(|_| vec![RawFrame::new(8, 0, 0, [0, 0, 0, 1])])),
        ("unknown frames", Box::new(|_| vec![RawFrame::new(0xbe, 0, 0, [0; 4])])),
        ("empty DATA", Box::new(|n| open(4)(n).into_iter().chain([RawFrame::new(0, 0, 1, [])]).collect())),
        (
            "padding alone",
            Box::new(|n| open(4)(n).into_iter().chain([RawFrame::new(0, 8, 1, [1, 0])]).collect()),
        ),
        ("CONTINUATION", Box::new(|n| open(1)(n).into_iter().chain([RawFrame::new(9, 0, 1, [])]).collect())),
        (
            "CONTINUATION with fields",
            Box::new(|n| {
                open(1)(n)
                    .into_iter()
                    .chain([RawFrame::new(9, 0, 1, cloakroom_testkit::literals(&[("x-a", "b")]))])
                    .collect()
            }),
        ),
    ];
    for (name, script) in scripts {
        let mut wire = FrameWire::tunnel(&setup.broker, &to, &setup.robot).greeted();
        // ENHANCE_YOUR_CALM, or the connection was gone before it could be read.
        let error = flood(&mut wire, script);
        assert!(matches!(error, None | Some(11)), "{name}: {error:?}");
        assert!(is_served(&setup, &upstream, &placeholder), "{name}");
    }
}

#[test]
fn t95_a_header_block_that_unpacks_to_far_more_than_it_weighs_is_refused() {
    let (setup, upstream, placeholder, _client) = stage("GET /v1/items/{id}", echo);
    let to = upstream.authority();
    let mut wire = FrameWire::tunnel(&setup.broker, &to, &setup.robot).greeted();
    // One field enters the table, and each byte after it repeats it.
    let mut block = cloakroom_testkit::literals(&[
        (":method", "GET"),
        (":scheme", "https"),
        (":authority", &to),
        (":path", "/v1/items/1"),
    ]);
    block.extend([0x40, 1, b'x', 127, 0x81, 0x1e]);
    block.extend([b'v'; 4000]);
    block.extend([0xbe; 8000]);
    wire.frame(&RawFrame::new(1, 5, 1, block));
    assert_eq!(wire.verdict(), Verdict::GoAway(11));
    assert!(is_served(&setup, &upstream, &placeholder));
}

#[test]
fn t41_what_rfc_9113_calls_an_error_is_one() {
    const PROTOCOL: Verdict = Verdict::GoAway(1);
    let (setup, upstream, placeholder, _client) = stage("POST /v1/items", echo);
    let to = upstream.authority();
    let bearer = format!("Bearer {placeholder}");
    let base = [
        (":method", "POST"),
        (":scheme", "https"),
        (":authority", to.as_str()),
        (":path", "/v1/items"),
        ("authorization", bearer.as_str()),
    ];
    let with = |more: &[(&'static str, &'static str)]| RawFrame::headers(5, 1, &[&base[..], more].concat());
    let without = |name: &str| {
        let fields: Vec<_> = base.into_iter().filter(|field| field.0 != name).collect();
        RawFrame::headers(5, 1, &fields)
    };
    let open = || RawFrame::headers(4, 1, &base);
    let frame = |kind, flags, stream, payload: &[u8]| RawFrame::new(kind, flags, stream, payload);
    let cases: Vec<(&str, Vec<RawFrame>, &[Verdict])> = vec![
        (
            "4.2 a frame larger than the bound",
            vec![open(), frame(0, 0, 1, &[0; 16_385])],
            &[Verdict::GoAway(6)],
        ),
        (
            "4.3 a header block that cannot be decoded",
            vec![frame(1, 5, 1, &[0x80])],
            &[Verdict::GoAway(9), PROTOCOL],
        ),
        ("5.1 DATA on an idle stream", vec![frame(0, 1, 1, b"x")], &[PROTOCOL]),
        ("5.1 RST_STREAM on an idle stream", vec![frame(3, 0, 1, &[0; 4])], &[PROTOCOL]),
        ("5.1 WINDOW_UPDATE on an idle stream", vec![frame(8, 0, 1, &[0, 0, 0, 1])], &[PROTOCOL]),
        ("5.1.1 an even stream", vec![RawFrame::headers(5, 2, &base)], &[PROTOCOL]),
        (
            "5.1.1 a stream before the last",
            vec![RawFrame::headers(4, 5, &base), RawFrame::headers(5, 3, &base)],
            &[PROTOCOL, Verdict::GoAway(5), Verdict::Reset(3, 5)],
        ),
        (
            "5.3.1 a stream that depends on itself",
            vec![frame(2, 0, 1, &[0, 0, 0, 1, 0])],
            &[Verdict::Reset(1, 1), PROTOCOL],
        ),
        ("6.1 DATA on stream 0", vec![frame(0, 0, 0, b"x")], &[PROTOCOL]),
        ("6.1 more padding than payload", vec![open(), frame(0, 8, 1, &[9, 0])], &[PROTOCOL]),
        ("6.2 HEADERS on stream 0", vec![RawFrame::headers(5, 0, &base)], &[PROTOCOL]),
        (
            "6.2 another frame within a header block",
            vec![RawFrame::headers(1, 1, &base), frame(6, 0, 0, &[0; 8])],
            &[PROTOCOL],
        ),
        ("6.3 PRIORITY on stream 0", vec![frame(2, 0, 0, &[0; 5])], &[PROTOCOL]),
        (
            "6.3 PRIORITY of another length",
            vec![frame(2, 0, 1, &[0; 4])],
            &[Verdict::GoAway(6), Verdict::Reset(1, 6), PROTOCOL],
        ),
        ("6.4 RST_STREAM on stream 0", vec![frame(3, 0, 0, &[0; 4])], &[PROTOCOL]),
        (
            "6.4 RST_STREAM of another length",
            vec![open(), frame(3, 0, 1, &[0; 3])],
            &[Verdict::GoAway(6), PROTOCOL],
        ),
        (
            "6.5 SETTINGS acknowledged with a payload",
            vec![frame(4, 1, 0, &[0; 6])],
            &[Verdict::GoAway(6), PROTOCOL],
        ),
        ("6.5 SETTINGS on a stream", vec![frame(4, 0, 1, &[])], &[PROTOCOL]),
        ("6.5 SETTINGS of another length", vec![frame(4, 0, 0, &[0; 5])], &[Verdict::GoAway(6), PROTOCOL]),
        ("6.5.2 ENABLE_PUSH neither 0 nor 1", vec![frame(4, 0, 0, &[0, 2, 0, 0, 0, 2])], &[PROTOCOL]),
        (
            "6.5.2 a window beyond its bound",
            vec![frame(4, 0, 0, &[0, 4, 0x80, 0, 0, 0])],
            &[Verdict::GoAway(3), PROTOCOL],
        ),
        ("6.5.2 a frame size below its bound", vec![frame(4, 0, 0, &[0, 5, 0, 0, 0x3f, 0xff])], &[PROTOCOL]),
        ("6.6 PUSH_PROMISE from a client", vec![open(), frame(5, 4, 1, &[0, 0, 0, 2])], &[PROTOCOL]),
        ("6.7 PING on a stream", vec![frame(6, 0, 1, &[0; 8])], &[PROTOCOL]),
        ("6.7 PING of another length", vec![frame(6, 0, 0, &[0; 6])], &[Verdict::GoAway(6), PROTOCOL]),
        ("6.8 GOAWAY on a stream", vec![frame(7, 0, 1, &[0; 8])], &[PROTOCOL]),
        ("6.9 a window that grows by nothing", vec![frame(8, 0, 0, &[0; 4])], &[PROTOCOL]),
        (
            "6.9 a stream's window that grows by nothing",
            vec![open(), frame(8, 0, 1, &[0; 4])],
            &[Verdict::Reset(1, 1), PROTOCOL],
        ),
        (
            "6.9 WINDOW_UPDATE of another length",
            vec![frame(8, 0, 0, &[0; 3])],
            &[Verdict::GoAway(6), PROTOCOL],
        ),
        (
            "6.9.1 a window that overflows",
            vec![frame(8, 0, 0, &[0x7f, 0xff, 0xff, 0xff])],
            &[Verdict::GoAway(3)],
        ),
        (
            "6.9.1 a stream's window that overflows",
            vec![open(), frame(8, 0, 1, &[0x7f, 0xff, 0xff, 0xff])],
            &[Verdict::Reset(1, 3), Verdict::GoAway(3)],
        ),
        ("6.10 CONTINUATION of nothing", vec![frame(9, 4, 1, &[])], &[PROTOCOL]),
        (
            "6.10 CONTINUATION on another stream",
            vec![RawFrame::headers(1, 1, &base), frame(9, 4, 3, &[])],
            &[PROTOCOL],
        ),
        (
            "8.1 trailers that do not end the stream",
            vec![open(), RawFrame::headers(4, 1, &[("x", "y")])],
            &[Verdict::Reset(1, 1)],
        ),
        (
            "8.1.1 t41 less data than declared",
            vec![
                RawFrame::headers(4, 1, &[&base[..], &[("content-length", "5")]].concat()),
                frame(0, 1, 1, b"four"),
            ],
            &[Verdict::Reset(1, 1)],
        ),
        (
            "8.1.1 t41 more data than declared",
            vec![
                RawFrame::headers(4, 1, &[&base[..], &[("content-length", "3")]].concat()),
                frame(0, 1, 1, b"four"),
            ],
            &[Verdict::Reset(1, 1)],
        ),
        ("8.1.1 t41 a length and no data", vec![with(&[("content-length", "3")])], &[Verdict::Reset(1, 1)]),
        (
            "8.1.1 t41 two lengths",
            vec![with(&[("content-length", "0"), ("content-length", "3")])],
            &[Verdict::Reset(1, 1)],
        ),
        ("8.2 a name in upper case", vec![with(&[("X-A", "b")])], &[Verdict::Reset(1, 1), PROTOCOL]),
        (
            "8.2.1 t37 a line end in a value",
            vec![with(&[("x-a", "b\r\nx-c: d")])],
            &[Verdict::Reset(1, 1), PROTOCOL],
        ),
        ("8.2.1 a NUL in a value", vec![with(&[("x-a", "b\0")])], &[Verdict::Reset(1, 1), PROTOCOL]),
        ("8.2.1 a space in a name", vec![with(&[("x a", "b")])], &[Verdict::Reset(1, 1), PROTOCOL]),
        ("8.2.1 a colon in a name", vec![with(&[("x:a", "b")])], &[Verdict::Reset(1, 1), PROTOCOL]),
        (
            "8.2.2 t41 Transfer-Encoding",
            vec![with(&[("transfer-encoding", "chunked")])],
            &[Verdict::Reset(1, 1)],
        ),
        ("8.2.2 Connection", vec![with(&[("connection", "close")])], &[Verdict::Reset(1, 1)]),
        ("8.2.2 TE", vec![with(&[("te", "gzip")])], &[Verdict::Reset(1, 1)]),
        (
            "8.3 an unknown pseudo-header field",
            vec![with(&[(":extra", "x")])],
            &[Verdict::Reset(1, 1), PROTOCOL],
        ),
        ("8.3 a pseudo-header field after a field", vec![with(&[(":path", "/")])], &[Verdict::Reset(1, 1)]),
        (
            "8.3 a pseudo-header field of responses",
            vec![RawFrame::headers(5, 1, &[&[(":status", "200")], &base[..]].concat())],
            &[Verdict::Reset(1, 1)],
        ),
        ("8.3.1 no method", vec![without(":method")], &[Verdict::Reset(1, 1)]),
        ("8.3.1 no scheme", vec![without(":scheme")], &[Verdict::Reset(1, 1)]),
        ("8.3.1 no path", vec![without(":path")], &[Verdict::Reset(1, 1), Verdict::Answered(1)]),
        (
            "8.3.1 an empty path",
            vec![RawFrame::headers(
                5,
                1,
                &[(":method", "POST"), (":scheme", "https"), (":authority", &to), (":path", "")],
            )],
            &[Verdict::Reset(1, 1)],
        ),
        (
            "8.3.1 two paths",
            vec![RawFrame::headers(5, 1, &[&[(":path", "/v1/items")], &base[..]].concat())],
            &[Verdict::Reset(1, 1)],
        ),
        (
            "8.5 CONNECT with a path",
            vec![RawFrame::headers(5, 1, &[(":method", "CONNECT"), (":authority", &to), (":path", "/")])],
            &[Verdict::Reset(1, 1)],
        ),
    ];
    for (name, frames, expected) in cases {
        let mut wire = FrameWire::tunnel(&setup.broker, &to, &setup.robot).greeted();
        frames.iter().for_each(|frame| wire.frame(frame));
        let verdict = wire.verdict();
        assert!(expected.contains(&verdict), "{name}: {verdict:?}");
    }
    assert_eq!(upstream.requests().len(), 0);
    let mut wire = FrameWire::tunnel(&setup.broker, &to, &setup.robot);
    wire.send(b"PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n");
    assert!(matches!(wire.verdict(), Verdict::Closed | PROTOCOL));
    let mut client = H2Client::tunnel(&setup.broker, &to, &setup.robot);
    assert_eq!(client.call(request("POST", &to, "/v1/items", &placeholder)).unwrap().status, 200);
}

#[test]
fn a_stop_says_goodbye_and_lets_streams_finish() {
    let mut setup = setup();
    let (release, released) = std::sync::mpsc::channel::<()>();
    let released = Mutex::new(released);
    let upstream = TlsUpstream::start_with(&setup.authority, move |request, out| {
        out.write_all(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nfirst\r\n")?;
        out.flush()?;
        released.lock().unwrap().recv().unwrap();
        let _ = request;
        out.write_all(b"4\r\nlast\r\n0\r\n\r\n")?;
        Ok(After::Close)
    });
    let placeholder = placeholder(&setup, &upstream.url(), "GET /v1/items/{id}");
    let mut client = H2Client::tunnel(&setup.broker, &upstream.authority(), &setup.robot);
    let (parts, _) = request("GET", &upstream.authority(), "/v1/items/1", &placeholder).into_parts();
    let mut call = client.open(Request::from_parts(parts, ()));
    call.send.send_data(Bytes::new(), true).unwrap();
    let mut body = client.wait(call.response).unwrap().into_body();
    assert_eq!(client.wait(next_data(&mut body)), Some(Ok(Bytes::from_static(b"first"))));
    let stopping = std::thread::spawn(move || {
        let status = setup.broker.stop();
        (setup, status)
    });
    // Refused at once for as long as streams are taken.
    let late = request("GET", &upstream.authority(), "/v1/other", &placeholder);
    eventually("no stream is taken any more", || client.call(late.clone()).err());
    release.send(()).unwrap();
    assert_eq!(client.wait(next_data(&mut body)), Some(Ok(Bytes::from_static(b"last"))));
    assert_eq!(client.wait(next_data(&mut body)), None);
    assert!(stopping.join().unwrap().1.success());
}
