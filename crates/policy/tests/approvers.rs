//! How the approvers change: a chain that the data plane follows from the rows, and that nobody joins by writing rows.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod kit;

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use cloakroom_model::{ApproverAct, ApproverChange, PlaceholderState, Signature};
use cloakroom_policy::{ApprovalRule, ApprovalRules, Approvers, Head, PolicySet};
use kit::{Desk, NOW, policy};
use std::sync::Arc;

struct Member {
    name: &'static str,
    pair: Ed25519KeyPair,
}

fn member(name: &'static str) -> Member {
    Member { name, pair: Ed25519KeyPair::generate().unwrap() }
}

impl Member {
    fn key(&self) -> String {
        STANDARD.encode(self.pair.public_key().as_ref())
    }

    fn signs(&self, text: &str) -> Signature {
        let bytes = [b"cloakroom approval v1\n", text.as_bytes()].concat();
        Signature { key: self.key(), signature: STANDARD.encode(self.pair.sign(&bytes).as_ref()) }
    }
}

fn first(members: &[&Member], quorum: u8) -> Approvers {
    let lines = members.iter().map(|one| format!("{} {}", one.key(), one.name));
    Approvers::new(lines).unwrap().with_rules(ApprovalRules { quorum, ..ApprovalRules::default() })
}

/// The next change after these, signed by those.
fn change(
    approvers: &Approvers,
    changes: &[ApproverChange],
    act: ApproverAct,
    whom: &Member,
    by: &[&Member],
) -> ApproverChange {
    let now = approvers.following(changes, None).unwrap();
    let mut change = now.next_change(act, whom.name, &whom.key()).unwrap();
    let text = now.change_text(&change);
    change.signatures = by.iter().map(|one| one.signs(&text)).collect();
    change
}

fn names(approvers: &Approvers, changes: &[ApproverChange]) -> Result<Vec<String>, String> {
    let now = approvers.following(changes, None)?;
    Ok(now.members().iter().map(|member| member.name().to_owned()).collect())
}

const ENROL: ApproverAct = ApproverAct::Enrol;
const REMOVE: ApproverAct = ApproverAct::Remove;

#[test]
fn approvers_are_enrolled_and_removed_by_those_there_are() {
    let (alice, bob, carol) = (member("alice"), member("bob"), member("carol"));
    let approvers = first(&[&alice], 2);
    let one = change(&approvers, &[], ENROL, &bob, &[&alice]);
    assert_eq!(one.needed, 1, "whoever is alone enrols the second");
    let two = change(&approvers, std::slice::from_ref(&one), ENROL, &carol, &[&alice, &bob]);
    assert_eq!(two.needed, 2);
    let changes = [one, two];
    assert_eq!(names(&approvers, &changes).unwrap(), ["alice", "bob", "carol"]);
    let three = change(&approvers, &changes, REMOVE, &alice, &[&bob, &carol]);
    let changes = [&changes[..], &[three]].concat();
    assert_eq!(names(&approvers, &changes).unwrap(), ["bob", "carol"]);
    let now = approvers.following(&changes, None).unwrap();
    assert_eq!(now.head().sequence, 3);
    assert!(now.next_change(REMOVE, "alice", &alice.key()).is_err(), "she is gone");
    assert!(now.next_change(ENROL, "carol", &carol.key()).is_err(), "she is there");
    assert!(now.next_change(ENROL, "x", "no key").is_err());
    assert!(first(&[&alice], 1).next_change(REMOVE, "alice", &alice.key()).is_err(), "nobody would be left");
    let head = now.head();
    assert_eq!(head.to_string().parse::<Head>(), Ok(head));
}

