//! The three messages that a SOCKS5 client sends, and what is answered.

use crate::entry::{Malformed, Parsed, Part};
use crate::wire::Named;
use cloakroom_model::Host;
use std::net::{Ipv4Addr, Ipv6Addr};

const VERSION: u8 = 5;
/// User name and password (RFC 1929).
const PASSWORD: u8 = 2;

/// The server takes user name and password.
pub(super) const CHOSEN: [u8; 2] = [VERSION, PASSWORD];
/// The server takes none of the offered methods.
pub(in crate::entry) const NONE_ACCEPTABLE: [u8; 2] = [VERSION, 0xff];
/// The password is right.
pub(super) const WELCOME: [u8; 2] = [1, 0];
/// It is not.
pub(super) const UNKNOWN: [u8; 2] = [1, 1];

/// How a request ends (RFC 1928, section 6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Outcome {
    Granted = 0,
    Failed = 1,
    NotAllowed = 2,
    NoSuchCommand = 7,
    NoSuchAddressType = 8,
}

impl Outcome {
    /// The reply. No connection upstream belongs to it, so its address is none.
    pub(super) fn reply(self) -> [u8; 10] {
        [VERSION, self as u8, 0, 1, 0, 0, 0, 0, 0, 0]
    }
}

/// Whether the greeting offers user name and password.
pub(super) fn greeting(bytes: &[u8]) -> Parsed<bool> {
    let Some((version, rest)) = bytes.split_first() else { return Ok(Part::Beginning) };
    if *version != VERSION {
        return Err(Malformed);
    }
    let Some((count, rest)) = rest.split_first() else { return Ok(Part::Beginning) };
    let count = usize::from(*count);
    let Some(methods) = rest.get(..count) else { return Ok(Part::Beginning) };
    Ok(Part::Whole(methods.contains(&PASSWORD), 2 + count))
}

/// A user name and a password.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Login {
    pub(super) name: String,
    pub(super) key: String,
}

/// Reads user name and password (RFC 1929, section 2).
pub(super) fn login(bytes: &[u8]) -> Parsed<Login> {
    let Some((version, rest)) = bytes.split_first() else { return Ok(Part::Beginning) };
    if *version != 1 {
        return Err(Malformed);
    }
    let Some((name, rest)) = counted(rest) else { return Ok(Part::Beginning) };
    let Some((key, _)) = counted(rest) else { return Ok(Part::Beginning) };
    let length = 3 + name.len() + key.len();
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).map_err(|_| Malformed);
    Ok(Part::Whole(Login { name: text(name)?, key: text(key)? }, length))
}

/// Reads a request: the host and port to connect to. Inside, what cannot be granted.
pub(super) fn request(bytes: &[u8]) -> Parsed<Result<Named, Outcome>> {
    let beginning = [VERSION, 0, 0];
    // The command is read last: an unknown one has the same form.
    let wrong = bytes.iter().zip(beginning).enumerate().any(|(at, (is, must))| at != 1 && *is != must);
    if wrong {
        return Err(Malformed);
    }
    let [_, command, _, kind, rest @ ..] = bytes else { return Ok(Part::Beginning) };
    let host = match kind {
        1 => fixed::<4>(rest).map(|(octets, rest)| (Some(Host::V4(Ipv4Addr::from(octets))), rest)),
        3 => counted(rest).map(|(name, rest)| (domain(name), rest)),
        4 => fixed::<16>(rest).map(|(octets, rest)| (Some(Host::V6(Ipv6Addr::from(octets))), rest)),
        // Its length cannot be known.
        _ => return Ok(Part::Whole(Err(Outcome::NoSuchAddressType), bytes.len())),
    };
    let Some((host, rest)) = host else { return Ok(Part::Beginning) };
    let Some((port, rest)) = fixed::<2>(rest) else { return Ok(Part::Beginning) };
    let length = bytes.len() - rest.len();
    let (host, port) = (host.ok_or(Malformed)?, u16::from_be_bytes(port));
    let asked = match (command, port) {
        (1, 0) => return Err(Malformed),
        (1, port) => Ok(Named { host, port: Some(port) }),
        _ => Err(Outcome::NoSuchCommand),
    };
    Ok(Part::Whole(asked, length))
}

/// A name, or an address written as one, in canonical form.
fn domain(name: &[u8]) -> Option<Host> {
    let text = std::str::from_utf8(name).ok()?;
    Host::parse(text).ok()
}

/// A length in one byte, and so many bytes.
fn counted(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = bytes.split_first()?;
    rest.split_at_checked(usize::from(*length))
}

