//! Requests that two programs could read differently: refused, the connection closed, nothing sent (T20 to T22, T36 to T44).

use crate::house::{House, house};
use cloakroom_testkit::Response;

/// Refused as a whole: the code, `Connection: close`, nothing after it, and no upstream connection.
fn assert_refused(house: &House, bytes: &[u8], codes: &[&str]) {
    let mut wire = house.tunnel();
    wire.send(bytes);
    let answer: Response = wire.receive("GET").unwrap_or_else(|e| panic!("{e}: {}", bytes.escape_ascii()));
    let code = answer.code().unwrap_or_default();
    assert!(codes.contains(&code.as_str()), "{code} {}: {}", answer.status, bytes.escape_ascii());
    assert_eq!(
        (answer.status, answer.header("connection")),
        (400, Some("close")),
        "{}",
        bytes.escape_ascii()
    );
    assert!(wire.receive("GET").is_err(), "a second answer to {}", bytes.escape_ascii());
    assert_eq!(house.upstream.connections(), 0, "{}", bytes.escape_ascii());
}

const BAD: &[&str] = &["malformed-call", "ambiguous-call"];

#[test]
fn t36_conflicting_lengths() {
    let house = house();
    // What a program that believes the other length would take for the next request.
    let hidden = house.head("GET /v1/hidden") + "\r\n";
    for framing in [
        "Content-Length: 5\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: chunked\r\nContent-Length: 5",
        "Content-Length: 5\r\nContent-Length: 5",
        "Content-Length: 5\r\nContent-Length: 0",
        "Content-Length: 5, 5",
        "Content-Length: 5,6",
        "Content-Length: +5",
        "Content-Length: -5",
        "Content-Length: 5 5",
        "Content-Length: 05",
        "Content-Length: 0x5",
        "Content-Length: 5_0",
        "Content-Length:",
        "Content-Length: 99999999999999999999",
        "Content-Length: 18446744073709551621",
        "Content-Length : 5",
        " Content-Length: 5",
        "Content_Length: 5",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: x",
        "Transfer-Encoding: x\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: chunked, chunked",
        "Transfer-Encoding: gzip, chunked",
        "Transfer-Encoding: identity",
        "Transfer-Encoding: xchunked",
        "Transfer-Encoding: chunked;x",
        "Transfer-Encoding: \"chunked\"",
        "Transfer-Encoding : chunked",
        "Transfer_Encoding: chunked",
        "Transfer-Encoding: \x0bchunked",
        "Transfer-Encoding:\r\n chunked",
        "X: y\nTransfer-Encoding: chunked",
        "X: y\rTransfer-Encoding: chunked",
        "X: y\0\r\nContent-Length: 5",
    ] {
        let bytes = format!("{}{framing}\r\n\r\n0\r\n\r\n{hidden}", house.head("POST /v1/a"));
        assert_refused(&house, bytes.as_bytes(), BAD);
    }
}

#[test]
fn t37_chunks_with_two_readings() {
    let house = house();
    for chunks in [
        "0x5\r\nhello\r\n0\r\n\r\n",
        "5 \r\nhello\r\n0\r\n\r\n",
        "+5\r\nhello\r\n0\r\n\r\n",
        "1_0\r\nhello\r\n0\r\n\r\n",
        "-5\r\nhello\r\n0\r\n\r\n",
        "fffffffffffffffff\r\nhello\r\n0\r\n\r\n",
        "5\nhello\r\n0\r\n\r\n",
        "5\r\nhello\n0\r\n\r\n",
        "5;a\nhello\r\n0\r\n\r\n",
        "5\r\nhello!\r\n0\r\n\r\n",
        "5\r\nhello\r\n0\r\nX : y\r\n\r\n",
        "5\r\nhello\r\n0\r\n\n",
    ] {
        let bytes = format!("{}Transfer-Encoding: chunked\r\n\r\n{chunks}", house.head("POST /v1/a"));
        assert_refused(&house, bytes.as_bytes(), BAD);
    }
}

#[test]
fn t37_chunk_extensions_and_trailers_are_dropped() {
    let house = house();
    let chunks = "5;name=value\r\nhello\r\n0\r\nX-Trailer: 1\r\n\r\n";
    let answer =
        house.inside(format!("{}Transfer-Encoding: chunked\r\n\r\n{chunks}", house.head("POST /v1/a")));
    assert_eq!(answer.status, 200, "{}", answer.text());
    let received = house.upstream.last();
    assert_eq!(received.body, b"hello");
    let all = [received.head, received.raw_body].concat();
    assert!(!String::from_utf8_lossy(&all).to_lowercase().contains("trailer"));
}