#[test]
fn t78_a_change_that_is_not_signed_by_enough_of_those_before_it_makes_nobody_an_approver() {
    let (alice, bob, mallory) = (member("alice"), member("bob"), member("mallory"));
    let approvers = first(&[&alice, &bob], 2);
    let good = change(&approvers, &[], ENROL, &mallory, &[&alice, &bob]);
    assert!(names(&approvers, std::slice::from_ref(&good)).is_ok());
    let signed_by = |by: &[&Member]| change(&approvers, &[], ENROL, &mallory, by);
    for wrong in
        [signed_by(&[]), signed_by(&[&alice]), signed_by(&[&alice, &alice]), signed_by(&[&alice, &mallory])]
    {
        assert!(names(&approvers, &[wrong]).unwrap_err().contains("of 2 signatures"));
    }
    // Asked for less than the rules do, and signed so.
    let mut fewer = good.clone();
    fewer.needed = 1;
    let text = approvers.change_text(&fewer);
    fewer.signatures = vec![alice.signs(&text)];
    assert!(names(&approvers, &[fewer.clone()]).unwrap_err().contains("too few"));
    // One byte of what was signed.
    let edits: [fn(&mut ApproverChange); 5] = [
        |change| change.name = "mallorx".into(),
        |change| change.key = member("x").key(),
        |change| change.act = REMOVE,
        |change| change.sequence = 2,
        |change| change.needed = 0,
    ];
    for edit in edits {
        let mut edited = good.clone();
        edit(&mut edited);
        assert!(names(&approvers, &[edited]).is_err());
    }
    // Where two have to sign, a rule asks for three, and there are only two.
    let rules = vec![ApprovalRule { to: None, credential: None, kind: None, quorum: 3 }];
    let strict = approvers.clone().with_rules(ApprovalRules { quorum: 1, rules, ..ApprovalRules::default() });
    assert!(names(&strict, &[good]).is_ok());
    assert!(names(&strict, &[fewer]).is_err());
}

#[test]
fn t78_a_change_cannot_be_moved_left_out_repeated_or_taken_from_other_approvers() {
    let (alice, bob, carol) = (member("alice"), member("bob"), member("carol"));
    let approvers = first(&[&alice], 1);
    let one = change(&approvers, &[], ENROL, &bob, &[&alice]);
    let two = change(&approvers, std::slice::from_ref(&one), REMOVE, &bob, &[&alice]);
    let three = change(&approvers, &[one.clone(), two.clone()], ENROL, &carol, &[&alice]);
    let all = [one.clone(), two.clone(), three.clone()];
    assert_eq!(names(&approvers, &all).unwrap(), ["alice", "carol"]);
    assert!(names(&approvers, &[two.clone(), three.clone()]).is_err());
    assert!(names(&approvers, &[one.clone(), three.clone()]).is_err());
    assert!(names(&approvers, &[one.clone(), one.clone()]).is_err());
    let again = ApproverChange { sequence: 3, ..one.clone() };
    assert!(names(&approvers, &[one.clone(), two.clone(), again]).is_err(), "bob's enrolment, once more");
    // The same signatures behind other first approvers: an edit of the file of the first.
    let edited = first(&[&alice, &carol], 1);
    assert!(names(&edited, &[one]).is_err());
}

#[test]
fn t78_changes_that_are_gone_are_missed() {
    let (alice, bob) = (member("alice"), member("bob"));
    let approvers = first(&[&alice, &bob], 1);
    let removal = change(&approvers, &[], REMOVE, &bob, &[&alice]);
    let seen = approvers.following(std::slice::from_ref(&removal), None).unwrap().head();
    let pinned = approvers.clone().trusted(0, seen);
    assert_eq!(names(&pinned, std::slice::from_ref(&removal)).unwrap(), ["alice"]);
    assert!(names(&pinned, &[]).unwrap_err().contains("gone"));
    assert!(approvers.following(&[], Some(seen)).is_err(), "the snapshot before had seen it");
    // bob writes another change in its place.
    let other = change(&approvers, &[], REMOVE, &alice, &[&bob]);
    assert!(names(&pinned, &[other]).unwrap_err().contains("not the one"));
    // Other first approvers than those that were pinned.
    let edited = first(&[&alice, &bob, &member("mallory")], 1).trusted(0, approvers.head());
    assert!(names(&edited, &[]).unwrap_err().contains("trusted first"));
}

#[test]
fn what_was_accepted_under_the_rules_of_its_time_stays_when_they_ask_for_more() {
    let (alice, bob, carol) = (member("alice"), member("bob"), member("carol"));
    let approvers = first(&[&alice, &bob], 1);
    let one = change(&approvers, &[], ENROL, &carol, &[&alice]);
    let seen = approvers.following(std::slice::from_ref(&one), None).unwrap().head();
    let stricter = first(&[&alice, &bob], 2);
    assert!(names(&stricter, std::slice::from_ref(&one)).is_err(), "not seen before");
    let stricter = stricter.trusted(0, seen);
    assert!(names(&stricter, std::slice::from_ref(&one)).is_ok());
    let two = change(&stricter, std::slice::from_ref(&one), REMOVE, &carol, &[&alice, &bob]);
    assert!(names(&stricter, &[one, two]).is_ok());
}

