//! Learning what a workload needs: in a lesson every call of it is refused and its shape kept; from the shapes a policy is
//! proposed that allows these calls and little else.
//!
//! ```text
//! call -- Lessons::observe --> shape (no value of it) -- Lesson::propose --> a policy file, with comments on what was generalised
//! ```
//!
//! SECURITY: a lesson keeps method, destination, path, and the names, types and lengths of what else there is; no value of a
//! query key, header or body. All of it is the workload's own text: bounded, in memory only, and escaped where it is written.

mod general;
mod kind;
mod place;
mod propose;
mod shape;

#[cfg(test)]
mod tests;

pub use propose::Proposed;

use crate::PolicySet;
use cloakroom_model::{Call, Timestamp, WorkloadId};
use shape::{Key, Seen};
use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// A lesson keeps no more different shapes.
const MOST_SHAPES: usize = 1000;

/// What one workload's calls looked like.
#[derive(Debug, Default)]
pub struct Lesson {
    shapes: BTreeMap<Key, Seen>,
    calls: u64,
    left_out: u64,
}

impl Lesson {
    fn observe(&mut self, call: &Call, is_placeholder: impl Fn(&str) -> bool) {
        self.calls = self.calls.saturating_add(1);
        let (key, seen) = shape::of(call, is_placeholder);
        if let Some(known) = self.shapes.get_mut(&key) {
            known.merge(seen);
        } else if self.shapes.len() < MOST_SHAPES {
            self.shapes.insert(key, seen);
        } else {
            self.left_out = self.left_out.saturating_add(1);
        }
    }

    /// How many calls there were.
    pub fn calls(&self) -> u64 {
        self.calls
    }

    /// How many calls were left out, because there were too many different ones.
    pub fn left_out(&self) -> u64 {
        self.left_out
    }

    /// The smallest policy that covers the calls, as a file.
    pub fn propose(&self) -> Proposed {
        propose::policy(self)
    }
}

/// There is a lesson for this workload already.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the workload is in a lesson already")]
pub struct Busy;

/// The lessons under way.
#[derive(Debug, Default)]
pub struct Lessons {
    /// How many there are: calls of a broker without lessons take no lock.
    count: AtomicUsize,
    all: Mutex<HashMap<WorkloadId, (Timestamp, Lesson)>>,
}

impl Lessons {
    /// Begins a lesson. At `until` it ends by itself: what was seen is kept, and calls are judged as always.
    ///
    /// # Errors
    /// [`Busy`] where there is one.
    pub fn begin(&self, workload: WorkloadId, until: Timestamp) -> Result<(), Busy> {
        let mut all = self.lock();
        if all.contains_key(&workload) {
            return Err(Busy);
        }
        all.insert(workload, (until, Lesson::default()));
        self.count.store(all.len(), Ordering::Release);
        Ok(())
    }

    /// Whether the workload's calls are refused and looked at.
    pub fn is_open(&self, workload: WorkloadId, now: Timestamp) -> bool {
        self.count.load(Ordering::Acquire) > 0
            && self.lock().get(&workload).is_some_and(|(until, _)| now < *until)
    }

    /// Keeps the shape of a call.
    pub fn observe(&self, workload: WorkloadId, call: &Call, policies: &PolicySet) {
        let is_placeholder = |text: &str| policies.is_placeholder(text);
        if let Some((_, lesson)) = self.lock().get_mut(&workload) {
            lesson.observe(call, is_placeholder);
        }
    }

    /// How many calls a lesson has seen, and until when it goes on.
    pub fn progress(&self, workload: WorkloadId) -> Option<(u64, Timestamp)> {
        self.lock().get(&workload).map(|(until, lesson)| (lesson.calls, *until))
    }

    /// Ends a lesson.
    pub fn end(&self, workload: WorkloadId) -> Option<Lesson> {
        let mut all = self.lock();
        let ended = all.remove(&workload);
        self.count.store(all.len(), Ordering::Release);
        ended.map(|(_, lesson)| lesson)
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<WorkloadId, (Timestamp, Lesson)>> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
