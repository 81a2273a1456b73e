//! Whatever comes in, what the upstream got is one well-formed request for each that an independent parser reads there, or nothing.
//!
//! The independent reading is httparse's, with framing decided as RFC 9112, section 6.3, says and everything doubtful given up.

use crate::house::{House, house};
use cloakroom_testkit::Received;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

/// One request: method, target, body.
type Plain = (String, String, Vec<u8>);

/// Method, target, fields with names in lower case, and where the body begins.
type Head = (String, String, Vec<(String, Vec<u8>)>, usize);

fn head(bytes: &[u8]) -> Option<Head> {
    let mut room = [httparse::EMPTY_HEADER; 128];
    let mut request = httparse::Request::new(&mut room);
    let Ok(httparse::Status::Complete(length)) = request.parse(bytes) else { return None };
    let fields = request.headers.iter().map(|it| (it.name.to_lowercase(), it.value.to_vec())).collect();
    Some((request.method?.to_owned(), request.path?.to_owned(), fields, length))
}

/// A body in chunks, and how many bytes it took.
fn chunks(bytes: &[u8]) -> Option<(Vec<u8>, usize)> {
    let (mut body, mut at) = (Vec::new(), 0);
    loop {
        let Ok(httparse::Status::Complete((line, size))) = httparse::parse_chunk_size(&bytes[at..]) else {
            return None;
        };
        at += line;
        let size = usize::try_from(size).ok()?;
        if size == 0 {
            let mut room = [httparse::EMPTY_HEADER; 16];
            let trailers = httparse::parse_headers(&bytes[at..], &mut room);
            let Ok(httparse::Status::Complete((trailers, _))) = trailers else { return None };
            return Some((body, at + trailers));
        }
        body.extend_from_slice(bytes.get(at..at + size)?);
        at += size;
        (bytes.get(at..at + 2)? == b"\r\n").then_some(())?;
        at += 2;
    }
}

/// The first request, and how many bytes it took.
fn first(bytes: &[u8]) -> Option<(Plain, usize)> {
    let (method, target, fields, begin) = head(bytes)?;
    let all = |name: &str| {
        let named = fields.iter().filter(|(key, _)| key == name);
        named.map(|(_, value)| value.as_slice()).collect::<Vec<_>>()
    };
    let rest = &bytes[begin..];
    let (body, taken) = match (all("content-length").as_slice(), all("transfer-encoding").as_slice()) {
        ([], []) => (Vec::new(), 0),
        ([length], []) => {
            let length = std::str::from_utf8(length).ok()?.parse::<usize>().ok()?;
            (rest.get(..length)?.to_vec(), length)
        }
        ([], [coding]) if coding.eq_ignore_ascii_case(b"chunked") => chunks(rest)?,
        _ => return None,
    };
    Some(((method, target, body), begin + taken))
}

fn independently(mut bytes: &[u8]) -> Vec<Plain> {
    let mut requests = Vec::new();
    while let Some((request, taken)) = first(bytes) {
        requests.push(request);
        bytes = &bytes[taken..];
    }
    requests
}

/// What the upstream got, read by the same parser: one request and nothing behind it, for this authority, framed once, with
/// no field of another hop and none of ours.
fn well_formed(received: &Received, authority: &str) -> Plain {
    let bytes = [&received.head[..], &received.raw_body].concat();
    let shown = || String::from_utf8_lossy(&bytes).into_owned();
    let (request, taken) = first(&bytes).unwrap_or_else(|| panic!("not one request: {}", shown()));
    assert_eq!(taken, bytes.len(), "more than one request: {}", shown());
    let (_, _, fields, _) = head(&bytes).unwrap();
    let count = |name: &str| fields.iter().filter(|(key, _)| key == name).count();
    assert_eq!(count("host"), 1, "{}", shown());
    assert_eq!(received.header("host"), Some(authority));
    assert!(count("content-length") + count("transfer-encoding") <= 1, "{}", shown());
    for name in
        ["connection", "upgrade", "te", "trailer", "expect", "proxy-authorization", "cloakroom-workload"]
    {
        assert_eq!(count(name), 0, "{name}: {}", shown());
    }
    let bare = received.head.windows(2).any(|pair| pair[1] == b'\n' && pair[0] != b'\r');
    assert!(!bare, "{}", shown());
    request
}

