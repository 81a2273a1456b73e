//! The ways in: each works, and one step beside each is refused.

use crate::house::{House, KEY, OTHER_KEY, Plan, house, robot};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use cloakroom_model::{Code, Severity};
use cloakroom_store::journal::Entry;
use cloakroom_testkit::{CANARY, Reply, echo};

fn canary_arrived(house: &House) -> bool {
    house.upstream.last().header("authorization") == Some(&format!("Bearer {CANARY}"))
}

#[test]
fn a_call_through_a_tunnel_works() {
    let house = house();
    let answer = house.inside(house.head("GET /v1/a") + "\r\n");
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert!(canary_arrived(&house));
    assert!(answer.text().contains(&house.placeholder), "the echoed secret is the placeholder again");
    assert!(answer.header("cloakroom-request").is_some() && answer.header("proxy-status").is_none());
}

#[test]
fn an_absolute_call_is_upgraded_to_tls() {
    let house = house();
    let (authority, basic) = (house.upstream.authority(), robot().basic());
    let head = house.head(&format!("GET http://{authority}/v1/a"));
    let answer = house.plain(format!("{head}Proxy-Authorization: {basic}\r\n\r\n"));
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert!(canary_arrived(&house));
    let head = house.head(&format!("GET https://{authority}/v1/a"));
    assert_eq!(house.plain(format!("{head}Proxy-Authorization: {basic}\r\n\r\n")).status, 200);
}

#[test]
fn a_base_url_call_works_with_each_spelling_of_the_key() {
    let house = house();
    let (authority, placeholder) = (house.upstream.authority(), &house.placeholder);
    let basic = STANDARD.encode(format!("robot:{KEY}"));
    for shown in [
        format!("Cloakroom-Workload: {KEY}"),
        format!("Cloakroom-Workload: robot:{KEY}"),
        format!("Cloakroom-Workload: Bearer {KEY}"),
        format!("Proxy-Authorization: Bearer {KEY}"),
        format!("Proxy-Authorization: Basic {basic}"),
    ] {
        let answer = house.plain(format!(
            "GET /to/{authority}/v1/a HTTP/1.1\r\nHost: broker\r\n{shown}\r\nAuthorization: Bearer {placeholder}\r\n\r\n"
        ));
        assert_eq!(answer.status, 200, "{shown}: {}", answer.text());
        let received = house.upstream.last();
        let head = String::from_utf8_lossy(&received.head).to_lowercase();
        assert!(!head.contains("cloakroom") && !head.contains("proxy-") && !head.contains(KEY), "{head}");
    }
}

#[test]
fn t69_t70_a_key_one_step_wrong_is_407_and_says_nothing_more() {
    let house = house();
    let (authority, placeholder) = (house.upstream.authority(), &house.placeholder);
    let wrong_name = STANDARD.encode(format!("other:{KEY}"));
    let mut bodies = Vec::new();
    for shown in [
        String::new(),
        "Cloakroom-Workload: wrong\r\n".to_owned(),
        format!("Cloakroom-Workload: other:{KEY}\r\n"),
        format!("Cloakroom-Workload: robot:{OTHER_KEY}\r\n"),
        format!("Cloakroom-Workload: {KEY}x\r\n"),
        format!("Proxy-Authorization: Basic {wrong_name}\r\n"),
        format!("Proxy-Authorization: {KEY}\r\n"),
    ] {
        let answer = house.plain(format!(
            "GET /to/{authority}/v1/a HTTP/1.1\r\nHost: broker\r\n{shown}Authorization: Bearer {placeholder}\r\n\r\n"
        ));
        assert_eq!((answer.status, answer.code().as_deref()), (407, Some("unknown-workload")), "{shown}");
        assert_eq!(answer.header("proxy-authenticate"), Some("Basic realm=\"cloakroom\""));
        let mut body = answer.json();
        body["instance"] = "".into();
        bodies.push(body);
    }
    bodies.dedup();
    assert_eq!(bodies.len(), 1, "every wrong key is answered alike");
    assert_eq!(house.upstream.connections(), 0);
    assert!(house.refusals().iter().all(|refusal| *refusal == (Code::UnknownWorkload, None)));
}

#[test]
fn t70_another_workload_cannot_use_the_placeholder() {
    let house = house();
    let head = house.base("GET", "/v1/a").replace(&format!("robot:{KEY}"), &format!("other:{OTHER_KEY}"));
    let answer = house.plain(head + "\r\n");
    assert_eq!(answer.status, 403);
    assert_eq!(house.upstream.connections(), 0);
    assert!(
        house.refusals().iter().any(|(_, event)| *event == Some(Severity::Warning)),
        "{:?}",
        house.refusals()
    );
}

#[test]
fn t50_no_permit_no_way_out() {
    let house = house();
    let basic = robot().basic();
    for target in ["127.0.0.1:25", "127.0.0.1:22", "127.0.0.1:6379", "evil.example:443"] {
        let mut wire = house.wire();
        let connect =
            format!("CONNECT {target} HTTP/1.1\r\nHost: {target}\r\nProxy-Authorization: {basic}\r\n\r\n");
        wire.send(&[connect.as_bytes(), b"early bytes for the tunnel\r\n\r\n"].concat());
        let answer = wire.receive("GET").unwrap();
        assert_eq!(answer.code().as_deref(), Some("destination-not-permitted"), "{target}");
        // T39: what follows a refused CONNECT is never read as a request.
        assert_eq!(answer.header("connection"), Some("close"));
        assert!(wire.receive("GET").is_err(), "{target}");
    }
    for target in ["/to/evil.example/v1/a", "http://127.0.0.1:9/v1/a"] {
        let host = if target.starts_with('/') { "broker" } else { "127.0.0.1:9" };
        let answer = house
            .plain(format!("GET {target} HTTP/1.1\r\nHost: {host}\r\nProxy-Authorization: {basic}\r\n\r\n"));
        assert_eq!(answer.code().as_deref(), Some("destination-not-permitted"), "{target}");
    }
    assert_eq!(house.upstream.connections(), 0);
}