/// A placeholder that alice signed, and what the data plane makes of it.
struct Board {
    desk: Desk,
    id: cloakroom_model::PlaceholderId,
}

impl Board {
    fn new(by: &[&Member]) -> Self {
        let mut desk = Desk::new();
        let robot = desk.workload("robot");
        let (id, _) =
            desk.issue(robot, &policy("to = \"https://api.example.com\"\ncall = \"GET /v1/items\""));
        let text = desk.grant_of(id).canonical_text();
        desk.approval(id).signatures = by.iter().map(|one| one.signs(&text)).collect();
        desk.approval(id).decided = Some(NOW);
        desk.row(id).state = PlaceholderState::Active;
        Self { desk, id }
    }

    fn set(&self, approvers: &Approvers, previous: Option<&PolicySet>) -> PolicySet {
        PolicySet::assert_active(&self.desk.rows, approvers, Arc::clone(&self.desk.key), previous).0
    }
}

#[test]
fn t78_the_data_plane_follows_the_changes_itself_and_permits_nothing_where_they_do_not_hold() {
    let (alice, bob) = (member("alice"), member("bob"));
    let approvers = first(&[&alice], 1);
    let mut board = Board::new(&[&bob]);
    let none = board.set(&approvers, None);
    assert!(!none.is_live(board.id, NOW) && none.approvers_unknown().is_none(), "bob is nobody yet");
    let enrolled = change(&approvers, &[], ENROL, &bob, &[&alice]);
    board.desk.rows.approver_changes = vec![enrolled.clone()];
    let with_bob = board.set(&approvers, Some(&none));
    assert!(with_bob.is_live(board.id, NOW));
    // bob enrols himself, and the row is written into the database.
    let himself = change(&approvers, &[], ENROL, &bob, &[&bob]);
    board.desk.rows.approver_changes = vec![himself];
    let forged = board.set(&approvers, None);
    assert!(!forged.is_live(board.id, NOW) && forged.approvers_unknown().is_some());
    // alice removes him: what he signed counts no more.
    let removed = change(&approvers, std::slice::from_ref(&enrolled), REMOVE, &bob, &[&alice]);
    board.desk.rows.approver_changes = vec![enrolled.clone(), removed];
    let without = board.set(&approvers, Some(&with_bob));
    assert!(!without.is_live(board.id, NOW) && without.approvers_unknown().is_none());
    // The removal is deleted from the database while the broker runs.
    board.desk.rows.approver_changes = vec![enrolled];
    let rolled_back = board.set(&approvers, Some(&without));
    assert!(!rolled_back.is_live(board.id, NOW));
    assert!(rolled_back.approvers_unknown().unwrap().contains("gone"));
    let again = board.set(&approvers, Some(&rolled_back));
    assert!(!again.is_live(board.id, NOW), "a broken chain is not forgotten with the next snapshot");
}

#[test]
fn t78_an_approval_ends_at_its_own_end_and_its_end_cannot_be_edited() {
    let alice = member("alice");
    let approvers = first(&[&alice], 1);
    let mut board = Board::new(&[&alice]);
    assert!(board.set(&approvers, None).is_live(board.id, NOW));
    board.desk.approval(board.id).expires = Some(NOW);
    assert!(!board.set(&approvers, None).is_live(board.id, NOW), "the text that was signed names no end");
    let later = NOW.plus(std::time::Duration::from_secs(1));
    board.desk.approval(board.id).expires = Some(later);
    let text = board.desk.grant_of(board.id).canonical_text();
    assert!(text.contains("this approval ends: "), "{text}");
    board.desk.approval(board.id).signatures = vec![alice.signs(&text)];
    let set = board.set(&approvers, None);
    // What was begun may be finished for ten seconds.
    let over = later.plus(std::time::Duration::from_secs(10));
    assert!(set.is_live(board.id, NOW) && !set.is_live(board.id, over));
    let again = board.set(&approvers, Some(&set));
    assert!(again.is_live(board.id, NOW) && !again.is_live(board.id, over), "carried over with its end");
    board.desk.approval(board.id).expires = Some(later.plus(std::time::Duration::from_secs(1)));
    assert!(!board.set(&approvers, None).is_live(board.id, NOW));
    board.desk.approval(board.id).expires = None;
    assert!(!board.set(&approvers, None).is_live(board.id, NOW));
}
