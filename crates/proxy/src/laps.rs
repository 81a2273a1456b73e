//! How long each step of one call takes: counted always, and kept where the call is traced.

use crate::traced::Traced;
use cloakroom_model::{Meters, Step};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

/// The steps of one call, one after the other.
pub(crate) struct Laps {
    began: Instant,
    /// When the last step ended, in nanoseconds.
    last: AtomicU64,
    traced: Option<Arc<Traced>>,
}

impl Laps {
    pub(crate) fn begin(traced: Option<Arc<Traced>>) -> Self {
        Self { began: Instant::now(), last: AtomicU64::new(0), traced }
    }

    /// This step ends now, and the next one begins.
    pub(crate) fn lap(&self, step: Step, meters: &Meters) {
        let now = u64::try_from(self.began.elapsed().as_nanos()).unwrap_or(u64::MAX);
        // One task at a time has the call: nothing comes in between.
        let last = self.last.load(Relaxed);
        self.last.store(now, Relaxed);
        meters.step(step, Duration::from_nanos(now.saturating_sub(last)));
        if let Some(traced) = &self.traced {
            let at = |nanoseconds| self.began + Duration::from_nanos(nanoseconds);
            traced.step(step, at(last), at(now));
        }
    }

    /// The trace that the call is part of.
    pub(crate) fn into_traced(self) -> Option<Arc<Traced>> {
        self.traced
    }
}
