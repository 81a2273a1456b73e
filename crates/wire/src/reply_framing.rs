//! How long a reply's body is (RFC 9112, section 6.3): said once, in one way, or the reply is refused.

use crate::{Fault, ReplyHead, Version};
use http::header::{CONNECTION, CONTENT_LENGTH, TRANSFER_ENCODING};
use http::{HeaderMap, HeaderValue, Method, StatusCode};

/// The framing of a reply's body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReplyFraming {
    /// No body, whatever the fields say.
    Empty,
    /// Exactly so many bytes.
    Length(u64),
    /// In chunks.
    Chunked,
    /// Up to the end of the connection.
    UntilClose,
}

impl ReplyFraming {
    /// How the reply to a request of this method is framed.
    ///
    /// # Errors
    /// When the framing fields contradict each other, occur twice or are spelt in any but the one way.
    pub fn of(method: &Method, head: &ReplyHead) -> Result<Self, Fault> {
        let length = single(&head.fields, &CONTENT_LENGTH)?.map(content_length).transpose()?;
        let coding = single(&head.fields, &TRANSFER_ENCODING)?;
        // SECURITY: whoever reads the one field sees another reply end than whoever reads the other (T36, T43).
        let framing = match (length, coding) {
            (Some(_), Some(_)) => {
                return Err(Fault("the reply has both Content-Length and Transfer-Encoding"));
            }
            (None, Some(_)) if head.version == Version::Http10 => {
                return Err(Fault("the reply is HTTP/1.0 and has a Transfer-Encoding"));
            }
            (None, Some(coding)) if coding.as_bytes().eq_ignore_ascii_case(b"chunked") => Self::Chunked,
            (None, Some(_)) => return Err(Fault("the reply's Transfer-Encoding is not 'chunked' alone")),
            (Some(length), None) => Self::Length(length),
            (None, None) => Self::UntilClose,
        };
        Ok(if has_body(method, head.status) { framing } else { Self::Empty })
    }
}

impl ReplyHead {
    /// Whether the connection may carry another message after this one.
    ///
    /// COMPAT: HTTP/1.0 keeps no connection here, even where it offers to: its offers pass through programs that do not
    /// understand them.
    pub fn keeps_connection(&self) -> bool {
        let closes = |value: &HeaderValue| {
            let mut options = value.as_bytes().split(|b| *b == b',');
            options.any(|option| option.trim_ascii().eq_ignore_ascii_case(b"close"))
        };
        self.version == Version::Http11 && !self.fields.get_all(CONNECTION).iter().any(closes)
    }
}

fn has_body(method: &Method, status: StatusCode) -> bool {
    *method != Method::HEAD
        && !status.is_informational()
        && !matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED)
}

/// The only value of a field. Even a second one that says the same is one too many.
fn single<'a>(fields: &'a HeaderMap, name: &http::HeaderName) -> Result<Option<&'a HeaderValue>, Fault> {
    let mut values = fields.get_all(name).iter();
    let first = values.next();
    if values.next().is_some() { Err(Fault("a framing field of the reply occurs twice")) } else { Ok(first) }
}

/// Digits only: no sign, no list, no leading zero, at most 18 of them.
fn content_length(value: &HeaderValue) -> Result<u64, Fault> {
    let value = value.as_bytes();
    let canonical = matches!(value, [b'0'] | [b'1'..=b'9', ..]) && value.len() <= 18;
    if !canonical || !value.iter().all(u8::is_ascii_digit) {
        return Err(Fault("the reply's Content-Length is not one plain number"));
    }
    Ok(value.iter().fold(0, |sum, digit| sum * 10 + u64::from(digit - b'0')))
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;

    fn head(first: &str, fields: &str) -> ReplyHead {
        ReplyHead::parse(&Bytes::from(format!("{first}\r\n{fields}\r\n")), 100).unwrap()
    }

    fn framing(method: Method, first: &str, fields: &str) -> Option<ReplyFraming> {
        ReplyFraming::of(&method, &head(first, fields)).ok()
    }

    #[test]
    fn a_body_has_a_length_or_chunks_or_ends_with_the_connection() {
        use ReplyFraming::{Chunked, Empty, Length, UntilClose};
        for (method, first, fields, expected) in [
            (Method::GET, "HTTP/1.1 200 OK", "content-length: 0\r\n", Length(0)),
            (Method::GET, "HTTP/1.0 200 OK", "content-length: 12\r\n", Length(12)),
            (Method::GET, "HTTP/1.1 200 OK", "transfer-encoding: Chunked\r\n", Chunked),
            (Method::POST, "HTTP/1.1 200 OK", "", UntilClose),
            (Method::HEAD, "HTTP/1.1 200 OK", "content-length: 12\r\n", Empty),
            (Method::HEAD, "HTTP/1.1 200 OK", "transfer-encoding: chunked\r\n", Empty),
            (Method::GET, "HTTP/1.1 204 No Content", "", Empty),
            (Method::GET, "HTTP/1.1 304 Not Modified", "content-length: 12\r\n", Empty),
            (Method::GET, "HTTP/1.1 103 Early Hints", "", Empty),
        ] {
            assert_eq!(framing(method, first, fields), Some(expected), "{first} {fields}");
        }
    }

    #[test]
    fn t36_t43_framing_with_two_readings_is_refused() {
        for fields in [
            "content-length: 1\r\ntransfer-encoding: chunked\r\n",
            "content-length: 1\r\ncontent-length: 1\r\n",
            "content-length: 1\r\ncontent-length: 2\r\n",
            "content-length: 1, 1\r\n",
            "content-length: +1\r\n",
            "content-length: -1\r\n",
            "content-length: 01\r\n",
            "content-length: 0x1\r\n",
            "content-length: 1 2\r\n",
            "content-length:\r\n",
            "content-length: 9999999999999999999\r\n",
            "transfer-encoding: gzip, chunked\r\n",
            "transfer-encoding: chunked, chunked\r\n",
            "transfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n",
            "transfer-encoding: identity\r\n",
            "transfer-encoding: xchunked\r\n",
            "transfer-encoding:\r\n",
        ] {
            for method in [Method::GET, Method::HEAD] {
                assert_eq!(framing(method, "HTTP/1.1 200 OK", fields), None, "{fields}");
            }
        }
        assert_eq!(framing(Method::GET, "HTTP/1.0 200 OK", "transfer-encoding: chunked\r\n"), None);
    }

    #[test]
    fn a_connection_is_kept_unless_the_reply_says_close() {
        assert!(head("HTTP/1.1 200 OK", "").keeps_connection());
        assert!(head("HTTP/1.1 200 OK", "connection: keep-alive\r\n").keeps_connection());
        for fields in
            ["connection: Close\r\n", "connection: x, close\r\n", "connection: x\r\nconnection: close\r\n"]
        {
            assert!(!head("HTTP/1.1 200 OK", fields).keeps_connection(), "{fields}");
        }
        assert!(!head("HTTP/1.0 200 OK", "connection: keep-alive\r\n").keeps_connection());
    }
}