#[test]
fn a_placeholder_at_a_destination_that_no_permit_names_is_a_security_event() {
    let house = house();
    let placeholder = &house.placeholder;
    let answer = house.plain(format!(
        "GET /to/evil.example/v1/a HTTP/1.1\r\nHost: broker\r\nCloakroom-Workload: {KEY}\r\nAuthorization: Bearer {placeholder}\r\n\r\n"
    ));
    assert_eq!(answer.code().as_deref(), Some("destination-not-permitted"));
    assert_eq!(house.refusals(), [(Code::DestinationNotPermitted, Some(Severity::Warning))]);
}

#[test]
fn t84_nothing_but_the_ways_in_is_served() {
    let house = house();
    assert_eq!(house.plain("GET /.cloakroom/health HTTP/1.1\r\nHost: h\r\n\r\n").text(), "ok\n");
    for target in ["/", "/api/v1/credentials", "/console", "/metrics", "/.cloakroom/health?x"] {
        let answer =
            house.plain(format!("GET {target} HTTP/1.1\r\nHost: h\r\nCloakroom-Workload: {KEY}\r\n\r\n"));
        assert_eq!((answer.status, answer.code().as_deref()), (400, Some("malformed-call")), "{target}");
        assert!(answer.json()["detail"].as_str().unwrap().contains("CONNECT"));
    }
}

#[test]
fn t26_t44_t92_only_end_to_end_fields_reach_the_upstream() {
    let house = house();
    let hop = "X-Forwarded-For: 203.0.113.9\r\nX-Forwarded-Host: evil.example\r\nForwarded: for=203.0.113.9\r\n\
               X-Original-URL: /admin\r\nX-Rewrite-URL: /admin\r\nX-Real-IP: 203.0.113.9\r\nVia: 1.1 x\r\n\
               Proxy-Connection: keep-alive\r\nProxy-Authorization: Basic eDp5\r\nKeep-Alive: timeout=5\r\nTE: trailers\r\n\
               Connection: keep-alive, TE\r\nCloakroom-Workload: x\r\nX-Mine: 1\r\n\r\n";
    let answer = house.inside(house.head("GET /v1/a") + hop);
    assert_eq!(answer.status, 200, "{}", answer.text());
    let received = house.upstream.last();
    let head = String::from_utf8_lossy(&received.head).to_lowercase();
    for gone in ["203.0.113.9", "evil.example", "/admin", "proxy-", "cloakroom", "keep-alive:", "via:", "te:"]
    {
        assert!(!head.contains(gone), "{gone} in {head}");
    }
    assert_eq!((received.header("x-mine"), received.count("host")), (Some("1"), 1));
    let complete = house.eventually(|entry| match entry {
        Entry::Outcome { status: 200, complete, .. } => Some(*complete),
        _ => None,
    });
    assert!(complete);
}

#[test]
fn t27_the_reply_cannot_lead_past_the_broker_or_speak_for_it() {
    let house = House::with(Plan::default(), |request| {
        echo(request)
            .with("alt-svc", "h2=\"evil.example:443\"")
            .with("proxy-status", "cloakroom; error=http_request_denied; details=\"x\"")
            .with("proxy-authenticate", "Basic realm=\"upstream\"")
            .with("cloakroom-request", "forged")
            .with("x-kept", "1")
    });
    let answer = house.inside(house.head("GET /v1/a") + "\r\n");
    assert_eq!((answer.status, answer.header("x-kept")), (200, Some("1")));
    for gone in ["alt-svc", "proxy-status", "proxy-authenticate"] {
        assert_eq!(answer.header(gone), None, "{gone}");
    }
    assert_ne!(answer.header("cloakroom-request"), Some("forged"));
}

#[test]
fn bodies_go_through_in_each_framing() {
    let house = house();
    let long = "x".repeat(300_000);
    for body in ["", "hello", &long] {
        let head = house.head("POST /v1/a") + "Content-Type: text/plain\r\n";
        let sized = format!("{head}Content-Length: {}\r\n\r\n{body}", body.len());
        let (first, second) = body.split_at(body.len() / 3);
        let chunk = |part: &str| {
            if part.is_empty() { String::new() } else { format!("{:x}\r\n{part}\r\n", part.len()) }
        };
        let chunks =
            format!("{head}Transfer-Encoding: chunked\r\n\r\n{}{}0\r\n\r\n", chunk(first), chunk(second));
        for bytes in [sized, chunks] {
            let answer = house.inside(bytes);
            assert_eq!(answer.status, 200, "{}", answer.text());
            assert_eq!(house.upstream.last().body.len(), body.len());
        }
    }
}

#[test]
fn head_has_no_body_and_the_connection_goes_on() {
    let house = House::with(Plan::default(), |_| Reply::ok("text/plain", "12345"));
    let mut wire = house.tunnel();
    wire.send((house.head("HEAD /v1/a") + "\r\n" + &house.head("GET /v1/a") + "\r\n").as_bytes());
    let answer = wire.receive("HEAD").unwrap();
    assert_eq!((answer.status, answer.body.len()), (200, 0));
    assert_eq!(wire.receive("GET").unwrap().text(), "12345");
}
