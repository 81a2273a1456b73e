//! The lines of a question. Everything that the workload wrote stands in quotes with all but printable ASCII escaped, in
//! short pieces, so that it cannot look like a line of its own, move a cursor or push the rest away (T75, T77).

use crate::authorized::Use;
use crate::escape::quoted;
use crate::look;
use crate::own::Own;
use crate::spot::Spot;
use cloakroom_model::Name;

/// How many columns of a workload's text stand in one line, as they are shown: a narrow screen wraps them once or twice.
const WIDTH: usize = 96;

/// The longest text that a person is asked about, in bytes. SECURITY: a body of a few kilobytes can be many times as long when it is
/// shown (a long name before each of many values), so what is longer is not made at all.
const MOST: usize = 4 << 20;

/// A text in the making, about a call that carries these placeholders, whose own texts are not shown.
pub(super) struct Page<'u> {
    text: String,
    uses: &'u [(Use, Option<Name>)],
    /// Whether the mail that the call holds is shown already.
    pub(super) tells_mail: bool,
    /// Whether something was left out for its length: then nobody is asked.
    overflowed: bool,
}

impl<'u> Page<'u> {
    pub(super) fn new(uses: &'u [(Use, Option<Name>)]) -> Self {
        Self { text: String::new(), uses, tells_mail: false, overflowed: false }
    }

    /// The text; `None` where it is too long to be read.
    pub(super) fn into_text(self) -> Option<String> {
        (!self.overflowed).then_some(self.text)
    }

    /// Whether nothing more will be shown.
    pub(super) fn is_full(&self) -> bool {
        self.overflowed
    }

    /// A line of our own words.
    pub(super) fn line(&mut self, line: &str) {
        if self.overflowed || self.text.len() + line.len() > MOST {
            self.overflowed = true;
            return;
        }
        self.text.push_str(line);
        self.text.push('\n');
    }

    /// What the broker makes of the call's signature: what the workload signed with is not what goes out.
    pub(super) fn own(&self) -> Own {
        Own::of(self.uses.iter().map(|(used, _)| used.spot()))
    }

    /// What stands at a spot instead of the placeholder.
    pub(super) fn at(&self, spot: &Spot) -> Option<String> {
        let found = self.uses.iter().find(|(used, _)| used.spot() == spot);
        found.map(|(used, _)| format!("{{{}}}", used.placeholder()))
    }

    /// A text without the placeholders' texts.
    fn without(&self, text: &str) -> String {
        let replace = |text: String, (used, _): &(Use, _)| {
            text.replace(used.text(), &format!("{{{}}}", used.placeholder()))
        };
        self.uses.iter().fold(text.to_owned(), replace)
    }

    /// `label: "…"`, in as many lines as it takes.
    pub(super) fn pieces(&mut self, label: &str, value: &str) {
        if self.is_full() {
            return;
        }
        let value = self.without(value);
        let mut pieces = pieces(&value).into_iter();
        let first = pieces.next().unwrap_or_else(|| quoted(""));
        self.line(&format!("{label}: {first}"));
        let indent = " ".repeat(label.len() - label.trim_start().len());
        pieces.for_each(|piece| self.line(&format!("{indent}  | {piece}")));
        for remark in look::remarks(&value) {
            self.line(&format!("{indent}  ! {remark}"));
        }
    }

    /// `label "name": "…"`; a long name takes lines of its own first.
    pub(super) fn named(&mut self, label: &str, name: &str, value: &str) {
        let label = self.label(label, name);
        self.pieces(&label, value);
    }

    /// `label "name": word`, for a word of ours.
    pub(super) fn named_word(&mut self, label: &str, name: &str, word: &str) {
        let label = self.label(label, name);
        self.line(&format!("{label}: {word}"));
    }

    fn label(&mut self, label: &str, name: &str) -> String {
        if self.is_full() {
            return String::new();
        }
        let name = self.without(name);
        let parts = pieces(&name);
        match parts.as_slice() {
            [] => format!("{label} {}", quoted("")),
            [one] => format!("{label} {one}"),
            _ => {
                self.pieces(&format!("{label} with the long name"), &name);
                format!("{label} of that name")
            }
        }
    }
}

/// The text in quotes, in pieces of bounded width.
fn pieces(text: &str) -> Vec<String> {
    let mut pieces = Vec::new();
    let (mut piece, mut width) = (String::new(), 0);
    for c in text.chars() {
        let own = if matches!(c, ' '..='~') && !matches!(c, '"' | '\\') { 1 } else { 4 + hex_digits(c) };
        if width + own > WIDTH && !piece.is_empty() {
            pieces.push(quoted(&std::mem::take(&mut piece)));
            width = 0;
        }
        piece.push(c);
        width += own;
    }
    if !piece.is_empty() {
        pieces.push(quoted(&piece));
    }
    pieces
}

fn hex_digits(c: char) -> usize {
    (32 - u32::from(c).leading_zeros() as usize).div_ceil(4).max(1)
}
