//! Follows text and needles side by side: every spelling of every needle of a bundle, from one position on.

use super::bundle::{Node, Pack};
use super::needles::Needles;
use super::spelling::{Unit, is_special, read};
use std::borrow::Borrow;

/// Blanks that may follow a line break inside base64: folded headers and indented YAML.
const INDENT: usize = 16;

/// What an attempt at one position came to.
#[derive(Default)]
pub(super) struct Outcome {
    /// The longest needle that stands there: where it ends, and which it is. Of several the first in order.
    pub(super) hit: Option<(usize, super::bundle::Place)>,
    /// The input ends too early to say.
    pub(super) more: bool,
}

/// The states of an attempt that are still open, the earliest last.
struct Walk<'a> {
    open: Vec<(usize, Node)>,
    outcome: &'a mut Outcome,
}

impl Walk<'_> {
    fn hit(&mut self, end: usize, place: super::bundle::Place) {
        let is_better = |(longest, first)| end > longest || (end == longest && place < first);
        if self.outcome.hit.is_none_or(is_better) {
            self.outcome.hit = Some((end, place));
        }
    }

    fn cut(&mut self) {
        self.outcome.more = true;
    }

    /// INVARIANT: every reading takes at least one byte, so a state opened here lies after the one being followed; taken
    /// earliest first, no state is followed twice and an attempt is at worst (input × patterns) long.
    fn open(&mut self, at: usize, node: Node) {
        let place = self.open.binary_search_by(|other| (at, node).cmp(other));
        if let Err(place) = place {
            self.open.insert(place, (at, node));
        }
    }
}

impl<S: Borrow<Needles>> Pack<'_, S> {
    /// Adds to `outcome` what of this pack stands in `text` at `start`. Of several readings the longest counts.
    pub(super) fn attempt(&self, text: &[u8], start: usize, outcome: &mut Outcome) {
        let root = self.root();
        if let Some(byte) = text.get(start).copied()
            && !is_special(byte)
            && self.next(root, self.fold().apply(byte)).is_none()
        {
            return;
        }
        let mut walk = Walk { open: Vec::new(), outcome };
        let mut state = (!root.is_empty()).then_some((start, root));
        while let Some((at, node)) = state {
            self.step(text, at, node, &mut walk);
            state = walk.open.pop();
        }
    }

    /// Follows one state: through bytes that stand only for themselves at once, and at the first other byte by every reading.
    fn step(&self, text: &[u8], mut at: usize, mut node: Node, walk: &mut Walk<'_>) {
        loop {
            if let Some(place) = self.complete(node) {
                walk.hit(at, place);
            }
            if !self.goes_on(node) {
                return;
            }
            let Some(byte) = text.get(at).copied() else { return walk.cut() };
            if is_special(byte) || (self.fold().wraps() && matches!(byte, b'\r' | b'\n')) {
                break;
            }
            let Some(next) = self.next(node, self.fold().apply(byte)) else { return };
            requote(text, at + 1, byte, |end| walk.open(end, next)).unwrap_or_else(|Cut| walk.cut());
            (at, node) = (at + 1, next);
            // States that meet must meet in the list, where one of them is dropped.
            if !walk.open.is_empty() {
                return walk.open(at, node);
            }
        }
        self.branch(text, at, node, walk);
        if self.fold().wraps() && !node.is_root() {
            match line_break(text, at) {
                LineBreak::None => {}
                LineBreak::Cut => walk.cut(),
                LineBreak::Ends(after) => self.branch(text, after, node, walk),
            }
        }
    }

    fn branch(&self, text: &[u8], at: usize, node: Node, walk: &mut Walk<'_>) {
        let readings = read(text, at);
        walk.outcome.more |= readings.more;
        for reading in readings.all() {
            if let Some(next) = self.accept(node, reading.unit) {
                walk.open(reading.end, next);
                if let Unit::Byte(byte) = reading.unit {
                    let requoted = requote(text, reading.end, byte, |end| walk.open(end, next));
                    requoted.unwrap_or_else(|Cut| walk.cut());
                }
            }
        }
    }

    fn accept(&self, node: Node, unit: Unit) -> Option<Node> {
        match unit {
            Unit::Byte(byte) => self.next(node, self.fold().apply(byte)),
            Unit::Char(c) => {
                let mut utf8 = [0; 4];
                c.encode_utf8(&mut utf8).bytes().try_fold(node, |node, byte| self.next(node, byte))
            }
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
    if !matches!(byte, b'"' | b'\'') {
        return Ok(());
    }
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
