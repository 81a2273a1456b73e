//! How many calls are under way, in total and for each workload: what comes beyond is refused early, and the workload
//! that has the most is refused first (T97).

use cloakroom_model::{Code, IdMap, Meters, Refusal, WorkloadId};
use std::sync::{Arc, Mutex, PoisonError};

/// All calls under way.
pub(crate) struct Calls {
    most: usize,
    most_per_workload: usize,
    running: Mutex<Running>,
    meters: Arc<Meters>,
}

#[derive(Default)]
struct Running {
    total: usize,
    by_workload: IdMap<WorkloadId, usize>,
}

/// One call, until its answer has ended. Counted off on drop.
pub(crate) struct Underway {
    calls: Arc<Calls>,
    workload: WorkloadId,
}

impl Calls {
    pub(crate) fn new(most: usize, most_per_workload: usize, meters: Arc<Meters>) -> Arc<Self> {
        Arc::new(Self { most, most_per_workload, running: Mutex::default(), meters })
    }

    /// Begins a call of this workload. Nothing of its body has been read.
    ///
    /// # Errors
    /// `rate-limited`, with when to come again.
    pub(crate) fn begin(self: &Arc<Self>, workload: WorkloadId) -> Result<Underway, Refusal> {
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        let own = running.by_workload.get(&workload).copied().unwrap_or(0);
        if own >= self.most_per_workload {
            return Err(busy("the workload has too many calls under way"));
        }
        if !self.has_room(&running, own) {
            return Err(busy("the broker has too many calls under way"));
        }
        running.total += 1;
        self.meters.calls_under_way(running.total);
        *running.by_workload.entry(workload).or_insert(0) += 1;
        Ok(Underway { calls: self.clone(), workload })
    }

    /// The last quarter is kept for those below their share, where the share leaves one for who comes next. So the
    /// noisy find the door closed while the quiet still come in, and nobody has to be thrown out.
    fn has_room(&self, running: &Running, own: usize) -> bool {
        let shared = self.most - self.most / 4;
        let share = self.most / (running.by_workload.len() + 1);
        running.total < shared || (running.total < self.most && own < share.max(1))
    }
}

impl Drop for Underway {
    fn drop(&mut self) {
        let mut running = self.calls.running.lock().unwrap_or_else(PoisonError::into_inner);
        running.total = running.total.saturating_sub(1);
        self.calls.meters.calls_under_way(running.total);
        if let Some(count) = running.by_workload.get_mut(&self.workload) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                running.by_workload.remove(&self.workload);
            }
        }
    }
}

fn busy(why: &'static str) -> Refusal {
    Refusal::new(Code::RateLimited, why).with(|facts| facts.retry_after = Some(1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use cloakroom_model::Timestamp;

    fn workload(number: u64) -> WorkloadId {
        WorkloadId::new(Timestamp::from_millis(number), [0; 10])
    }

    /// As many calls as this workload gets.
    fn fill(calls: &Arc<Calls>, number: u64) -> Vec<Underway> {
        std::iter::from_fn(|| calls.begin(workload(number)).ok()).collect()
    }

    #[test]
    fn t97_a_workload_that_takes_all_it_gets_leaves_room_for_others() {
        let calls = Calls::new(16, 100, Arc::default());
        let noisy = fill(&calls, 1);
        assert_eq!(noisy.len(), 12);
        let quiet = calls.begin(workload(2)).unwrap();
        // The noisy one gets nothing back while it is above its share, the quiet one does.
        drop(quiet);
        assert!(calls.begin(workload(1)).is_err());
        for other in [2, 3] {
            assert_eq!(fill(&calls, other).len(), 4);
        }
    }

    #[test]
    fn t97_the_bounds_hold_and_what_has_ended_is_not_counted() {
        let calls = Calls::new(16, 5, Arc::default());
        let held: Vec<_> = (1..=10).flat_map(|number| fill(&calls, number)).collect();
        assert_eq!(held.len(), 16);
        assert_eq!(calls.begin(workload(11)).err().map(|no| no.facts().retry_after), Some(Some(1)));
        drop(held);
        let running = calls.running.lock().unwrap();
        assert_eq!((running.total, running.by_workload.len()), (0, 0));
        drop(running);
        assert_eq!(fill(&calls, 1).len(), 5);
    }

    #[test]
    fn a_bound_of_one_lets_one_through() {
        let calls = Calls::new(1, 1, Arc::default());
        let one = calls.begin(workload(1)).unwrap();
        assert!(calls.begin(workload(2)).is_err());
        drop(one);
        assert!(calls.begin(workload(2)).is_ok());
    }
}
