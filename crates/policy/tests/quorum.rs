//! How many approvers it takes, and whose signatures count: judged anew from the rows with every snapshot.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod kit;

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use cloakroom_model::{CredentialKind, Name, PlaceholderId, PlaceholderState, Signature};
use cloakroom_policy::{ApprovalRule, ApprovalRules, Approvers, Grant, PolicySet};
use kit::{Desk, NOW, policy};
use std::sync::Arc;

struct Board {
    alice: Ed25519KeyPair,
    bob: Ed25519KeyPair,
}

impl Board {
    fn new() -> Self {
        let pair = || Ed25519KeyPair::generate().unwrap();
        Self { alice: pair(), bob: pair() }
    }

    fn approvers(&self, rules: ApprovalRules) -> Approvers {
        let line = |pair: &Ed25519KeyPair, name: &str| format!("{} {name}", public(pair));
        let lines = [line(&self.alice, "alice"), line(&self.bob, "bob")];
        Approvers::new(lines).unwrap().with_rules(rules)
    }

    /// Signs with these, makes the row active whatever that means, and asks the data plane.
    fn holds(
        &self,
        desk: &mut Desk,
        id: PlaceholderId,
        by: &[&Ed25519KeyPair],
        rules: ApprovalRules,
    ) -> bool {
        let grant = desk.grant_of(id);
        let approval = desk.approval(id);
        (approval.signatures, approval.decided) =
            (by.iter().map(|pair| sign(pair, &grant)).collect(), Some(NOW));
        desk.row(id).state = PlaceholderState::Active;
        self.is_live(desk, id, rules)
    }

    fn is_live(&self, desk: &Desk, id: PlaceholderId, rules: ApprovalRules) -> bool {
        let approvers = self.approvers(rules);
        let (set, ignored) = PolicySet::assert_active(&desk.rows, &approvers, Arc::clone(&desk.key), None);
        assert_eq!(set.is_live(id, NOW), ignored.is_empty(), "{ignored:?}");
        set.is_live(id, NOW)
    }
}

fn public(pair: &Ed25519KeyPair) -> String {
    STANDARD.encode(pair.public_key().as_ref())
}

fn sign(pair: &Ed25519KeyPair, grant: &Grant) -> Signature {
    Signature { key: public(pair), signature: STANDARD.encode(pair.sign(&grant.signing_bytes()).as_ref()) }
}

fn issue(desk: &mut Desk) -> PlaceholderId {
    let robot = desk.workload("robot");
    desk.issue(robot, &policy("to = \"https://api.example.com\"\ncall = \"GET /v1/items\"")).0
}

fn two() -> ApprovalRules {
    ApprovalRules { quorum: 2, ..ApprovalRules::default() }
}

#[test]
fn t78_two_have_to_sign_and_one_who_signs_twice_is_one() {
    let (board, mut desk) = (Board::new(), Desk::new());
    let id = issue(&mut desk);
    let (alice, bob) = (&board.alice, &board.bob);
    assert!(board.holds(&mut desk, id, &[alice, bob], two()));
    assert!(!board.holds(&mut desk, id, &[alice], two()));
    assert!(!board.holds(&mut desk, id, &[alice, alice], two()));
    assert!(!board.holds(&mut desk, id, &[alice, &Ed25519KeyPair::generate().unwrap()], two()));
    assert!(board.holds(&mut desk, id, &[alice], ApprovalRules::default()));
}

#[test]
fn t78_signatures_of_two_approvals_do_not_add_up() {
    let (board, mut desk) = (Board::new(), Desk::new());
    let id = issue(&mut desk);
    assert!(!board.holds(&mut desk, id, &[&board.alice], two()));
    let mut second = desk.approval(id).clone();
    second.signatures = vec![sign(&board.bob, &desk.grant_of(id))];
    desk.rows.approvals.push(second);
    assert!(!board.is_live(&desk, id, two()));
}

#[test]
fn t78_whoever_asked_does_not_count_and_who_asked_cannot_be_edited() {
    let (board, mut desk) = (Board::new(), Desk::new());
    let id = issue(&mut desk);
    desk.approval(id).requester = Some("alice".into());
    let rules = || ApprovalRules { not_requester: true, ..ApprovalRules::default() };
    assert!(!board.holds(&mut desk, id, &[&board.alice], rules()));
    desk.approval(id).requester = Some("bob".into());
    assert!(!board.is_live(&desk, id, rules()), "the text that alice signed names alice");
    desk.approval(id).requester = None;
    assert!(!board.is_live(&desk, id, rules()));
    desk.approval(id).requester = Some("alice".into());
    assert!(board.holds(&mut desk, id, &[&board.bob], rules()));
}

