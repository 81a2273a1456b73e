//! Where the board is filled from: the journal's files, and the broker that runs on them.

use super::board::Board;
use super::line::{Line, plain};
use crate::broker::Broker;
use crate::data_dir::DataDir;
use crate::failure::Failure;
use cloakroom_admin::wire::{ApprovalView, Health, ProposalView, WorkloadView};
use cloakroom_model::Timestamp;
use cloakroom_store::journal;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// So many records before the last checkpoint are looked at: calls of before are not seen, though they may be under way.
const BEFORE: u64 = 1000;
/// How often the broker is asked.
const OFTEN: Duration = Duration::from_secs(1);

/// Reads on where it stopped.
pub(super) struct Feed {
    journal: PathBuf,
    /// How long the files were when they were read last.
    size: Option<u64>,
    /// The last record that was taken.
    last: u64,
    broker: Broker,
    asked: Option<Instant>,
}

impl Feed {
    /// Of this data directory.
    pub(super) fn open(data: &DataDir) -> Result<Self, Failure> {
        let journal = crate::command::journal_directory(data)?;
        // SPEC: c2sp.org/tlog-checkpoint: the second line is the size of the tree. Before the first checkpoint all is read.
        let note = journal::latest_checkpoint(&journal).unwrap_or_default();
        let signed: u64 = note.lines().nth(1).and_then(|size| size.parse().ok()).unwrap_or_default();
        let last = signed.saturating_sub(BEFORE);
        Ok(Self { journal, size: None, last, broker: Broker::of(data)?, asked: None })
    }

    /// Takes what is new.
    pub(super) fn read_on(&mut self, board: &mut Board) -> Result<(), Failure> {
        if self.asked.is_none_or(|at| at.elapsed() >= OFTEN) {
            self.ask(board);
            self.asked = Some(Instant::now());
        }
        let size = Some(journal::size(&self.journal)?);
        if size == self.size {
            return Ok(());
        }
        for record in journal::read(&self.journal, self.last)? {
            board.take(&record);
            self.last = record.sequence;
        }
        self.size = size;
        Ok(())
    }

    /// Asks the broker; where none answers, the journal alone is shown.
    fn ask(&self, board: &mut Board) {
        let Ok(health) = self.broker.read::<Health>("health") else {
            board.state = "no broker answers".into();
            board.waiting.clear();
            return;
        };
        board.state = health.status;
        let workloads = self.broker.read::<Vec<WorkloadView>>("workloads").unwrap_or_default();
        board.names = workloads.into_iter().map(|one| (one.id.to_string(), one.name.to_string())).collect();
        let approvals = self.broker.read::<Vec<ApprovalView>>("approvals").unwrap_or_default();
        let proposals = self.broker.read::<Vec<ProposalView>>("proposals").unwrap_or_default();
        let pending = approvals.iter().filter(|one| one.state == "pending").map(of_approval);
        board.waiting = pending.chain(proposals.iter().map(of_proposal)).collect();
    }
}

fn of_approval(one: &ApprovalView) -> Line {
    let text =
        |name: &Option<cloakroom_model::Name>| name.as_ref().map(ToString::to_string).unwrap_or_default();
    Line {
        at: made(one.id.bits()),
        workload: text(&one.workload),
        what: plain(&one.kind),
        about: text(&one.credential),
        id: one.id.to_string(),
    }
}

fn of_proposal(one: &ProposalView) -> Line {
    Line {
        at: made(one.id.bits()),
        workload: one.workload.to_string(),
        what: plain(&format!("asks: {}", one.reason)),
        about: String::new(),
        id: one.id.to_string(),
    }
}

/// When an id was made: its first 48 bits.
fn made(bits: u128) -> Timestamp {
    Timestamp::from_millis(u64::try_from(bits >> 80).unwrap_or_default())
}
