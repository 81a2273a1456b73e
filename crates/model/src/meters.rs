//! What is counted: one number for each code and each kind, never one for each workload or stranger.

use crate::{Code, EventKind};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Counters that only grow, from the start of the process.
#[derive(Debug)]
pub struct Meters {
    calls: AtomicU64,
    counted_uses: AtomicU64,
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
            calls: AtomicU64::new(0),
            counted_uses: AtomicU64::new(0),
            undelivered: AtomicU64::new(0),
            witnesses_silent: AtomicU64::new(0),
            witnessed: AtomicU64::new(0),
            refusals: zeros(Code::ALL.len()),
            events: zeros(EventKind::ALL.len()),
        }
    }
}

/// What the counters stood at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reading {
    /// Calls that were authorized and are on record.
    pub calls: u64,
    /// Uses that were spent.
    pub counted_uses: u64,
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
        self.calls.fetch_add(1, Relaxed);
        self.counted_uses.fetch_add(counted_uses, Relaxed);
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

    /// All counters.
    pub fn read(&self) -> Reading {
        fn each<T: Copy>(keys: &[T], counters: &[AtomicU64]) -> Vec<(T, u64)> {
            keys.iter().zip(counters).map(|(key, counter)| (*key, counter.load(Relaxed))).collect()
        }
        Reading {
            calls: self.calls.load(Relaxed),
            counted_uses: self.counted_uses.load(Relaxed),
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
