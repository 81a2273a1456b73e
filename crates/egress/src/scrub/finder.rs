//! Finds the leftmost, and there the longest, needle of all secrets armed into one call.

use super::Fit;
use super::bundle::{self, Place};
use super::index::Index;
use super::needles::Needles;
use bytes::Bytes;
use std::borrow::Borrow;
use std::sync::Arc;
use zeroize::Zeroizing;

/// One secret armed into the call: what to look for, and the placeholder to put in its place.
pub(crate) struct Target {
    /// What to look for.
    pub(crate) needles: Arc<Needles>,
    /// The text the workload sent.
    pub(crate) placeholder: Box<str>,
}

impl Target {
    fn share(&self) -> Self {
        Self { needles: Arc::clone(&self.needles), placeholder: self.placeholder.clone() }
    }
}

impl Borrow<Needles> for Target {
    fn borrow(&self) -> &Needles {
        &self.needles
    }
}

/// Where the next needle stands.
pub(super) enum Next {
    /// No needle begins in the rest of the text.
    Clean,
    /// One stands here.
    Found(Find),
    /// One may begin here; what follows decides.
    Open(usize),
}

/// One needle found, and what takes its place.
pub(super) struct Find {
    pub(super) start: usize,
    pub(super) end: usize,
    pub(super) replacement: Zeroizing<Vec<u8>>,
}

/// Looks for all targets of one call.
pub(crate) struct Finder {
    targets: Vec<Target>,
    index: Arc<Index>,
}

impl Finder {
    /// A finder for these targets, with the index that was made for their needles.
    pub(super) fn new(targets: Vec<Target>, index: Arc<Index>) -> Self {
        Self { targets, index }
    }

    /// A finder that looks for one more secret. Where it is one that was looked for already, what it is replaced by counts.
    pub(crate) fn with(&self, target: Target) -> Self {
        let targets: Vec<Target> =
            std::iter::once(target).chain(self.targets.iter().map(Target::share)).collect();
        let index = Arc::new(Index::of(&targets));
        Self::new(targets, index)
    }

    /// The first needle from `from`. `ended` tells that nothing follows `text`.
    pub(super) fn find(&self, text: &[u8], from: usize, ended: bool) -> Next {
        for at in self.index.sieve.hunt(text, from, ended) {
            let outcome = self.index.attempt(&self.targets, text, at, ended);
            if outcome.more {
                return Next::Open(at);
            }
            if let Some(find) = outcome.hit.and_then(|(end, place)| self.found(text, at, end, place)) {
                return Next::Found(find);
            }
        }
        Next::Clean
    }

    /// Whether a header's name holds a needle.
    pub(crate) fn is_in_name(&self, name: &str) -> bool {
        self.index.is_in_name(&self.targets, name)
    }

    /// A whole message without needles, uncopied where it holds none; and how many it held.
    pub(crate) fn scrub_message(&self, message: Bytes, fit: Fit) -> (Bytes, u64) {
        match self.replace_whole(&message, fit) {
            Some((clean, replaced)) => (clean.into(), replaced),
            None => (message, 0),
        }
    }

    /// A whole value without needles, and how many it held; `None` where it holds none.
    pub(crate) fn replace_whole(&self, text: &[u8], fit: Fit) -> Option<(Vec<u8>, u64)> {
        let mut clean = Vec::new();
        let (mut at, mut replaced) = (0, 0);
        while let Next::Found(find) = self.find(text, at, true) {
            clean.extend_from_slice(&text[at..find.start]);
            fit.put(&find.replacement, find.end - find.start, &mut clean);
            at = find.end;
            replaced += 1;
        }
        (at > 0).then(|| {
            clean.extend_from_slice(&text[at..]);
            (clean, replaced)
        })
    }

    /// A finder with an index of its own.
    pub(crate) fn alone(targets: Vec<Target>) -> Self {
        let index = Arc::new(Index::of(&targets));
        Self::new(targets, index)
    }

    /// What stands at `at` of a whole text.
    #[cfg(any(test, feature = "fuzz"))]
    pub(super) fn stands_at(&self, text: &[u8], at: usize) -> Option<Find> {
        let outcome = self.index.attempt(&self.targets, text, at, true);
        outcome.hit.and_then(|(end, place)| self.found(text, at, end, place))
    }

    fn found(&self, text: &[u8], start: usize, end: usize, place: Place) -> Option<Find> {
        let needle = bundle::needle(&self.targets, place)?;
        let target = self.targets.get(place.set as usize)?;
        let replacement = needle.form.replacement(&target.placeholder, text.get(start..end)?);
        Some(Find { start, end, replacement })
    }
}
