//! The head of a reply (RFC 9112, section 4), strictly.

use crate::{Fault, shared_field};
use bytes::Bytes;
use http::{HeaderMap, StatusCode};

/// The versions of HTTP/1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// HTTP/1.0.
    Http10,
    /// HTTP/1.1.
    Http11,
}

/// The head of a reply. The reason phrase is checked and dropped: nothing may depend on it.
#[derive(Clone, Debug)]
pub struct ReplyHead {
    /// The version.
    pub version: Version,
    /// The status.
    pub status: StatusCode,
    /// Every field, framing and hop-by-hop ones included. Values share the head's bytes.
    pub fields: HeaderMap,
}

impl ReplyHead {
    /// Parses a head, its final empty line included.
    ///
    /// # Errors
    /// For everything outside the grammar, and more than `most` fields.
    pub fn parse(head: &Bytes, most: usize) -> Result<Self, Fault> {
        let mut ends = memchr::memchr_iter(b'\n', head);
        let mut from = 0;
        let mut next_line = || {
            let end = ends.next().ok_or(Fault("the head does not end with an empty line"))?;
            // SECURITY: neither a bare LF nor, below, a bare CR ends a line (T37).
            if end == from || head[end - 1] != b'\r' {
                return Err(Fault("a line of the head ends without CR"));
            }
            let line = from..end - 1;
            from = end + 1;
            Ok(line)
        };
        let (version, status) = status_line(&head[next_line()?])?;
        let mut fields = HeaderMap::with_capacity(16);
        loop {
            let line = next_line()?;
            if line.is_empty() {
                break;
            }
            if fields.len() == most {
                return Err(Fault("the head has too many fields"));
            }
            let (name, value) = shared_field(head, line)?;
            fields.try_append(name, value).map_err(|_| Fault("the head has too many fields"))?;
        }
        if from == head.len() {
            Ok(Self { version, status, fields })
        } else {
            Err(Fault("bytes follow the head's empty line"))
        }
    }
}

/// `HTTP/1.1 200 OK`.
fn status_line(line: &[u8]) -> Result<(Version, StatusCode), Fault> {
    const MALFORMED: Fault = Fault("the status line is not version, status and reason");
    let (version, rest) = line.split_at_checked(9).ok_or(MALFORMED)?;
    let version = match version {
        b"HTTP/1.1 " => Version::Http11,
        b"HTTP/1.0 " => Version::Http10,
        _ => return Err(MALFORMED),
    };
    let (status, reason) = rest.split_at_checked(3).ok_or(MALFORMED)?;
    let status = StatusCode::from_bytes(status).map_err(|_| MALFORMED)?;
    // COMPAT: the space is due even where there is no reason; some servers leave both out.
    let reason = match reason {
        [] => reason,
        [b' ', reason @ ..] => reason,
        _ => return Err(MALFORMED),
    };
    let well_formed = reason.iter().all(|b| matches!(b, b'\t' | b' '..=b'~' | 0x80..));
    if well_formed { Ok((version, status)) } else { Err(MALFORMED) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &[u8]) -> Result<(Version, u16, usize), Fault> {
        let head = ReplyHead::parse(&Bytes::copy_from_slice(text), 3)?;
        Ok((head.version, head.status.as_u16(), head.fields.len()))
    }

    #[test]
    fn a_head_is_a_status_line_and_fields() {
        for (text, expected) in [
            (&b"HTTP/1.1 200 OK\r\n\r\n"[..], (Version::Http11, 200, 0)),
            (b"HTTP/1.1 204 \r\n\r\n", (Version::Http11, 204, 0)),
            (b"HTTP/1.1 204\r\n\r\n", (Version::Http11, 204, 0)),
            (b"HTTP/1.0 404 Not Found (caf\xe9)\r\na: b\r\n\r\n", (Version::Http10, 404, 1)),
            (b"HTTP/1.1 200 OK\r\na: b\r\na: c\r\nd:\r\n\r\n", (Version::Http11, 200, 3)),
        ] {
            assert_eq!(parse(text), Ok(expected), "{}", text.escape_ascii());
        }
    }

    #[test]
    fn t37_t43_a_head_one_step_wrong_is_refused() {
        for text in [
            &b""[..],
            b"\r\n\r\n",
            b"HTTP/1.1 200 OK\r\n",
            b"HTTP/1.1 200 OK\r\na: b\r\n",
            b"HTTP/1.1 200 OK\n\n",
            b"HTTP/1.1 200 OK\r\na: b\n\r\n",
            b"HTTP/1.1 200 OK\r\na: b\rc: d\r\n\r\n",
            b"HTTP/1.1 200 O\rK\r\n\r\n",
            b"HTTP/1.1 200 O\0K\r\n\r\n",
            b"HTTP/1.1 200 OK\r\na: b\r\n folded\r\n\r\n",
            b"HTTP/1.1 200 OK\r\na : b\r\n\r\n",
            b"HTTP/1.1 200 OK\r\na: \0\r\n\r\n",
            b"HTTP/1.1 200 OK\r\n\r\nHTTP/1.1 200 OK\r\n\r\n",
            b"HTTP/1.1  200 OK\r\n\r\n",
            b"HTTP/1.1 20 OK\r\n\r\n",
            b"HTTP/1.1 2000 OK\r\n\r\n",
            b"HTTP/1.1 099 OK\r\n\r\n",
            b"HTTP/1.1 +20 OK\r\n\r\n",
            b"HTTP/1.1 200OK\r\n\r\n",
            b"HTTP/1.1\t200 OK\r\n\r\n",
            b"HTTP/1.2 200 OK\r\n\r\n",
            b"HTTP/2 200\r\n\r\n",
            b"http/1.1 200 OK\r\n\r\n",
            b"ICY 200 OK\r\n\r\n",
            b" HTTP/1.1 200 OK\r\n\r\n",
            b"HTTP/1.1 200 OK\r\na: 1\r\nb: 2\r\nc: 3\r\nd: 4\r\n\r\n",
        ] {
            assert!(parse(text).is_err(), "{}", text.escape_ascii());
        }
    }
}
