//! The process dies at a place between two writes, starts again, and the same call is tried again: five times at each place. No use
//! counts twice, and none that was answered is lost.

use crate::support::{acknowledged, item, items, policy, setup};
use cloakroom_testkit::{Broker, Issued, Setup, TestAuthority, TlsUpstream, Way, Workload, echo, shaped};
use std::sync::Barrier;

const ROUNDS: usize = 5;

/// Between a request and its answer.
const CALL: [&str; 6] = ["before-append", "appended", "written", "durable", "before-send", "answered"];
/// While the books are kept.
const BOOKS: [&str; 3] = ["tally-appended", "tally-durable", "tally-noted"];

const SPENT: Option<&str> = Some("placeholder-spent");

struct Stage {
    broker: Broker,
    robot: Workload,
    upstream: TlsUpstream,
    _authority: TestAuthority,
}

impl Stage {
    fn new() -> Self {
        let Setup { broker, authority, robot } = setup();
        let upstream = TlsUpstream::start(&authority, echo);
        broker.deposit("c", "bearer", &[&upstream.url()], &shaped("sk_live_"));
        Self { broker, robot, upstream, _authority: authority }
    }

    fn permit(&self, uses: usize) -> Issued {
        self.broker.permit("c", "robot", &items(&self.upstream), &["--uses", &uses.to_string()])
    }

    fn bytes(&self, issued: &Issued) -> Vec<u8> {
        item(&self.upstream, "1", &issued.text).bytes(Way::Absolute, Some(&self.robot))
    }

    /// The status of a call, and the code of a refusal; `None` where there is no answer.
    fn call(&self, issued: &Issued) -> Option<(u16, Option<String>)> {
        let mut wire = self.broker.wire();
        wire.send(&self.bytes(issued));
        wire.receive("GET").ok().map(|answer| (answer.status, answer.code()))
    }

    /// The code of a call that is answered.
    fn code(&self, issued: &Issued) -> Option<String> {
        self.call(issued).expect("an answer").1
    }

    /// The same call so often at the same time: the statuses of those that were answered.
    fn race(&self, issued: &Issued, calls: usize) -> Vec<u16> {
        let (start, bytes) = (Barrier::new(calls), self.bytes(issued));
        let wires: Vec<_> = (0..calls).map(|_| self.broker.wire()).collect();
        std::thread::scope(|scope| {
            let race = wires.into_iter().map(|mut wire| {
                let (start, bytes) = (&start, &bytes);
                scope.spawn(move || {
                    start.wait();
                    wire.send(bytes);
                    wire.receive("GET").ok().map(|answer| answer.status)
                })
            });
            let race: Vec<_> = race.collect();
            race.into_iter().filter_map(|call| call.join().unwrap()).collect()
        })
    }

    fn used(&self, issued: &Issued) -> u64 {
        self.broker.cli_json(&["placeholder", "show", &issued.id])["used"].as_u64().unwrap()
    }

    /// Starts it so that it dies at this place.
    fn condemn(&mut self, place: &str, pass: usize) {
        self.broker.stop();
        self.broker.die_at(Some(&format!("{place}:{pass}")));
        self.broker.launch();
    }

    fn revive(&mut self) {
        self.broker.die_at(None);
        self.broker.launch();
    }

    fn agrees(&self, place: &str) {
        let said = self.broker.cli(&["journal", "show", "--json"]).stdout;
        assert!(!said.contains("records-disagree"), "{place}");
        self.broker.verify_journal();
    }
}

#[test]
fn t64_a_process_that_dies_during_a_call_spends_once_and_loses_no_answer() {
    let mut stage = Stage::new();
    for place in CALL {
        // One caller, then more that race for the same use.
        for callers in 1..=ROUNDS {
            let at = format!("{place}, {callers} callers");
            let issued = stage.permit(1);
            let before = stage.upstream.requests().len();
            stage.condemn(place, 1);
            let answered = stage.race(&issued, callers);
            assert!(!stage.broker.wait().success(), "{at}: it lives");
            assert!(!answered.contains(&200), "{at}: answered by the dead");
            let sent = stage.upstream.requests().len() - before;
            assert_eq!(sent, usize::from(place == "answered"), "{at}");
            stage.revive();
            let again = stage.code(&issued);
            // What was appended and not written when it died is lost, and its use with it; the writer may have been quicker, and so
            // may another caller.
            let may_be_lost = place == "appended" || (place == "before-append" && callers > 1);
            match again.as_deref() {
                None => assert!(may_be_lost || place == "before-append", "{at}: usable twice"),
                code => {
                    assert_eq!(code, SPENT, "{at}");
                    assert!(may_be_lost || place != "before-append", "{at}: lost");
                }
            }
            let reached = stage.upstream.requests().len() - before;
            assert_eq!(reached, sent + usize::from(again.is_none()), "{at}");
            assert_eq!(stage.code(&issued).as_deref(), SPENT, "{at}");
            assert_eq!(stage.used(&issued), 1, "{at}");
        }
        stage.agrees(place);
    }
}

