//! Finds the leftmost, and there the longest, needle of all secrets armed into one call.

use super::needle::{Attempt, Needle};
use super::needles::{Needles, Starts};
use super::spelling::{is_special, read};
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
    merged: Option<Starts>,
}

impl Finder {
    /// A finder for these targets.
    pub(crate) fn new(targets: Vec<Target>) -> Self {
        let merged = match targets.as_slice() {
            [first, second, rest @ ..] => {
                let mut starts = first.needles.starts.clone();
                std::iter::once(second).chain(rest).for_each(|target| starts.merge(&target.needles.starts));
                Some(starts)
            }
            _ => None,
        };
        Self { targets, merged }
    }

    /// A finder that looks for one more secret.
    pub(crate) fn with(&self, target: Target) -> Self {
        let known = self.targets.iter().map(Target::share);
        Self::new(known.chain([target]).collect())
    }

    /// The first needle from `from`. `ended` tells that nothing follows `text`.
    pub(super) fn find(&self, text: &[u8], from: usize, ended: bool) -> Next {
        let starts = self.merged.as_ref().or(self.targets.first().map(|target| &target.needles.starts));
        let Some(starts) = starts else { return Next::Clean };
        let mut at = from;
        loop {
            at = starts.next(text, at);
            if at >= text.len() {
                return Next::Clean;
            }
            match self.attempt(text, at, ended, |needles| &needles.list) {
                Next::Clean => at += 1,
                found => return found,
            }
        }
    }

    /// Whether a header's name holds a needle.
    pub(crate) fn is_in_name(&self, name: &str) -> bool {
        let text = name.as_bytes();
        self.targets.iter().map(|target| &target.needles.name_starts).any(|starts| {
            let mut at = starts.next(text, 0);
            while at < text.len() {
                if let Next::Found(_) = self.attempt(text, at, true, |needles| &needles.names) {
                    return true;
                }
                at = starts.next(text, at + 1);
            }
            false
        })
    }

    /// A whole value without needles; `None` where it holds none.
    pub(crate) fn replace_whole(&self, text: &[u8]) -> Option<Vec<u8>> {
        let mut clean = Vec::new();
        let mut at = 0;
        while let Next::Found(find) = self.find(text, at, true) {
            clean.extend_from_slice(&text[at..find.start]);
            clean.extend_from_slice(&find.replacement);
            at = find.end;
        }
        (at > 0).then(|| {
            clean.extend_from_slice(&text[at..]);
            clean
        })
    }

    /// The longest needle at one position. While any needle is undecided there, so is the position: it could be longer.
    fn attempt(&self, text: &[u8], at: usize, ended: bool, of: fn(&Needles) -> &[Needle]) -> Next {
        // An escape that no needle begins with is read once, not once for each needle.
        if text.get(at).copied().is_some_and(is_special) {
            let readings = read(text, at);
            let mut needles = self.targets.iter().flat_map(|target| of(&target.needles));
            if (ended || !readings.more) && !needles.any(|needle| needle.begins_with(&readings)) {
                return Next::Clean;
            }
        }
        let mut best: Option<(usize, &Target, &Needle)> = None;
        for target in &self.targets {
            for needle in of(&target.needles) {
                match needle.attempt(text, at, ended) {
                    Attempt::Miss => {}
                    Attempt::More => return Next::Open(at),
                    Attempt::Hit(end) if best.is_none_or(|(longest, ..)| end > longest) => {
                        best = Some((end, target, needle));
                    }
                    Attempt::Hit(_) => {}
                }
            }
        }
        best.map_or(Next::Clean, |(end, target, needle)| {
            let replacement = needle.form.replacement(&target.placeholder, &text[at..end]);
            Next::Found(Find { start: at, end, replacement })
        })
    }
}
