//! How often something may happen: a bucket of turns for each workload, and one for all strangers.

use cloakroom_model::WorkloadId;
use std::collections::HashMap;
use std::time::{Duration, Instant};

/// Turns come back one by one, and no more than `burst` are kept.
pub(super) struct Meter {
    burst: u32,
    every: Duration,
    buckets: HashMap<Option<WorkloadId>, Bucket>,
}

struct Bucket {
    turns: u32,
    since: Instant,
}

impl Meter {
    /// `burst` turns at once, and then one `every` so long.
    pub(super) fn new(burst: u32, every: Duration) -> Self {
        Self { burst, every, buckets: HashMap::new() }
    }

    /// Takes a turn, where there is one. There are no more buckets than there are workloads.
    pub(super) fn take(&mut self, who: Option<WorkloadId>, now: Instant) -> bool {
        let bucket = self.buckets.entry(who).or_insert(Bucket { turns: self.burst, since: now });
        let passed = now.saturating_duration_since(bucket.since);
        let back = u32::try_from(passed.as_nanos() / self.every.as_nanos().max(1)).unwrap_or(u32::MAX);
        if back > 0 {
            bucket.turns = bucket.turns.saturating_add(back).min(self.burst);
            bucket.since = now;
        }
        let has = bucket.turns > 0;
        bucket.turns = bucket.turns.saturating_sub(1);
        has
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn turns_run_out_and_come_back_for_each_alone() {
        let mut meter = Meter::new(2, Duration::from_secs(1));
        let begin = Instant::now();
        let other = Some(WorkloadId::fresh().unwrap());
        let taken: Vec<bool> = (0..3).map(|_| meter.take(None, begin)).collect();
        assert_eq!(taken, [true, true, false]);
        assert!(meter.take(other, begin));
        assert!(meter.take(None, begin + Duration::from_secs(1)));
        assert!(!meter.take(None, begin + Duration::from_secs(1)));
        let later: Vec<bool> = (0..3).map(|_| meter.take(None, begin + Duration::from_secs(99))).collect();
        assert_eq!(later, [true, true, false]);
    }
}
