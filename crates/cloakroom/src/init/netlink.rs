//! The three requests of rtnetlink(7) that an appliance needs, as bytes: bring a card up, give it an address, add a route.

use rustix::net::netlink::SocketAddrNetlink;
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType};
use std::io;
use std::net::IpAddr;
use std::os::fd::OwnedFd;

// From <linux/netlink.h> and <linux/rtnetlink.h>.
const NEW_LINK: u16 = 16;
const NEW_ADDRESS: u16 = 20;
const NEW_ROUTE: u16 = 24;
const ERROR: u16 = 2;
const REQUEST_WITH_ANSWER: u16 = 0x1 | 0x4;
const CREATE_ONLY: u16 = 0x400 | 0x200;
const UP: u32 = 1;
const NO_DUPLICATE_DETECTION: u8 = 0x02;
const MAIN_TABLE: u8 = 254;
const BY_BOOT: u8 = 3;
const UNICAST: u8 = 1;
const OF_ADDRESS: u16 = 1;
const OF_LOCAL: u16 = 2;
const OF_GATEWAY: u16 = 5;
const OF_OUTPUT: u16 = 4;
const HEADER: usize = 16;

/// A request: type, further flags, body.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Request {
    kind: u16,
    flags: u16,
    body: Vec<u8>,
}

/// Bring the card up.
pub(super) fn up(card: u32) -> Request {
    // struct ifinfomsg: family, padding, type, index, flags, changed flags.
    let body = [&[0; 4][..], &card.to_ne_bytes(), &UP.to_ne_bytes(), &UP.to_ne_bytes()].concat();
    Request { kind: NEW_LINK, flags: 0, body }
}

/// Give the card an address.
pub(super) fn address(card: u32, ip: IpAddr, prefix: u8) -> Request {
    // struct ifaddrmsg: family, prefix, flags, scope, index.
    let mut body = vec![family(ip), prefix, NO_DUPLICATE_DETECTION, 0];
    body.extend(card.to_ne_bytes());
    attribute(&mut body, OF_LOCAL, &bytes(ip));
    attribute(&mut body, OF_ADDRESS, &bytes(ip));
    Request { kind: NEW_ADDRESS, flags: CREATE_ONLY, body }
}

/// Send everything that no other route takes there.
pub(super) fn default_route(card: u32, gateway: IpAddr) -> Request {
    // struct rtmsg: family, lengths of destination and source, service, table, protocol, scope, type, flags.
    let mut body = vec![family(gateway), 0, 0, 0, MAIN_TABLE, BY_BOOT, 0, UNICAST, 0, 0, 0, 0];
    attribute(&mut body, OF_GATEWAY, &bytes(gateway));
    attribute(&mut body, OF_OUTPUT, &card.to_ne_bytes());
    Request { kind: NEW_ROUTE, flags: CREATE_ONLY, body }
}

/// `AF_INET` or `AF_INET6`.
fn family(ip: IpAddr) -> u8 {
    if ip.is_ipv4() { 2 } else { 10 }
}

fn bytes(ip: IpAddr) -> Vec<u8> {
    match ip {
        IpAddr::V4(ip) => ip.octets().to_vec(),
        IpAddr::V6(ip) => ip.octets().to_vec(),
    }
}

/// struct rtattr: length, type, value. All values here have lengths that are multiples of four, so nothing is padded.
fn attribute(body: &mut Vec<u8>, kind: u16, value: &[u8]) {
    let length = u16::try_from(value.len() + 4).unwrap_or_default();
    body.extend(length.to_ne_bytes());
    body.extend(kind.to_ne_bytes());
    body.extend(value);
}

/// The kernel's end.
pub(super) struct Netlink(OwnedFd);

impl Netlink {
    pub(super) fn open() -> io::Result<Self> {
        // The protocol 0 of this family is NETLINK_ROUTE.
        let flags = SocketFlags::CLOEXEC;
        Ok(Self(rustix::net::socket_with(AddressFamily::NETLINK, SocketType::RAW, flags, None)?))
    }

    /// Asks, and waits for the kernel's word.
    pub(super) fn ask(&self, request: &Request) -> io::Result<()> {
        let kernel = SocketAddrNetlink::new(0, 0);
        rustix::net::sendto(&self.0, &message(request), SendFlags::empty(), &kernel)?;
        let mut answer = [0; 1024];
        let (length, _) = rustix::net::recv(&self.0, &mut answer, RecvFlags::empty())?;
        answered(&answer[..length])
    }
}

/// struct nlmsghdr: length, type, flags, sequence, port; then the body.
fn message(request: &Request) -> Vec<u8> {
    let length = u32::try_from(HEADER + request.body.len()).unwrap_or_default();
    let mut message = length.to_ne_bytes().to_vec();
    message.extend(request.kind.to_ne_bytes());
    message.extend((REQUEST_WITH_ANSWER | request.flags).to_ne_bytes());
    message.extend([0; 8]);
    message.extend(&request.body);
    message
}

/// An acknowledgement is an error whose number is nought.
fn answered(answer: &[u8]) -> io::Result<()> {
    let kind = answer.get(4..6).map(|two| u16::from_ne_bytes([two[0], two[1]]));
    let number = answer.get(HEADER..HEADER + 4).and_then(|four| four.try_into().ok()).map(i32::from_ne_bytes);
    match (kind, number) {
        (Some(ERROR), Some(0)) => Ok(()),
        (Some(ERROR), Some(number)) => Err(io::Error::from_raw_os_error(number.saturating_neg())),
        _ => Err(io::Error::other("the kernel's answer cannot be read")),
    }
}

#[cfg(all(test, target_endian = "little"))]
mod tests {
    use super::*;

    #[test]
    fn requests_are_the_bytes_that_the_kernel_reads() {
        let bytes = message(&address(3, "10.77.0.1".parse().unwrap(), 24));
        assert_eq!(bytes[..8], [40, 0, 0, 0, 20, 0, 5, 6]);
        assert_eq!(bytes[16..24], [2, 24, 2, 0, 3, 0, 0, 0]);
        assert_eq!(bytes[24..], [8, 0, 2, 0, 10, 77, 0, 1, 8, 0, 1, 0, 10, 77, 0, 1]);
        assert_eq!(message(&up(2)).len(), 32);
        assert_eq!(message(&default_route(2, "fd00::1".parse().unwrap())).len(), 16 + 12 + 20 + 8);
    }

    #[test]
    fn the_kernel_says_yes_or_why_not() {
        let answer = |number: i32| [&[36, 0, 0, 0, 2, 0][..], &[0; 10], &number.to_ne_bytes()].concat();
        assert!(answered(&answer(0)).is_ok());
        assert_eq!(answered(&answer(-17)).unwrap_err().raw_os_error(), Some(17));
        assert!(answered(&answer(0)[..18]).is_err());
        assert!(answered(&[]).is_err());
    }

    #[test]
    fn a_card_that_is_not_there_is_refused_by_the_kernel() {
        let netlink = Netlink::open().unwrap();
        assert!(netlink.ask(&up(u32::from(u16::MAX))).is_err());
    }
}
