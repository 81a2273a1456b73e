//! What breaks inside one call stays inside it (T64, T91, T99).

use crate::house::{House, Plan, house};
use cloakroom_model::Code;
use cloakroom_store::fault;
use cloakroom_store::journal::Entry;
use cloakroom_testkit::{After, Reply, echo};

#[test]
fn t99_a_fault_in_one_call_is_one_answer_and_the_broker_goes_on() {
    let house = house();
    fault::panic_at(Some("before-send"));
    for _ in 0..3 {
        let answer = house.inside(house.head("GET /v1/a") + "\r\n");
        assert_eq!((answer.status, answer.code().as_deref()), (500, Some("internal-fault")));
        assert!(!answer.text().contains("panic"), "the fault's own words stay inside");
    }
    assert_eq!(house.upstream.connections(), 0);
    fault::panic_at(None);
    assert_eq!(house.inside(house.head("GET /v1/a") + "\r\n").status, 200);
}

#[test]
fn t63_counted_uses_are_spent_and_the_next_call_is_refused() {
    let house = House::with(Plan { uses: Some(2), ..Plan::default() }, echo);
    let mut wire = house.tunnel();
    for expected in [200, 200, 403] {
        wire.send((house.head("GET /v1/a") + "\r\n").as_bytes());
        assert_eq!(wire.receive("GET").unwrap().status, expected);
    }
    assert_eq!(house.upstream.requests().len(), 2);
    assert_eq!(house.refusals().first().map(|refusal| refusal.0), Some(Code::PlaceholderSpent));
}

#[test]
fn t91_without_a_journal_no_call_is_made_and_every_no_is_still_said() {
    let house = house();
    house.journal_handle.close().unwrap();
    let answer = house.inside(house.head("GET /v1/a") + "\r\n");
    assert_eq!(
        (answer.status, answer.code().as_deref()),
        (503, Some("journal-unavailable")),
        "{}",
        answer.text()
    );
    let answer = house.inside(house.head("DELETE /v1/a") + "\r\n");
    assert_eq!(answer.code().as_deref(), Some("call-not-permitted"));
    assert_eq!(house.upstream.connections(), 0);
}

#[test]
fn t12_no_answer_of_ours_repeats_what_was_sent() {
    let house = house();
    let marker = "Zq8Marker";
    for bytes in [
        format!("{marker} / HTTP/1.1\r\n\r\n"),
        house.head(&format!("GET /v1/{marker}/../x")) + "\r\n",
        house.head(&format!("DELETE /v1/{marker}")) + "\r\n",
        house.head(&format!("GET /v1/a?{marker}=1")) + "\r\n",
        house.head("GET /v1/a") + &format!("Connection: {marker}\r\n\r\n"),
        house.head("GET /v1/a").replace("Bearer ", &format!("Bearer {marker}")) + "\r\n",
    ] {
        let answer = house.inside(&bytes);
        assert!(answer.status >= 400, "{bytes}");
        assert!(!String::from_utf8_lossy(&answer.raw).contains(marker), "{}", answer.text());
    }
    assert_eq!(house.upstream.connections(), 0);
}

#[test]
fn an_upstream_that_breaks_off_never_looks_complete() {
    let house = House::with(Plan::default(), |_| {
        // Longer than what egress holds back, so that the reply has begun when it breaks.
        let begun = "x".repeat(500_000);
        Reply::raw(format!("HTTP/1.1 200 OK\r\ncontent-length: 1000000\r\n\r\n{begun}"), After::Close)
    });
    let answer = house.inside(house.head("GET /v1/a") + "\r\n");
    assert_eq!((answer.status, answer.complete), (200, false));
    let outcome = house.eventually(|entry| match entry {
        Entry::Outcome { complete, .. } => Some(*complete),
        _ => None,
    });
    assert!(!outcome);
}

#[test]
fn what_goes_wrong_after_the_intent_is_a_failure_on_record() {
    let house = House::with(Plan::default(), |_| Reply::raw(b"no http at all\r\n\r\n", After::Close));
    let answer = house.inside(house.head("GET /v1/a") + "\r\n");
    assert_eq!(answer.status, 502, "{}", answer.text());
    let journal = house.journal();
    assert!(matches!(journal.as_slice(), [.., Entry::Intent(_), Entry::Failure { .. }]), "{journal:?}");
}
