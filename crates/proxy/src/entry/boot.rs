//! What a guest says of itself first on a connection over vsock: the nonce of its boot. A CID is lent by the hypervisor, so the nonce tells
//! which machine has it now (T93). `cloakroom init` says it; whoever leaves it out is known by nothing but a key.
//!
//! ```text
//! CLOAKROOM/1 boot cwb_… CR LF     then what any connection carries
//! ```

use super::{Malformed, Parsed, Part};
use std::fmt;
use std::str::FromStr;

const BEGIN: &[u8] = b"CLOAKROOM/1 boot ";
const END: &[u8] = b"\r\n";
/// No nonce is longer.
const LONGEST: usize = 64;

/// The nonce of one boot of a guest. Whoever has it is that guest to the broker, from the guest's own number.
#[derive(Clone, PartialEq, Eq)]
pub struct BootNonce(String);

impl BootNonce {
    /// What a connection begins with.
    pub fn line(&self) -> Vec<u8> {
        [BEGIN, self.0.as_bytes(), END].concat()
    }

    pub(super) fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for BootNonce {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("BootNonce")
    }
}

impl FromStr for BootNonce {
    type Err = &'static str;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
        let fine = !text.is_empty() && text.len() <= LONGEST && text.bytes().all(plain);
        if fine { Ok(Self(text.to_owned())) } else { Err("a boot nonce is what workload add --cid printed") }
    }
}

/// The nonce that a connection begins with; `None`, and nothing taken, where it begins with something else.
pub(super) fn nonce(bytes: &[u8]) -> Parsed<Option<BootNonce>> {
    let Some(rest) = bytes.strip_prefix(BEGIN) else {
        return Ok(if BEGIN.starts_with(bytes) { Part::Beginning } else { Part::Whole(None, 0) });
    };
    let Some(length) = rest.windows(END.len()).position(|two| two == END) else {
        return if rest.len() < LONGEST + END.len() { Ok(Part::Beginning) } else { Err(Malformed) };
    };
    let text = std::str::from_utf8(&rest[..length]).map_err(|_| Malformed)?;
    let nonce = text.parse::<BootNonce>().map_err(|_| Malformed)?;
    Ok(Part::Whole(Some(nonce), BEGIN.len() + length + END.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_nonce_is_read_as_it_is_said_however_it_arrives() {
        let said: BootNonce = "cwb_0aZ".parse().unwrap();
        let line = said.line();
        for cut in 0..line.len() {
            assert_eq!(nonce(&line[..cut]), Ok(Part::Beginning), "{cut}");
        }
        let with_more = [&line[..], b"GET / HTTP/1.1\r\n\r\n"].concat();
        assert_eq!(nonce(&with_more), Ok(Part::Whole(Some(said), line.len())));
    }

    #[test]
    fn whatever_else_begins_a_connection_is_left_as_it_is() {
        for other in [
            &b"CONNECT a:443 HTTP/1.1\r\n"[..],
            b"GET / HTTP/1.1",
            b"\x05\x01\x02",
            b"CLOAKROOM/2 boot x\r\n",
        ] {
            assert_eq!(nonce(other), Ok(Part::Whole(None, 0)), "{}", other.escape_ascii());
        }
    }

    #[test]
    fn t93_a_nonce_one_step_wrong_is_none_and_ends_the_connection() {
        let long = "a".repeat(LONGEST + 1);
        for text in ["", " cwb_x", "cwb_x y", "cwb_\n", "cwb-x", "cwb_\u{e9}", &long] {
            let line = [BEGIN, text.as_bytes(), END].concat();
            assert_eq!(nonce(&line), Err(Malformed), "{text}");
            assert!(text.parse::<BootNonce>().is_err(), "{text}");
        }
        assert_eq!(nonce(&[BEGIN, &[b'a'; LONGEST + 2]].concat()), Err(Malformed), "it has no end");
        assert_eq!(nonce(&[BEGIN, b"\xff\r\n"].concat()), Err(Malformed));
    }

    #[test]
    fn a_nonce_is_not_shown() {
        assert_eq!(format!("{:?}", "cwb_secret".parse::<BootNonce>().unwrap()), "BootNonce");
    }
}
