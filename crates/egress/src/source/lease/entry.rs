//! One lease in memory: its row, and what is to be done about it when.

use cloakroom_model::LeaseRecord;
use std::time::{Duration, Instant};

/// After an attempt that did not end it, nothing is tried for so long: doubled with each, up to the longest.
const SHORTEST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// A renewal that failed is tried again after this time.
const AGAIN: Duration = Duration::from_secs(5);

pub(super) struct Entry {
    pub(super) row: LeaseRecord,
    pub(super) phase: Phase,
    /// A task sees to it now.
    pub(super) busy: bool,
}

pub(super) enum Phase {
    /// The source is being asked.
    Taking,
    Held(Held),
    /// Not tried again before `next`.
    Ending {
        next: Instant,
        pause: Duration,
    },
}

pub(super) struct Held {
    /// For how long it was lent last.
    pub(super) lasts: Duration,
    pub(super) ends: Instant,
    /// `None`: it cannot be renewed, or not any more.
    renew: Option<Instant>,
    /// Another took its place: it is ended then.
    pub(super) until: Option<Instant>,
}

impl Held {
    pub(super) fn new(lasts: Duration, renewable: bool) -> Self {
        let now = Instant::now();
        // Two thirds, as with logins.
        let renew = renewable.then(|| now + lasts * 2 / 3);
        Self { lasts, ends: now + lasts, renew, until: None }
    }

    /// Longer by a renewal. One that brought no more time than was left is the last: the source's limit is reached.
    pub(super) fn renewed(&mut self, lasts: Duration, renewable: bool) {
        let gained = Instant::now() + lasts > self.ends + AGAIN.min(lasts / 10);
        let until = self.until;
        *self = Self { until, ..Self::new(lasts, renewable && gained) };
    }

    pub(super) fn not_renewed(&mut self) {
        self.renew = Some(Instant::now() + AGAIN);
    }

    pub(super) fn wants_renewal(&self, now: Instant) -> bool {
        self.until.is_none() && self.renew.is_some_and(|at| at <= now)
    }

    pub(super) fn is_over(&self, now: Instant) -> bool {
        self.ends <= now || self.until.is_some_and(|until| until <= now)
    }
}

impl Phase {
    /// To be ended at once.
    pub(super) fn ending() -> Self {
        Self::Ending { next: Instant::now(), pause: Duration::ZERO }
    }

    /// Tried and not gone.
    pub(super) fn put_off(&mut self) {
        if let Self::Ending { next, pause } = self {
            *pause = (*pause * 2).clamp(SHORTEST_PAUSE, LONGEST_PAUSE);
            *next = Instant::now() + *pause;
        }
    }
}
