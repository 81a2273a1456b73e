//! The query of a call, and form bodies, which have the same grammar: ordered pairs, decoded once.

use crate::path::{hex_byte, uppercase_escapes};
use crate::{Code, Refusal};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// Only unreserved characters (RFC 3986, section 2.3) stand for themselves: right for a query and for a form.
const NOT_UNRESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// One `key=value`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pair {
    key: Box<str>,
    value: Box<str>,
    encoded: Box<str>,
}

impl Pair {
    /// The decoded key.
    pub fn key(&self) -> &str {
        &self.key
    }

    /// The decoded value; empty where there is no `=`.
    pub fn value(&self) -> &str {
        &self.value
    }

    fn parse(raw: &str) -> Result<Self, Refusal> {
        if raw.is_empty() {
            return Err(Refusal::new(Code::AmbiguousCall, "the query or form has an empty pair"));
        }
        let (key, value) = raw.split_once('=').unwrap_or((raw, ""));
        Ok(Self { key: decode(key)?, value: decode(value)?, encoded: uppercase_escapes(raw).into() })
    }
}

/// Ordered pairs. Keys may repeat here; policy refuses that where it was not allowed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Query {
    pairs: Vec<Pair>,
}

impl Query {
    /// Parses what follows `?`. Empty text has no pairs.
    ///
    /// # Errors
    /// `malformed-call` for bytes outside the grammar, bad escapes and non-UTF-8; `ambiguous-call` for `;`, empty pairs and
    /// control characters.
    pub fn parse(raw: &str) -> Result<Self, Refusal> {
        Ok(Self { pairs: form_pairs(raw)? })
    }

    /// The pairs in order.
    pub fn pairs(&self) -> &[Pair] {
        &self.pairs
    }

    /// The canonical text without `?`; empty where there are no pairs.
    pub fn encoded(&self) -> String {
        Pair::join(&self.pairs, |_| None)
    }

    /// The canonical text with the values of some pairs replaced.
    pub fn encoded_with(&self, replacement: impl Fn(usize) -> Option<String>) -> String {
        Pair::join(&self.pairs, replacement)
    }

    /// Percent-encodes a key or value so that it has one reading in a query and in a form.
    pub fn encode_value(value: &str) -> String {
        utf8_percent_encode(value, NOT_UNRESERVED).to_string()
    }
}

impl Pair {
    /// Joins pairs with `&`; `replacement` gives already encoded values for some of them.
    pub fn join(pairs: &[Self], replacement: impl Fn(usize) -> Option<String>) -> String {
        let text = |(index, pair): (usize, &Self)| match replacement(index) {
            Some(value) => format!("{}={value}", Query::encode_value(&pair.key)),
            None => pair.encoded.to_string(),
        };
        pairs.iter().enumerate().map(text).collect::<Vec<_>>().join("&")
    }
}

/// Parses `application/x-www-form-urlencoded` text or a query into ordered pairs.
///
/// # Errors
/// As [`Query::parse`].
pub fn form_pairs(raw: &str) -> Result<Vec<Pair>, Refusal> {
    if raw.is_empty() {
        return Ok(Vec::new());
    }
    if raw.contains(';') {
        return Err(Refusal::new(
            Code::AmbiguousCall,
            "the query or form has a ';', which some servers read as '&'",
        ));
    }
    raw.split('&').map(Pair::parse).collect()
}

fn decode(raw: &str) -> Result<Box<str>, Refusal> {
    let bytes = raw.as_bytes();
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        match bytes[at] {
            b'%' => {
                let escape = bytes.get(at + 1..at + 3).and_then(hex_byte);
                let bad =
                    || Refusal::new(Code::MalformedCall, "the query or form has a '%' that begins no escape");
                decoded.push(escape.ok_or_else(bad)?);
                at += 2;
            }
            b'+' => decoded.push(b' '),
            b'!'..=b'~' if !matches!(bytes[at], b'"' | b'<' | b'>' | b'#' | b'\\' | b'^' | b'`') => {
                decoded.push(bytes[at])
            }
            _ => {
                return Err(Refusal::new(
                    Code::MalformedCall,
                    "the query or form has a byte that must be percent-encoded",
                ));
            }
        }
        at += 1;
    }
    let text = String::from_utf8(decoded)
        .map_err(|_| Refusal::new(Code::MalformedCall, "the query or form is not UTF-8 after decoding"))?;
    if text.contains('\0') {
        return Err(Refusal::new(Code::AmbiguousCall, "the query or form has a NUL"));
    }
    Ok(text.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn t30_pairs_are_decoded_once_and_kept_in_order() {
        let query = Query::parse("a=1&b[]=x%20y&a=%26c%3d1&flag").unwrap();
        let read: Vec<_> = query.pairs().iter().map(|p| (p.key(), p.value())).collect();
        assert_eq!(read, [("a", "1"), ("b[]", "x y"), ("a", "&c=1"), ("flag", "")]);
        assert_eq!(query.encoded(), "a=1&b[]=x%20y&a=%26c%3D1&flag");
        assert_eq!(
            query.encoded_with(|i| (i == 0).then(|| Query::encode_value("s&=%+ ë"))),
            "a=s%26%3D%25%2B%20%C3%AB&b[]=x%20y&a=%26c%3D1&flag"
        );
    }

    #[test]
    fn t30_queries_with_two_readings_are_refused() {
        for raw in ["a=1;b=2", "a=1&&b=2", "&", "a=%00"] {
            assert_eq!(Query::parse(raw).map_err(|r| r.code()), Err(Code::AmbiguousCall), "{raw}");
        }
        for raw in ["a=%", "a=%g0", "a=\u{e9}", "a=%ff", "a=<b>", "a b=1", "a=1#f", "a=\n"] {
            assert_eq!(Query::parse(raw).map_err(|r| r.code()), Err(Code::MalformedCall), "{raw}");
        }
    }
}