fn fixed<const LENGTH: usize>(bytes: &[u8]) -> Option<([u8; LENGTH], &[u8])> {
    bytes.split_first_chunk().map(|(octets, rest)| (*octets, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn awaits<T: std::fmt::Debug + PartialEq>(read: impl Fn(&[u8]) -> Parsed<T>, whole: &[u8]) {
        for length in 0..whole.len() {
            assert_eq!(read(&whole[..length]), Ok(Part::Beginning), "{}", whole[..length].escape_ascii());
        }
    }

    fn asked(bytes: &[u8]) -> Result<Result<String, Outcome>, Malformed> {
        match request(bytes)? {
            Part::Whole(Ok(named), length) => {
                assert_eq!(length, bytes.len());
                Ok(Ok(format!("{}:{}", named.host, named.port.unwrap())))
            }
            Part::Whole(Err(outcome), _) => Ok(Err(outcome)),
            Part::Beginning => panic!("{} is whole", bytes.escape_ascii()),
        }
    }

    #[test]
    fn a_greeting_offers_a_password_or_does_not() {
        assert_eq!(greeting(b"\x05\x01\x02"), Ok(Part::Whole(true, 3)));
        assert_eq!(greeting(b"\x05\x03\x00\x01\x02\x01"), Ok(Part::Whole(true, 5)));
        assert_eq!(greeting(b"\x05\x02\x00\x01"), Ok(Part::Whole(false, 4)));
        assert_eq!(greeting(b"\x05\x00"), Ok(Part::Whole(false, 2)));
        assert_eq!(greeting(b"\x04\x01"), Err(Malformed));
        awaits(greeting, b"\x05\x02\x00\x02");
    }

    #[test]
    fn a_login_is_a_name_and_a_key() {
        let read = |bytes: &[u8]| match login(bytes)? {
            Part::Whole(Login { name, key }, length) => Ok(Some((name, key, length))),
            Part::Beginning => Ok(None),
        };
        let whole = b"\x01\x05robot\x03KEY";
        assert_eq!(read(&[&whole[..], b"\x05"].concat()), Ok(Some(("robot".into(), "KEY".into(), 11))));
        for length in 0..whole.len() {
            assert_eq!(read(&whole[..length]), Ok(None));
        }
        assert_eq!(read(b"\x01\x00\x00"), Ok(Some((String::new(), String::new(), 3))));
        assert_eq!(read(b"\x05\x05robot\x03KEY"), Err(Malformed));
        assert_eq!(read(b"\x01\x02\xff\xff\x03KEY"), Err(Malformed));
    }

    #[test]
    fn a_request_names_a_host_and_a_port() {
        let v6 = [&b"\x05\x01\x00\x04\x20\x01\x0d\xb8"[..], &[0; 11], b"\x01\x01\xbb"].concat();
        for (bytes, expected) in [
            (&b"\x05\x01\x00\x03\x0fAPI.example.com\x01\xbb"[..], "api.example.com:443"),
            (b"\x05\x01\x00\x01\xc0\x00\x02\x01\x00\x50", "192.0.2.1:80"),
            (b"\x05\x01\x00\x03\x09192.0.2.1\x00\x50", "192.0.2.1:80"),
            (&v6, "[2001:db8::1]:443"),
        ] {
            assert_eq!(asked(bytes), Ok(Ok(expected.to_owned())), "{}", bytes.escape_ascii());
            awaits(request, bytes);
        }
    }

    #[test]
    fn a_request_one_step_wrong_is_told_apart() {
        for (bytes, expected) in [
            (&b"\x05\x02\x00\x01\xc0\x00\x02\x01\x00\x50"[..], Ok(Err(Outcome::NoSuchCommand))),
            (b"\x05\x03\x00\x01\x00\x00\x00\x00\x00\x00", Ok(Err(Outcome::NoSuchCommand))),
            (b"\x05\x01\x00\x02\xc0", Ok(Err(Outcome::NoSuchAddressType))),
            (b"\x04\x01\x00\x01\xc0\x00\x02\x01\x00\x50", Err(Malformed)),
            (b"\x05\x01\x01\x01\xc0\x00\x02\x01\x00\x50", Err(Malformed)),
            (b"\x05\x01\x00\x01\xc0\x00\x02\x01\x00\x00", Err(Malformed)),
            (b"\x05\x01\x00\x03\x00\x01\xbb", Err(Malformed)),
            (b"\x05\x01\x00\x03\x0bh.example:1\x01\xbb", Err(Malformed)),
            (b"\x05\x01\x00\x03\x0bu@h.example\x01\xbb", Err(Malformed)),
            (b"\x05\x01\x00\x03\x09h\0example\x01\xbb", Err(Malformed)),
            (b"\x05\x01\x00\x03\x02\xc3\xa9\x01\xbb", Err(Malformed)),
        ] {
            assert_eq!(asked(bytes), expected, "{}", bytes.escape_ascii());
        }
    }

    #[test]
    fn t69_a_reply_says_its_code_and_nothing_else() {
        assert_eq!(Outcome::NotAllowed.reply(), [5, 2, 0, 1, 0, 0, 0, 0, 0, 0]);
        assert_eq!(Outcome::Granted.reply()[1], 0);
    }
}
