//! Hostile workloads: raw bytes that two programs could read differently, slow ones, large ones.

use crate::support::{eventually, item, items, setup};
use cloakroom_testkit::{Issued, Setup, TlsUpstream, Way, echo, shaped};

struct Stage {
    setup: Setup,
    upstream: TlsUpstream,
    issued: Issued,
}

fn stage() -> Stage {
    let setup = setup();
    let upstream = TlsUpstream::start(&setup.authority, echo);
    setup.broker.deposit("c", "bearer", &[&upstream.url()], &shaped("sk_live_"));
    let issued = setup.broker.permit("c", "robot", &items(&upstream), &[]);
    Stage { setup, upstream, issued }
}

impl Stage {
    /// Sends these bytes inside a tunnel and asserts that nothing of it reaches the upstream.
    fn assert_not_forwarded(&self, name: &str, bytes: &[u8], codes: &[&str]) {
        let tunnel = self.setup.broker.tunnel(&self.upstream.authority(), Some(&self.setup.robot));
        let mut wire = tunnel.map_err(|refused| refused.text()).unwrap();
        wire.send(bytes);
        match wire.receive("GET") {
            Ok(answer) => {
                assert!((400..500).contains(&answer.status), "{name}: {} {}", answer.status, answer.text());
                if let Some(code) = answer.code() {
                    assert!(codes.contains(&code.as_str()), "{name}: {code}");
                }
            }
            Err(error) => assert!(error.kind() != std::io::ErrorKind::WouldBlock, "{name}: no answer"),
        }
        assert_eq!(self.upstream.connections(), 0, "{name}: the upstream was dialled");
    }

    fn head(&self, line: &str, more: &str) -> Vec<u8> {
        format!(
            "{line}\r\nHost: {}\r\nAuthorization: Bearer {}\r\n{more}\r\n",
            self.upstream.authority(),
            self.issued.text
        )
        .into_bytes()
    }
}

const BAD: &[&str] = &["malformed-call", "ambiguous-call", "call-not-permitted", "body-not-permitted"];

#[test]
fn t36_t37_framing_that_two_programs_read_differently_is_refused() {
    let stage = stage();
    let get = "GET /v1/items/1 HTTP/1.1";
    for (name, more) in [
        ("length and chunked", "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n"),
        ("chunked and length", "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n"),
        ("two lengths", "Content-Length: 5\r\nContent-Length: 6\r\n"),
        ("a list of lengths", "Content-Length: 5, 5\r\n"),
        ("a signed length", "Content-Length: +5\r\n"),
        ("a negative length", "Content-Length: -1\r\n"),
        ("an overflowing length", "Content-Length: 99999999999999999999\r\n"),
        ("chunked twice", "Transfer-Encoding: chunked, chunked\r\n"),
        ("gzip then chunked", "Transfer-Encoding: gzip, chunked\r\n"),
        ("identity", "Transfer-Encoding: identity\r\n"),
        ("chunked with a tab", "Transfer-Encoding:\tchunked\r\nContent-Length: 0\r\n"),
        ("a space before the colon", "X-A : b\r\n"),
        ("a folded line", "X-A: b\r\n c\r\n"),
        ("a NUL in a value", "X-A: b\0c\r\n"),
        ("a bare CR in a value", "X-A: b\rc\r\n"),
        ("a second host", "Host: evil.example\r\n"),
        (
            "h2c",
            "Connection: upgrade, http2-settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n",
        ),
    ] {
        stage.assert_not_forwarded(name, &[&stage.head(get, more)[..], b"hello"].concat(), BAD);
    }
    let bare = String::from_utf8(stage.head(get, "")).unwrap().replace("\r\n", "\n");
    stage.assert_not_forwarded("bare line feeds", bare.as_bytes(), BAD);
    for (name, chunks) in [
        ("a hexadecimal prefix", "0x5\r\nhello\r\n0\r\n\r\n"),
        ("an overflowing size", "fffffffffffffffff\r\nhello\r\n0\r\n\r\n"),
        ("a size with an underscore", "1_0\r\nhello\r\n0\r\n\r\n"),
        ("a negative size", "-5\r\nhello\r\n0\r\n\r\n"),
    ] {
        let head = stage.head(get, "Transfer-Encoding: chunked\r\n");
        stage.assert_not_forwarded(name, &[&head[..], chunks.as_bytes()].concat(), BAD);
    }
}

