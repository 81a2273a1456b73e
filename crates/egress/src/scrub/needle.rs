//! One form of a secret to look for, and the matcher that finds it however it is escaped.

use super::form::Form;
use super::spelling::{Readings, Unit, is_special, read};
use zeroize::Zeroizing;

/// Blanks that may follow a line break inside base64: folded headers and indented YAML.
const INDENT: usize = 16;

/// Which bytes count as equal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fold {
    /// Each only to itself.
    Exact,
    /// Letters in either case.
    Case,
    /// `-` and `+`, `_` and `/`: the two alphabets of RFC 4648.
    Base64,
    /// Both of the above, for what was lower-cased after it was encoded.
    CaseBase64,
}

impl Fold {
    pub(super) fn apply(self, byte: u8) -> u8 {
        match (self, byte) {
            (Self::Base64 | Self::CaseBase64, b'-') => b'+',
            (Self::Base64 | Self::CaseBase64, b'_') => b'/',
            (Self::Case | Self::CaseBase64, _) => byte.to_ascii_lowercase(),
            _ => byte,
        }
    }
}

/// What an attempt at one position came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Attempt {
    /// The needle does not stand here.
    Miss,
    /// It stands here and ends there.
    Hit(usize),
    /// The input ends too early to say.
    More,
}

/// One form of one secret.
pub(super) struct Needle {
    pub(super) form: Form,
    pattern: Zeroizing<Vec<u8>>,
    fold: Fold,
    /// Whether line breaks may stand between its symbols.
    wraps: bool,
}

impl Needle {
    pub(super) fn new(form: Form, mut pattern: Zeroizing<Vec<u8>>, fold: Fold) -> Self {
        pattern.iter_mut().for_each(|byte| *byte = fold.apply(*byte));
        let wraps = matches!(fold, Fold::Base64 | Fold::CaseBase64);
        Self { form, pattern, fold, wraps }
    }

    /// Whether the needle stands in `text` at `start`. `ended` tells that no input follows `text`. Of several readings
    /// the longest counts.
    pub(super) fn attempt(&self, text: &[u8], start: usize, ended: bool) -> Attempt {
        if let (Some(byte), Some(wanted)) = (text.get(start).copied(), self.pattern.first())
            && !is_special(byte)
            && self.fold.apply(byte) != *wanted
        {
            return Attempt::Miss;
        }
        let mut walk = Walk::default();
        let mut state = Some((start, 0));
        while let Some((at, done)) = state {
            self.step(text, at, done, &mut walk);
            state = walk.open.pop();
        }
        match walk.end {
            _ if walk.more && !ended => Attempt::More,
            Some(end) => Attempt::Hit(end),
            None => Attempt::Miss,
        }
    }

    /// Follows one state: through bytes that stand only for themselves at once, and at the first other byte by every reading.
    fn step(&self, text: &[u8], mut at: usize, mut done: usize, walk: &mut Walk) {
        loop {
            let Some(wanted) = self.pattern.get(done) else { return walk.hit(at) };
            let Some(byte) = text.get(at).copied() else { return walk.more = true };
            if is_special(byte) || (self.wraps && matches!(byte, b'\r' | b'\n')) {
                break;
            }
            if self.fold.apply(byte) != *wanted {
                return;
            }
            requote(text, at + 1, byte, |end| walk.open(end, done + 1))
                .unwrap_or_else(|Cut| walk.more = true);
            (at, done) = (at + 1, done + 1);
            // States that meet must meet in the list, where one of them is dropped.
            if !walk.open.is_empty() {
                return walk.open(at, done);
            }
        }
        self.branch(text, at, done, walk);
        if self.wraps && done > 0 {
            match line_break(text, at) {
                LineBreak::None => {}
                LineBreak::Cut => walk.more = true,
                LineBreak::Ends(after) => self.branch(text, after, done, walk),
            }
        }
    }

