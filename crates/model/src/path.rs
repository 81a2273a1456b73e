//! The path of a call: decoded segments for matching, one canonical encoding for sending.

use crate::{Code, Refusal};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

/// What `pchar` (RFC 3986, section 3.3) does not let stand for itself, `;` included: it begins parameters.
const NOT_PCHAR: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~')
    .remove(b'!')
    .remove(b'$')
    .remove(b'&')
    .remove(b'\'')
    .remove(b'(')
    .remove(b')')
    .remove(b'*')
    .remove(b'+')
    .remove(b',')
    .remove(b'=')
    .remove(b':')
    .remove(b'@');

/// One segment between slashes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Segment {
    decoded: Box<str>,
    /// Where that is another text.
    encoded: Option<Box<str>>,
}

impl Segment {
    /// The text after percent-decoding. Policy matches this.
    pub fn decoded(&self) -> &str {
        &self.decoded
    }

    /// The canonical encoding (RFC 3986, section 6.2.2). This is sent.
    pub fn encoded(&self) -> &str {
        self.encoded.as_deref().unwrap_or(&self.decoded)
    }

    fn parse(raw: &str) -> Result<Self, Refusal> {
        check_escapes(raw)?;
        if !raw.contains('%') {
            check_decoded_segment(raw)?;
            return Ok(Self { decoded: raw.into(), encoded: None });
        }
        let decoded = percent_decode_str(raw)
            .decode_utf8()
            .map_err(|_| Refusal::new(Code::MalformedCall, "a path segment is not UTF-8 after decoding"))?;
        check_decoded_segment(&decoded)?;
        Ok(Self { encoded: Some(uppercase_escapes(raw).into()), decoded: decoded.into_owned().into() })
    }
}

/// A path without dot segments, empty inner segments, encoded slashes or double encoding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Path {
    segments: Vec<Segment>,
}

impl Path {
    /// Parses a path as it stands in a request target, without query.
    ///
    /// A trailing slash is a last, empty segment; `/` alone is one empty segment.
    ///
    /// # Errors
    /// `malformed-call` for bytes outside the grammar; `ambiguous-call` for dot segments, empty inner segments, `;`,
    /// encoded slashes, backslashes, control characters, double encoding, and escapes of characters that need none.
    pub fn parse(raw: &str) -> Result<Self, Refusal> {
        let Some(rest) = raw.strip_prefix('/') else {
            return Err(Refusal::new(Code::MalformedCall, "a path begins with a slash"));
        };
        let segments = rest.split('/').map(Segment::parse).collect::<Result<Vec<_>, _>>()?;
        let inner = &segments[..segments.len() - 1];
        if inner.iter().any(|s| s.decoded.is_empty()) {
            return Err(Refusal::new(Code::AmbiguousCall, "the path has an empty segment"));
        }
        Ok(Self { segments })
    }

    /// The segments in order; at least one.
    pub fn segments(&self) -> &[Segment] {
        &self.segments
    }

    /// The canonical text, with its leading slash.
    pub fn encoded(&self) -> String {
        self.encoded_with(|_| None)
    }

    /// The canonical text with some segments replaced by already encoded ones.
    pub fn encoded_with(&self, replacement: impl Fn(usize) -> Option<String>) -> String {
        let length = self.segments.iter().map(|segment| segment.encoded().len() + 1).sum();
        let mut text = String::with_capacity(length);
        for (index, segment) in self.segments.iter().enumerate() {
            text.push('/');
            match replacement(index) {
                Some(replaced) => text.push_str(&replaced),
                None => text.push_str(segment.encoded()),
            }
        }
        text
    }

    /// Encodes a value as one path segment. `None` where no safe encoding exists: empty, dot segments, or with a
    /// slash, backslash or control character, which servers decode before they split.
    pub fn encode_segment(value: &str) -> Option<String> {
        check_decoded_segment(value).ok()?;
        (!value.is_empty()).then(|| utf8_percent_encode(value, NOT_PCHAR).to_string())
    }
}

fn check_decoded_segment(decoded: &str) -> Result<(), Refusal> {
    let ambiguous = |reason| Err(Refusal::new(Code::AmbiguousCall, reason));
    if decoded == "." || decoded == ".." {
        return ambiguous("the path has a dot segment");
    }
    if decoded.bytes().any(|byte| matches!(byte, b'/' | b'\\')) {
        return ambiguous("the path has an encoded slash or a backslash");
    }
    if decoded.bytes().any(|byte| byte == b';') {
        return ambiguous("the path has a ';', which some servers read as the begin of parameters");
    }
    if decoded.chars().any(char::is_control) {
        return ambiguous("the path has a control character");
    }
    if has_escape(decoded) {
        return ambiguous("the path is percent-encoded twice");
    }
    Ok(())
}