#[test]
fn t20_t21_t22_hosts_with_two_readings() {
    let house = house();
    let authority = house.upstream.authority();
    let host = format!("Host: {authority}\r\n");
    for other in [
        String::new(),
        format!("{host}{host}"),
        format!("{host}Host: evil.example\r\n"),
        "Host: evil.example\r\n".to_owned(),
        "Host: 127.0.0.1\r\n".to_owned(),
        "Host:\r\n".to_owned(),
        format!("Host: {authority}, evil.example\r\n"),
        format!("Host: evil.example@{authority}\r\n"),
        format!("Host: {authority}/\r\n"),
        format!("Host: {authority}#\r\n"),
        format!("Host: {authority}.\r\n"),
        format!("Host : {authority}\r\n"),
        format!("Host: {authority}\r\n evil.example\r\n"),
    ] {
        let head = house.head("GET /v1/a").replace(&host, &other);
        assert_refused(&house, format!("{head}\r\n").as_bytes(), BAD);
    }
    for line in [
        "GET http://evil.example/v1/a",
        "GET https://evil.example/v1/a",
        "GET /v1/a#x",
        "GET /v1/\u{e9}",
        "GET v1/a",
        "GET //evil.example/v1/a",
        "GET /v1/../a",
        "GET /v1/%2e%2e/a",
        "GET /v1/a%2fb",
        "GET /v1/a\\b",
        "get /v1/a",
        "TRACE /v1/a",
        "OPTIONS *",
        "CONNECT evil.example:443",
        "GET  /v1/a",
        "GET\t/v1/a",
        " GET /v1/a",
    ] {
        assert_refused(&house, (house.head(line) + "\r\n").as_bytes(), BAD);
    }
    assert_refused(&house, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", BAD);
    assert_refused(&house, b"GET /v1/a\r\n\r\n", BAD);
    let old = house.head("GET /v1/a").replace("HTTP/1.1", "HTTP/1.0");
    assert_refused(&house, (old + "\r\n").as_bytes(), BAD);
}

#[test]
fn t38_t39_t44_connection_options_with_two_readings() {
    let house = house();
    for more in [
        "Connection: authorization",
        "Connection: close, Host",
        "Connection: cookie",
        "Connection: content-length",
        "Connection: x-anything",
        "Expect: 200-ok",
        "Expect: 100-continue\r\nExpect: 100-continue",
        "Upgrade: websocket",
        "Upgrade: tls/1.0\r\nConnection: upgrade",
        "Upgrade: h2c\r\nConnection: upgrade, http2-settings\r\nHTTP2-Settings: AAMAAABkAAQAAP__",
    ] {
        let bytes = format!("{}{more}\r\n\r\n", house.head("GET /v1/a"));
        assert_refused(&house, bytes.as_bytes(), BAD);
    }
}

#[test]
fn t39_an_upgrade_that_no_permit_allows_is_refused_and_what_follows_is_no_request() {
    let house = house();
    let mut wire = house.tunnel();
    let upgrade = house.head("GET /v1/a")
        + "Upgrade: websocket\r\nConnection: upgrade\r\nSec-WebSocket-Version: 13\r\n\
           Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    wire.send((upgrade + &house.head("GET /v1/a") + "\r\n").as_bytes());
    let answer = wire.receive("GET").unwrap();
    assert_eq!((answer.status, answer.code().as_deref()), (403, Some("call-not-permitted")));
    assert!(wire.receive("GET").is_err());
    assert_eq!(house.upstream.connections(), 0);
}

#[test]
fn t38_a_refused_call_whose_body_was_not_read_ends_its_connection() {
    let house = house();
    let hidden = house.base("GET", "/v1/hidden") + "\r\n";
    let mut wire = house.wire();
    // No key, so nobody reads the body, which looks like a good call.
    wire.send(
        format!(
            "POST /to/h.example/ HTTP/1.1\r\nHost: h\r\nContent-Length: {}\r\n\r\n{hidden}",
            hidden.len()
        )
        .as_bytes(),
    );
    let answer = wire.receive("POST").unwrap();
    assert_eq!((answer.status, answer.header("connection")), (407, Some("close")));
    assert!(wire.receive("GET").is_err());
    assert_eq!(house.upstream.connections(), 0);
}

#[test]
fn t38_we_answer_expect_ourselves_and_only_for_a_known_workload() {
    let house = house();
    let mut wire = house.wire();
    wire.send((house.base("POST", "/v1/a") + "Content-Length: 5\r\nExpect: 100-continue\r\n\r\n").as_bytes());
    assert_eq!(wire.read_some(64).unwrap(), b"HTTP/1.1 100 Continue\r\n\r\n");
    wire.send(b"hello");
    assert_eq!(wire.receive("POST").unwrap().status, 200);
    assert_eq!((house.upstream.last().body, house.upstream.last().count("expect")), (b"hello".to_vec(), 0));
    let mut stranger = house.wire();
    stranger.send(
        b"POST /to/h.example/ HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n",
    );
    assert!(stranger.read_some(64).unwrap().starts_with(b"HTTP/1.1 407 "));
}

#[test]
fn t40_every_pipelined_call_is_judged_on_its_own() {
    let house = house();
    for count in [2, 7, 50] {
        let mut wire = house.tunnel();
        let good = house.head("GET /v1/a") + "\r\n";
        let bad = house.head("DELETE /v1/a") + "\r\n";
        let posted = house.head("POST /v1/a") + "Transfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n\r\n";
        let before = house.upstream.requests().len();
        let calls = [(&good, 200), (&bad, 403), (&posted, 200)];
        let sent: String = (0..count).map(|n| calls[n % 3].0.as_str()).collect();
        wire.send(sent.as_bytes());
        for n in 0..count {
            assert_eq!(wire.receive("GET").unwrap().status, calls[n % 3].1, "call {n} of {count}");
        }
        let expected = (0..count).filter(|n| n % 3 != 1).count();
        assert_eq!(house.upstream.requests().len() - before, expected);
    }
}
