//! Keeps the needles of one generation of one secret between calls: making them costs more than a call may.

use super::needles::{BasicHalf, Needles};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

/// More sets than this are not kept; a workload that varies its half of Basic credentials makes one set each.
const MOST: usize = 64;

/// The workload's half of Basic credentials: what stands before the secret, and what after.
type Half = Option<(Box<[u8]>, Box<[u8]>)>;

/// The needles of one secret. Custody keeps it for as long as it holds that generation of the credential.
#[derive(Default)]
pub(crate) struct NeedleCache {
    sets: Mutex<HashMap<Half, Arc<Needles>>>,
}

impl NeedleCache {
    /// The needles of `secret`, made where they are not at hand.
    pub(crate) fn needles(&self, basic: Option<BasicHalf<'_>>, secret: &[u8]) -> Arc<Needles> {
        let half = basic.map(|half| (half.before.into(), half.after.into()));
        if let Some(known) = self.lock().get(&half) {
            return Arc::clone(known);
        }
        let made = Arc::new(Needles::new(secret, basic));
        let mut sets = self.lock();
        if sets.len() >= MOST {
            sets.clear();
        }
        Arc::clone(sets.entry(half).or_insert(made))
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<Half, Arc<Needles>>> {
        self.sets.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
