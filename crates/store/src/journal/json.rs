//! How an entry becomes one line: JSON in printable ASCII.

use serde::Serialize;
use serde_json::ser::Formatter;
use std::io::{Result, Write};

/// Compact JSON in which everything but printable ASCII is `\u`-escaped: a record is one line, and no terminal reads a
/// control sequence out of it, C1 controls and bidirectional marks included.
struct Ascii;

impl Formatter for Ascii {
    fn write_string_fragment<W: ?Sized + Write>(&mut self, out: &mut W, fragment: &str) -> Result<()> {
        if fragment.bytes().all(|byte| matches!(byte, b' '..=b'~')) {
            return out.write_all(fragment.as_bytes());
        }
        fragment.chars().try_for_each(|character| match character {
            ' '..='~' => out.write_all(&[character as u8]),
            _ => character.encode_utf16(&mut [0; 2]).iter().try_for_each(|unit| write!(out, "\\u{unit:04x}")),
        })
    }
}

/// Writes `value` in that form.
pub(super) fn write<T: Serialize>(out: impl Write, value: &T) -> serde_json::Result<()> {
    value.serialize(&mut serde_json::Serializer::with_formatter(out, Ascii))
}
