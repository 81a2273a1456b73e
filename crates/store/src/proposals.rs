//! What workloads ask for: a bounded table in memory. A proposal permits nothing and approves itself never.

use cloakroom_model::{Name, ProposalId, Timestamp};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Proposals of all workloads, and of one.
const MOST: usize = 200;
const MOST_PER_WORKLOAD: usize = 20;

/// The proposals that wait for an operator.
#[derive(Debug, Default)]
pub struct Proposals(Mutex<Vec<Proposal>>);

/// What a workload asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proposal {
    /// Its id.
    pub id: ProposalId,
    /// Who asks.
    pub workload: Name,
    /// When.
    pub at: Timestamp,
    /// The policy that is asked for, in normal form.
    pub policy: String,
    /// Why, in the workload's words.
    pub reason: String,
}

/// No more proposals are taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("too many proposals wait")]
pub struct TooMany;

impl Proposals {
    /// Takes a proposal. The same one again is the one that is there.
    ///
    /// # Errors
    /// [`TooMany`] where a bound is reached.
    pub fn add(&self, proposal: Proposal) -> Result<ProposalId, TooMany> {
        let mut all = self.lock();
        let of_workload = || all.iter().filter(|one| one.workload == proposal.workload);
        if let Some(same) =
            of_workload().find(|one| one.policy == proposal.policy && one.reason == proposal.reason)
        {
            return Ok(same.id);
        }
        if all.len() >= MOST || of_workload().count() >= MOST_PER_WORKLOAD {
            return Err(TooMany);
        }
        let id = proposal.id;
        all.push(proposal);
        Ok(id)
    }

    /// Every proposal, oldest first.
    pub fn list(&self) -> Vec<Proposal> {
        self.lock().clone()
    }

    /// Takes it off the list.
    pub fn take(&self, id: ProposalId) -> Option<Proposal> {
        let mut all = self.lock();
        let at = all.iter().position(|one| one.id == id)?;
        Some(all.remove(at))
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Proposal>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
