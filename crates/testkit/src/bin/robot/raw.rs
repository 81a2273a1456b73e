//! Packets by hand: root of a machine may send what it likes.

use rustix::fd::OwnedFd;
use rustix::net::sockopt::{Timeout, set_socket_timeout};
use rustix::net::{AddressFamily, Protocol, RecvFlags, SendFlags, SocketType, ipproto, recv, sendto, socket};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};
use std::num::NonZeroU32;
use std::time::{Duration, Instant};

/// All protocols (`ETH_P_ALL`), in network order.
const EVERYTHING: u32 = 0x0300;
const PATIENCE: Duration = Duration::from_millis(1500);

/// Whether an echo request is answered.
pub(crate) fn ping(to: Ipv4Addr) -> bool {
    let Ok(socket) = open(AddressFamily::INET, Some(ipproto::ICMP)) else { return false };
    let mut request = vec![8, 0, 0, 0, 0x12, 0x34, 0, 1];
    request.extend(b"data that would get out");
    if request.len() % 2 == 1 {
        request.push(0);
    }
    let sum = checksum(&request);
    request[2..4].copy_from_slice(&sum.to_be_bytes());
    let _ = sendto(&socket, &request, SendFlags::empty(), &SocketAddrV4::new(to, 0));
    // Behind the IP header of 20 bytes: an echo reply, from the one that was asked.
    until(&socket, |packet| packet.get(20) == Some(&0) && packet.get(12..16) == Some(&to.octets()[..]))
}

/// Whether anybody on the wire answers an IPv6 echo request to all of them.
pub(crate) fn ping_all_ipv6(card: u32) -> bool {
    let Ok(socket) = open(AddressFamily::INET6, Some(ipproto::ICMPV6)) else { return false };
    let all = SocketAddrV6::new(Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1), 0, 0, card);
    // The kernel sums this one itself.
    let _ = sendto(&socket, &[128, 0, 0, 0, 0x12, 0x34, 0, 1], SendFlags::empty(), &all);
    let own = own_ipv6();
    let begun = Instant::now();
    let mut packet = [0; 2048];
    while begun.elapsed() < PATIENCE {
        let Ok((length, _, from)) = rustix::net::recvfrom(&socket, &mut packet, RecvFlags::empty()) else {
            continue;
        };
        let from: Option<SocketAddr> = from.and_then(|from| from.try_into().ok());
        let from_other = from.is_some_and(|from| !own.iter().any(|own| from.ip() == *own));
        if packet[..length].first() == Some(&129) && from_other {
            return true;
        }
    }
    false
}

/// This machine's own addresses, as `/proc/net/if_inet6` writes them.
fn own_ipv6() -> Vec<Ipv6Addr> {
    let text = std::fs::read_to_string("/proc/net/if_inet6").unwrap_or_default();
    let digits = text.lines().filter_map(|line| line.split_whitespace().next());
    digits.filter_map(|digits| u128::from_str_radix(digits, 16).ok()).map(Ipv6Addr::from).collect()
}

/// Sends a datagram that says it comes from somewhere else.
pub(crate) fn spoof(from: Ipv4Addr, to: SocketAddrV4, payload: &[u8]) {
    let Ok(socket) = open(AddressFamily::INET, Some(Protocol::from_raw(NonZeroU32::new(255).unwrap())))
    else {
        return;
    };
    let mut udp = Vec::new();
    udp.extend(4242u16.to_be_bytes());
    udp.extend(to.port().to_be_bytes());
    udp.extend(((payload.len() + 8) as u16).to_be_bytes());
    // No checksum, which IPv4 allows.
    udp.extend([0, 0]);
    udp.extend(payload);
    let mut packet = vec![0x45, 0, 0, 0, 0, 1, 0, 0, 64, 17, 0, 0];
    packet.extend(from.octets());
    packet.extend(to.ip().octets());
    packet[2..4].copy_from_slice(&((20 + udp.len()) as u16).to_be_bytes());
    packet.extend(udp);
    let _ = sendto(&socket, &packet, SendFlags::empty(), &to);
}

/// Who sends on this machine's wire for a while: hardware addresses, in text.
pub(crate) fn listen(for_: Duration) -> Vec<String> {
    let all = Protocol::from_raw(NonZeroU32::new(EVERYTHING).unwrap());
    let Ok(socket) = open(AddressFamily::PACKET, Some(all)) else { return vec!["no capture".into()] };
    let begun = Instant::now();
    let mut senders = std::collections::BTreeSet::new();
    let mut frame = [0; 4096];
    while begun.elapsed() < for_ {
        if let Ok((length, _)) = recv(&socket, &mut frame, RecvFlags::empty())
            && length >= 14
        {
            let address: Vec<String> = frame[6..12].iter().map(|byte| format!("{byte:02x}")).collect();
            senders.insert(address.join(":"));
        }
    }
    // Its own loopback has none.
    senders.into_iter().filter(|sender| sender != "00:00:00:00:00:00").collect()
}

fn open(family: AddressFamily, protocol: Option<Protocol>) -> rustix::io::Result<OwnedFd> {
    let socket = socket(family, SocketType::RAW, protocol)?;
    set_socket_timeout(&socket, Timeout::Recv, Some(Duration::from_millis(200)))?;
    Ok(socket)
}

fn until(socket: &OwnedFd, wanted: impl Fn(&[u8]) -> bool) -> bool {
    let begun = Instant::now();
    let mut packet = [0; 2048];
    while begun.elapsed() < PATIENCE {
        if let Ok((length, _)) = recv(socket, &mut packet, RecvFlags::empty())
            && wanted(&packet[..length])
        {
            return true;
        }
    }
    false
}

/// The internet checksum (RFC 1071).
fn checksum(bytes: &[u8]) -> u16 {
    let words = bytes.chunks(2).map(|two| u32::from(two[0]) << 8 | u32::from(*two.get(1).unwrap_or(&0)));
    let mut sum: u32 = words.sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !(sum as u16)
}
