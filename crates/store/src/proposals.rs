//! What workloads ask for: a bounded table in memory. A proposal permits nothing and approves itself never.

use cloakroom_model::{Name, PlaceholderId, ProposalId, Timestamp, WorkloadId};
use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Proposals of all workloads, and of one.
const MOST: usize = 200;
const MOST_PER_WORKLOAD: usize = 20;

/// How often a workload may ask in a period, whatever comes of it.
const MOST_ASKED: u32 = 60;
const PERIOD: Duration = Duration::from_secs(60);

/// How many decisions are remembered, of all workloads.
const MOST_DECIDED: usize = 1000;

/// The proposals that wait for an operator, and what became of the latest others.
#[derive(Debug, Default)]
pub struct Proposals {
    table: Mutex<Table>,
    /// When each workload's period began, and how often it asked since. Only periods that run are kept.
    asked: Mutex<BTreeMap<WorkloadId, (Instant, u32)>>,
}

#[derive(Debug, Default)]
struct Table {
    waiting: Vec<Proposal>,
    /// The oldest first.
    decided: VecDeque<(ProposalId, WorkloadId, Ruling)>,
}

/// What an operator made of a proposal. Neither permits anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ruling {
    /// Taken up: a placeholder may be issued for it, or this one was.
    Accepted(Option<PlaceholderId>),
    /// Not taken up.
    Dropped,
}

/// What became of a proposal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// No operator has said anything.
    Waiting,
    /// An operator has.
    Ruled(Ruling),
}

/// What a workload asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proposal {
    /// Its id.
    pub id: ProposalId,
    /// Who asks. SECURITY: what becomes of it is for this workload alone, not for a later one of the same name.
    pub by: WorkloadId,
    /// Its name.
    pub workload: Name,
    /// When.
    pub at: Timestamp,
    /// The policy that is asked for, in normal form.
    pub policy: String,
    /// Why, in the workload's words.
    pub reason: String,
}

/// A workload asks too often. The value is after how many seconds it may ask again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the workload asks too often")]
pub struct TooOften(pub u32);

/// No more proposals are taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("too many proposals wait")]
pub struct TooMany;

impl Proposals {
    /// Counts that a workload asks, before anything that it sends is read.
    ///
    /// # Errors
    /// [`TooOften`] where it asked as often as it may.
    pub fn knock(&self, workload: WorkloadId, now: Instant) -> Result<(), TooOften> {
        let mut asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        asked.retain(|_, (since, _)| now.saturating_duration_since(*since) < PERIOD);
        let (since, times) = asked.entry(workload).or_insert((now, 0));
        if *times >= MOST_ASKED {
            let left = PERIOD.saturating_sub(now.saturating_duration_since(*since));
            return Err(TooOften(u32::try_from(left.as_secs()).unwrap_or(u32::MAX).max(1)));
        }
        *times += 1;
        Ok(())
    }

    /// Takes a proposal. The same one again is the one that is there.
    ///
    /// # Errors
    /// [`TooMany`] where a bound is reached.
    pub fn add(&self, proposal: Proposal) -> Result<ProposalId, TooMany> {
        let all = &mut self.lock().waiting;
        let of_workload = || all.iter().filter(|one| one.by == proposal.by);
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
        self.lock().waiting.clone()
    }

    /// Takes it off the list, as if it had never been made.
    pub fn take(&self, id: ProposalId) -> Option<Proposal> {
        self.lock().take(id)
    }

    /// Takes it off the list, and remembers for its workload what became of it.
    pub fn rule(&self, id: ProposalId, ruling: Ruling) -> Option<Proposal> {
        let mut table = self.lock();
        let taken = table.take(id)?;
        if table.decided.len() >= MOST_DECIDED {
            table.decided.pop_front();
        }
        table.decided.push_back((id, taken.by, ruling));
        Some(taken)
    }

