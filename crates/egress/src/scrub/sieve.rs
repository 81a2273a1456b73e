//! Skips text in which no needle can begin, 64 bytes at a time.
//!
//! A needle that stands in a text begins in one of two ways:
//!
//! ```text
//! as it is     ...k e y " : " s k - l i v e - 7 Q 2 m Z 9 x...    its first bytes stand there for themselves, so one of
//!                      |       |       |       |       |          the words read at every step is a word of the needle
//! otherwise    ...k e y " : " s k \ u 0 0 2 d l i v e...          a mark stands among them: an escape, a line break in
//!                                 ^                               base64, a quotation mark where the secret has one
//! ```
//!
//! So where a stretch holds neither such a word nor a mark, nothing begins. Words are kept as bits of a table, by hash: it
//! may say yes too often, never no.

use super::needles::Needles;
use super::spelling::is_special;
use std::borrow::Borrow;
use zeroize::Zeroizing;

/// Bytes of a word.
const WORD: usize = 4;
/// Bytes looked at together.
const BLOCK: usize = 64;
/// Bytes looked at together where a block holds something.
const LANE: usize = 16;
/// Steps from word to word. A needle has to hold a whole word wherever the steps fall.
const STEPS: [usize; 2] = [8, 4];
/// The table has at least this many bits, and at most.
const BITS: std::ops::RangeInclusive<u32> = 14..=23;

/// What the needles of a set of secrets begin with. Wiped on drop.
pub(super) struct Sieve {
    /// Which two bytes can begin a needle: 65,536 bits.
    pairs: Box<Zeroizing<[u8; 8192]>>,
    words: Option<Words>,
    /// The least length of a needle.
    pub(super) least: usize,
}

impl Sieve {
    pub(super) fn of<S: Borrow<Needles>>(sets: &[S]) -> Self {
        let mut pairs = Box::new(Zeroizing::new([0; 8192]));
        for pair in sets.iter().flat_map(|needles| needles.borrow().pairs.iter()) {
            pairs[usize::from(pair >> 3)] |= 1 << (pair & 7);
        }
        let lengths = sets.iter().flat_map(|needles| needles.borrow().in_text()).map(|n| n.pattern.len());
        let least = lengths.min().unwrap_or(usize::MAX);
        let step = STEPS.into_iter().find(|step| step + WORD <= least.saturating_add(1));
        Self { pairs, words: step.map(|step| Words::of(sets, step)), least }
    }

    /// Looks for positions from `from` on where a needle may begin. `ended` tells that nothing follows `text`.
    pub(super) fn hunt<'a>(&'a self, text: &'a [u8], from: usize, ended: bool) -> Hunt<'a> {
        // However it is escaped, a needle takes no less room than it has bytes.
        let end = if ended { (text.len() + 1).saturating_sub(self.least) } else { text.len() };
        let looked = if self.words.is_some() { from } else { text.len() };
        let until = if self.words.is_some() { from } else { end };
        Hunt { sieve: self, text, at: from, until, end, looked, lanes: from, is_last: self.words.is_none() }
    }

    /// Whether a needle may begin at `at`, as far as its first bytes tell.
    fn may_begin(&self, text: &[u8], at: usize) -> bool {
        // The last byte, which has no second, always may.
        let Some(&[first, second]) = text.get(at..).and_then(<[u8]>::first_chunk) else { return true };
        let pair = u16::from_be_bytes([first, second]);
        // The index has 13 bits: the compiler drops the bound check.
        if self.pairs[usize::from(pair >> 3)] >> (pair & 7) & 1 == 0 {
            return false;
        }
        let word = text.get(at..).and_then(<[u8]>::first_chunk::<WORD>);
        match (&self.words, word) {
            (Some(words), Some(word)) => words.has(*word) || word.iter().any(|byte| words.is_mark(*byte)),
            _ => true,
        }
    }
}

/// Words of the needles' first bytes.
struct Words {
    table: Zeroizing<Vec<u8>>,
    bits: u32,
    step: usize,
    /// Quotation marks among the needles' first bytes, which may be written as more than themselves; or else `%` again.
    quotes: [u8; 2],
}