/// Sends all of it, and compares what came out at the other end with the independent reading.
fn judge(house: &House, bytes: &[u8]) -> usize {
    let before = house.upstream.requests().len();
    let mut wire = house.tunnel();
    wire.send(bytes);
    let expected = independently(bytes);
    // Until the broker ends the connection: behind a refusal, or because no more comes. What reaches the upstream has reached it then.
    wire.finish();
    while wire.receive("GET").is_ok() {}
    let authority = house.upstream.authority();
    let received = house.upstream.requests();
    let got: Vec<Plain> = received[before..].iter().map(|it| well_formed(it, &authority)).collect();
    // In the same order, and nothing else: one that is refused does not arrive, and the next may.
    let mut left = expected.iter();
    let is_part = got.iter().all(|one| left.any(|other| other == one));
    assert!(is_part, "{got:?} of {expected:?}: {}", bytes.escape_ascii());
    got.len()
}

#[test]
fn t36_t40_t42_the_upstream_gets_what_an_independent_parser_reads_or_nothing() {
    let house = house();
    let known: &[&str] = &[
        "Content-Length: 5\r\n",
        "Content-Length: 0\r\n",
        "Content-Length: 05\r\n",
        "Content-Length: 5, 5\r\n",
        "content-length:\t5 \r\n",
        "Transfer-Encoding: chunked\r\n",
        "Transfer-Encoding: Chunked\r\n",
        "Transfer-Encoding: identity\r\n",
        "Transfer-Encoding: chunked, identity\r\n",
        "Transfer-Encoding:\r\n chunked\r\n",
        "Connection: content-length\r\n",
        "Connection: keep-alive\r\n",
        "Upgrade: h2c\r\nConnection: upgrade, http2-settings\r\nHTTP2-Settings: AAMAAABk\r\n",
        "Upgrade: websocket\r\nConnection: upgrade\r\n",
        "Expect: 100-continue\r\n",
        "TE: trailers\r\n",
        "Trailer: x-a\r\n",
        "X-A: b\r\n",
        "X-A: b\n",
        "X-A : b\r\n",
        "X-A: b\rTransfer-Encoding: chunked\r\n",
        "Max-Forwards: 0\r\n",
    ];
    let bodies: &[&str] = &[
        "",
        "hello",
        "5\r\nhello\r\n0\r\n\r\n",
        "5;a=b\r\nhello\r\n0\r\nX-T: 1\r\n\r\n",
        "2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n",
        "5\nhello\n0\n\n",
        "0\r\n\r\n",
        "5 \r\nhello\r\n0\r\n\r\n",
        "0x5\r\nhello\r\n0\r\n\r\n",
    ];
    let lines = ["GET /v1/a", "POST /v1/a", "POST /v1/a?x", "GET /v1/a/../b", "get /v1/a"];
    let strategy = prop::collection::vec(
        (
            prop::sample::select(lines.to_vec()),
            prop::collection::vec(prop::sample::select(known.to_vec()), 0..3),
            prop::sample::select(bodies.to_vec()),
        ),
        1..4,
    );
    let config = Config { cases: 160, failure_persistence: None, ..Config::default() };
    let through = std::cell::Cell::new(0);
    TestRunner::new(config)
        .run(&strategy, |requests| {
            let text: String = requests
                .iter()
                .map(|(line, fields, body)| format!("{}{}\r\n{body}", house.head(line), fields.concat()))
                .collect();
            through.set(through.get() + judge(&house, text.as_bytes()));
            Ok(())
        })
        .unwrap();
    assert!(through.get() > 20, "only {} requests came through: the test says little", through.get());
}