#[test]
fn t64_a_process_that_dies_while_the_books_are_kept_loses_no_use() {
    let mut stage = Stage::new();
    for place in BOOKS {
        for uses in 1..=ROUNDS {
            let at = format!("{place}, {uses} uses");
            let issued = stage.permit(uses);
            // A start makes a tally of its own; it is the one of the stop that is not completed.
            stage.condemn(place, 2);
            for _ in 0..uses {
                assert_eq!(stage.code(&issued), None, "{at}");
            }
            assert!(!stage.broker.stop().success(), "{at}: it ended in order");
            stage.revive();
            assert_eq!(stage.code(&issued).as_deref(), SPENT, "{at}");
            assert_eq!(stage.used(&issued), uses as u64, "{at}");
        }
        stage.agrees(place);
    }
}

#[test]
fn t64_a_process_that_dies_while_it_gives_a_use_back_gives_it_back_once_or_not_at_all() {
    let mut stage = Stage::new();
    // Not trusted, so nothing is sent and the use comes back; trusted after the restart.
    let authority = TestAuthority::new();
    let stranger = TlsUpstream::start(&authority, echo);
    stage.broker.deposit("s", "bearer", &[&stranger.url()], &shaped("sk_live_"));
    let permit = policy(&stranger.url(), "GET /v1/items/{id}", "header authorization bearer", "");
    let recorded = |broker: &Broker| {
        broker.cli(&["journal", "show", "--json"]).stdout.matches("\"kind\":\"returned\"").count()
    };
    let upstream = std::mem::replace(&mut stage.upstream, stranger);
    for pass in 1..=ROUNDS {
        let issued = stage.broker.permit("s", "robot", &permit, &["--uses", "1"]);
        let (before, sent) = (recorded(&stage.broker), stage.upstream.requests().len());
        stage.condemn("returned", pass);
        for _ in 1..pass {
            assert_eq!(stage.code(&issued).as_deref(), Some("upstream-untrusted"), "pass {pass}");
        }
        assert_eq!(stage.call(&issued), None, "pass {pass}");
        assert!(!stage.broker.wait().success(), "pass {pass}: it lives");
        stage.broker.die_at(None);
        stage.broker.launch_with(&["--upstream-ca", authority.file().to_str().unwrap()]);
        // The last record was on its way when it died. It decides whether the use is there again.
        let returned = recorded(&stage.broker) - before;
        assert!(returned == pass || returned == pass - 1, "pass {pass}: {returned} records");
        let again = stage.code(&issued);
        assert_eq!(again.as_deref(), if returned == pass { None } else { SPENT }, "pass {pass}");
        assert_eq!(stage.code(&issued).as_deref(), SPENT, "pass {pass}");
        assert_eq!(stage.used(&issued), 1, "pass {pass}");
        assert_eq!(stage.upstream.requests().len() - sent, returned + 1 - pass, "pass {pass}");
    }
    assert!(upstream.requests().is_empty());
    stage.agrees("returned");
}

#[test]
fn t64_a_process_that_dies_at_a_later_call_keeps_the_uses_that_were_answered_before() {
    let mut stage = Stage::new();
    for place in CALL {
        let issued = stage.permit(ROUNDS + 1);
        let before = stage.upstream.requests().len();
        stage.condemn(place, ROUNDS);
        let (listen, log, bytes) = (stage.broker.listen(), stage.broker.log(), stage.bytes(&issued));
        let answered = std::iter::from_fn(|| acknowledged(listen, &log, &bytes)).count();
        assert!(!stage.broker.wait().success(), "{place}: it lives");
        assert_eq!(answered, ROUNDS - 1, "{place}");
        stage.revive();
        let used = stage.used(&issued);
        assert!(
            (ROUNDS as u64 - 1..=ROUNDS as u64).contains(&used),
            "{place}: {used} of {answered} answered"
        );
        let rest = std::iter::from_fn(|| stage.code(&issued).is_none().then_some(())).count();
        assert_eq!(rest as u64, ROUNDS as u64 + 1 - used, "{place}");
        assert!(stage.upstream.requests().len() - before <= ROUNDS + 1, "{place}");
        stage.agrees(place);
    }
}
