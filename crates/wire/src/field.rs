//! One field line (RFC 9112, section 5). Which fields end at a hop is left to whoever reads the head.

use crate::Fault;
use bytes::Bytes;
use http::{HeaderName, HeaderValue};
use std::ops::Range;

/// A field's name and value.
pub type Field = (HeaderName, HeaderValue);

/// Parses one field line without its CRLF.
///
/// # Errors
/// For folded lines, space before the colon, and bytes outside the grammar.
pub fn field(line: &[u8]) -> Result<Field, Fault> {
    let (name, value) = split(line)?;
    let value = HeaderValue::from_bytes(&line[value]).map_err(|_| CONTROL)?;
    Ok((name, value))
}

/// The same for the line that stands at `at` in a message; the value shares the message's bytes.
///
/// # Errors
/// As [`field`].
pub fn shared_field(message: &Bytes, at: Range<usize>) -> Result<Field, Fault> {
    let (name, value) = split(&message[at.clone()])?;
    let value = message.slice(at.start + value.start..at.start + value.end);
    let value = HeaderValue::from_maybe_shared(value).map_err(|_| CONTROL)?;
    Ok((name, value))
}

/// A value is visible bytes, space, tab and `obs-text`. The last is opaque: nothing here reads a value that has it.
const CONTROL: Fault = Fault("a header field value has a control character");

/// The name, and where the value is.
fn split(line: &[u8]) -> Result<(HeaderName, Range<usize>), Fault> {
    if line.first().is_some_and(|b| matches!(b, b' ' | b'\t')) {
        // SECURITY: obs-fold: one program continues the line before, another begins a new one (T21, T37).
        return Err(Fault("a header field is folded over two lines"));
    }
    let colon = line.iter().position(|b| *b == b':').ok_or(Fault("a header field has no colon"))?;
    let name = &line[..colon];
    if name.is_empty() || !name.iter().copied().all(is_tchar) {
        return Err(Fault("a header field name has a byte that is not allowed there"));
    }
    let name = HeaderName::from_bytes(name).map_err(|_| Fault("a header field name is not allowed"))?;
    Ok((name, trimmed(line, colon + 1)))
}

/// `tchar` (RFC 9110, section 5.6.2).
pub fn is_tchar(byte: u8) -> bool {
    TCHARS[usize::from(byte)]
}

const TCHARS: [bool; 256] = {
    let mut table = [false; 256];
    let others = b"!#$%&'*+-.^_`|~";
    let mut byte = 0u8;
    while byte < 128 {
        table[byte as usize] = byte.is_ascii_alphanumeric();
        byte += 1;
    }
    let mut index = 0;
    while index < others.len() {
        table[others[index] as usize] = true;
        index += 1;
    }
    table
};

/// Where the value is, without the blanks around it.
fn trimmed(line: &[u8], from: usize) -> Range<usize> {
    let blank = |b: &u8| matches!(b, b' ' | b'\t');
    let value = &line[from..];
    let start = value.iter().position(|b| !blank(b)).unwrap_or(value.len());
    let end = value.iter().rposition(|b| !blank(b)).map_or(start, |i| i + 1);
    from + start..from + end
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_is_a_token_a_colon_and_a_value() {
        for (line, name, value) in [
            (&b"Accept: */*"[..], "accept", "*/*"),
            (b"X-A:b", "x-a", "b"),
            (b"X-A: \t b c \t", "x-a", "b c"),
            (b"X-Empty:", "x-empty", ""),
            (b"X-Blank: \t", "x-blank", ""),
            (b"x_custom_name: 1", "x_custom_name", "1"),
        ] {
            for read in [field(line), shared_field(&Bytes::from_static(line), 0..line.len())] {
                let (n, v) = read.unwrap();
                assert_eq!((n.as_str(), v.to_str().unwrap()), (name, value));
            }
        }
        let (_, opaque) = field(b"X: caf\xe9").unwrap();
        assert_eq!(opaque.as_bytes(), b"caf\xe9");
    }

    #[test]
    fn t21_t37_a_field_one_step_wrong_is_refused() {
        for line in [
            &b"Accept : */*"[..],
            b" Accept: */*",
            b"\tfolded",
            b"Accept",
            b": x",
            b"",
            b"Acc ept: x",
            b"Accept: a\0b",
            b"Accept: a\rb",
            b"Accept: a\nb",
            b"Accept: a\x7fb",
            b"Acc\xe9pt: x",
            b"Accept(: x",
        ] {
            assert!(field(line).is_err(), "{}", line.escape_ascii());
            assert_eq!(shared_field(&Bytes::from_static(line), 0..line.len()), field(line));
        }
    }
}
