//! What the holder of a placeholder has to show, and when it counts: in the signed text, and judged with every call.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod kit;

use cloakroom_model::{
    EventKind, Fingerprint, Guest, KeyedHash, Marks, PlaceholderId, Source, Timestamp, WorkloadId,
};
use cloakroom_policy::{PolicySet, Showing};
use kit::{Desk, NOW, bearer, code, decide, policy};

const HOME: Source = Source::Address(std::net::IpAddr::V4(std::net::Ipv4Addr::new(10, 1, 2, 3)));
const ABROAD: Source = Source::Address(std::net::IpAddr::V4(std::net::Ipv4Addr::new(10, 2, 2, 3)));
const KEY: &str = "key of robot";

struct Case {
    desk: Desk,
    robot: WorkloadId,
    id: PlaceholderId,
    text: String,
}

fn print() -> Fingerprint {
    Fingerprint::of(b"robot's certificate")
}

fn boot(desk: &Desk, nonce: &str) -> KeyedHash {
    desk.key.boot_hash(nonce)
}

/// A placeholder whose holder has to show this; its workload has every mark.
fn case(holder: &str) -> Case {
    let mut desk = Desk::new();
    let robot = desk.workload("robot");
    desk.rows.workloads[0].marks = Marks {
        certificate: Some(print()),
        uid: Some(1001),
        guest: Some(Guest { cid: 3.try_into().unwrap(), boot: boot(&desk, "first") }),
        networks: vec!["10.1.0.0/16".parse().unwrap()],
    };
    let allowed = policy("name = \"p\"\nto = \"https://a.example\"\ncall = [\"GET /x\"]");
    let (id, text) = desk.issue(robot, &allowed);
    desk.row(id).holder = holder.parse().unwrap();
    desk.approve(id);
    Case { desk, robot, id, text }
}

impl Case {
    fn outcome(
        &self,
        set: &PolicySet,
        key: Option<&str>,
        print: Option<Fingerprint>,
        source: Source,
    ) -> String {
        let Some(who) = self.desk.showing(set, &Showing { key, certificate: print, boot: None, source })
        else {
            return "unknown".into();
        };
        assert_eq!(who.workload(), self.robot);
        code(decide(bearer("GET", "https://a.example/x", &self.text), who, set, NOW))
    }
}

#[test]
fn t70_t93_a_placeholder_counts_only_where_all_is_shown_that_its_holder_must_show() {
    let (some, user, other) = (Some(print()), Source::User(1001), Source::User(1002));
    for (holder, shown) in [
        ("key", (Some(KEY), None, ABROAD)),
        ("key", (Some(KEY), some, HOME)),
        ("mtls", (None, some, ABROAD)),
        ("uid", (None, None, user)),
        ("key,network", (Some(KEY), None, HOME)),
        ("key,mtls,network", (Some(KEY), some, HOME)),
        ("key,uid", (Some(KEY), None, user)),
        ("mtls,network", (None, some, HOME)),
    ] {
        let case = case(holder);
        assert_eq!(case.outcome(&case.desk.set(), shown.0, shown.1, shown.2), "allowed", "{holder}");
    }
    for (holder, shown) in [
        ("key", (None, some, HOME)),
        ("mtls", (Some(KEY), None, HOME)),
        ("uid", (Some(KEY), None, other)),
        ("uid", (Some(KEY), some, HOME)),
        ("key,network", (Some(KEY), None, ABROAD)),
        ("key,network", (Some(KEY), None, user)),
        ("key,mtls", (Some(KEY), None, HOME)),
        ("key,mtls,network", (Some(KEY), some, ABROAD)),
        ("key,uid", (None, None, user)),
    ] {
        let case = case(holder);
        assert_eq!(case.outcome(&case.desk.set(), shown.0, shown.1, shown.2), "wrong-workload", "{holder}");
    }
}

