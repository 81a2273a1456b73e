//! The PROXY protocol, versions 1 and 2: where a balancer says whom it speaks for (HAProxy's proxy-protocol.txt).
//!
//! Which balancers are believed is the listener's matter.

use super::{Malformed, Parsed, Part};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

/// The longest header of version 1, with its CRLF (section 2.1).
const LONGEST_TEXT: usize = 107;
const TEXT: &[u8] = b"PROXY ";

/// What begins version 2 (section 2.2): bytes that begin no other protocol.
const SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";
/// Signature, version and command, family and transport, length.
const FIXED: usize = 16;
/// Addresses and extensions of version 2. The standard allows 64 KiB; balancers send some hundred bytes.
const LONGEST_BINARY: usize = 2048;

/// Whom a balancer speaks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Source {
    /// A peer at this address.
    Peer(IpAddr),
    /// Itself, or it cannot say.
    Balancer,
}

/// Reads a header of either version.
pub(super) fn header(bytes: &[u8]) -> Parsed<Source> {
    match bytes.first() {
        None => Ok(Part::Beginning),
        Some(b'P') => text(bytes),
        Some(_) => binary(bytes),
    }
}

/// `PROXY TCP4 192.0.2.1 192.0.2.2 56324 443\r\n`
fn text(bytes: &[u8]) -> Parsed<Source> {
    begins_with(bytes, TEXT)?;
    let within = &bytes[..bytes.len().min(LONGEST_TEXT)];
    let Some(end) = within.windows(2).position(|pair| pair == b"\r\n") else {
        return if bytes.len() < LONGEST_TEXT { Ok(Part::Beginning) } else { Err(Malformed) };
    };
    let line = std::str::from_utf8(&bytes[TEXT.len()..end]).map_err(|_| Malformed)?;
    Ok(Part::Whole(source(line)?, end + 2))
}

fn source(line: &str) -> Result<Source, Malformed> {
    let words: Vec<&str> = line.split(' ').collect();
    match *words.as_slice() {
        ["TCP4", source, target, from, to] => addresses::<Ipv4Addr>(source, target, from, to),
        ["TCP6", source, target, from, to] => addresses::<Ipv6Addr>(source, target, from, to),
        // What else stands on such a line is to be ignored (section 2.1).
        ["UNKNOWN", ..] => Ok(Source::Balancer),
        _ => Err(Malformed),
    }
}

fn addresses<A: FromStr + Into<IpAddr>>(
    source: &str,
    target: &str,
    from: &str,
    to: &str,
) -> Result<Source, Malformed> {
    let address = |text: &str| A::from_str(text).map_err(|_| Malformed);
    let (source, _) = (address(source)?, address(target)?);
    port(from)?;
    port(to)?;
    Ok(Source::Peer(source.into().to_canonical()))
}

/// Decimal, without zeros in front.
fn port(text: &str) -> Result<u16, Malformed> {
    let number: u16 = text.parse().map_err(|_| Malformed)?;
    if number.to_string() == text { Ok(number) } else { Err(Malformed) }
}

/// Twelve bytes of signature, four that say what follows, then addresses and extensions.
fn binary(bytes: &[u8]) -> Parsed<Source> {
    begins_with(bytes, SIGNATURE)?;
    let Some(fixed) = bytes.get(..FIXED) else { return Ok(Part::Beginning) };
    let (command, family) = (fixed[12], fixed[13]);
    let length = usize::from(u16::from_be_bytes([fixed[14], fixed[15]]));
    if length > LONGEST_BINARY {
        return Err(Malformed);
    }
    let Some(rest) = bytes.get(FIXED..FIXED + length) else { return Ok(Part::Beginning) };
    let source = match (command, family) {
        // LOCAL: the balancer's own check; what stands there is to be ignored.
        (0x20, _) | (0x21, 0x00) => Source::Balancer,
        (0x21, 0x11) => Source::Peer(block::<4, 12>(rest)?.into()),
        (0x21, 0x21) => Source::Peer(IpAddr::from(block::<16, 36>(rest)?).to_canonical()),
        // Datagrams and Unix sockets do not come here over TCP.
        _ => return Err(Malformed),
    };
    Ok(Part::Whole(source, FIXED + length))
}

/// The source address, first of a block of addresses and ports; extensions must fill what is left.
fn block<const ADDRESS: usize, const BLOCK: usize>(rest: &[u8]) -> Result<[u8; ADDRESS], Malformed> {
    let (block, extensions) = rest.split_at_checked(BLOCK).ok_or(Malformed)?;
    well_formed(extensions)?;
    block[..ADDRESS].try_into().map_err(|_| Malformed)
}

/// Type, length in two bytes, value, again and again (section 2.2). None of them is used here.
fn well_formed(mut extensions: &[u8]) -> Result<(), Malformed> {
    while let [_, high, low, rest @ ..] = extensions {
        extensions = rest.get(usize::from(u16::from_be_bytes([*high, *low]))..).ok_or(Malformed)?;
    }
    if extensions.is_empty() { Ok(()) } else { Err(Malformed) }
}

