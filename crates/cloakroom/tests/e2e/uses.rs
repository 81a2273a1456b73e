//! Counted uses: when one is spent, when it comes back, and that no edit of the database gives it back.

use crate::support::{item, items, policy, setup};
use cloakroom_testkit::{
    After, Broker, H2Client, Issued, Reply, Setup, TestAuthority, TlsUpstream, Way, echo, shaped,
};
use std::collections::BTreeMap;
use std::sync::{Barrier, Mutex};

fn used(broker: &Broker, issued: &Issued) -> u64 {
    broker.cli_json(&["placeholder", "show", &issued.id])["used"].as_u64().unwrap()
}

fn shown(broker: &Broker) -> String {
    broker.cli(&["journal", "show", "--json"]).stdout
}

#[test]
fn a_use_comes_back_only_where_nothing_was_sent() {
    let Setup { mut broker, authority, robot } = setup();
    let closed = {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.local_addr().unwrap().to_string()
    };
    let stranger = TlsUpstream::start(&TestAuthority::new(), echo);
    let broken = TlsUpstream::start(&authority, |_| Reply::raw("", After::Close));
    let permit = |to: &str, name: &str| {
        broker.deposit(name, "bearer", &[to], &shaped("sk_live_"));
        let permit = policy(to, "GET /v1/items/{id}", "header authorization bearer", "");
        broker.permit(name, "robot", &permit, &["--uses", "1"])
    };
    let nobody = permit(&format!("https://{closed}"), "closed");
    let untrusted = permit(&stranger.url(), "stranger");
    let cut = permit(&broken.url(), "broken");
    let call = |authority: &str, issued: &Issued| {
        let request = cloakroom_testkit::Request::new("GET", authority, "/v1/items/1")
            .with("authorization", &format!("Bearer {}", issued.text));
        broker.call(Way::Absolute, Some(&robot), &request)
    };
    for _ in 0..3 {
        for (authority, issued, code) in [
            (&closed, &nobody, "upstream-unreachable"),
            (&stranger.authority(), &untrusted, "upstream-untrusted"),
        ] {
            let answer = call(authority, issued);
            assert_eq!(answer.code().as_deref(), Some(code), "{}", answer.text());
            assert_eq!(answer.json()["use_returned"], true, "{}", answer.text());
            assert_eq!(used(&broker, issued), 0);
        }
    }
    // The same one step further: the request was read, and then the connection broke.
    let answer = call(&broken.authority(), &cut);
    assert_eq!(answer.code().as_deref(), Some("upstream-unreachable"), "{}", answer.text());
    assert!(answer.json()["use_returned"].is_null(), "{}", answer.text());
    let answer = call(&broken.authority(), &cut);
    assert_eq!(answer.code().as_deref(), Some("placeholder-spent"), "{}", answer.text());
    assert_eq!((broken.requests().len(), stranger.requests().len()), (1, 0));
    assert_eq!(shown(&broker).matches("\"kind\":\"returned\"").count(), 6);
    // Killed and started again, the journal tells the same.
    broker.kill();
    broker.launch();
    assert_eq!([&nobody, &untrusted, &cut].map(|issued| used(&broker, issued)), [0, 0, 1]);
    assert!(!shown(&broker).contains("records-disagree"));
    broker.verify_journal();
}

