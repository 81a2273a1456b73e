//! Upstreams that cannot be reached, trusted, read or waited for: each by its own refusal.

use crate::support::{BINARY, eventually, item, items, policy, setup};
use cloakroom_testkit::{
    After, Broker, BrokerBuilder, Received, Reply, Response, Setup, TestAuthority, TlsUpstream, Way, echo,
    shaped,
};

fn call(broker: &Broker, upstream: &TlsUpstream, way: Way) -> Response {
    let robot = broker.workload(&format!("robot{way:?}"));
    let name = format!("c{way:?}");
    broker.deposit(&name, "bearer", &[&upstream.url()], &shaped("sk_live_"));
    let issued = broker.permit(&name, &robot.name, &items(upstream), &[]);
    broker.call(way, Some(&robot), &item(upstream, "1", &issued.text))
}

#[test]
fn t46_a_destination_at_a_private_address_is_refused_unless_its_range_is_allowed() {
    let authority = TestAuthority::new();
    let upstream = TlsUpstream::start(&authority, echo);
    let broker = BrokerBuilder::bare(BINARY).argument("--upstream-ca").argument(authority.file()).start();
    for way in Way::ALL {
        let answer = call(&broker, &upstream, way);
        assert_eq!(
            (answer.status, answer.code().as_deref()),
            (403, Some("address-not-permitted")),
            "{}",
            answer.text()
        );
    }
    assert_eq!(upstream.connections(), 0);
}

#[test]
fn t54_an_upstream_of_an_unknown_authority_gets_no_request() {
    let authority = TestAuthority::new();
    let upstream = TlsUpstream::start(&TestAuthority::new(), echo);
    let broker = BrokerBuilder::new(BINARY, &authority).start();
    for way in Way::ALL {
        let answer = call(&broker, &upstream, way);
        assert_eq!(
            (answer.status, answer.code().as_deref()),
            (502, Some("upstream-untrusted")),
            "{}",
            answer.text()
        );
    }
    assert_eq!(upstream.requests().len(), 0);
}

#[test]
fn t54_an_upstream_with_a_certificate_for_another_name_gets_no_request() {
    let authority = TestAuthority::new();
    let config = authority.server_config(&["other.example"], &[b"http/1.1"]);
    let upstream = TlsUpstream::start_configured(config, |_, _| Ok(After::Close));
    let broker = BrokerBuilder::new(BINARY, &authority).start();
    let answer = call(&broker, &upstream, Way::Absolute);
    assert_eq!(
        (answer.status, answer.code().as_deref()),
        (502, Some("upstream-untrusted")),
        "{}",
        answer.text()
    );
    assert_eq!(upstream.requests().len(), 0);
}

#[test]
fn t12_an_upstream_that_is_not_there_is_unreachable_and_the_answer_says_no_more() {
    let Setup { broker, authority, robot } = setup();
    let upstream = TlsUpstream::start(&authority, echo);
    let (to, url, permit) = (upstream.authority(), upstream.url(), items(&upstream));
    drop(upstream);
    broker.deposit("c", "bearer", &[&url], &shaped("sk_live_"));
    let issued = broker.permit("c", "robot", &permit, &[]);
    let request = cloakroom_testkit::Request::new("GET", &to, "/v1/items/1")
        .with("authorization", &format!("Bearer {}", issued.text));
    // The listener of the dropped upstream is closed by its own thread.
    let answer = eventually("the port is closed", || {
        let answer = broker.call(Way::Connect, Some(&robot), &request);
        (answer.code().as_deref() == Some("upstream-unreachable")).then_some(answer)
    });
    assert_eq!(answer.status, 502);
}

fn behind(answer: impl Fn(&Received) -> Reply + Send + Sync + 'static) -> (Setup, TlsUpstream, String) {
    let setup = setup();
    let upstream = TlsUpstream::start(&setup.authority, answer);
    setup.broker.deposit("c", "bearer", &[&upstream.url()], &shaped("sk_live_"));
    let permit = policy(&upstream.url(), "GET /v1/items/{id}", "header authorization bearer", "");
    let issued = setup.broker.permit("c", "robot", &permit, &[]);
    (setup, upstream, issued.text)
}

