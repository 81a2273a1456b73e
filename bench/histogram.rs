//! Latencies in buckets of equal relative width: 64 to each doubling, so a figure is right to 1.6 %.

use std::time::Duration;

const STEPS: u64 = 64;

/// A count for each bucket.
#[derive(Clone, Default)]
pub(crate) struct Histogram {
    counts: Vec<u64>,
    total: u64,
}

impl Histogram {
    /// Counts one latency.
    pub(crate) fn record(&mut self, latency: Duration) {
        let bucket = bucket(u64::try_from(latency.as_nanos()).unwrap_or(u64::MAX));
        if self.counts.len() <= bucket {
            self.counts.resize(bucket + 1, 0);
        }
        self.counts[bucket] += 1;
        self.total += 1;
    }

    /// How many were counted.
    pub(crate) fn count(&self) -> u64 {
        self.total
    }

    /// The latency that this share of all does not exceed, in microseconds.
    pub(crate) fn micros(&self, percent: f64) -> f64 {
        let rank = (self.total as f64 * percent / 100.0).ceil().max(1.0) as u64;
        let mut seen = 0;
        for (bucket, count) in self.counts.iter().enumerate() {
            seen += count;
            if seen >= rank {
                return middle(bucket as u64) / 1e3;
            }
        }
        f64::NAN
    }
}

/// Below [`STEPS`] a bucket is one nanosecond; above, the top six bits behind the highest one and its position.
fn bucket(nanos: u64) -> usize {
    if nanos < STEPS {
        return nanos as usize;
    }
    let doublings = u64::from(nanos.ilog2() - STEPS.ilog2());
    (STEPS + doublings * STEPS + (nanos >> doublings) - STEPS) as usize
}

fn middle(bucket: u64) -> f64 {
    if bucket < STEPS {
        return bucket as f64;
    }
    let (doublings, step) = ((bucket - STEPS) / STEPS, (bucket - STEPS) % STEPS);
    (STEPS + step) as f64 * 2f64.powi(doublings as i32) + 2f64.powi(doublings as i32) / 2.0
}
