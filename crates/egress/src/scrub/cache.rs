//! Keeps needles between calls: making them costs more than a call may.

use super::needles::{BasicHalf, Needles};
use cloakroom_model::CredentialId;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

/// More sets than this are not kept; a workload that varies its Basic half makes one set each.
const MOST: usize = 4096;

/// The credential, its generation, and the workload's half of Basic credentials with the secret's position in it.
type Key = (CredentialId, u32, Option<(Box<[u8]>, Box<[u8]>)>);

/// Needles by credential and generation. Emptied of whatever is no longer held.
#[derive(Default)]
pub(crate) struct NeedleCache {
    sets: Mutex<HashMap<Key, Arc<Needles>>>,
}

impl NeedleCache {
    /// The needles of a secret, made from `secret` where they are not at hand.
    pub(crate) fn needles(
        &self,
        credential: CredentialId,
        generation: u32,
        basic: Option<BasicHalf<'_>>,
        secret: &[u8],
    ) -> Arc<Needles> {
        let half = basic.map(|half| (half.before.into(), half.after.into()));
        let key = (credential, generation, half);
        if let Some(known) = self.lock().get(&key) {
            return Arc::clone(known);
        }
        let made = Arc::new(Needles::new(secret, basic));
        let mut sets = self.lock();
        if sets.len() >= MOST {
            sets.clear();
        }
        Arc::clone(sets.entry(key).or_insert(made))
    }

    /// Forgets every set that `held` does not name. Called when the held credentials change.
    pub(crate) fn retain(&self, held: impl Fn(CredentialId, u32) -> bool) {
        self.lock().retain(|(credential, generation, _), _| held(*credential, *generation));
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<Key, Arc<Needles>>> {
        self.sets.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