    fn branch(&self, text: &[u8], at: usize, done: usize, walk: &mut Walk) {
        let readings = read(text, at);
        walk.more |= readings.more;
        for reading in readings.all() {
            if let Some(next) = self.accept(done, reading.unit) {
                walk.open(reading.end, next);
                if let Unit::Byte(byte) = reading.unit {
                    let requoted = requote(text, reading.end, byte, |end| walk.open(end, next));
                    requoted.unwrap_or_else(|Cut| walk.more = true);
                }
            }
        }
    }

    /// Whether any of these readings is the needle's first symbol.
    pub(super) fn begins_with(&self, readings: &Readings) -> bool {
        readings.all().iter().any(|reading| self.accept(0, reading.unit).is_some())
    }

    fn accept(&self, done: usize, unit: Unit) -> Option<usize> {
        match unit {
            Unit::Byte(byte) => (*self.pattern.get(done)? == self.fold.apply(byte)).then_some(done + 1),
            Unit::Char(c) => {
                let mut utf8 = [0; 4];
                let utf8 = c.encode_utf8(&mut utf8).as_bytes();
                self.pattern.get(done..)?.starts_with(utf8).then_some(done + utf8.len())
            }
        }
    }
}

/// The states of an attempt that are still open, the earliest last, and what was found so far.
#[derive(Default)]
struct Walk {
    open: Vec<(usize, usize)>,
    end: Option<usize>,
    more: bool,
}

impl Walk {
    fn hit(&mut self, end: usize) {
        self.end = self.end.max(Some(end));
    }

    /// INVARIANT: every reading takes at least one byte, so a state opened here lies after the one being followed; taken
    /// earliest first, no state is followed twice and an attempt is at worst (input × pattern) long.
    fn open(&mut self, at: usize, done: usize) {
        let place = self.open.binary_search_by(|other| (at, done).cmp(other));
        if let Err(place) = place {
            self.open.insert(place, (at, done));
        }
    }
}

/// What follows a quotation mark where quoted text holds one: a second one in CSV, SQL and YAML, and in a shell the end
/// of the quoted text, a mark that is quoted otherwise, and the begin of more.
const REQUOTED: [(u8, &[u8]); 4] = [(b'"', b"\""), (b'\'', b"'"), (b'\'', b"\\''"), (b'\'', b"\"'\"'")];

/// The input ends too early to say.
struct Cut;

/// Tells `open` every place behind `after` where the quotation mark `byte` ends, if it is written as more than itself.
fn requote(text: &[u8], after: usize, byte: u8, mut open: impl FnMut(usize)) -> Result<(), Cut> {
    let mut cut = Ok(());
    for (_, rest) in REQUOTED.iter().filter(|(mark, _)| *mark == byte) {
        match follow(text, after, rest) {
            Ok(Some(end)) => open(end),
            Ok(None) => {}
            Err(Cut) => cut = Err(Cut),
        }
    }
    cut
}

/// Where `wanted` ends that begins at `at`, plain or escaped.
fn follow(text: &[u8], mut at: usize, wanted: &[u8]) -> Result<Option<usize>, Cut> {
    for byte in wanted {
        let readings = read(text, at);
        match readings.all().iter().find(|reading| reading.unit == Unit::Byte(*byte)) {
            Some(reading) => at = reading.end,
            None if readings.more => return Err(Cut),
            None => return Ok(None),
        }
    }
    Ok(Some(at))
}

enum LineBreak {
    None,
    Cut,
    Ends(usize),
}

/// One line break, plain or escaped, with the blanks that follow it.
fn line_break(text: &[u8], start: usize) -> LineBreak {
    let mut at = start;
    for expected in [b'\r', b'\n'] {
        let readings = read(text, at);
        match readings.all().iter().find(|reading| reading.unit == Unit::Byte(expected)) {
            Some(reading) => at = reading.end,
            None if readings.more => return LineBreak::Cut,
            None if expected == b'\r' => {}
            None => return LineBreak::None,
        }
    }
    let blanks = text[at..].iter().take(INDENT).take_while(|b| matches!(b, b' ' | b'\t')).count();
    LineBreak::Ends(at + blanks)
}