#[test]
fn a_rule_asks_for_more_at_its_destination_and_for_its_credential() {
    let (board, mut desk) = (Board::new(), Desk::new());
    let id = issue(&mut desk);
    let to = desk.grant_of(id).policy.destinations()[0].clone();
    let name = desk.grant_of(id).credential_name.clone();
    let rules = |to: Option<_>, credential: Option<_>, quorum| {
        let rules = vec![ApprovalRule { to, credential, kind: None, quorum }];
        ApprovalRules { rules, ..ApprovalRules::default() }
    };
    let elsewhere = "https://elsewhere.example.com".parse().unwrap();
    let alice = [&board.alice];
    assert!(!board.holds(&mut desk, id, &alice, rules(Some(to.clone()), None, 2)));
    assert!(!board.holds(&mut desk, id, &alice, rules(None, Some(name.clone()), 2)));
    assert!(!board.holds(&mut desk, id, &alice, rules(None, None, 2)));
    assert!(board.holds(&mut desk, id, &alice, rules(Some(elsewhere), None, 2)));
    assert!(board.holds(&mut desk, id, &alice, rules(Some(to), Some(Name::parse("other").unwrap()), 2)));
    let of_kind = |kind| {
        let rules = vec![ApprovalRule { to: None, credential: None, kind: Some(kind), quorum: 2 }];
        ApprovalRules { rules, ..ApprovalRules::default() }
    };
    assert!(!board.holds(&mut desk, id, &alice, of_kind(CredentialKind::Bearer)));
    assert!(board.holds(&mut desk, id, &alice, of_kind(CredentialKind::Oauth)));
    // A rule never asks for less.
    let fewer = ApprovalRules { quorum: 2, ..rules(None, Some(name), 1) };
    assert!(!board.holds(&mut desk, id, &alice, fewer));
}

#[test]
fn what_was_withdrawn_or_denied_does_not_count_whatever_the_placeholders_row_says() {
    let (board, mut desk) = (Board::new(), Desk::new());
    let id = issue(&mut desk);
    assert!(board.holds(&mut desk, id, &[&board.alice], ApprovalRules::default()));
    desk.approval(id).withdrawn = Some(NOW);
    assert!(!board.is_live(&desk, id, ApprovalRules::default()));
    (desk.approval(id).withdrawn, desk.approval(id).denied) = (None, true);
    assert!(!board.is_live(&desk, id, ApprovalRules::default()));
}

#[test]
fn an_approval_of_one_generation_ends_with_it() {
    let (board, mut desk) = (Board::new(), Desk::new());
    let id = issue(&mut desk);
    let generation = desk.rows.credentials[0].generation;
    desk.approval(id).generation = Some(generation);
    assert!(board.holds(&mut desk, id, &[&board.alice], ApprovalRules::default()));
    desk.rows.credentials[0].generation += 1;
    assert!(!board.is_live(&desk, id, ApprovalRules::default()));
    desk.approval(id).generation = Some(generation + 1);
    assert!(!board.is_live(&desk, id, ApprovalRules::default()), "the text names the generation");
    desk.approval(id).generation = None;
    assert!(!board.is_live(&desk, id, ApprovalRules::default()));
}

#[test]
fn what_cannot_be_signed_by_enough_is_said_and_what_can_is_not() {
    let board = Board::new();
    let mut desk = Desk::new();
    let robot = desk.workload("robot");
    let (id, _) = desk.issue(robot, &policy("to = \"https://api.example.com\"\ncall = \"GET /v1/items\""));
    desk.approval(id).requester = Some("alice".into());
    let grant = desk.grant_of(id);
    let of = |quorum, not_requester| {
        let rules = ApprovalRules { quorum, not_requester, ..ApprovalRules::default() };
        let approvers = board.approvers(rules);
        (approvers.shortfall(&grant), approvers.shortfall_of_rules())
    };
    assert_eq!(of(2, false), (None, None));
    assert_eq!(of(1, true), (None, None));
    let told = |text: &str| (Some(text.to_owned()), Some(text.to_owned()));
    assert_eq!(of(2, true), told("2 signatures needed, 1 approver can sign: cloakroom approver enrol NAME"));
    assert_eq!(
        of(3, false),
        told("3 signatures needed, 2 approvers can sign: cloakroom approver enrol NAME")
    );
    let other = ApprovalRule {
        to: Some("https://b.example.com".parse().unwrap()),
        credential: None,
        kind: None,
        quorum: 3,
    };
    let rules = board.approvers(ApprovalRules { rules: vec![other], ..ApprovalRules::default() });
    assert_eq!(rules.shortfall(&grant), None, "the rule is for another destination");
    assert!(rules.shortfall_of_rules().is_some());
    let nobody = board.approvers(ApprovalRules::default()).nobody();
    assert_eq!(
        nobody.shortfall(&grant).unwrap(),
        "1 signature needed, 0 approvers can sign: cloakroom approver enrol NAME"
    );
}