#[test]
fn t20_t21_t22_a_request_line_with_two_readings_is_refused() {
    let stage = stage();
    let lines = [
        ("another host in absolute form", "GET https://evil.example/v1/items/1 HTTP/1.1"),
        ("no version", "GET /v1/items/1"),
        ("HTTP/1.0", "GET /v1/items/1 HTTP/1.0"),
        ("HTTP/2 by name", "GET /v1/items/1 HTTP/2.0"),
        ("two spaces", "GET  /v1/items/1 HTTP/1.1"),
        ("a tab", "GET\t/v1/items/1 HTTP/1.1"),
        ("a fragment", "GET /v1/items/1#x HTTP/1.1"),
        ("raw UTF-8", "GET /v1/items/\u{e9} HTTP/1.1"),
        ("a relative target", "GET v1/items/1 HTTP/1.1"),
        ("a star", "OPTIONS * HTTP/1.1"),
        ("TRACE", "TRACE /v1/items/1 HTTP/1.1"),
        ("CONNECT inside", "CONNECT evil.example:443 HTTP/1.1"),
        ("the preface of HTTP/2", "PRI * HTTP/2.0"),
    ];
    for (name, line) in lines {
        let codes = [BAD, &["destination-not-permitted"]].concat();
        stage.assert_not_forwarded(name, &stage.head(line, ""), &codes);
    }
    let no_host = format!("GET /v1/items/1 HTTP/1.1\r\nAuthorization: Bearer {}\r\n\r\n", stage.issued.text);
    stage.assert_not_forwarded("no host", no_host.as_bytes(), BAD);
}

#[test]
fn t96_what_is_larger_than_the_limits_is_refused() {
    let stage = stage();
    let get = "GET /v1/items/1 HTTP/1.1";
    let many: String = (0..2000).map(|n| format!("x-{n}: y\r\n")).collect();
    stage.assert_not_forwarded("two thousand headers", &stage.head(get, &many), BAD);
    let long = format!("x-long: {}\r\n", "y".repeat(1 << 20));
    stage.assert_not_forwarded("a header of a megabyte", &stage.head(get, &long), BAD);
    let url = format!("GET /v1/items/{} HTTP/1.1", "y".repeat(1 << 20));
    stage.assert_not_forwarded("a path of a megabyte", &stage.head(&url, ""), BAD);
}

#[test]
fn t15_a_disguised_placeholder_outside_its_place_is_refused() {
    use base64::Engine;
    let stage = stage();
    let text = &stage.issued.text;
    let each = |encode: fn(u8) -> String| text.bytes().map(encode).collect::<String>();
    for (name, disguise) in [
        ("percent", each(|b| format!("%{b:02x}"))),
        ("hex", each(|b| format!("{b:02x}"))),
        ("json", each(|b| format!("\\u{b:04x}"))),
        ("html", each(|b| format!("&#{b};"))),
        ("base64", base64::engine::general_purpose::STANDARD.encode(format!("x{text}"))),
        ("raw", text.clone()),
    ] {
        let request = item(&stage.upstream, "1", text).with("x-note", &disguise);
        for way in Way::ALL {
            let answer = stage.setup.broker.call(way, Some(&stage.setup.robot), &request);
            assert_eq!(
                answer.code().as_deref(),
                Some("place-not-permitted"),
                "{name} by {way:?}: {}",
                answer.text()
            );
        }
    }
    assert_eq!(stage.upstream.connections(), 0);
}

