//! A database that someone edited, keys that someone swapped: what no approver signed and no key sealed does not count.

use crate::support::{item, items, setup};
use cloakroom_testkit::{Setup, TlsUpstream, Way, echo, shaped};

#[test]
fn t74_a_policy_row_that_was_edited_after_approval_is_no_permit() {
    let Setup { mut broker, authority, robot } = setup();
    let upstream = TlsUpstream::start(&authority, echo);
    broker.deposit("c", "bearer", &[&upstream.url()], &shaped("sk_live_"));
    let edited = broker.permit("c", "robot", &items(&upstream), &[]);
    let kept = broker.permit("c", "robot", &items(&upstream), &[]);
    broker.stop();
    let statement = "UPDATE placeholder SET policy = replace(policy, 'items', 'users') WHERE id = ?1";
    assert_eq!(broker.tamper(statement, [&edited.id]), 1);
    broker.launch();
    for id in ["/v1/users/1", "/v1/items/1"] {
        let mut request = item(&upstream, "1", &edited.text);
        request.target = id.into();
        let answer = broker.call(Way::Absolute, Some(&robot), &request);
        assert_eq!(answer.code().as_deref(), Some("placeholder-revoked"), "{}", answer.text());
    }
    assert_eq!(upstream.connections(), 0);
    assert_eq!(broker.call(Way::Absolute, Some(&robot), &item(&upstream, "1", &kept.text)).status, 200);
    assert!(broker.output().contains(&edited.id), "an ignored permit is named loudly:\n{}", broker.output());
}

#[test]
fn t74_what_bounds_a_placeholder_cannot_be_edited_either() {
    let edits = [
        "UPDATE placeholder SET expires = expires + 1000 WHERE id = ?1",
        "UPDATE placeholder SET expires = NULL WHERE id = ?1",
        "UPDATE placeholder SET uses = 1000 WHERE id = ?1",
        "UPDATE placeholder SET workload = (SELECT id FROM workload WHERE name = 'other') WHERE id = ?1",
        "UPDATE placeholder SET credential = (SELECT id FROM credential WHERE name = 'd') WHERE id = ?1",
        "UPDATE approval SET signature = (SELECT signature FROM approval WHERE placeholder <> ?1 AND signature IS NOT NULL \
         LIMIT 1) WHERE placeholder = ?1",
        "UPDATE approval SET signature = NULL WHERE placeholder = ?1",
        "UPDATE workload SET name = 'robot2' WHERE id = (SELECT workload FROM placeholder WHERE id = ?1)",
    ];
    let Setup { mut broker, authority, robot } = setup();
    let upstream = TlsUpstream::start(&authority, echo);
    broker.workload("other");
    for name in ["c", "d"] {
        broker.deposit(name, "bearer", &[&upstream.url()], &shaped("sk_live_"));
    }
    let issued: Vec<_> = edits
        .iter()
        .map(|_| broker.permit("c", "robot", &items(&upstream), &["--uses", "9", "--expires", "1h"]))
        .collect();
    broker.stop();
    for (statement, issued) in edits.iter().zip(&issued) {
        assert_eq!(broker.tamper(statement, [&issued.id]), 1, "{statement}");
    }
    broker.launch();
    for (statement, issued) in edits.iter().zip(&issued) {
        let answer = broker.call(Way::Absolute, Some(&robot), &item(&upstream, "1", &issued.text));
        assert_ne!(answer.status, 200, "{statement}");
        assert!(answer.code().is_some(), "{statement}: {}", answer.text());
    }
    assert_eq!(upstream.connections(), 0);
}

#[test]
fn an_activated_row_without_approval_is_no_permit() {
    let Setup { mut broker, authority, robot } = setup();
    let upstream = TlsUpstream::start(&authority, echo);
    broker.deposit("c", "bearer", &[&upstream.url()], &shaped("sk_live_"));
    let active = broker.permit("c", "robot", &items(&upstream), &[]);
    let pending = broker.issue("c", "robot", &items(&upstream), &[]);
    broker.stop();
    broker.tamper("UPDATE placeholder SET state = 'active' WHERE id = ?1", [&pending.id]);
    broker.launch();
    let answer = broker.call(Way::Absolute, Some(&robot), &item(&upstream, "1", &pending.text));
    assert_ne!(answer.status, 200);
    assert_eq!(upstream.connections(), 0);
    assert_eq!(broker.call(Way::Absolute, Some(&robot), &item(&upstream, "1", &active.text)).status, 200);
}

