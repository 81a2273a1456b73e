//! What an upstream sends back: in every encoding, coding and placement, the secret is taken out of it.

use crate::support::{eventually, item, policy, setup};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use cloakroom_testkit::{
    After, Broker, Coding, H2Client, Issued, Received, Reply, Response, Setup, TAIL, TlsUpstream, Way, hunt,
    shaped,
};
use std::io::ErrorKind;

fn secret() -> String {
    shaped("sk_live_")
}

/// A broker in front of an upstream with this answer, and a placeholder for anything it has.
fn behind(answer: impl Fn(&Received) -> Reply + Send + Sync + 'static) -> (Setup, TlsUpstream, Issued) {
    let setup = setup();
    let upstream = TlsUpstream::start(&setup.authority, answer);
    let issued = open(&setup.broker, &upstream);
    (setup, upstream, issued)
}

fn open(broker: &Broker, upstream: &TlsUpstream) -> Issued {
    broker.deposit("c", "bearer", &[&upstream.url()], &secret());
    let permit = policy(&upstream.url(), "GET /v1/items/{id}", "header authorization bearer", "");
    broker.permit("c", "robot", &permit, &[])
}

fn get(setup: &Setup, upstream: &TlsUpstream, issued: &Issued, id: &str) -> Response {
    let answer = setup.broker.call(Way::Connect, Some(&setup.robot), &item(upstream, id, &issued.text));
    assert_eq!(hunt(&answer.raw), [], "{id}: {}", String::from_utf8_lossy(&answer.raw));
    answer
}

fn disguises() -> Vec<(&'static str, String)> {
    let secret = secret();
    let each = |encode: fn(u8) -> String| secret.bytes().map(encode).collect::<String>();
    vec![
        ("raw", secret.clone()),
        ("percent", each(|b| format!("%{b:02X}"))),
        ("percent-lower", each(|b| format!("%{b:02x}"))),
        ("json", each(|b| format!("\\u{b:04x}"))),
        ("html-hex", each(|b| format!("&#x{b:x};"))),
        ("html-decimal", each(|b| format!("&#{b};"))),
        ("hex", each(|b| format!("{b:02x}"))),
        ("hex-upper", each(|b| format!("{b:02X}"))),
        ("base64", STANDARD.encode(&secret)),
        ("base64-1", STANDARD.encode(format!("u{secret}"))),
        ("base64-2", STANDARD.encode(format!("u:{secret}"))),
        ("base64-after", STANDARD.encode(format!("user:{secret}: and more"))),
        ("base64url", URL_SAFE_NO_PAD.encode(format!("{secret}>>"))),
        ("bearer", format!("Bearer {secret}")),
    ]
}

#[test]
fn t01_t04_the_secret_is_taken_out_in_every_must_scrub_form() {
    let (setup, upstream, issued) = behind(|request| {
        let name = request.target.rsplit('/').next().unwrap_or_default();
        let disguise = disguises().into_iter().find(|(known, _)| *known == name).unwrap().1;
        Reply::ok("text/plain", format!("before {disguise} after {disguise}"))
            .with("x-echo", &disguise)
            .with("set-cookie", &format!("a={disguise}"))
            .with("etag", &format!("\"{disguise}\""))
            .with("location", &format!("https://elsewhere.example/?k={disguise}"))
    });
    for (name, _) in disguises() {
        let answer = get(&setup, &upstream, &issued, name);
        assert_eq!(answer.status, 200);
        assert!(answer.complete, "{name}: the framing broke");
        assert!(
            answer.text().starts_with("before ") && answer.text().contains(" after "),
            "{}",
            answer.text()
        );
    }
}