#[test]
fn t39_t50_a_refused_connect_is_no_tunnel() {
    let stage = stage();
    for target in ["evil.example:443", "127.0.0.1:25", "127.0.0.1:22", "127.0.0.1:6379", "169.254.169.254:80"]
    {
        let mut wire = stage.setup.broker.wire();
        let basic = stage.setup.robot.basic();
        let connect =
            format!("CONNECT {target} HTTP/1.1\r\nHost: {target}\r\nProxy-Authorization: {basic}\r\n\r\n");
        let inner = stage.head("GET /v1/items/1 HTTP/1.1", "");
        wire.send(&[connect.as_bytes(), &inner].concat());
        let answer = wire.receive("GET").unwrap();
        assert_eq!(
            answer.code().as_deref(),
            Some("destination-not-permitted"),
            "{target}: {}",
            answer.text()
        );
    }
    assert_eq!(stage.upstream.connections(), 0);
}

#[test]
fn t54_t62_the_certificate_is_for_the_permitted_host_and_signed_by_the_brokers_authority() {
    let stage = stage();
    let tunnel = |name: &str, trust: &str| {
        let wire = stage.setup.broker.wire();
        let mut wire = wire
            .tunnel(&stage.upstream.authority(), Some(&stage.setup.robot), name, trust)
            .map_err(|r| r.text());
        let wire = wire.as_mut().unwrap();
        wire.send(&item(&stage.upstream, "1", &stage.issued.text).bytes(Way::Connect, None));
        wire.receive("GET").map(|answer| answer.status)
    };
    let ca = stage.setup.broker.ca_pem();
    assert_eq!(tunnel("127.0.0.1", &ca).unwrap(), 200);
    assert!(tunnel("127.0.0.1", stage.setup.authority.pem()).is_err(), "another authority was accepted");
    // Another name in the handshake than in CONNECT: no certificate for it, or a refusal.
    let answered = tunnel("localhost", &ca);
    assert!(!matches!(answered, Ok(200)), "SNI and CONNECT differed, and the call went through");
}

#[test]
fn t84_the_workload_listener_never_serves_the_admin_api() {
    let stage = stage();
    let basic = stage.setup.robot.basic();
    for path in ["/api/v1/credentials", "/api/v1/health", "/console", "/", "/metrics"] {
        let mut wire = stage.setup.broker.wire();
        let host = stage.setup.broker.listen();
        wire.send(
            format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nProxy-Authorization: {basic}\r\n\r\n").as_bytes(),
        );
        let answer = wire.receive("GET").unwrap();
        assert!((400..500).contains(&answer.status), "{path}: {} {}", answer.status, answer.text());
    }
}

#[test]
fn t51_the_broker_does_not_call_itself() {
    let Setup { broker, robot, .. } = setup();
    let own = broker.listen().to_string();
    broker.deposit("c", "bearer", &[&format!("https://{own}")], &shaped("sk_live_"));
    let permit =
        crate::support::policy(&format!("https://{own}"), "GET /", "header authorization bearer", "");
    let issued = broker.permit("c", "robot", &permit, &[]);
    let request = cloakroom_testkit::Request::new("GET", &own, "/")
        .with("authorization", &format!("Bearer {}", issued.text));
    let answer = broker.call(Way::BaseUrl, Some(&robot), &request);
    assert_eq!(answer.code().as_deref(), Some("address-not-permitted"), "{}", answer.text());
}

#[test]
fn t99_after_all_that_a_good_call_still_works() {
    let stage = stage();
    for garbage in
        [&b"\x16\x03\x01\x02\x00"[..], b"\0\0\0\0", b"GET / HTTP/1.1\r\n", b"\r\n\r\n\r\n", &[0xff; 4096]]
    {
        let mut wire = stage.setup.broker.wire();
        wire.send(garbage);
        wire.finish();
        let _ = wire.receive("GET");
    }
    let status = eventually("a good call works", || {
        let answer = stage.setup.broker.call(
            Way::Connect,
            Some(&stage.setup.robot),
            &item(&stage.upstream, "1", &stage.issued.text),
        );
        Some(answer.status)
    });
    assert_eq!(status, 200);
}
