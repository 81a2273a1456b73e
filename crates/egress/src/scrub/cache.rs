//! Keeps what was made of one generation of one secret between calls: making it costs more than a call may.

use super::finder::{Finder, Target};
use super::index::Index;
use super::needles::{BasicHalf, Needles};
use arc_swap::ArcSwap;
use std::sync::{Arc, OnceLock, Weak};

/// More sets than this are not kept; a workload that varies its half of Basic credentials makes one set each.
const MOST_HALVES: usize = 64;
/// More indexes than this are not kept: one for each set of credentials that went out together with this one.
const MOST_INDEXES: usize = 16;

/// The needles of one secret. Custody keeps it for as long as it holds that generation of the credential.
#[derive(Default)]
pub(crate) struct NeedleCache {
    plain: OnceLock<Arc<Needles>>,
    parts: OnceLock<Box<[Arc<Needles>]>>,
    with_half: ArcSwap<Vec<WithHalf>>,
    indexes: ArcSwap<Vec<Kept>>,
}

/// Needles with the workload's half of Basic credentials: what stands before the secret, and what after.
#[derive(Clone)]
struct WithHalf {
    before: Box<[u8]>,
    after: Box<[u8]>,
    needles: Arc<Needles>,
}

/// What was prepared for a set of secrets of which this one is the first.
///
/// SECURITY: it does not hold the others' needles, which end with their own generation.
#[derive(Clone)]
struct Kept {
    of: Vec<Weak<Needles>>,
    index: Arc<Index>,
}

impl NeedleCache {
    /// The needles of `secret`, made where they are not at hand.
    pub(crate) fn needles(&self, basic: Option<BasicHalf<'_>>, secret: &[u8]) -> Arc<Needles> {
        let Some(half) = basic else {
            return Arc::clone(self.plain.get_or_init(|| Arc::new(Needles::new(secret, None))));
        };
        let is_same = |kept: &&WithHalf| *kept.before == *half.before && *kept.after == *half.after;
        if let Some(kept) = self.with_half.load().iter().find(is_same) {
            return Arc::clone(&kept.needles);
        }
        let needles = Arc::new(Needles::new(secret, basic));
        let made =
            WithHalf { before: half.before.into(), after: half.after.into(), needles: Arc::clone(&needles) };
        self.with_half.rcu(|kept| newest(kept, &made, MOST_HALVES, |_| true));
        needles
    }

    /// The needles without a half, where they are at hand.
    pub(crate) fn known(&self) -> Option<Arc<Needles>> {
        self.plain.get().cloned()
    }

    /// The needles of each part of a secret that is made of several, made where they are not at hand.
    pub(crate) fn parts(&self, parts: &[&[u8]]) -> &[Arc<Needles>] {
        self.parts.get_or_init(|| parts.iter().map(|part| Arc::new(Needles::new(part, None))).collect())
    }

    /// Those needles, where they are at hand.
    pub(crate) fn known_parts(&self) -> Option<&[Arc<Needles>]> {
        self.parts.get().map(|parts| &**parts)
    }

    /// Every set of needles that a call may look for on behalf of this secret.
    pub(crate) fn all(&self) -> Vec<Arc<Needles>> {
        let halves = self.with_half.load();
        let halves = halves.iter().map(|kept| Arc::clone(&kept.needles));
        let parts = self.known_parts().unwrap_or_default().iter().cloned();
        self.known().into_iter().chain(parts).chain(halves).collect()
    }

    /// A finder for `targets`, of which the first is this secret.
    pub(crate) fn finder(&self, targets: Vec<Target>) -> Finder {
        // INVARIANT: while a weak reference is kept, no other needles can have the same address.
        let is_of = |kept: &&Kept| {
            kept.of.len() == targets.len()
                && kept
                    .of
                    .iter()
                    .zip(&targets)
                    .all(|(of, target)| of.as_ptr() == Arc::as_ptr(&target.needles))
        };
        if let Some(kept) = self.indexes.load().iter().find(is_of) {
            let index = Arc::clone(&kept.index);
            return Finder::new(targets, index);
        }
        let index = Arc::new(Index::of(&targets));
        let of = targets.iter().map(|target| Arc::downgrade(&target.needles)).collect();
        let made = Kept { of, index: Arc::clone(&index) };
        let is_alive = |kept: &Kept| kept.of.iter().all(|needles| needles.strong_count() > 0);
        self.indexes.rcu(|kept| newest(kept, &made, MOST_INDEXES, is_alive));
        Finder::new(targets, index)
    }
}

/// What is kept, with `made` and without the oldest beyond `most`.
fn newest<T: Clone>(kept: &[T], made: &T, most: usize, is_wanted: impl Fn(&T) -> bool) -> Vec<T> {
    let wanted: Vec<T> = kept.iter().filter(|kept| is_wanted(kept)).cloned().collect();
    let oldest = (wanted.len() + 1).saturating_sub(most);
    wanted.into_iter().skip(oldest).chain([made.clone()]).collect()
}
