//! What descends from a placeholder that the quorum signed, and adds nothing to it, counts with fewer signatures; each step
//! that is wrong takes the quorum again, whatever the rows say was decided.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod kit;

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use cloakroom_model::{OnMisuse, PlaceholderId, PlaceholderState, Proof, Proofs, Signature};
use cloakroom_policy::{ApprovalRule, ApprovalRules, Approvers, Policy, PolicySet};
use kit::{Desk, NOW, policy};
use std::sync::Arc;
use std::time::Duration;

const HOUR: Duration = Duration::from_secs(3600);
const READS: &str = "to = \"https://api.example.com\"\ncall = \"GET /v1/items/{id}\"";
const WIDER: &str = "to = \"https://api.example.com\"\ncall = [\"GET /v1/items/{id}\", \"POST /v1/items\", \"GET /v1/bills\"]";
const ELSEWHERE: &str = "to = \"https://www.example.com\"\ncall = \"GET /v1/items/{id}\"";

/// Two approvers, and placeholders of one credential.
struct Board {
    desk: Desk,
    both: [Ed25519KeyPair; 2],
    rules: ApprovalRules,
}

impl Board {
    fn new() -> Self {
        let pair = || Ed25519KeyPair::generate().unwrap();
        let rules = ApprovalRules { quorum: 2, narrower: Some(1), ..ApprovalRules::default() };
        Self { desk: Desk::new(), both: [pair(), pair()], rules }
    }

    /// The wider one and the narrower that descends from it; nobody has signed either.
    fn family(&mut self) -> (PlaceholderId, PlaceholderId) {
        let robot = self.desk.workload("robot");
        let wider = format!("{WIDER}\n[[permit]]\nplace = \"header authorization bearer\"\n{ELSEWHERE}");
        let wide = self.desk.issue(robot, &policy(&wider)).0;
        (wide, self.descend(wide, READS))
    }

    fn descend(&mut self, parent: PlaceholderId, rest: &str) -> PlaceholderId {
        let (credential, workload) = (self.desk.row(parent).credential, self.desk.row(parent).workload);
        let child = self.desk.issue(workload, &policy(rest)).0;
        (self.desk.row(child).credential, self.desk.row(child).parent) = (credential, Some(parent));
        child
    }

    /// As many sign what the rows say, and the row becomes active whatever that means.
    fn sign(&mut self, id: PlaceholderId, signers: usize) {
        let bytes = self.desk.grant_of(id).signing_bytes();
        let sign = |pair: &Ed25519KeyPair| Signature {
            key: STANDARD.encode(pair.public_key().as_ref()),
            signature: STANDARD.encode(pair.sign(&bytes).as_ref()),
        };
        self.desk.approval(id).signatures = self.both.iter().take(signers).map(sign).collect();
        self.desk.approval(id).decided = Some(NOW);
        self.desk.row(id).state = PlaceholderState::Active;
    }

    fn approvers(&self) -> Approvers {
        let names = self.both.iter().zip(["alice", "bob"]);
        let lines =
            names.map(|(pair, name)| format!("{} {name}", STANDARD.encode(pair.public_key().as_ref())));
        Approvers::new(lines).unwrap().with_rules(self.rules.clone())
    }

    fn snapshot(&self, previous: Option<&PolicySet>) -> PolicySet {
        PolicySet::assert_active(&self.desk.rows, &self.approvers(), Arc::clone(&self.desk.key), previous).0
    }

    fn is_live(&self, id: PlaceholderId) -> bool {
        self.snapshot(None).is_live(id, NOW)
    }

    /// How many signatures the approval is said to take.
    fn needed(&self, id: PlaceholderId) -> usize {
        self.approvers().tally_among(&self.desk.grant_of(id), [], &self.desk.rows).needed
    }
}

/// The narrower one of a family that was changed like this before anybody signed: whether one signature is enough.
/// Two always are.
fn one_is_enough(change: impl Fn(&mut Board, PlaceholderId, PlaceholderId)) -> bool {
    let mut board = Board::new();
    let (wide, narrow) = board.family();
    change(&mut board, wide, narrow);
    board.sign(wide, 2);
    board.sign(narrow, 2);
    assert!(board.is_live(wide) && board.is_live(narrow), "the quorum signed both");
    board.sign(narrow, 1);
    let enough = board.is_live(narrow);
    assert_eq!(board.needed(narrow), if enough { 1 } else { 2 });
    enough
}

