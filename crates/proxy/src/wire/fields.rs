//! Header fields: one strict line grammar (RFC 9112, section 5), and which fields end at this hop.

use super::{ambiguous, malformed};
use cloakroom_model::{Refusal, ends_here};
use http::{HeaderMap, HeaderName, HeaderValue};

/// Parses field lines without their CRLF, in order.
///
/// # Errors
/// `malformed-call` for folded lines, space before the colon, bytes outside the grammar and too many fields;
/// `ambiguous-call` for names that some servers read as a field that matters here.
pub(super) fn parse<'a>(lines: impl Iterator<Item = &'a [u8]>, most: usize) -> Result<HeaderMap, Refusal> {
    let mut fields = HeaderMap::new();
    let mut count = 0;
    for line in lines {
        count += 1;
        if count > most {
            return Err(malformed("the request has too many header fields"));
        }
        let (name, value) = field(line)?;
        fields.append(name, value);
    }
    Ok(fields)
}

/// One field line.
pub(super) fn field(line: &[u8]) -> Result<(HeaderName, HeaderValue), Refusal> {
    if line.first().is_some_and(|b| matches!(b, b' ' | b'\t')) {
        // SECURITY: obs-fold: one program continues the line before, another begins a new one (T21, T37).
        return Err(malformed("a header field is folded over two lines"));
    }
    let colon =
        line.iter().position(|b| *b == b':').ok_or_else(|| malformed("a header field has no colon"))?;
    let name = &line[..colon];
    if name.is_empty() || !name.iter().copied().all(is_tchar) {
        return Err(malformed("a header field name has a byte that is not allowed there"));
    }
    if looks_like_a_field_that_matters(name) {
        return Err(ambiguous("a header field name has a '_' that some servers read as '-'"));
    }
    let value = trim(&line[colon + 1..]);
    if !value.iter().copied().all(is_value_byte) {
        return Err(malformed("a header field value has a control character"));
    }
    let name = HeaderName::from_bytes(name).map_err(|_| malformed("a header field name is not allowed"))?;
    let value =
        HeaderValue::from_bytes(value).map_err(|_| malformed("a header field value is not allowed"))?;
    Ok((name, value))
}

/// `tchar` (RFC 9110, section 5.6.2).
pub(super) fn is_tchar(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

/// Visible bytes, space, tab and `obs-text`. The last is opaque: nothing here reads a value that has it.
fn is_value_byte(byte: u8) -> bool {
    matches!(byte, b'\t' | b' '..=b'~' | 0x80..)
}

fn trim(value: &[u8]) -> &[u8] {
    let blank = |b: &u8| matches!(b, b' ' | b'\t');
    let from = value.iter().position(|b| !blank(b)).unwrap_or(value.len());
    let to = value.iter().rposition(|b| !blank(b)).map_or(from, |i| i + 1);
    &value[from..to]
}

/// SECURITY: gateways that turn fields into variables read `Content_Length` as `Content-Length`.
fn looks_like_a_field_that_matters(name: &[u8]) -> bool {
    if !name.contains(&b'_') {
        return false;
    }
    let dashed: Vec<u8> =
        name.iter().map(|b| if *b == b'_' { b'-' } else { b.to_ascii_lowercase() }).collect();
    let text = String::from_utf8_lossy(&dashed);
    ends_here(&text) || matches!(&*text, "host" | "authorization" | "cookie") || text.starts_with("content-")
}

/// The only value of a field, `None` where it is absent.
///
/// # Errors
/// `ambiguous-call` when the field occurs more than once.
pub(crate) fn single<'a>(
    fields: &'a HeaderMap,
    name: &str,
    twice: &'static str,
) -> Result<Option<&'a HeaderValue>, Refusal> {
    let mut values = fields.get_all(name).iter();
    let first = values.next();
    if values.next().is_some() { Err(ambiguous(twice)) } else { Ok(first) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cloakroom_model::Code;

    fn code(line: &[u8]) -> Option<Code> {
        field(line).err().map(|r| r.code())
    }

    #[test]
    fn a_field_is_a_token_a_colon_and_a_value() {
        for (line, name, value) in [
            (&b"Accept: */*"[..], "accept", "*/*"),
            (b"X-A:b", "x-a", "b"),
            (b"X-A: \t b c \t", "x-a", "b c"),
            (b"X-Empty:", "x-empty", ""),
            (b"x_custom_name: 1", "x_custom_name", "1"),
        ] {
            let (n, v) = field(line).unwrap();
            assert_eq!((n.as_str(), v.to_str().unwrap()), (name, value));
        }
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
            b"Accept: a\x7fb",
            b"Acc\xe9pt: x",
            b"Accept(: x",
        ] {
            assert_eq!(code(line), Some(Code::MalformedCall), "{}", line.escape_ascii());
        }
    }

    #[test]
    fn t36_an_underscore_that_hides_a_field_that_matters_is_ambiguous() {
        for line in [
            &b"Content_Length: 5"[..],
            b"Transfer_Encoding: chunked",
            b"Proxy_Authorization: x",
            b"x_forwarded-for: y",
            b"Content_Type: a/b",
        ] {
            assert_eq!(code(line), Some(Code::AmbiguousCall), "{}", line.escape_ascii());
        }
    }
}
