//! Approvals by passkey as rows: what the data plane makes of them, whoever wrote them.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod kit;

use cloakroom_model::{PlaceholderId, PlaceholderState, Signature};
use cloakroom_policy::{Approvers, Ignored, PolicySet};
use kit::passkey::Passkey;
use kit::{Desk, NOW, policy};
use std::sync::Arc;

struct Board {
    desk: Desk,
    approvers: Approvers,
}

impl Board {
    fn new(passkey: &Passkey, counter: u32) -> Self {
        let approvers = Approvers::new([format!("{} ann", passkey.key(counter))]).unwrap();
        Self { desk: Desk::new(), approvers }
    }

    /// A placeholder whose row says that it is active, and this was signed for its text.
    fn with(&mut self, sign: impl Fn(&str) -> Signature) -> PlaceholderId {
        let robot = self.desk.workload("robot");
        let (id, _) =
            self.desk.issue(robot, &policy("to = \"https://api.example.com\"\ncall = \"GET /v1/items\""));
        let signature = sign(&self.desk.grant_of(id).canonical_text());
        let approval = self.desk.approval(id);
        (approval.signatures, approval.decided) = (vec![signature], Some(NOW));
        self.desk.row(id).state = PlaceholderState::Active;
        id
    }

    fn live(&self, ids: &[PlaceholderId]) -> Vec<bool> {
        let (set, ignored) = self.set(None);
        let live: Vec<bool> = ids.iter().map(|id| set.is_live(*id, NOW)).collect();
        assert_eq!(ignored.len(), live.iter().filter(|live| !**live).count());
        live
    }

    fn set(&self, previous: Option<&PolicySet>) -> (PolicySet, Vec<Ignored>) {
        PolicySet::assert_active(&self.desk.rows, &self.approvers, Arc::clone(&self.desk.key), previous)
    }
}

#[test]
fn t78_a_row_signed_by_passkey_is_a_permit_and_one_signed_elsewhere_is_none() {
    let passkey = Passkey::new();
    let mut board = Board::new(&passkey, 0);
    let good = board.with(|text| passkey.signs(text, 1, 1));
    let replayed = board.with(|_| passkey.signs("another text", 2, 2));
    let stranger = Passkey::new();
    let stranger = board.with(|text| Signature { key: passkey.key(0), ..stranger.signs(text, 3, 3) });
    let passkey = Passkey { origin: "https://evil.example", ..passkey };
    let phished = board.with(|text| passkey.signs(text, 4, 4));
    let passkey = Passkey { origin: "https://console.example.org", party: "evil.example", ..passkey };
    let party = board.with(|text| passkey.signs(text, 5, 5));
    assert_eq!(board.live(&[good, replayed, stranger, phished, party]), [true, false, false, false, false]);
}

#[test]
fn t78_of_stored_signatures_whose_counts_do_not_go_up_the_later_is_void() {
    let passkey = Passkey::new();
    let mut board = Board::new(&passkey, 0);
    let first = board.with(|text| passkey.signs(text, 7, 1));
    let second = board.with(|text| passkey.signs(text, 9, 2));
    let standing = board.with(|text| passkey.signs(text, 9, 3));
    let back = board.with(|text| passkey.signs(text, 8, 4));
    let zero = board.with(|text| passkey.signs(text, 0, 5));
    let third = board.with(|text| passkey.signs(text, 10, 6));
    let all = [first, second, standing, back, zero, third];
    assert_eq!(board.live(&all), [true, true, false, false, false, true]);
    // One that never counts says zero for ever.
    let plain = Passkey::new();
    let mut board = Board::new(&plain, 0);
    let zeros = [1, 2, 3].map(|later| board.with(|text| plain.signs(text, 0, later)));
    assert_eq!(board.live(&zeros), [true; 3]);
}

#[test]
fn a_clock_that_was_set_back_puts_no_signature_out_of_order() {
    let passkey = Passkey::new();
    let mut board = Board::new(&passkey, 0);
    let before = board.with(|text| passkey.signs(text, 1, 86_400_000));
    let robot = board.desk.workload("another");
    let (id, _) =
        board.desk.issue(robot, &policy("to = \"https://api.example.com\"\ncall = \"GET /v1/items\""));
    let signed = passkey.signs(&board.desk.grant_of(id).canonical_text(), 2, 0);
    let said = signed.signature.split_once('.').unwrap().1.to_owned();
    let kept = Approvers::stamped_after(Signature { signature: said, ..signed }, &board.desk.rows, NOW);
    let approval = board.desk.approval(id);
    (approval.signatures, approval.decided) = (vec![kept], Some(NOW));
    board.desk.row(id).state = PlaceholderState::Active;
    assert_eq!(board.live(&[before, id]), [true, true]);
}

#[test]
fn t78_a_row_that_goes_out_of_order_is_found_although_the_snapshot_before_held_it() {
    let passkey = Passkey::new();
    let mut board = Board::new(&passkey, 0);
    let later = board.with(|text| passkey.signs(text, 5, 2));
    let (before, _) = board.set(None);
    assert!(before.is_live(later, NOW));
    // A row with a higher count that was accepted earlier appears: one of the two is a copy's.
    let earlier = board.with(|text| passkey.signs(text, 6, 1));
    let (after, ignored) = board.set(Some(&before));
    assert!(after.is_live(earlier, NOW) && !after.is_live(later, NOW));
    assert_eq!(ignored.len(), 1);
}

#[test]
fn t78_a_count_that_is_not_beyond_the_enrolled_one_is_void_in_a_row() {
    let passkey = Passkey::new();
    for (counter, live) in [(4, false), (5, false), (0, false), (6, true)] {
        let mut board = Board::new(&passkey, 5);
        let id = board.with(|text| Signature { key: passkey.key(5), ..passkey.signs(text, counter, 1) });
        // By other words for the same key it is nobody's.
        let other = board.with(|text| passkey.signs(text, 9, 2));
        assert_eq!(board.live(&[id, other]), [live, false], "{counter}");
    }
}