#[test]
fn t78_one_signature_is_enough_for_what_adds_nothing_to_what_the_quorum_signed() {
    assert!(one_is_enough(|_, _, _| ()));
    assert!(one_is_enough(|board, wide, narrow| {
        let desk = &mut board.desk;
        let (later, daily) = (Some(NOW.plus(HOUR)), Some("00:00-23:59".parse().unwrap()));
        for id in [wide, narrow] {
            let row = desk.row(id);
            (row.expires, row.daily, row.on_misuse) = (later, daily, OnMisuse::Freeze);
        }
        (desk.row(narrow).uses, desk.row(narrow).on_misuse) = (Some(3), OnMisuse::RevokeFamily);
    }));
    assert!(!one_is_enough(|board, _, _| board.rules.narrower = None), "only where the operator says so");
    assert!(!one_is_enough(|board, _, _| board.rules.narrower = Some(2)));
    assert!(one_is_enough(|board, _, _| {
        let rule = ApprovalRule { to: None, credential: None, kind: None, quorum: 2 };
        (board.rules.quorum, board.rules.rules) = (1, vec![rule]);
    }));
}

#[test]
fn t78_what_is_wider_in_anything_takes_the_quorum() {
    type Change = fn(&mut Board, PlaceholderId, PlaceholderId);
    let steps: [(&str, Change); 16] = [
        ("its policy", |board, _, narrow| set_policy(board, narrow, &READS.replace("items", "other"))),
        (
            "a limit that the other lacks is fine, one that it has is a bucket of its own",
            |board, wide, narrow| {
                set_policy(board, wide, &format!("{READS}\nrate = \"10/minute\""));
                set_policy(board, narrow, &format!("{READS}\nrate = \"1/minute\""));
            },
        ),
        ("no end", |board, wide, _| board.desk.row(wide).expires = Some(NOW.plus(HOUR))),
        ("a later end", |board, wide, narrow| {
            board.desk.row(wide).expires = Some(NOW.plus(HOUR));
            board.desk.row(narrow).expires = Some(NOW.plus(HOUR + Duration::from_millis(1)));
        }),
        ("an earlier beginning", |board, wide, _| board.desk.row(wide).not_before = Some(NOW)),
        ("all hours", |board, wide, _| board.desk.row(wide).daily = Some("00:00-23:59".parse().unwrap())),
        ("other hours", |board, wide, narrow| {
            board.desk.row(wide).daily = Some("00:00-23:58".parse().unwrap());
            board.desk.row(narrow).daily = Some("00:00-23:59".parse().unwrap());
        }),
        ("uses that are not counted", |board, wide, _| board.desk.row(wide).uses = Some(9)),
        ("uses beside those that are counted", |board, wide, narrow| {
            (board.desk.row(wide).uses, board.desk.row(narrow).uses) = (Some(9), Some(1));
        }),
        ("less to show", |board, wide, _| board.desk.row(wide).holder = Proofs::KEY.and(Proof::Network)),
        ("a misuse that is only recorded", |board, wide, _| {
            board.desk.row(wide).on_misuse = OnMisuse::Freeze;
        }),
        ("a misuse that ends less", |board, wide, narrow| {
            board.desk.row(wide).on_misuse = OnMisuse::RevokeFamily;
            board.desk.row(narrow).on_misuse = OnMisuse::Freeze;
        }),
        ("another workload", |board, _, narrow| {
            board.desk.row(narrow).workload = board.desk.workload("another");
        }),
        ("another credential", |board, _, narrow| {
            let to = policy(READS).destinations();
            board.desk.row(narrow).credential = board.desk.credential("another", &to);
        }),
        ("no parent", |board, _, narrow| board.desk.row(narrow).parent = None),
        ("one that asks where the other does not, turned around", |board, wide, _| {
            set_policy(board, wide, &format!("{READS}\napprove = \"each-call\""));
        }),
    ];
    for (what, change) in steps {
        assert!(!one_is_enough(change), "{what}");
    }
}

fn set_policy(board: &mut Board, id: PlaceholderId, rest: &str) {
    let policy: Policy = policy(rest);
    board.desk.row(id).policy = policy.to_stored();
}

