//! The words of a scheme: plain ones, texts in quotes, and the two signs between them.

use super::{SigningError, wrong};
use std::fmt;

/// One word.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Word {
    /// Letters, digits and what stands in header names.
    Plain(String),
    /// A text in quotes: printable ASCII and line feeds.
    Text(Box<str>),
    /// `;`
    End,
    /// `=`
    Is,
}

/// More is no scheme that a person could judge.
const MOST: usize = 128;

/// Splits a scheme into its words.
pub(super) fn split(text: &str) -> Result<Vec<Word>, SigningError> {
    let mut words = Vec::new();
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next() {
        let (word, after) = match first {
            ';' => (Word::End, &rest[1..]),
            '=' => (Word::Is, &rest[1..]),
            '"' => text_of(&rest[1..])?,
            _ => plain(rest)?,
        };
        words.push(word);
        rest = after.trim_start();
    }
    if words.len() > MOST { wrong("a scheme has at most 128 words") } else { Ok(words) }
}

fn plain(text: &str) -> Result<(Word, &str), SigningError> {
    let good = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '@' | '.');
    let end = text.find(|c| !good(c)).unwrap_or(text.len());
    if end == 0 {
        return wrong(format!(
            "a scheme cannot hold {:?} outside quotes",
            text.chars().next().unwrap_or(' ')
        ));
    }
    Ok((Word::Plain(text[..end].to_ascii_lowercase()), &text[end..]))
}

fn text_of(text: &str) -> Result<(Word, &str), SigningError> {
    let mut out = String::new();
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' if out.is_empty() => return wrong("a text in quotes is empty"),
            '"' => return Ok((Word::Text(out.into()), &text[at + 1..])),
            '\\' => match chars.next() {
                Some((_, 'n')) => out.push('\n'),
                Some((_, c @ ('"' | '\\'))) => out.push(c),
                _ => return wrong("in quotes, \\n, \\\" and \\\\ are all that begins with a backslash"),
            },
            ' '..='~' => out.push(c),
            _ => return wrong("a text in quotes is printable ASCII; a line feed is written \\n"),
        }
    }
    wrong("a text in quotes has no end")
}

/// A text in quotes, as [`split`] reads it.
pub(super) struct Quoted<'t>(pub(super) &'t str);

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = self.0.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
        write!(f, "\"{text}\"")
    }
}
