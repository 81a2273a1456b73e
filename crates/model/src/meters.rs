//! What is counted: one number for each code and each kind, never one for each workload or stranger.

use crate::histogram::{Histogram, Spread};
use crate::{Code, EventKind, Step};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

/// What every call counts is counted here so many times over, and threads are spread over it: no two of them wait for one line of memory.
const SHARDS: usize = 8;

/// Counters, from the start of the process.
#[derive(Debug)]
pub struct Meters {
    shards: [Shard; SHARDS],
    under_way: AtomicU64,
    spans: AtomicU64,
    spans_dropped: AtomicU64,
    undelivered: AtomicU64,
    witnesses_silent: AtomicU64,
    witnessed: AtomicU64,
    refusals: Vec<AtomicU64>,
    events: Vec<AtomicU64>,
}

impl Default for Meters {
    fn default() -> Self {
        let zeros = |count: usize| (0..count).map(|_| AtomicU64::new(0)).collect();
        Self {
            shards: Default::default(),
            under_way: AtomicU64::new(0),
            spans: AtomicU64::new(0),
            spans_dropped: AtomicU64::new(0),
            undelivered: AtomicU64::new(0),
            witnesses_silent: AtomicU64::new(0),
            witnessed: AtomicU64::new(0),
            refusals: zeros(Code::ALL.len()),
            events: zeros(EventKind::ALL.len()),
        }
    }
}

/// What the threads of one shard counted, on lines of memory of its own.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Shard {
    calls: AtomicU64,
    counted_uses: AtomicU64,
    steps: [Histogram; Step::ALL.len()],
}

static THREADS: AtomicUsize = AtomicUsize::new(0);

thread_local! {
    /// The shard of this thread.
    static HERE: usize = THREADS.fetch_add(1, Relaxed) % SHARDS;
}

/// What the counters stood at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reading {
    /// Calls that were authorized and are on record.
    pub calls: u64,
    /// Uses that were spent.
    pub counted_uses: u64,
    /// Calls under way.
    pub under_way: u64,
    /// Spans that a collector took.
    pub spans: u64,
    /// Spans that were dropped, because a collector took none or too few.
    pub spans_dropped: u64,
    /// How long each step of calls took.
    pub steps: Vec<(Step, Spread)>,
    /// Events that could not be carried further.
    pub undelivered: u64,
    /// Witnesses that did not take the last checkpoint.
    pub witnesses_silent: u64,
    /// How many records the last checkpoint signs that every witness has taken.
    pub witnessed: u64,
    /// Refusals and failures, for each code.
    pub refusals: Vec<(Code, u64)>,
    /// Security events, for each kind.
    pub events: Vec<(EventKind, u64)>,
}

impl Meters {
    /// One call is on record, with so many counted uses.
    pub fn call(&self, counted_uses: u64) {
        let shard = self.here();
        shard.calls.fetch_add(1, Relaxed);
        shard.counted_uses.fetch_add(counted_uses, Relaxed);
    }

    /// A step of a call took so long.
    pub fn step(&self, step: Step, took: Duration) {
        self.here().steps[step as usize].observe(took);
    }

    fn here(&self) -> &Shard {
        &self.shards[HERE.with(|here| *here)]
    }

    /// So many calls are under way now.
    pub fn calls_under_way(&self, count: usize) {
        self.under_way.store(count as u64, Relaxed);
    }

    /// So many spans were taken by a collector.
    pub fn spans_taken(&self, count: u64) {
        self.spans.fetch_add(count, Relaxed);
    }

    /// So many were dropped.
    pub fn spans_dropped(&self, count: u64) {
        self.spans_dropped.fetch_add(count, Relaxed);
    }

    /// One refusal.
    pub fn refusal(&self, code: Code) {
        let at = Code::ALL.iter().position(|other| *other == code);
        at.and_then(|at| self.refusals.get(at)).map(|counter| counter.fetch_add(1, Relaxed));
    }

    /// One security event.
    pub fn event(&self, kind: EventKind) {
        let at = EventKind::ALL.iter().position(|other| *other == kind);
        at.and_then(|at| self.events.get(at)).map(|counter| counter.fetch_add(1, Relaxed));
    }

    /// One event that could not be carried further.
    pub fn undelivered(&self) {
        self.undelivered.fetch_add(1, Relaxed);
    }

    /// How many witnesses are silent, and how many records the last checkpoint signs that each of them has taken.
    pub fn witnesses(&self, silent: u64, witnessed: u64) {
        self.witnesses_silent.store(silent, Relaxed);
        self.witnessed.store(witnessed, Relaxed);
    }

    fn spread(&self, step: Step) -> Spread {
        let mut spread = Spread::default();
        self.shards.iter().for_each(|shard| shard.steps[step as usize].add_to(&mut spread));
        spread
    }

    /// All counters.
    pub fn read(&self) -> Reading {
        fn each<T: Copy>(keys: &[T], counters: &[AtomicU64]) -> Vec<(T, u64)> {
            keys.iter().zip(counters).map(|(key, counter)| (*key, counter.load(Relaxed))).collect()
        }
        let summed =
            |of: fn(&Shard) -> &AtomicU64| self.shards.iter().map(|shard| of(shard).load(Relaxed)).sum();
        Reading {
            calls: summed(|shard| &shard.calls),
            counted_uses: summed(|shard| &shard.counted_uses),
            under_way: self.under_way.load(Relaxed),
            spans: self.spans.load(Relaxed),
            spans_dropped: self.spans_dropped.load(Relaxed),
            steps: Step::ALL.into_iter().map(|step| (step, self.spread(step))).collect(),
            undelivered: self.undelivered.load(Relaxed),
            witnesses_silent: self.witnesses_silent.load(Relaxed),
            witnessed: self.witnessed.load(Relaxed),
            refusals: each(Code::ALL, &self.refusals),
            events: each(EventKind::ALL, &self.events),
        }
    }
}

impl Reading {
    /// How many events there were of this kind.
    pub fn events_of(&self, kind: EventKind) -> u64 {
        self.events.iter().find(|(other, _)| *other == kind).map_or(0, |(_, count)| *count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_threads_count_side_by_side_adds_up() {
        let meters = Meters::default();
        std::thread::scope(|scope| {
            for _ in 0..2 * SHARDS {
                scope.spawn(|| {
                    for _ in 0..100 {
                        meters.call(2);
                        meters.step(Step::Send, Duration::from_micros(3));
                    }
                });
            }
        });
        let reading = meters.read();
        let calls = 2 * SHARDS as u64 * 100;
        assert_eq!((reading.calls, reading.counted_uses), (calls, 2 * calls));
        for (step, spread) in &reading.steps {
            assert_eq!(spread.count(), if *step == Step::Send { calls } else { 0 }, "{step:?}");
        }
    }

    #[test]
    fn steps_are_counted_in_their_own_places() {
        for (at, step) in Step::ALL.into_iter().enumerate() {
            assert_eq!(step as usize, at);
        }
    }
}