impl Words {
    fn of<S: Borrow<Needles>>(sets: &[S], step: usize) -> Self {
        let needles = || sets.iter().flat_map(|needles| needles.borrow().in_text());
        let bits = (needles().count() * step * 32).max(1).ilog2() + 1;
        let bits = bits.clamp(*BITS.start(), *BITS.end());
        let begin =
            |byte: u8| needles().any(|needle| needle.pattern.iter().take(step + WORD).any(|b| *b == byte));
        let quotes = [b'"', b'\''].map(|quote| if begin(quote) { quote } else { b'%' });
        let mut words = Self { table: Zeroizing::new(vec![0; 1 << (bits - 3)]), bits, step, quotes };
        for needle in needles() {
            for word in needle.pattern.windows(WORD).take(step) {
                let mut word: [u8; WORD] = [word[0], word[1], word[2], word[3]];
                words.add(&mut word, 0, needle.fold.wraps());
            }
        }
        words
    }

    /// Adds a word; where it is of base64, in both alphabets.
    fn add(&mut self, word: &mut [u8; WORD], from: usize, base64: bool) {
        let other = |byte: u8| match byte {
            b'+' => b'-',
            _ => b'_',
        };
        let found = word.iter().skip(from).position(|byte| base64 && matches!(byte, b'+' | b'/'));
        let Some(index) = found.map(|index| index + from) else {
            for place in self.places(*word) {
                self.table[place >> 3] |= 1 << (place & 7);
            }
            return;
        };
        let plain = word[index];
        for byte in [plain, other(plain)] {
            word[index] = byte;
            self.add(word, index + 1, base64);
        }
        word[index] = plain;
    }

    /// Two bits of the table, without regard to case.
    #[inline]
    fn places(&self, word: [u8; WORD]) -> [usize; 2] {
        let word = u64::from(u32::from_le_bytes(word) | 0x2020_2020);
        let hash = word.wrapping_mul(0x9E37_79B9_7F4A_7C15);
        let mask = (1u64 << self.bits) - 1;
        [hash >> (64 - self.bits), hash >> (64 - 2 * self.bits) & mask]
            .map(|place| usize::try_from(place).unwrap_or_default())
    }

    #[inline]
    fn bit(&self, place: usize) -> bool {
        self.table.get(place >> 3).is_some_and(|byte| byte >> (place & 7) & 1 != 0)
    }

    fn has(&self, word: [u8; WORD]) -> bool {
        self.places(word).into_iter().all(|place| self.bit(place))
    }

    fn is_mark(&self, byte: u8) -> bool {
        is_special(byte) || byte == b'\n' || byte == b'\r' || self.quotes.contains(&byte)
    }

    /// How far before a mark a needle may begin.
    fn reach(&self) -> usize {
        // One more than the first bytes: the line break may be a carriage return before the line feed that is the mark.
        self.step + WORD
    }

    /// Whether nothing can begin on behalf of these bytes. `before` stand one byte earlier.
    #[inline]
    fn is_clear(&self, block: &[u8; BLOCK], before: &[u8; BLOCK]) -> bool {
        let mut marks = [0; LANE];
        for (lane, before) in block.as_chunks::<LANE>().0.iter().zip(before.as_chunks::<LANE>().0) {
            let flags = self.flags(lane, before);
            (0..LANE).for_each(|i| marks[i] |= flags[i]);
        }
        let mut any = u128::from_ne_bytes(marks) != 0;
        if self.step == 8 {
            for word in block.as_chunks::<8>().0 {
                any |= self.bit(self.places([word[0], word[1], word[2], word[3]])[0]);
            }
        } else {
            for word in block.as_chunks::<WORD>().0 {
                any |= self.bit(self.places(*word)[0]);
            }
        }
        !any
    }

    /// Which bytes are marks. A line feed is one only behind what can be a symbol of base64, or a carriage return; escaped
    /// symbols and escaped line breaks have marks of their own.
    #[inline]
    fn flags(&self, lane: &[u8; LANE], before: &[u8; LANE]) -> [u8; LANE] {
        let [one, other] = self.quotes;
        let mut flags = [0; LANE];
        for i in 0..LANE {
            let byte = lane[i];
            let folded = before[i] & 0xDF;
            let is_symbol = (folded.wrapping_sub(0x0D) <= 0x5A - 0x0D) | (folded == b'_');
            flags[i] = u8::from(
                (byte == b'%')
                    | (byte == b'\\')
                    | (byte == b'&')
                    | (byte == b'+')
                    | (byte == one)
                    | (byte == other)
                    | ((byte == b'\n') & is_symbol),
            );
        }
        flags
    }

