//! Everything to look for on behalf of one secret, and a table that skips text where none of it can begin.

use super::form::Form;
use super::needle::{Attempt, Needle};
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
    pub(super) list: Vec<Needle>,
    /// For header names, which are compared without case.
    pub(super) names: Vec<Needle>,
    pub(super) starts: Starts,
    pub(super) name_starts: Starts,
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
        let names: Vec<Needle> = Form::all(secret).into_iter().map(|form| form.name_needle(secret)).collect();
        let (starts, name_starts) = (Starts::of(&list), Starts::of(&names));
        Self { list, names, starts, name_starts }
    }
}

/// Which two bytes can begin a needle: 65,536 bits.
#[derive(Clone)]
pub(super) struct Starts {
    pairs: Box<[u8; 8192]>,
}

impl Starts {
    /// Asks the matcher itself about every pair of bytes, so the table cannot disagree with it.
    fn of(needles: &[Needle]) -> Self {
        let mut starts = Self { pairs: Box::new([0; 8192]) };
        let begins = |text: &[u8]| needles.iter().any(|n| n.attempt(text, 0, false) != Attempt::Miss);
        for first in (0..=u8::MAX).filter(|first| begins(&[*first])) {
            for second in (0..=u8::MAX).filter(|second| begins(&[first, *second])) {
                starts.set(first, second);
            }
        }
        starts
    }

    fn set(&mut self, first: u8, second: u8) {
        self.pairs[usize::from(first) << 5 | usize::from(second) >> 3] |= 1 << (second & 7);
    }

    fn has(&self, pair: u16) -> bool {
        // The index has 13 bits: the compiler drops the bound check.
        self.pairs[usize::from(pair >> 3)] >> (pair & 7) & 1 != 0
    }

    /// Adds what can begin another secret's needles.
    pub(super) fn merge(&mut self, other: &Self) {
        self.pairs.iter_mut().zip(other.pairs.iter()).for_each(|(mine, theirs)| *mine |= theirs);
    }

    /// The first position from `from` where a needle can begin. The last byte, which has no second, always can.
    pub(super) fn next(&self, text: &[u8], from: usize) -> usize {
        let mut at = from;
        while let Some(word) = text.get(at..at + 9) {
            if (0..8).fold(false, |any, i| any | self.has(u16::from_be_bytes([word[i], word[i + 1]]))) {
                break;
            }
            at += 8;
        }
        while let Some(pair) = text.get(at..at + 2) {
            if self.has(u16::from_be_bytes([pair[0], pair[1]])) {
                return at;
            }
            at += 1;
        }
        at
    }
}