#[test]
fn uses_that_an_edited_database_gives_back_are_gone_all_the_same() {
    let Setup { mut broker, authority, robot } = setup();
    let upstream = TlsUpstream::start(&authority, echo);
    broker.deposit("c", "bearer", &[&upstream.url()], &shaped("sk_live_"));
    let issued = broker.permit("c", "robot", &items(&upstream), &["--uses", "1"]);
    let call = |broker: &Broker| broker.call(Way::Connect, Some(&robot), &item(&upstream, "1", &issued.text));
    assert_eq!(call(&broker).status, 200);
    broker.stop();
    assert_eq!(broker.tamper("UPDATE placeholder SET used = 0 WHERE id = ?1", [&issued.id]), 1);
    broker.launch();
    let answer = call(&broker);
    assert_eq!(answer.code().as_deref(), Some("placeholder-spent"), "{}", answer.text());
    assert_eq!((used(&broker, &issued), upstream.requests().len()), (1, 1));
    let journal = shown(&broker);
    assert!(journal.contains("\"event\":\"records-disagree\"") && journal.contains(&issued.id), "{journal}");
    assert!(broker.output().contains("the store and the journal disagree"), "{}", broker.output());
    // Repaired: after an ordinary restart there is nothing to say.
    let said = |broker: &Broker| shown(broker).matches("records-disagree").count();
    let before = said(&broker);
    broker.restart();
    assert_eq!(said(&broker), before);
}

/// How often, and how many calls at the same time: half of them each on a connection of HTTP/1.1, half as streams of one of HTTP/2.
const ROUNDS: usize = 100;
const HALF: usize = 100;

#[test]
fn t63_two_hundred_calls_at_once_reach_the_upstream_once_in_each_of_a_hundred_rounds() {
    let Setup { broker, authority, robot } = setup();
    let upstream = TlsUpstream::start(&authority, echo);
    broker.deposit("c", "bearer", &[&upstream.url()], &shaped("sk_live_"));
    let permit = items(&upstream);
    let issued: Vec<_> =
        (0..ROUNDS).map(|_| broker.permit("c", "robot", &permit, &["--uses", "1"])).collect();
    let outcomes = Mutex::new(vec![BTreeMap::new(); ROUNDS]);
    let count = |round: usize, status: u16, code: Option<String>| {
        let outcome = code.unwrap_or_else(|| status.to_string());
        *outcomes.lock().unwrap()[round].entry(outcome).or_insert(0) += 1;
    };
    let start = Barrier::new(HALF + 1);
    std::thread::scope(|scope| {
        for _ in 0..HALF {
            scope.spawn(|| {
                let mut wire = broker.wire();
                for (round, issued) in issued.iter().enumerate() {
                    let call = item(&upstream, &round.to_string(), &issued.text);
                    let call = call.bytes(Way::Absolute, Some(&robot));
                    start.wait();
                    wire.send(&call);
                    match wire.receive("GET") {
                        Ok(answer) => count(round, answer.status, answer.code()),
                        Err(_) => {
                            count(round, 0, None);
                            wire = broker.wire();
                        }
                    }
                }
            });
        }
        let mut streams = H2Client::tunnel(&broker, &upstream.authority(), &robot);
        for (round, issued) in issued.iter().enumerate() {
            let call = || {
                let call = http::Request::get(format!("{}/v1/items/{round}", upstream.url()));
                let bearer = format!("Bearer {}", issued.text);
                call.header("authorization", bearer).body(bytes::Bytes::new()).unwrap()
            };
            let calls = (0..HALF).map(|_| call()).collect();
            start.wait();
            for answer in streams.call_all(calls) {
                let answer = answer.as_ref();
                count(
                    round,
                    answer.map_or(0, |answer| answer.status),
                    answer.ok().and_then(|answer| answer.code()),
                );
            }
        }
    });
    let expected = BTreeMap::from([("200".to_owned(), 1), ("placeholder-spent".to_owned(), 2 * HALF - 1)]);
    for (round, outcomes) in outcomes.into_inner().unwrap().iter().enumerate() {
        assert_eq!(*outcomes, expected, "in round {round}");
    }
    let mut reached: Vec<_> = upstream.requests().iter().map(|request| request.target.clone()).collect();
    let mut expected: Vec<_> = (0..ROUNDS).map(|round| format!("/v1/items/{round}")).collect();
    reached.sort_unstable();
    expected.sort_unstable();
    assert_eq!(reached, expected);
    broker.verify_journal();
}
