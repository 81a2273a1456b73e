//! What waits for a human: new policies, parked calls, changes of the approvers, and what workloads ask for.

use super::board::Board;
use crate::admin::Admin;
use cloakroom_model::{Name, Timestamp};
use cloakroom_store::Verdict;

/// Kinds of things that wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum WaitingKind {
    /// A call that waits until a human has seen it. The most urgent: a program stands still.
    Call,
    /// A placeholder whose policy nobody has approved.
    Policy,
    /// A change of who the approvers are.
    Approver,
    /// What a workload asks for. Nothing is decided by it.
    Proposal,
}

/// One thing that waits. Names that operators chose and ids; nothing that a workload wrote.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Waiting {
    /// Its id.
    pub id: String,
    /// What it is.
    pub kind: WaitingKind,
    /// Whose it is.
    pub workload: Option<Name>,
    /// What it wants to use.
    pub credential: Option<Name>,
    /// Since when.
    pub since: Timestamp,
}

impl WaitingKind {
    /// In words.
    pub const fn words(self) -> &'static str {
        match self {
            Self::Call => "a call waits",
            Self::Policy => "a policy waits",
            Self::Approver => "a change of the approvers waits",
            Self::Proposal => "a workload asks for more",
        }
    }
}

impl Waiting {
    /// What it is about, on one line.
    pub fn title(&self) -> String {
        match (&self.workload, &self.credential) {
            (Some(workload), Some(credential)) => {
                format!("{}: {workload} with {credential}", self.kind.words())
            }
            (Some(name), None) | (None, Some(name)) => format!("{}: {name}", self.kind.words()),
            (None, None) => self.kind.words().to_owned(),
        }
    }

    /// Where the console shows it.
    pub fn path(&self) -> String {
        format!("/inbox/{}", self.id)
    }
}

impl Admin {
    /// Everything that waits for a human, the most urgent first; nothing while the rows cannot be read.
    pub fn waiting(&self) -> Vec<Waiting> {
        self.console.board().map(|board| waiting(self, &board)).unwrap_or_default()
    }
}

pub(super) fn waiting(admin: &Admin, board: &Board) -> Vec<Waiting> {
    let mut all: Vec<Waiting> =
        calls(admin).chain(policies(board)).chain(ballots(admin)).chain(proposals(admin)).collect();
    all.sort_by(|one, other| (one.kind, one.since, &one.id).cmp(&(other.kind, other.since, &other.id)));
    all
}

fn calls(admin: &Admin) -> impl Iterator<Item = Waiting> {
    let parked = admin.parking.list().into_iter().filter(|one| one.verdict == Verdict::Waiting);
    parked.map(|one| Waiting {
        id: one.id.to_string(),
        kind: WaitingKind::Call,
        workload: Some(one.question.workload.clone()),
        credential: Some(one.question.credential.clone()),
        since: one.created,
    })
}

fn policies(board: &Board) -> impl Iterator<Item = Waiting> {
    use crate::api::view::Relations;
    board.undecided().map(|row| {
        let placeholder = board.placeholder(row.placeholder);
        let workload = placeholder.and_then(|one| board.workload(one.workload));
        let credential = placeholder.and_then(|one| board.credential(one.credential));
        Waiting {
            id: row.id.to_string(),
            kind: WaitingKind::Policy,
            workload: workload.map(|row| row.name.clone()),
            credential: credential.map(|row| row.name.clone()),
            since: row.created,
        }
    })
}

fn ballots(admin: &Admin) -> impl Iterator<Item = Waiting> {
    admin.ballots.list().into_iter().map(|ballot| Waiting {
        id: ballot.id.to_string(),
        kind: WaitingKind::Approver,
        workload: None,
        credential: None,
        since: ballot.created,
    })
}

fn proposals(admin: &Admin) -> impl Iterator<Item = Waiting> {
    admin.proposals.list().into_iter().map(|one| Waiting {
        id: one.id.to_string(),
        kind: WaitingKind::Proposal,
        workload: Some(one.workload),
        credential: None,
        since: one.at,
    })
}
