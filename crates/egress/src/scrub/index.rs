//! What can be prepared for a set of secrets before there is a text: the order of their needles, and the sieve.

use super::bundle::Bundle;
use super::needle::Fold;
use super::needles::{Needles, TEXT};
use super::sieve::Sieve;
use super::spelling::{Unit, is_special, read};
use super::walk::Outcome;
use std::borrow::Borrow;

/// Prepared for one set of secrets. Kept as long as they are; holds none of their bytes in order.
pub(super) struct Index {
    bundles: [Bundle; TEXT.len()],
    names: Bundle,
    pub(super) sieve: Sieve,
    /// Whether a byte can be the first symbol of a needle.
    firsts: [bool; 256],
    /// The least length of a needle in a header's name.
    least_name: usize,
}

impl Index {
    pub(super) fn of<S: Borrow<Needles>>(sets: &[S]) -> Self {
        let bundles = TEXT.map(|fold| Bundle::of(fold, sets));
        let begins = |byte: u8| {
            bundles.iter().any(|bundle| {
                let pack = bundle.with(sets);
                pack.next(pack.root(), pack.fold().apply(byte)).is_some()
            })
        };
        let firsts = std::array::from_fn(|byte| u8::try_from(byte).is_ok_and(begins));
        let names = sets.iter().flat_map(|needles| &needles.borrow().list);
        let lengths =
            names.filter(|needle| needle.fold == Fold::CaseBase64).map(|needle| needle.pattern.len());
        Self {
            firsts,
            least_name: lengths.min().unwrap_or(usize::MAX),
            names: Bundle::of(Fold::CaseBase64, sets),
            sieve: Sieve::of(sets),
            bundles,
        }
    }

    /// What stands in `text` at `at`. While any needle is undecided there, so is the position: it could be longer.
    pub(super) fn attempt<S: Borrow<Needles>>(
        &self,
        sets: &[S],
        text: &[u8],
        at: usize,
        ended: bool,
    ) -> Outcome {
        // An escape that no needle begins with is read once, not once for each bundle.
        if text.get(at).copied().is_some_and(is_special) {
            let readings = read(text, at);
            let begins = readings.all().iter().any(|reading| self.is_first(reading.unit));
            if (ended || !readings.more) && !begins {
                return Outcome::default();
            }
        }
        let outcome = attempt(&self.bundles, sets, text, at);
        Outcome { more: outcome.more && !ended, ..outcome }
    }

    /// Whether a header's name holds a needle.
    pub(super) fn is_in_name<S: Borrow<Needles>>(&self, sets: &[S], name: &str) -> bool {
        // However it is escaped, a needle takes no less room than it has bytes.
        let Some(last) = name.len().checked_sub(self.least_name) else { return false };
        let pack = self.names.with(sets);
        (0..=last).any(|at| {
            let mut outcome = Outcome::default();
            pack.attempt(name.as_bytes(), at, &mut outcome);
            outcome.hit.is_some()
        })
    }

    fn is_first(&self, unit: Unit) -> bool {
        let byte = match unit {
            Unit::Byte(byte) => byte,
            Unit::Char(c) => c.encode_utf8(&mut [0; 4]).as_bytes()[0],
        };
        self.firsts[usize::from(byte)]
    }
}

/// What of these bundles stands in `text` at `at`.
pub(super) fn attempt<S: Borrow<Needles>>(bundles: &[Bundle], sets: &[S], text: &[u8], at: usize) -> Outcome {
    let mut outcome = Outcome::default();
    for bundle in bundles {
        bundle.with(sets).attempt(text, at, &mut outcome);
    }
    outcome
}
