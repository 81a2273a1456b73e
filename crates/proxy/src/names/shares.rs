//! How many connections with questions there are at once: a share for each workload, and one for all strangers.

use cloakroom_model::WorkloadId;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

/// The shares of all. SECURITY: what one workload holds open takes nothing from another (T97).
pub(super) struct Shares {
    most: usize,
    each: usize,
    taken: Mutex<HashMap<Option<WorkloadId>, usize>>,
}

/// One connection. Given back on drop.
pub(super) struct Share {
    shares: Arc<Shares>,
    who: Option<WorkloadId>,
}

impl Shares {
    /// `most` connections in all, `each` of one workload.
    pub(super) fn new(most: usize, each: usize) -> Arc<Self> {
        Arc::new(Self { most, each, taken: Mutex::default() })
    }

    /// Takes a place; `None` where this one has its share, or all are taken.
    pub(super) fn take(self: &Arc<Self>, who: Option<WorkloadId>) -> Option<Share> {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        let own = taken.get(&who).copied().unwrap_or_default();
        if own >= self.each || taken.values().sum::<usize>() >= self.most {
            return None;
        }
        taken.insert(who, own + 1);
        Some(Share { shares: Arc::clone(self), who })
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        let mut taken = self.shares.taken.lock().unwrap_or_else(PoisonError::into_inner);
        match taken.get_mut(&self.who) {
            Some(own) if *own > 1 => *own -= 1,
            _ => drop(taken.remove(&self.who)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn t97_one_workloads_questions_over_tcp_shut_out_no_other() {
        let shares = Shares::new(5, 2);
        let [one, other] = [(); 2].map(|()| Some(WorkloadId::fresh().unwrap()));
        let mut held: Vec<Share> = (0..9).filter_map(|_| shares.take(one)).collect();
        assert_eq!(held.len(), 2);
        let strangers: Vec<Share> = (0..9).filter_map(|_| shares.take(None)).collect();
        assert_eq!(strangers.len(), 2);
        let last = shares.take(other);
        assert!(last.is_some() && shares.take(other).is_none(), "five in all");
        held.pop();
        assert!(shares.take(one).is_some());
        drop((held, strangers, last));
        assert!(shares.taken.lock().unwrap().is_empty());
    }
}