#[test]
fn t78_what_leans_on_another_counts_no_longer_than_that_ones_approval() {
    type Change = fn(&mut Board, PlaceholderId);
    let steps: [(&str, Change); 12] = [
        ("pending", |board, wide| board.desk.row(wide).state = PlaceholderState::Pending),
        ("denied", |board, wide| board.desk.row(wide).state = PlaceholderState::Denied),
        ("revoked", |board, wide| board.desk.row(wide).state = PlaceholderState::Revoked),
        ("withdrawn, and the row edited back", |board, wide| {
            board.desk.approval(wide).withdrawn = Some(NOW);
        }),
        ("never signed, and edited", |board, wide| board.desk.approval(wide).signatures.clear()),
        ("signed by one, and edited", |board, wide| board.sign(wide, 1)),
        ("edited to allow less", |board, wide| set_policy(board, wide, READS)),
        ("edited to end never", |board, wide| board.desk.row(wide).expires = Some(NOW.plus(HOUR))),
        ("deleted", |board, wide| board.desk.rows.placeholders.retain(|row| row.id != wide)),
        ("its credential may go nowhere that it names besides", |board, wide| {
            let credential = board.desk.row(wide).credential;
            let row = board.desk.rows.credentials.iter_mut().find(|row| row.id == credential).unwrap();
            row.destinations.retain(|to| to.to_string().contains("api"));
        }),
        ("the quorum was raised", |board, _| board.rules.quorum = 3),
        ("an approver was removed", |board, _| board.both[1] = Ed25519KeyPair::generate().unwrap()),
    ];
    for (what, change) in steps {
        for before in [true, false] {
            let mut board = Board::new();
            let (wide, narrow) = board.family();
            board.sign(wide, 2);
            let approved = before.then(|| {
                board.sign(narrow, 1);
                board.snapshot(None)
            });
            change(&mut board, wide);
            board.sign(narrow, 1);
            let now = board.snapshot(approved.as_ref());
            assert_ne!(board.needed(narrow), 1, "{what}: nobody is told that one is enough");
            assert!(!now.is_live(narrow, NOW), "{what}, before: {before}");
            assert!(approved.is_none_or(|set| set.is_live(narrow, NOW)), "{what}");
        }
    }
}

#[test]
fn t78_one_that_leans_is_none_to_lean_on() {
    let mut board = Board::new();
    let (wide, narrow) = board.family();
    let grandchild = board.descend(narrow, READS);
    board.sign(wide, 2);
    board.sign(narrow, 1);
    board.sign(grandchild, 1);
    assert!(board.is_live(narrow) && !board.is_live(grandchild));
    assert_eq!(board.needed(grandchild), 2);
    board.sign(grandchild, 2);
    assert!(board.is_live(grandchild), "the quorum signed it");
    board.sign(grandchild, 1);
    board.sign(narrow, 2);
    assert!(board.is_live(grandchild), "the quorum signed what it descends from");
    board.desk.row(wide).state = PlaceholderState::Revoked;
    assert!(!board.is_live(grandchild) && !board.is_live(narrow));
    assert_eq!(board.needed(grandchild), 2);
}

#[test]
fn t78_two_that_lean_on_each_other_do_not_count() {
    let mut board = Board::new();
    let (wide, narrow) = board.family();
    set_policy(&mut board, wide, READS);
    board.desk.row(wide).parent = Some(narrow);
    board.sign(wide, 1);
    board.sign(narrow, 1);
    assert!(!board.is_live(wide) && !board.is_live(narrow));
}

#[test]
fn t78_which_one_it_leans_on_stands_in_what_was_signed() {
    let mut board = Board::new();
    let (wide, narrow) = board.family();
    let robot = board.desk.row(wide).workload;
    let stranger = board.desk.issue(robot, &policy(WIDER)).0;
    board.desk.row(stranger).credential = board.desk.row(wide).credential;
    board.sign(wide, 2);
    board.sign(stranger, 2);
    board.sign(narrow, 1);
    assert!(board.desk.grant_of(narrow).canonical_text().contains(&format!("\ndescends from: {wide} ")));
    assert!(board.is_live(narrow));
    board.desk.row(narrow).parent = Some(stranger);
    assert!(!board.is_live(narrow));
}

#[test]
fn t78_it_ends_with_the_approval_that_it_leans_on_and_with_the_generation_that_one_covers() {
    let mut board = Board::new();
    let (wide, narrow) = board.family();
    board.desk.approval(wide).expires = Some(NOW.plus(HOUR));
    board.desk.approval(wide).generation = Some(1);
    board.sign(wide, 2);
    board.sign(narrow, 1);
    let set = board.snapshot(None);
    // What is under way may be finished for a little longer.
    assert!(set.is_live(narrow, NOW) && !set.is_live(narrow, NOW.plus(2 * HOUR)));
    let credential = board.desk.row(wide).credential;
    let row = board.desk.rows.credentials.iter_mut().find(|row| row.id == credential).unwrap();
    row.generation = 2;
    assert!(!board.snapshot(Some(&set)).is_live(narrow, NOW));
    // Its own approval ends with the generation that it covers, too.
    board.desk.approval(wide).generation = None;
    board.sign(wide, 2);
    assert!(board.is_live(narrow));
    board.desk.approval(narrow).generation = Some(1);
    board.sign(narrow, 1);
    assert!(!board.is_live(narrow));
}

#[test]
fn t78_whoever_asked_for_the_narrower_one_does_not_count_for_it() {
    let mut board = Board::new();
    let (wide, narrow) = board.family();
    board.rules.not_requester = true;
    board.sign(wide, 2);
    board.desk.approval(narrow).requester = Some("alice".into());
    board.sign(narrow, 1);
    assert!(!board.is_live(narrow), "alice signed");
    board.sign(narrow, 2);
    assert!(board.is_live(narrow), "bob signed");
}
