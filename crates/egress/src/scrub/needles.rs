//! Everything to look for on behalf of one secret.

use super::bundle::Bundle;
use super::form::Form;
use super::index::attempt;
use super::needle::{Fold, Needle};
use zeroize::Zeroizing;

/// The workload's half of `Basic` credentials.
#[derive(Clone, Copy)]
pub(crate) struct BasicHalf<'a> {
    /// What stands before the secret: `user:`, or nothing.
    pub(crate) before: &'a [u8],
    /// What stands after it: `:password`, or nothing.
    pub(crate) after: &'a [u8],
}

/// Every form of one secret. Wiped on drop.
pub(crate) struct Needles {
    /// For bodies and values, and, of [`Fold::CaseBase64`], for header names, which are compared without case.
    pub(super) list: Vec<Needle>,
    /// Which two bytes can begin one of those for bodies and values.
    pub(super) pairs: Zeroizing<Vec<u16>>,
}

impl Needles {
    /// The needles of a secret; with the whole of its `Basic` credentials where it is placed in such.
    pub(crate) fn new(secret: &[u8], basic: Option<BasicHalf<'_>>) -> Self {
        let mut list: Vec<Needle> = Form::all(secret).into_iter().map(|form| form.needle(secret)).collect();
        list.extend(basic.map(|half| {
            let before = Zeroizing::new(half.before.to_vec());
            let after = Zeroizing::new(half.after.to_vec());
            Form::Basic { before, after }.needle(secret)
        }));
        list.extend(Form::all(secret).into_iter().map(|form| form.name_needle(secret)));
        let mut needles = Self::unasked(list);
        needles.pairs = Zeroizing::new(needles.ask());
        needles
    }

    /// Needles for which no table is made.
    pub(super) fn unasked(list: Vec<Needle>) -> Self {
        Self { list, pairs: Zeroizing::default() }
    }

    /// Asks the matcher itself about every pair of bytes, so the table cannot disagree with it.
    fn ask(&self) -> Vec<u16> {
        let bundles = TEXT.map(|fold| Bundle::of(fold, &[self]));
        let begins = |text: &[u8]| {
            let outcome = attempt(&bundles, &[self], text, 0);
            outcome.more || outcome.hit.is_some()
        };
        let firsts = (0..=u8::MAX).filter(|first| begins(&[*first]));
        let pairs = firsts.flat_map(|first| (0..=u8::MAX).map(move |second| [first, second]));
        pairs.filter(|pair| begins(pair)).map(u16::from_be_bytes).collect()
    }

    /// The needles for bodies and values.
    pub(super) fn in_text(&self) -> impl Iterator<Item = &Needle> {
        self.list.iter().filter(|needle| needle.fold != Fold::CaseBase64)
    }
}

/// The folds of needles for bodies and values.
pub(super) const TEXT: [Fold; 3] = [Fold::Exact, Fold::Case, Fold::Base64];