    /// The positions at which a needle may begin on behalf of the lane at `start`: from, and up to.
    fn stretch(&self, text: &[u8], start: usize) -> Option<(usize, usize)> {
        let lane: &[u8; LANE] = text.get(start..)?.first_chunk()?;
        let before = match start.checked_sub(1).and_then(|start| text.get(start..)?.first_chunk()) {
            Some(before) => *before,
            None => std::array::from_fn(|i| i.checked_sub(1).map_or(b'0', |i| lane[i])),
        };
        let mut stretch: Option<(usize, usize)> = None;
        let mut add = |from: usize, to: usize| {
            let (least, most) = stretch.unwrap_or((from, to));
            stretch = Some((least.min(from), most.max(to)));
        };
        let mut marks = u128::from_le_bytes(self.flags(lane, &before));
        while marks != 0 {
            let index = (marks.trailing_zeros() >> 3) as usize;
            marks &= marks - 1;
            if lane[index] != b'\n' || goes_on(text, start + index) {
                add((start + index).saturating_sub(self.reach()), start + index + 1);
            }
        }
        for (index, word) in lane.windows(WORD).enumerate().step_by(self.step) {
            if self.has([word[0], word[1], word[2], word[3]]) {
                add((start + index + 1).saturating_sub(self.step), start + index + 1);
            }
        }
        stretch
    }
}

/// Whether base64 may go on behind the line feed at `at`.
fn goes_on(text: &[u8], at: usize) -> bool {
    let next = text[at + 1..].iter().find(|byte| !matches!(byte, b' ' | b'\t'));
    next.is_none_or(|byte| {
        byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'/') || is_special(*byte)
    })
}

/// Looks for positions where a needle may begin, in order.
pub(super) struct Hunt<'a> {
    sieve: &'a Sieve,
    text: &'a [u8],
    /// Before this, nothing begins that was not told.
    at: usize,
    /// Up to here each position is looked at.
    until: usize,
    /// From here on nothing can begin.
    end: usize,
    /// Up to here words and marks were looked for.
    looked: usize,
    /// Up to here lanes are looked at one by one.
    lanes: usize,
    /// Whether everything was looked at.
    is_last: bool,
}

impl Iterator for Hunt<'_> {
    type Item = usize;

    fn next(&mut self) -> Option<usize> {
        loop {
            while self.at < self.until {
                self.at += 1;
                if self.sieve.may_begin(self.text, self.at - 1) {
                    return Some(self.at - 1);
                }
            }
            let (from, to) = self.stretch()?;
            self.at = self.at.max(from);
            self.until = to.min(self.end);
        }
    }
}

impl Hunt<'_> {
    /// The next stretch where something may begin.
    fn stretch(&mut self) -> Option<(usize, usize)> {
        let words = self.sieve.words.as_ref()?;
        loop {
            if self.lanes <= self.looked {
                self.skip(words);
            }
            if self.text.len() - self.looked < LANE {
                break;
            }
            let start = self.looked;
            self.looked += LANE;
            if let Some((from, to)) = words.stretch(self.text, start) {
                // INVARIANT: what is skipped here, no later lane reaches back to.
                return Some((from.min(self.looked.saturating_sub(words.reach())), to));
            }
        }
        // What is left is too short to be skipped; and what began before may end behind it.
        let from = self.looked.saturating_sub(words.reach());
        (!std::mem::replace(&mut self.is_last, true)).then_some((from, self.end))
    }

    /// Skips the blocks that are clear.
    fn skip(&mut self, words: &Words) {
        while let Some(block) = self.text.get(self.looked..).and_then(<[u8]>::first_chunk::<BLOCK>) {
            let before =
                self.looked.checked_sub(1).and_then(|at| self.text.get(at..)?.first_chunk::<BLOCK>());
            if !before.is_some_and(|before| words.is_clear(block, before)) {
                self.lanes = self.looked + if self.looked == 0 { LANE } else { BLOCK };
                return;
            }
            self.looked += BLOCK;
        }
        self.lanes = usize::MAX;
    }
}
