//! What the first byte of a connection says it speaks.

use super::{Parsed, Part};

/// A TLS record of the handshake (RFC 8446, section 5.1).
const HANDSHAKE: u8 = 0x16;
/// The version of SOCKS that begins its greeting (RFC 1928, section 3).
const SOCKS_5: u8 = 0x05;

/// What a connection speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Speech {
    /// TLS; what is inside shows once it is open.
    Tls,
    /// SOCKS5.
    Socks,
    /// HTTP of any version, or what is refused as such.
    Http,
}

impl Speech {
    /// What this byte begins. No method of HTTP begins with a control character, so nothing is in doubt.
    pub(super) fn of(first: u8) -> Self {
        match first {
            HANDSHAKE => Self::Tls,
            SOCKS_5 => Self::Socks,
            _ => Self::Http,
        }
    }
}

/// Whether these bytes begin HTTP/2's preface. None of them is taken: whoever speaks it reads it again.
pub(super) fn preface(bytes: &[u8]) -> Parsed<bool> {
    const BEGIN: &[u8] = b"PRI ";
    match bytes.get(..BEGIN.len()) {
        Some(begin) => Ok(Part::Whole(begin == BEGIN, 0)),
        None if BEGIN.starts_with(bytes) => Ok(Part::Beginning),
        None => Ok(Part::Whole(false, 0)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_preface_of_http_2_is_no_request_of_http_1() {
        for (bytes, expected) in [
            (&b"PRI * HTTP/2.0\r\n"[..], Part::Whole(true, 0)),
            (b"PR", Part::Beginning),
            (b"POST", Part::Whole(false, 0)),
            (b"PO", Part::Whole(false, 0)),
            (b"G", Part::Whole(false, 0)),
        ] {
            assert_eq!(preface(bytes), Ok(expected), "{}", bytes.escape_ascii());
        }
    }

    #[test]
    fn the_first_byte_tells_what_a_connection_speaks() {
        for (bytes, expected) in [
            (&b"\x16\x03\x01"[..], Speech::Tls),
            (b"\x05\x01\x02", Speech::Socks),
            (b"GET / HTTP/1.1", Speech::Http),
            (b"PRI * HTTP/2.0", Speech::Http),
            (b"\x04\x01", Speech::Http),
            (b"\x15\x03", Speech::Http),
            (b"\x80\x2e", Speech::Http),
        ] {
            assert_eq!(Speech::of(bytes[0]), expected, "{}", bytes.escape_ascii());
        }
    }
}