#[test]
fn t43_a_lying_or_splitting_upstream_gives_the_workload_one_message_at_most() {
    let (setup, upstream, placeholder) = behind(|request| {
        let (bytes, after): (&[u8], After) = match request.target.rsplit('/').next().unwrap_or_default() {
            "extra" => (b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nokHTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nextra", After::Keep),
            "short" => (b"HTTP/1.1 200 OK\r\ncontent-length: 20\r\n\r\nok", After::Close),
            "both" => (b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n", After::Close),
            "two" => (b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-length: 3\r\n\r\nokk", After::Close),
            "early" => (b"", After::Close),
            "garbage" => (b"SSH-2.0-OpenSSH_9.2\r\n\r\n", After::Close),
            "chunk" => (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\nok\r\n", After::Close),
            _ => (b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nfine", After::Keep),
        };
        Reply::raw(bytes, after)
    });
    for kind in ["extra", "short", "both", "two", "early", "garbage", "chunk", "good", "extra", "good"] {
        let mut wire =
            setup.broker.tunnel(&upstream.authority(), Some(&setup.robot)).map_err(|r| r.text()).unwrap();
        wire.send(&item(&upstream, kind, &placeholder).bytes(Way::Connect, None));
        let Ok(answer) = wire.receive("GET") else {
            assert_ne!(kind, "good");
            continue;
        };
        assert!(!answer.text().contains("extra"), "{kind}: {}", answer.text());
        if kind == "good" {
            assert_eq!((answer.status, answer.text().as_str()), (200, "fine"));
        }
        if matches!(kind, "early" | "garbage") {
            assert_eq!(answer.code().as_deref(), Some("upstream-unreachable"), "{kind}: {}", answer.text());
        }
        if kind == "short" {
            assert!(answer.status == 502 || !answer.complete, "{:?}", String::from_utf8_lossy(&answer.raw));
        }
    }
}

#[test]
fn t100_endless_heads_are_cut() {
    let setup = setup();
    let upstream = TlsUpstream::start_with(&setup.authority, |_, out| {
        out.write_all(b"HTTP/1.1 200 OK\r\n")?;
        for n in 0..200_000 {
            out.write_all(format!("x-{n}: {}\r\n", "y".repeat(64)).as_bytes())?;
        }
        Ok(After::Close)
    });
    let answer = call(&setup.broker, &upstream, Way::Absolute);
    assert_eq!(answer.status, 502, "{}", answer.text());
    assert!(answer.code().is_some());
}

#[test]
fn t65_a_call_on_a_kept_connection_that_died_is_not_repeated() {
    let (setup, upstream, placeholder) = behind(|request| match request.target.rsplit('/').next() {
        Some("first") => Reply::ok("text/plain", "fine"),
        _ => Reply::raw("", After::Close),
    });
    let call =
        |id: &str| setup.broker.call(Way::Absolute, Some(&setup.robot), &item(&upstream, id, &placeholder));
    assert_eq!(call("first").status, 200);
    assert_eq!(call("second").code().as_deref(), Some("upstream-unreachable"));
    let seconds = upstream.requests().iter().filter(|r| r.target.ends_with("second")).count();
    assert_eq!(seconds, 1, "the call was sent again");
}

#[test]
fn t65_a_kept_connection_that_the_upstream_closed_does_not_fail_the_next_call() {
    let (setup, upstream, placeholder) = behind(|_| Reply::ok("text/plain", "fine").then(After::Close));
    for n in 0..5 {
        let answer = setup.broker.call(
            Way::Absolute,
            Some(&setup.robot),
            &item(&upstream, &n.to_string(), &placeholder),
        );
        assert_eq!(answer.status, 200, "{}", answer.text());
        // A call that is on its way when the connection closes fails, and rightly: it may have arrived.
        eventually("the upstream closed", || (upstream.closed() > n).then_some(()));
    }
    assert_eq!(upstream.requests().len(), 5);
}

#[test]
fn t100_an_upstream_that_says_nothing_is_not_waited_for() {
    let authority = TestAuthority::new();
    let upstream = TlsUpstream::start(&authority, |_| Reply::raw("", After::Hang));
    let directory = tempfile::tempdir().unwrap();
    let config = directory.path().join("settings.toml");
    std::fs::write(&config, "[upstream]\nheader-timeout = \"200ms\"\n").unwrap();
    let broker = BrokerBuilder::new(BINARY, &authority).argument("--config").argument(&config).start();
    for way in Way::ALL {
        let answer = call(&broker, &upstream, way);
        assert_eq!(
            (answer.status, answer.code().as_deref()),
            (504, Some("upstream-timeout")),
            "{}",
            answer.text()
        );
    }
}