#[test]
fn nobody_is_recognised_by_a_wrong_key_by_two_identities_or_by_an_address_alone() {
    let mut case = case("key");
    case.desk.workload("other");
    let others = Fingerprint::of(b"other's certificate");
    case.desk.rows.workloads[1].marks.certificate = Some(others);
    let (set, _) = case.desk.activate(None);
    for (key, print, source) in [
        (Some("wrong"), Some(print()), HOME),
        (Some("wrong"), None, Source::User(1001)),
        (Some(KEY), Some(others), HOME),
        (None, None, HOME),
        (None, None, Source::User(1002)),
        (None, Some(Fingerprint::of(b"nobody's")), HOME),
    ] {
        assert_eq!(case.outcome(&set, key, print, source), "unknown", "{key:?} {source}");
    }
    // A certificate of nobody proves nothing and takes nothing away.
    assert_eq!(case.outcome(&set, Some(KEY), Some(Fingerprint::of(b"nobody's")), HOME), "allowed");
}

#[test]
fn t93_a_guest_is_its_workload_by_its_number_and_the_nonce_of_its_boot_and_any_other_is_nobody() {
    let mut case = case("cid");
    case.desk.workload("other");
    let second = Guest { cid: 4.try_into().unwrap(), boot: boot(&case.desk, "of four") };
    case.desk.rows.workloads[1].marks.guest = Some(second);
    let (set, _) = case.desk.activate(None);
    let call = |cid: u32, nonce: Option<&str>, key: Option<&str>| {
        let shown = nonce.map(|nonce| boot(&case.desk, nonce));
        let showing = Showing { key, certificate: None, boot: shown, source: Source::Guest(cid) };
        let Some(who) = case.desk.showing(&set, &showing) else { return "unknown".to_owned() };
        code(decide(bearer("GET", "https://a.example/x", &case.text), who, &set, NOW))
    };
    assert_eq!(call(3, Some("first"), None), "allowed");
    assert_eq!(call(3, Some("first"), Some(KEY)), "allowed");
    // The number alone; another boot of whoever has the number now; neither is mended by the workload's key.
    assert_eq!(call(3, None, None), "unknown");
    assert_eq!(call(3, Some("second"), None), "unknown");
    assert_eq!(call(3, Some("second"), Some(KEY)), "unknown");
    assert_eq!(call(3, None, Some(KEY)), "wrong-workload", "the key is shown, and the guest is not proved");
    // A key that is wrong is not made good by the guest; nor is that of another workload.
    assert_eq!(call(3, Some("first"), Some("wrong")), "unknown");
    assert_eq!(call(3, Some("first"), Some("key of other")), "unknown");
    // Other guests, numbers of nobody, the host, the hypervisor: with whatever they show.
    assert_eq!(call(4, Some("of four"), None), "wrong-workload");
    for number in [4, 5, 0, 1, 2, u32::MAX] {
        for nonce in [None, Some("first")] {
            for key in [None, Some(KEY)] {
                assert_eq!(call(number, nonce, key), "unknown", "{number} {nonce:?} {key:?}");
            }
        }
    }
}

#[test]
fn t93_a_key_that_is_demanded_is_not_outranked_by_the_guest() {
    let case = case("key");
    let set = case.desk.set();
    let shown = Some(boot(&case.desk, "first"));
    let showing = |key| Showing { key, certificate: None, boot: shown, source: Source::Guest(3) };
    let call = |key| {
        let who = case.desk.showing(&set, &showing(key)).unwrap();
        code(decide(bearer("GET", "https://a.example/x", &case.text), who, &set, NOW))
    };
    assert_eq!(call(None), "wrong-workload");
    assert_eq!(call(Some(KEY)), "allowed");
}

#[test]
fn what_is_lacking_is_an_event_and_is_named_to_the_workload() {
    let case = case("key,mtls,network");
    let set = case.desk.set();
    let who = case
        .desk
        .showing(&set, &Showing { key: Some(KEY), certificate: None, boot: None, source: ABROAD })
        .unwrap();
    let refusal = decide(bearer("GET", "https://a.example/x", &case.text), who, &set, NOW).unwrap_err();
    assert_eq!(refusal.event_kind(), Some(EventKind::HolderUnproven));
    assert_eq!(refusal.facts().placeholder, Some(case.id));
    assert_eq!(refusal.facts().rule.as_deref(), Some("holder mtls,network"));
    assert_eq!(refusal.hint(), "show what \"rule\" names beside the workload key");
}