#[test]
fn t02_codings_are_decoded_scrubbed_and_sent_decoded() {
    let (setup, upstream, issued) = behind(|request| {
        let reply = Reply::ok("text/plain", format!("before {} after", shaped("sk_live_")).repeat(50));
        match request.target.rsplit('/').next().unwrap_or_default() {
            "gzip" => reply.coded(Coding::Gzip),
            "deflate" => reply.coded(Coding::Deflate),
            "br" => reply.coded(Coding::Brotli),
            "gzip-in-chunks" => reply.coded(Coding::Gzip).in_chunks_of(7),
            "gzip-twice" => reply.coded(Coding::Gzip).coded(Coding::Gzip),
            _ => reply.with("content-encoding", "exi"),
        }
    });
    for coding in ["gzip", "deflate", "br", "gzip-in-chunks"] {
        let answer = get(&setup, &upstream, &issued, coding);
        assert_eq!((answer.status, answer.header("content-encoding")), (200, None), "{coding}");
        assert_eq!(answer.text(), format!("before {} after", issued.text).repeat(50), "{coding}");
    }
    for coding in ["unknown", "gzip-twice"] {
        let answer = get(&setup, &upstream, &issued, coding);
        assert!(
            answer.code().as_deref() == Some("response-not-scrubbable") || coding == "gzip-twice",
            "{coding}"
        );
    }
}

#[test]
fn t03_a_secret_that_is_split_over_chunks_is_found_at_every_offset() {
    let (setup, upstream, issued) = behind(|request| {
        let cut: usize = request.target.rsplit('/').next().unwrap_or_default().parse().unwrap();
        let body = format!("x{}y", shaped("sk_live_"));
        let reply = Reply::ok("text/plain", body);
        if cut == 0 { reply.in_chunks_of(1) } else { reply.split_at([cut]) }
    });
    for cut in 0..secret().len() + 2 {
        let answer = get(&setup, &upstream, &issued, &cut.to_string());
        assert_eq!(answer.text(), format!("x{}y", issued.text), "cut at {cut}");
        assert!(answer.complete);
    }
}

#[test]
fn t07_trailers_the_reason_and_interim_responses_are_scrubbed() {
    let (setup, upstream, issued) = behind(|request| {
        let secret = shaped("sk_live_");
        match request.target.rsplit('/').next().unwrap_or_default() {
            "trailer" => Reply::ok("text/plain", "body").with_trailer("x-echo", &secret),
            "reason" => {
                Reply::raw(format!("HTTP/1.1 200 {secret}\r\ncontent-length: 2\r\n\r\nok"), After::Keep)
            }
            "interim" => Reply::raw(
                format!(
                    "HTTP/1.1 103 Early Hints\r\nlink: <{secret}>\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"
                ),
                After::Keep,
            ),
            "extension" => Reply::raw(
                format!(
                    "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2;k={secret}\r\nok\r\n0\r\n\r\n"
                ),
                After::Keep,
            ),
            _ => Reply::ok("text/plain", "body").with(&format!("x-{TAIL}"), "value"),
        }
    });
    for place in ["trailer", "reason", "interim", "extension", "name"] {
        let answer = get(&setup, &upstream, &issued, place);
        assert!(answer.complete, "{place}");
    }
}

#[test]
fn t08_redirects_are_handed_on_and_never_followed() {
    let (setup, upstream, issued) = behind(|request| {
        let status = request.target.rsplit('/').next().unwrap_or_default();
        let own = request.header("host").unwrap_or_default();
        Reply::status(&format!("{status} Moved"))
            .with("location", &format!("https://{own}/v1/items/again?k={}", shaped("sk_live_")))
    });
    for status in [301, 302, 303, 307, 308] {
        let answer = get(&setup, &upstream, &issued, &status.to_string());
        assert_eq!(answer.status, status);
        assert!(answer.header("location").is_some());
    }
    assert_eq!(upstream.requests().len(), 5);
}

#[test]
fn t06_t26_t44_what_would_weaken_the_scrub_or_the_route_is_not_forwarded() {
    let (setup, upstream, issued) = behind(|_| Reply::ok("text/plain", "ok").with("alt-svc", "h3=\":1\""));
    let request = item(&upstream, "1", &issued.text)
        .with("range", "bytes=0-9")
        .with("if-range", "\"x\"")
        .with("accept-encoding", "exi, zstd;q=0.1, *")
        .with("x-forwarded-host", "evil.example")
        .with("x-original-url", "/admin")
        .with("x-http-method-override", "DELETE")
        .with("forwarded", "host=evil.example")
        .with("connection", "x-hop")
        .with("x-hop", "1");
    let answer = setup.broker.call(Way::Connect, Some(&setup.robot), &request);
    if answer.status == 200 {
        let received = upstream.last();
        for name in [
            "range",
            "if-range",
            "x-forwarded-host",
            "x-original-url",
            "x-http-method-override",
            "forwarded",
            "x-hop",
        ] {
            assert_eq!(received.count(name), 0, "{name} was forwarded");
        }
        let codings = received.header("accept-encoding").unwrap_or("identity").to_owned();
        assert!(!codings.contains("exi") && !codings.contains('*'), "{codings}");
        assert_eq!(answer.header("alt-svc"), None, "T27");
    } else {
        assert!(answer.code().is_some(), "{}", answer.text());
        assert_eq!(upstream.connections(), 0);
    }
}