    /// What became of a proposal of this workload; nothing where it is another's, or long forgotten.
    pub fn standing(&self, id: ProposalId, workload: WorkloadId) -> Option<Standing> {
        let table = self.lock();
        if table.waiting.iter().any(|one| one.id == id && one.by == workload) {
            return Some(Standing::Waiting);
        }
        let decided = table.decided.iter().find(|(other, by, _)| *other == id && *by == workload);
        decided.map(|(_, _, ruling)| Standing::Ruled(*ruling))
    }

    fn lock(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Table {
    fn take(&mut self, id: ProposalId) -> Option<Proposal> {
        let at = self.waiting.iter().position(|one| one.id == id)?;
        Some(self.waiting.remove(at))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn workload(number: u8) -> WorkloadId {
        WorkloadId::new(Timestamp::from_millis(1), [number; 10])
    }

    fn proposal(by: WorkloadId, reason: String) -> Proposal {
        let (id, at) = (ProposalId::fresh().unwrap(), Timestamp::from_millis(1));
        Proposal { id, by, workload: Name::parse("robot").unwrap(), at, policy: "p".into(), reason }
    }

    #[test]
    fn t77_a_workload_that_asks_too_often_is_told_when_to_come_again_and_the_others_are_heard() {
        let (proposals, now) = (Proposals::default(), Instant::now());
        let (noisy, quiet) = (workload(1), workload(2));
        for _ in 0..MOST_ASKED {
            assert_eq!(proposals.knock(noisy, now), Ok(()));
        }
        assert_eq!(proposals.knock(noisy, now), Err(TooOften(60)));
        assert_eq!(proposals.knock(noisy, now + Duration::from_secs(40)), Err(TooOften(20)));
        assert_eq!(proposals.knock(quiet, now), Ok(()));
        assert_eq!(proposals.knock(noisy, now + PERIOD), Ok(()));
        assert_eq!(proposals.asked.lock().unwrap().len(), 1, "periods that are over are not kept");
    }

    #[test]
    fn t77_a_thousand_proposals_are_twenty_and_the_same_one_is_one() {
        let proposals = Proposals::default();
        let propose = |number: u32, by: u8| proposals.add(proposal(workload(by), number.to_string()));
        let taken = (0..1000).filter(|number| propose(*number, 200).is_ok()).count();
        assert_eq!(taken, MOST_PER_WORKLOAD);
        assert_eq!(propose(3, 200), Ok(proposals.list()[3].id), "the same again");
        for number in 0..20 {
            for by in 0..20 {
                let _ = propose(number, by);
            }
        }
        assert_eq!(proposals.list().len(), MOST);
    }

    #[test]
    fn t77_what_became_of_a_proposal_is_known_to_its_own_workload_not_to_a_namesake_and_for_a_while() {
        let (proposals, robot, namesake) = (Proposals::default(), workload(1), workload(2));
        let propose = |reason: String| proposals.add(proposal(robot, reason)).unwrap();
        let (one, other) = (propose("one".into()), propose("other".into()));
        assert_eq!(proposals.standing(one, robot), Some(Standing::Waiting));
        assert_eq!(proposals.standing(one, namesake), None);
        let issued = PlaceholderId::fresh().unwrap();
        proposals.rule(one, Ruling::Accepted(Some(issued))).unwrap();
        proposals.rule(other, Ruling::Dropped).unwrap();
        assert_eq!(proposals.rule(one, Ruling::Dropped), None, "it is decided once");
        assert_eq!(proposals.standing(one, robot), Some(Standing::Ruled(Ruling::Accepted(Some(issued)))));
        assert_eq!(proposals.standing(other, robot), Some(Standing::Ruled(Ruling::Dropped)));
        assert_eq!(proposals.standing(one, namesake), None);
        for number in 0..MOST_DECIDED {
            proposals.rule(propose(number.to_string()), Ruling::Dropped).unwrap();
        }
        assert_eq!(proposals.standing(one, robot), None, "long ago");
        assert_eq!(proposals.lock().decided.len(), MOST_DECIDED);
    }
}
