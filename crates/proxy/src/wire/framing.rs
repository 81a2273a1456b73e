//! How long the body is (RFC 9112, section 6): said once, in one way, or the request is refused.

use super::fields::single;
use super::{Version, ambiguous, malformed};
use cloakroom_model::Refusal;
use http::HeaderMap;
use http::header::{CONTENT_LENGTH, TRANSFER_ENCODING};

/// The framing of a request body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Framing {
    /// No body.
    Empty,
    /// Exactly so many bytes, at least one.
    Length(u64),
    /// In chunks.
    Chunked,
}

impl Framing {
    /// Reads the framing fields.
    ///
    /// # Errors
    /// `ambiguous-call` when both fields are there or one is there twice; `malformed-call` for any other spelling.
    pub(super) fn of(fields: &HeaderMap, version: Version) -> Result<Self, Refusal> {
        let length = single(fields, &CONTENT_LENGTH, "the request has two Content-Length fields")?;
        let coding = single(fields, &TRANSFER_ENCODING, "the request has two Transfer-Encoding fields")?;
        match (length, coding) {
            (None, None) => Ok(Self::Empty),
            // SECURITY: RFC 9112 lets a proxy choose; the one behind it may choose differently (T36).
            (Some(_), Some(_)) => Err(ambiguous("the request has both Content-Length and Transfer-Encoding")),
            (Some(value), None) => Ok(match plain_length(value.as_bytes())? {
                0 => Self::Empty,
                length => Self::Length(length),
            }),
            (None, Some(value)) => transfer_encoding(value.as_bytes(), version),
        }
    }
}

/// A `Content-Length`. Digits only: no sign, no list, no leading zero, at most 18 of them.
///
/// # Errors
/// `malformed-call` for every other spelling.
pub(crate) fn plain_length(value: &[u8]) -> Result<u64, Refusal> {
    let canonical = matches!(value, [b'0'] | [b'1'..=b'9', ..]) && value.len() <= 18;
    if !canonical || !value.iter().all(u8::is_ascii_digit) {
        return Err(malformed("the Content-Length is not one plain number"));
    }
    Ok(value.iter().fold(0, |sum, digit| sum * 10 + u64::from(digit - b'0')))
}

fn transfer_encoding(value: &[u8], version: Version) -> Result<Framing, Refusal> {
    if version == Version::Http10 {
        return Err(ambiguous("the request is HTTP/1.0 and has a Transfer-Encoding"));
    }
    if value.eq_ignore_ascii_case(b"chunked") {
        Ok(Framing::Chunked)
    } else {
        Err(malformed("the Transfer-Encoding is not 'chunked' alone"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cloakroom_model::Code;
    use http::{HeaderName, HeaderValue};

    fn framing(version: Version, fields: &[(&'static str, &str)]) -> Result<Framing, Code> {
        let fields = fields.iter().map(|(name, value)| {
            (HeaderName::from_static(name), HeaderValue::from_bytes(value.as_bytes()).unwrap())
        });
        let mut map = HeaderMap::new();
        for (name, value) in fields {
            map.append(name, value);
        }
        Framing::of(&map, version).map_err(|r| r.code())
    }

    const CL: &str = "content-length";
    const TE: &str = "transfer-encoding";

    #[test]
    fn one_length_said_once_is_the_framing() {
        for (fields, expected) in [
            (&[][..], Framing::Empty),
            (&[(CL, "0")], Framing::Empty),
            (&[(CL, "17")], Framing::Length(17)),
            (&[(CL, "999999999999999999")], Framing::Length(999_999_999_999_999_999)),
            (&[(TE, "chunked")], Framing::Chunked),
            (&[(TE, "Chunked")], Framing::Chunked),
        ] {
            assert_eq!(framing(Version::Http11, fields), Ok(expected), "{fields:?}");
        }
    }

    #[test]
    fn t36_every_other_framing_is_refused() {
        for fields in [
            &[(CL, "5"), (TE, "chunked")][..],
            &[(TE, "chunked"), (CL, "5")],
            &[(CL, "5"), (CL, "5")],
            &[(CL, "5"), (CL, "6")],
            &[(TE, "chunked"), (TE, "chunked")],
            &[(TE, "chunked"), (TE, "identity")],
        ] {
            assert_eq!(framing(Version::Http11, fields), Err(Code::AmbiguousCall), "{fields:?}");
        }
        for value in [
            "",
            "+5",
            "-5",
            "05",
            "00",
            "5,5",
            "5, 5",
            "5 5",
            "0x5",
            "5_0",
            "5.0",
            "٥",
            "1000000000000000000",
            "5\t5",
        ] {
            assert_eq!(framing(Version::Http11, &[(CL, value)]), Err(Code::MalformedCall), "{value:?}");
        }
        for value in
            ["", "identity", "gzip, chunked", "chunked, chunked", "chunked;q=1", "xchunked", "chunked,"]
        {
            assert_eq!(framing(Version::Http11, &[(TE, value)]), Err(Code::MalformedCall), "{value:?}");
        }
        assert_eq!(framing(Version::Http10, &[(TE, "chunked")]), Err(Code::AmbiguousCall));
    }
}
