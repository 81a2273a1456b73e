//! The header fields of a request: lines of the strict grammar, without names that hide a field that matters.

use super::{ambiguous, malformed};
use bytes::Bytes;
use cloakroom_model::{Refusal, ends_here};
use http::{HeaderMap, HeaderName, HeaderValue};
use std::ops::Range;

/// Parses field lines without their CRLF, in order.
///
/// # Errors
/// `malformed-call` for folded lines, space before the colon, bytes outside the grammar and too many fields;
/// `ambiguous-call` for names that some servers read as a field that matters here.
pub(super) fn parse(
    head: &Bytes,
    lines: impl Iterator<Item = Result<Range<usize>, Refusal>>,
    most: usize,
) -> Result<HeaderMap, Refusal> {
    let mut fields = HeaderMap::with_capacity(USUAL);
    let mut count = 0;
    for line in lines {
        count += 1;
        if count > most {
            return Err(malformed("the request has too many header fields"));
        }
        let (name, value) = field(&head.slice(line?))?;
        fields.append(name, value);
    }
    Ok(fields)
}

/// Room for the fields of a usual request.
const USUAL: usize = 12;

/// One field line of a request.
fn field(line: &Bytes) -> Result<(HeaderName, HeaderValue), Refusal> {
    let (name, value) =
        cloakroom_wire::shared_field(line, 0..line.len()).map_err(|fault| malformed(fault.reason()))?;
    if hides_a_field_that_matters(name.as_str()) {
        return Err(ambiguous("a header field name has a '_' that some servers read as '-'"));
    }
    Ok((name, value))
}

/// Whether a name would be read as another one that matters.
///
/// SECURITY: gateways that turn fields into variables read `Content_Length` as `Content-Length`.
pub(crate) fn hides_a_field_that_matters(name: &str) -> bool {
    if !name.contains('_') {
        return false;
    }
    let dashed = name.replace('_', "-");
    ends_here(&dashed)
        || matches!(&*dashed, "host" | "authorization" | "cookie")
        || dashed.starts_with("content-")
}

/// The only value of a field, `None` where it is absent.
///
/// # Errors
/// `ambiguous-call` when the field occurs more than once.
pub(crate) fn single<'a>(
    fields: &'a HeaderMap,
    name: &HeaderName,
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
        field(&Bytes::copy_from_slice(line)).err().map(|r| r.code())
    }

    #[test]
    fn t21_t37_a_field_outside_the_grammar_is_malformed() {
        assert_eq!(code(b"Accept: */*"), None);
        for line in
            [&b"Accept : */*"[..], b" Accept: */*", b"Accept", b": x", b"Accept: a\0b", b"Acc\xe9pt: x"]
        {
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