#[test]
fn t71_whoever_edits_what_must_be_shown_or_what_it_is_checked_by_ends_the_approval() {
    let edits: [fn(&mut Case); 6] = [
        |case| case.desk.row(case.id).holder = "key".parse().unwrap(),
        |case| case.desk.rows.workloads[0].marks.certificate = Some(Fingerprint::of(b"a thief's")),
        |case| case.desk.rows.workloads[0].marks.uid = Some(0),
        |case| case.desk.rows.workloads[0].marks.guest.as_mut().unwrap().cid = 4.try_into().unwrap(),
        |case| case.desk.rows.workloads[0].marks.networks = vec!["0.0.0.0/0".parse().unwrap()],
        |case| case.desk.row(case.id).daily = Some("08:00-18:00".parse().unwrap()),
    ];
    for (number, edit) in edits.into_iter().enumerate() {
        let mut case = case("key,mtls,uid,cid,network");
        let before = case.desk.set();
        edit(&mut case);
        // Also where the snapshot before held it.
        for previous in [None, Some(&before)] {
            let (_, ignored) = case.desk.activate(previous);
            assert_eq!(ignored.first().map(|one| one.placeholder), Some(case.id), "edit {number}");
        }
    }
}

#[test]
fn the_text_says_what_must_be_shown_and_nothing_where_it_is_the_key_alone() {
    let text = case("key,mtls,uid,cid,network");
    let text = text.desk.grant_of(text.id).canonical_text();
    for line in [
        "holder must show: key,mtls,uid,cid,network (all of it)".to_owned(),
        format!("workload certificate (SHA-256): {}", print()),
        "workload uid: 1001".to_owned(),
        "workload cid: 3".to_owned(),
        "workload networks: 10.1.0.0/16".to_owned(),
    ] {
        assert!(text.lines().any(|have| have == line), "{line}\n{text}");
    }
    let plain = case("key");
    let plain = plain.desk.grant_of(plain.id).canonical_text();
    let extra =
        ["holder", "workload certificate", "workload uid", "workload cid", "workload networks", "daily"];
    assert!(!plain.lines().any(|line| extra.iter().any(|word| line.starts_with(word))), "{plain}");
}

#[test]
fn a_placeholder_counts_within_its_hours_alone_and_says_when_they_begin() {
    let mut case = case("key");
    case.desk.row(case.id).daily = Some("08:00-18:00+02:00".parse().unwrap());
    case.desk.approve(case.id);
    let text = case.desk.grant_of(case.id).canonical_text();
    assert!(text.contains("\ndaily: 08:00-18:00+02:00 (refused at other times)\n"), "{text}");
    let set = case.desk.set();
    let midnight = NOW.millis() - NOW.millis() % 86_400_000;
    let at = |hour: u64| Timestamp::from_millis(midnight + hour * 3_600_000);
    let call = |now| {
        let who = case.desk.principal(case.robot);
        decide(bearer("GET", "https://a.example/x", &case.text), who, &set, now)
    };
    for (hour, expected) in
        [(5, "placeholder-not-yet"), (6, "allowed"), (15, "allowed"), (16, "placeholder-not-yet")]
    {
        assert_eq!(code(call(at(hour))), expected, "{hour}");
        let going_on = at(hour).plus(std::time::Duration::from_secs(10));
        assert_eq!(set.is_live(case.id, going_on), expected == "allowed", "{hour}");
    }
    let refusal = call(at(5)).unwrap_err();
    assert_eq!((refusal.facts().retry_after, refusal.event_kind()), (Some(3600), None));
}

#[test]
fn what_is_under_way_ends_ten_seconds_after_the_time_of_its_placeholder() {
    let mut case = case("key");
    case.desk.row(case.id).expires = Some(NOW.plus(std::time::Duration::from_secs(1)));
    case.desk.approve(case.id);
    let set = case.desk.set();
    let after = |seconds| set.is_live(case.id, NOW.plus(std::time::Duration::from_secs(seconds)));
    assert!(after(0) && after(10));
    assert!(!after(11));
}