fn has_escape(text: &str) -> bool {
    text.as_bytes().windows(3).any(|w| w[0] == b'%' && w[1].is_ascii_hexdigit() && w[2].is_ascii_hexdigit())
}

/// Every `%` begins an escape of a byte that needs one; every other byte may stand in a segment.
fn check_escapes(raw: &str) -> Result<(), Refusal> {
    let bytes = raw.as_bytes();
    let mut at = 0;
    while at < bytes.len() {
        if bytes[at] != b'%' {
            // ';' and '\' go on to the check of the decoded segment, which calls them ambiguous.
            if !is_pchar(bytes[at]) && !matches!(bytes[at], b';' | b'\\') {
                return Err(Refusal::new(
                    Code::MalformedCall,
                    "the path has a byte that must be percent-encoded",
                ));
            }
            at += 1;
            continue;
        }
        let Some(byte) = bytes.get(at + 1..at + 3).and_then(hex_byte) else {
            return Err(Refusal::new(Code::MalformedCall, "the path has a '%' that begins no escape"));
        };
        // SECURITY: `%2e` or `%61` has a plain spelling; whoever escapes it wants two programs to differ (T28).
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            return Err(Refusal::new(
                Code::AmbiguousCall,
                "the path escapes a character that needs no escape",
            ));
        }
        at += 3;
    }
    Ok(())
}

/// `pchar` without escapes and `;` (RFC 3986, section 3.3).
fn is_pchar(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,=:@".contains(&byte)
}

pub(crate) fn hex_byte(digits: &[u8]) -> Option<u8> {
    let high = char::from(digits[0]).to_digit(16)?;
    let low = char::from(digits[1]).to_digit(16)?;
    u8::try_from(high * 16 + low).ok()
}

pub(crate) fn uppercase_escapes(raw: &str) -> String {
    let mut text = String::with_capacity(raw.len());
    let mut after_percent = 0;
    for c in raw.chars() {
        text.push(if after_percent > 0 { c.to_ascii_uppercase() } else { c });
        after_percent = if c == '%' { 2 } else { i32::max(after_percent - 1, 0) };
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(raw: &str) -> Option<Code> {
        Path::parse(raw).err().map(|r| r.code())
    }

    #[test]
    fn t28_paths_with_two_readings_are_refused() {
        for raw in [
            "/a/../b",
            "/a/./b",
            "/..",
            "/.",
            "/a/%2e%2e/b",
            "/a/%2E/b",
            "/a%2fb",
            "/a%2Fb",
            "/a%5cb",
            "/a\\b",
            "/a//b",
            "//a",
            "/%252e%252e/a",
            "/a%252fb",
            "/a;x=1/b",
            "/a%3bx",
            "/a%00",
            "/a%0d%0aX",
            "/a%7f",
            "/%61",
            "/a%09b",
        ] {
            assert_eq!(code(raw), Some(Code::AmbiguousCall), "{raw}");
        }
        for raw in [
            "a", "", "*", "/%", "/%2", "/%zz", "/a b", "/a\0", "/é", "/%c0%af", "/%ff", "/a\"b", "/a<b>",
            "/a{b}", "/a|b", "/a#b", "/a?b",
        ] {
            assert_eq!(code(raw), Some(Code::MalformedCall), "{raw}");
        }
    }

    #[test]
    fn a_path_is_sent_in_canonical_form() {
        for (raw, sent) in [
            ("/", "/"),
            ("/v1/", "/v1/"),
            ("/a%20b/%c3%a9", "/a%20b/%C3%A9"),
            ("/u/a%40b:c", "/u/a%40b:c"),
            ("/v1/x@y", "/v1/x@y"),
        ] {
            assert_eq!(Path::parse(raw).map(|p| p.encoded()).ok().as_deref(), Some(sent));
        }
    }

    #[test]
    fn a_value_without_a_safe_segment_has_none() {
        assert_eq!(Path::encode_segment("a b+c").as_deref(), Some("a%20b+c"));
        for value in ["", ".", "..", "a/b", "a\\b", "a\r\nb", "a;b", "a%2fb"] {
            assert_eq!(Path::encode_segment(value), None, "{value:?}");
        }
    }
}
