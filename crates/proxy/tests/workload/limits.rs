//! Bounds: slow, large and many.

use crate::house::{House, KEY, Plan, house};
use cloakroom_proxy::Limits;
use cloakroom_testkit::echo;
use std::time::Duration;

fn short() -> Plan {
    let moment = Duration::from_millis(150);
    let limits = Limits {
        header_time: moment,
        keep_alive_idle: moment,
        body_idle: moment,
        handshake_time: moment,
        ..Limits::default()
    };
    Plan { limits, ..Plan::default() }
}

#[test]
fn t94_a_slow_head_a_slow_body_and_a_slow_handshake_are_cut() {
    let house = House::with(short(), echo);
    let answer = house.plain("GET /to/h.example/ HTTP/1.1\r\nHost: h\r\nX-Slow:");
    assert_eq!(answer.code().as_deref(), Some("malformed-call"));
    let answer = house.plain(house.base("POST", "/v1/a") + "Content-Length: 5\r\n\r\nhel");
    assert_eq!(answer.code().as_deref(), Some("malformed-call"));
    assert!(answer.json()["detail"].as_str().unwrap().contains("slow"), "{}", answer.text());
    let mut silent = house.wire();
    assert_eq!(silent.read_some(1).unwrap_or_default(), b"", "a silent connection is closed");
    let mut tunnel = house.wire();
    let authority = house.upstream.authority();
    tunnel.send(
        format!(
            "CONNECT {authority} HTTP/1.1\r\nHost: {authority}\r\nProxy-Authorization: Bearer {KEY}\r\n\r\n"
        )
        .as_bytes(),
    );
    assert_eq!(tunnel.receive("CONNECT").unwrap().status, 200);
    assert_eq!(tunnel.read_some(1).unwrap_or_default(), b"", "a tunnel without a handshake is closed");
    assert_eq!(house.upstream.connections(), 0);
}

#[test]
fn t96_heads_beyond_the_bounds_are_refused() {
    let house = house();
    let many: String = (0..200).map(|n| format!("X-{n}: y\r\n")).collect();
    let long = format!("X-Long: {}\r\n", "y".repeat(1 << 20));
    for head in [
        house.head("GET /v1/a") + &many,
        house.head("GET /v1/a") + &long,
        house.head(&format!("GET /v1/{}", "y".repeat(9 * 1024))),
        house.head(&format!("GET /v1/{}", "y".repeat(1 << 20))),
    ] {
        let answer = house.inside(head + "\r\n");
        assert_eq!((answer.status, answer.code().as_deref()), (400, Some("malformed-call")));
    }
    assert_eq!(house.upstream.connections(), 0);
}

#[test]
fn t97_a_workload_has_so_many_connections_and_no_more() {
    let plan =
        Plan { limits: Limits { connections_per_workload: 2, ..Limits::default() }, ..Plan::default() };
    let house = House::with(plan, echo);
    let good = house.base("GET", "/v1/a") + "\r\n";
    let mut wires: Vec<_> = (0..2).map(|_| house.wire()).collect();
    for wire in &mut wires {
        wire.send(good.as_bytes());
        assert_eq!(wire.receive("GET").unwrap().status, 200);
    }
    let answer = house.plain(&good);
    assert_eq!((answer.status, answer.code().as_deref()), (429, Some("rate-limited")));
    assert_eq!(answer.header("retry-after"), Some("1"));
    wires[0].send(good.as_bytes());
    assert_eq!(wires[0].receive("GET").unwrap().status, 200, "those that sit keep their seats");
}

#[test]
fn t97_connections_beyond_the_total_are_told_so_at_once_and_closed() {
    let plan = Plan { limits: Limits { connections: 1, ..Limits::default() }, ..Plan::default() };
    let house = House::with(plan, echo);
    let mut first = house.wire();
    first.send((house.base("GET", "/v1/a") + "\r\n").as_bytes());
    assert_eq!(first.receive("GET").unwrap().status, 200);
    for _ in 0..3 {
        // Before anything of it is read but its first byte, and with when to come again.
        let mut beyond = house.wire();
        beyond.send(b"G");
        let answer = beyond.receive("GET").unwrap();
        assert_eq!((answer.status, answer.code().as_deref()), (429, Some("rate-limited")));
        assert_eq!((answer.header("retry-after"), answer.header("connection")), (Some("1"), Some("close")));
        assert!(beyond.receive("GET").is_err());
    }
    let mut socks = house.wire();
    socks.send(&[5, 1, 2]);
    assert_eq!(socks.read_some(8).unwrap(), [5, 0xff]);
    let mut tls = house.wire();
    tls.send(&[0x16, 3, 1]);
    assert_eq!(tls.read_some(1).unwrap_or_default(), b"");
    first.send((house.base("GET", "/v1/a") + "\r\n").as_bytes());
    assert_eq!(first.receive("GET").unwrap().status, 200, "who was served goes on");
}

#[test]
fn a_stopped_broker_finishes_what_it_began_and_closes_what_is_idle() {
    let mut house = house();
    let mut idle = house.tunnel();
    idle.send((house.head("GET /v1/a") + "\r\n").as_bytes());
    assert_eq!(idle.receive("GET").unwrap().status, 200);
    assert!(house.stop(Duration::from_secs(10)), "an idle connection does not hold the broker up");
    assert!(idle.receive("GET").is_err());
}

#[test]
fn a_connection_that_does_not_finish_is_ended_after_the_drain() {
    let limits = Limits { drain: Duration::from_millis(100), ..Limits::default() };
    let mut house = House::with(Plan { limits, ..Plan::default() }, echo);
    let mut half = house.wire();
    half.send((house.base("POST", "/v1/a") + "Content-Length: 5\r\nExpect: 100-continue\r\n\r\n").as_bytes());
    assert!(!half.read_some(64).unwrap().is_empty());
    assert!(house.stop(Duration::from_secs(10)));
}