#[test]
fn t87_sealed_secrets_that_were_swapped_between_rows_do_not_open() {
    let Setup { mut broker, authority, robot } = setup();
    let (one, two) = (TlsUpstream::start(&authority, echo), TlsUpstream::start(&authority, echo));
    broker.deposit("one", "bearer", &[&one.url()], &shaped("sk_live_one_"));
    broker.deposit("two", "bearer", &[&two.url()], &shaped("sk_live_two_"));
    let issued = broker.permit("one", "robot", &items(&one), &[]);
    let other = broker.permit("two", "robot", &items(&two), &[]);
    broker.stop();
    let swap =
        "UPDATE credential SET sealed = (SELECT sealed FROM credential WHERE name = ?1) WHERE name = ?2";
    broker.tamper(swap, ["two", "one"]);
    broker.launch();
    let answer = broker.call(Way::Absolute, Some(&robot), &item(&one, "1", &issued.text));
    assert_eq!(answer.code().as_deref(), Some("broker-sealed"), "{}", answer.text());
    assert_eq!(one.connections(), 0);
    assert_eq!(broker.call(Way::Absolute, Some(&robot), &item(&two, "1", &other.text)).status, 200);
}

#[test]
fn t87_a_destination_that_was_added_to_a_row_does_not_open() {
    let Setup { mut broker, authority, robot } = setup();
    let upstream = TlsUpstream::start(&authority, echo);
    broker.deposit("c", "bearer", &[&upstream.url()], &shaped("sk_live_"));
    let issued = broker.permit("c", "robot", &items(&upstream), &[]);
    broker.stop();
    let widen = "UPDATE credential SET destinations = json_insert(destinations, '$[#]', 'https://evil.example') WHERE name = ?1";
    assert_eq!(broker.tamper(widen, ["c"]), 1);
    broker.launch();
    let answer = broker.call(Way::Absolute, Some(&robot), &item(&upstream, "1", &issued.text));
    assert_eq!(answer.code().as_deref(), Some("broker-sealed"), "{}", answer.text());
    assert_eq!(upstream.connections(), 0);
}

#[test]
fn t87_under_another_key_nothing_opens() {
    let Setup { mut broker, authority, robot } = setup();
    let upstream = TlsUpstream::start(&authority, echo);
    broker.deposit("c", "bearer", &[&upstream.url()], &shaped("sk_live_"));
    let issued = broker.permit("c", "robot", &items(&upstream), &[]);
    broker.stop();
    let stranger = setup();
    std::fs::copy(stranger.broker.data().join("keys/kek"), broker.data().join("keys/kek")).unwrap();
    broker.launch();
    let answer = broker.call(Way::Absolute, Some(&robot), &item(&upstream, "1", &issued.text));
    assert_eq!((answer.status, answer.code().as_deref()), (503, Some("broker-sealed")), "{}", answer.text());
    assert_eq!(upstream.connections(), 0);
}

#[cfg(unix)]
#[test]
fn the_data_directory_is_its_owners_alone() {
    use std::os::unix::fs::PermissionsExt;
    let setup = setup();
    let mode = |path: &str| {
        let path = setup.broker.data().join(path);
        std::fs::metadata(&path)
            .unwrap_or_else(|error| panic!("{}: {error}", path.display()))
            .permissions()
            .mode()
            & 0o777
    };
    for file in ["cloakroom.db", "keys/kek", "keys/lookup", "keys/journal", "ca.key", "approver.key"] {
        assert_eq!(mode(file), 0o600, "{file}");
    }
    for directory in ["", "keys", "journal"] {
        assert_eq!(mode(directory), 0o700, "{directory:?}");
    }
}
