//! What workloads ask for: a bounded table in memory. A proposal permits nothing and approves itself never.

use cloakroom_model::{Name, ProposalId, Timestamp};
use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Proposals of all workloads, and of one.
const MOST: usize = 200;
const MOST_PER_WORKLOAD: usize = 20;

/// How often a workload may ask in a period, whatever comes of it.
const MOST_ASKED: u32 = 60;
const PERIOD: Duration = Duration::from_secs(60);

/// The proposals that wait for an operator.
#[derive(Debug, Default)]
pub struct Proposals {
    waiting: Mutex<Vec<Proposal>>,
    /// When each workload's period began, and how often it asked since. Only periods that run are kept.
    asked: Mutex<BTreeMap<Name, (Instant, u32)>>,
}

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
    pub fn knock(&self, workload: &Name, now: Instant) -> Result<(), TooOften> {
        let mut asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        asked.retain(|_, (since, _)| now.saturating_duration_since(*since) < PERIOD);
        let (since, times) = asked.entry(workload.clone()).or_insert((now, 0));
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
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn t77_a_workload_that_asks_too_often_is_told_when_to_come_again_and_the_others_are_heard() {
        let (proposals, now) = (Proposals::default(), Instant::now());
        let name = |text| Name::parse(text).unwrap();
        for _ in 0..MOST_ASKED {
            assert_eq!(proposals.knock(&name("noisy"), now), Ok(()));
        }
        assert_eq!(proposals.knock(&name("noisy"), now), Err(TooOften(60)));
        assert_eq!(proposals.knock(&name("noisy"), now + Duration::from_secs(40)), Err(TooOften(20)));
        assert_eq!(proposals.knock(&name("quiet"), now), Ok(()));
        assert_eq!(proposals.knock(&name("noisy"), now + PERIOD), Ok(()));
        assert_eq!(proposals.asked.lock().unwrap().len(), 1, "periods that are over are not kept");
    }

    #[test]
    fn t77_a_thousand_proposals_are_twenty_and_the_same_one_is_one() {
        let proposals = Proposals::default();
        let propose = |number: u32, workload: &str| {
            let (id, at) = (ProposalId::fresh().unwrap(), Timestamp::from_millis(1));
            let (policy, reason) = ("p".to_owned(), number.to_string());
            proposals.add(Proposal { id, workload: Name::parse(workload).unwrap(), at, policy, reason })
        };
        let taken = (0..1000).filter(|number| propose(*number, "robot").is_ok()).count();
        assert_eq!(taken, MOST_PER_WORKLOAD);
        assert_eq!(propose(3, "robot"), Ok(proposals.list()[3].id), "the same again");
        for number in 0..20 {
            for workload in 0..20 {
                let _ = propose(number, &format!("w{workload}"));
            }
        }
        assert_eq!(proposals.list().len(), MOST);
    }
}