/// As far as there are bytes.
fn begins_with(bytes: &[u8], expected: &[u8]) -> Result<(), Malformed> {
    if bytes.iter().zip(expected).all(|(one, other)| one == other) { Ok(()) } else { Err(Malformed) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn v2(command: u8, family: u8, rest: &[u8]) -> Vec<u8> {
        let length = u16::try_from(rest.len()).unwrap().to_be_bytes();
        [SIGNATURE, &[command, family], &length, rest].concat()
    }

    fn v4_block() -> Vec<u8> {
        [&[192, 0, 2, 1, 192, 0, 2, 2][..], &56324u16.to_be_bytes(), &443u16.to_be_bytes()].concat()
    }

    fn v6_block() -> Vec<u8> {
        let address: Ipv6Addr = "2001:db8::1".parse().unwrap();
        [&address.octets()[..], &address.octets(), &[0xdc, 4, 1, 0xbb]].concat()
    }

    fn peer(text: &str) -> Source {
        Source::Peer(text.parse().unwrap())
    }

    fn cases() -> Vec<(Vec<u8>, Source)> {
        vec![
            (b"PROXY TCP4 192.0.2.1 192.0.2.2 56324 443\r\n".to_vec(), peer("192.0.2.1")),
            (b"PROXY TCP6 2001:db8::1 2001:db8::2 0 65535\r\n".to_vec(), peer("2001:db8::1")),
            (b"PROXY TCP6 ::ffff:192.0.2.1 ::1 1 1\r\n".to_vec(), peer("192.0.2.1")),
            (b"PROXY UNKNOWN\r\n".to_vec(), Source::Balancer),
            (b"PROXY UNKNOWN ffff::1 ffff::1 65535 65535\r\n".to_vec(), Source::Balancer),
            (v2(0x21, 0x11, &v4_block()), peer("192.0.2.1")),
            (v2(0x21, 0x11, &[&v4_block()[..], &[4, 0, 1, 9, 2, 0, 0]].concat()), peer("192.0.2.1")),
            (v2(0x21, 0x21, &v6_block()), peer("2001:db8::1")),
            (v2(0x20, 0x00, &[]), Source::Balancer),
            (v2(0x20, 0x11, &v4_block()), Source::Balancer),
            (v2(0x21, 0x00, &[1, 2, 3]), Source::Balancer),
        ]
    }

    #[test]
    fn a_header_says_whom_a_balancer_speaks_for() {
        for (bytes, expected) in cases() {
            let followed = [&bytes[..], b"GET / HTTP/1.1\r\n\r\n"].concat();
            let read = header(&followed);
            assert_eq!(read, Ok(Part::Whole(expected, bytes.len())), "{}", bytes.escape_ascii());
        }
    }

    #[test]
    fn a_header_that_comes_byte_by_byte_is_awaited() {
        for (bytes, _) in cases() {
            for length in 0..bytes.len() {
                assert_eq!(
                    header(&bytes[..length]),
                    Ok(Part::Beginning),
                    "{}",
                    bytes[..length].escape_ascii()
                );
            }
        }
    }

    #[test]
    fn a_header_one_step_wrong_is_malformed() {
        let long = [b"PROXY UNKNOWN ", &[b'x'; LONGEST_TEXT][..], b"\r\n"].concat();
        let mut wrong = vec![
            long,
            b"GET / HTTP/1.1\r\n\r\n".to_vec(),
            b"POST / HTTP/1.1\r\n\r\n".to_vec(),
            b"\x16\x03\x01".to_vec(),
            b"PROXY TCP4 192.0.2.1 192.0.2.2 56324\r\n".to_vec(),
            b"PROXY TCP4 192.0.2.1 192.0.2.2 56324 443 \r\n".to_vec(),
            b"PROXY TCP4  192.0.2.1 192.0.2.2 56324 443\r\n".to_vec(),
            b"PROXY TCP4 2001:db8::1 192.0.2.2 56324 443\r\n".to_vec(),
            b"PROXY TCP6 192.0.2.1 2001:db8::2 56324 443\r\n".to_vec(),
            b"PROXY TCP4 192.0.2.01 192.0.2.2 56324 443\r\n".to_vec(),
            b"PROXY TCP4 192.0.2.1 192.0.2.2 056324 443\r\n".to_vec(),
            b"PROXY TCP4 192.0.2.1 192.0.2.2 65536 443\r\n".to_vec(),
            b"PROXY TCP4 192.0.2.1 192.0.2.2 +1 443\r\n".to_vec(),
            b"PROXY tcp4 192.0.2.1 192.0.2.2 56324 443\r\n".to_vec(),
            b"PROXY UDP4 192.0.2.1 192.0.2.2 56324 443\r\n".to_vec(),
            b"PROXY \r\n".to_vec(),
            b"PROXY \xff\r\n".to_vec(),
            v2(0x21, 0x12, &v4_block()),
            v2(0x21, 0x31, &[0; 216]),
            v2(0x22, 0x11, &v4_block()),
            v2(0x11, 0x11, &v4_block()),
            v2(0x21, 0x11, &v4_block()[..11]),
            v2(0x21, 0x21, &v4_block()),
            v2(0x21, 0x11, &[&v4_block()[..], &[4, 0]].concat()),
            v2(0x21, 0x11, &[&v4_block()[..], &[4, 0, 2, 9]].concat()),
            v2(0x20, 0x00, &vec![0; LONGEST_BINARY + 1]),
        ];
        let mut signature = v2(0x21, 0x11, &v4_block());
        signature[11] = b'\r';
        wrong.push(signature);
        for bytes in wrong {
            assert_eq!(header(&bytes), Err(Malformed), "{}", bytes.escape_ascii());
        }
    }
}