#[test]
fn t03_an_event_stream_is_not_delayed() {
    let setup = setup();
    let (go, wait) = std::sync::mpsc::channel::<()>();
    let wait = std::sync::Mutex::new(wait);
    let upstream = TlsUpstream::start_with(&setup.authority, move |_, out| {
        out.write_all(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\ndata: one\n\n")?;
        out.flush()?;
        // The second event is sent only when the workload has the first.
        wait.lock().unwrap().recv().map_err(std::io::Error::other)?;
        out.write_all(format!("data: {}\n\n", shaped("sk_live_")).as_bytes())?;
        out.flush()?;
        Ok(After::Close)
    });
    let issued = open(&setup.broker, &upstream);
    let mut wire =
        setup.broker.tunnel(&upstream.authority(), Some(&setup.robot)).map_err(|r| r.text()).unwrap();
    wire.send(&item(&upstream, "1", &issued.text).bytes(Way::Connect, None));
    let mut seen = Vec::new();
    while !seen.windows(11).any(|window| window == b"data: one\n\n") {
        let more = wire.read_some(4096).unwrap();
        assert!(
            !more.is_empty(),
            "the stream ended before the first event: {:?}",
            String::from_utf8_lossy(&seen)
        );
        seen.extend(more);
    }
    go.send(()).unwrap();
    while !seen.ends_with(b"\r\n0\r\n\r\n") {
        let more = wire.read_some(4096).unwrap();
        assert!(!more.is_empty(), "the stream broke: {:?}", String::from_utf8_lossy(&seen));
        seen.extend(more);
    }
    assert_eq!(hunt(&seen), []);
    assert!(String::from_utf8_lossy(&seen).contains(&format!("data: {}\n\n", issued.text)));
}

#[test]
fn a_long_reply_streams_through_whole() {
    let (setup, upstream, issued) = behind(|_| {
        let line = format!("{:>64}\n", "x");
        let mut body = line.repeat(40_000).into_bytes();
        body.extend_from_slice(shaped("sk_live_").as_bytes());
        Reply::ok("text/plain", body)
    });
    let answer = get(&setup, &upstream, &issued, "1");
    assert!(answer.complete);
    assert_eq!(answer.body.len(), 65 * 40_000 + issued.text.len());
}

#[test]
fn informational_replies_reach_the_workload_without_the_secret() {
    let setup = setup();
    let upstream = TlsUpstream::start_with(&setup.authority, |request, out| {
        let secret = request.header("authorization").unwrap_or_default();
        write!(out, "HTTP/1.1 103 Early Hints\r\nlink: </style.css>\r\nx-echo: {secret}\r\n\r\n")?;
        Reply::ok("text/plain", "done").write_to(out, false)
    });
    let issued = open(&setup.broker, &upstream);
    let mut wire =
        setup.broker.tunnel(&upstream.authority(), Some(&setup.robot)).map_err(|r| r.text()).unwrap();
    wire.send(&item(&upstream, "1", &issued.text).bytes(Way::Connect, None));
    let mut seen = Vec::new();
    while !seen.ends_with(b"done") {
        let more = wire.read_some(4096).unwrap();
        assert!(!more.is_empty(), "{}", String::from_utf8_lossy(&seen));
        seen.extend(more);
    }
    let text = String::from_utf8_lossy(&seen);
    let hints =
        format!("HTTP/1.1 103 Early Hints\r\nlink: </style.css>\r\nx-echo: Bearer {}\r\n\r\n", issued.text);
    assert!(text.starts_with(&hints) && text[hints.len()..].starts_with("HTTP/1.1 200 OK\r\n"), "{text}");
    let mut client = H2Client::tunnel(&setup.broker, &upstream.authority(), &setup.robot);
    let request = http::Request::get(format!("{}/v1/items/1", upstream.url()))
        .header("authorization", format!("Bearer {}", issued.text))
        .body(bytes::Bytes::new())
        .unwrap();
    let answer = client.call(request).unwrap();
    assert_eq!((answer.status, answer.informational), (200, vec![103]));
}

#[test]
fn t67_an_upload_and_a_call_without_an_answer_end_when_the_placeholder_is_revoked_or_the_broker_sealed() {
    for (upload, sealed) in [(false, false), (true, false), (false, true), (true, true)] {
        let setup = setup();
        // It never answers; of an upload it never sees the end.
        let upstream = TlsUpstream::start_with(&setup.authority, move |_, _| Ok(After::Hang));
        let issued = open(&setup.broker, &upstream);
        let mut wire =
            setup.broker.tunnel(&upstream.authority(), Some(&setup.robot)).map_err(|r| r.text()).unwrap();
        let mut request = item(&upstream, "1", &issued.text);
        if upload {
            request = request.with("content-length", "1000000");
        }
        wire.send(&request.bytes(Way::Connect, None));
        if upload {
            wire.send(&vec![b'x'; 200_000]);
        }
        eventually("the intent is on record", || {
            let journal = setup.broker.cli_json(&["journal", "show"]).to_string();
            journal.contains("\"intent\"").then_some(())
        });
        let act = if sealed { vec!["custody", "seal"] } else { vec!["placeholder", "revoke", &issued.id] };
        setup.broker.cli(&act);
        let answer = wire.receive("GET").unwrap();
        let expected = if sealed { (503, Some("broker-sealed")) } else { (403, Some("placeholder-revoked")) };
        assert_eq!((answer.status, answer.code().as_deref()), expected, "{upload}");
    }
}

#[test]
fn t67_a_silent_and_a_busy_stream_end_when_the_placeholder_is_revoked_or_frozen_or_the_broker_sealed() {
    for (busy, how) in
        [(false, "revoke"), (true, "revoke"), (false, "freeze"), (false, "seal"), (true, "seal")]
    {
        let setup = setup();
        let upstream = TlsUpstream::start_with(&setup.authority, move |_, out| {
            out.write_all(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\ndata: one\n\n")?;
            out.flush()?;
            // Until the broker hangs up: the upstream itself never ends the stream.
            if !busy {
                return Ok(After::Hang);
            }
            loop {
                out.write_all(b"data: more\n\n")?;
                out.flush()?;
            }
        });
        let issued = open(&setup.broker, &upstream);
        let mut wire =
            setup.broker.tunnel(&upstream.authority(), Some(&setup.robot)).map_err(|r| r.text()).unwrap();
        wire.send(&item(&upstream, "1", &issued.text).bytes(Way::Connect, None));
        let mut seen = Vec::new();
        while !seen.windows(11).any(|window| window == b"data: one\n\n") {
            seen.extend(wire.read_some(4096).unwrap());
        }
        let act = if how == "seal" { vec!["custody", how] } else { vec!["placeholder", how, &issued.id] };
        setup.broker.cli(&act);
        let (mut tail, mut length) = (seen, 0);
        loop {
            match wire.read_some(65536) {
                Ok(more) if more.is_empty() => break,
                Ok(more) => {
                    length += more.len();
                    tail.extend(more);
                    tail.drain(..tail.len().saturating_sub(64));
                }
                Err(error) => {
                    // The reader's own deadline would mean that nobody cut the stream.
                    assert!(!matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut), "{error}");
                    break;
                }
            }
            assert!(length < 1 << 30, "the busy stream went on");
        }
        assert!(!tail.ends_with(b"\r\n0\r\n\r\n"), "a cut stream does not look complete");
        let cut = || {
            let journal = setup.broker.cli_json(&["journal", "show"]).to_string();
            (journal.contains("\"complete\":false") && !journal.contains("\"complete\":true")).then_some(())
        };
        eventually("the record says that the reply was not complete", cut);
    }
}
