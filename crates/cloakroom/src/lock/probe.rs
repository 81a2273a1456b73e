//! One attempt to get out, made from where the workload is. The addresses are set aside for documentation (RFC 5737, RFC 3849): nobody
//! is bothered where there is no lock.

use crate::Outcome;
use crate::exit::Exit;
use crate::failure::{Failure, plain};
use crate::output::Output;
use rustix::io::Errno;
use rustix::net::sockopt::{Timeout, set_socket_timeout};
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketType, ipproto, recvfrom, sendto, socket};
use serde::{Deserialize, Serialize};
use std::io::{self, ErrorKind, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream, UdpSocket};
use std::time::Duration;

/// How long an answer is waited for.
pub(super) const PATIENCE: Duration = Duration::from_millis(700);
/// What a workload could want to reach.
const OUTSIDE: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
const OUTSIDE_V6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1);
/// Nobody's address on the workload's side.
const FORGED: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 9);

/// What came of an attempt.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "outcome", content = "detail")]
pub(super) enum Came {
    /// The kernel there knows no way: it never left.
    Nowhere(String),
    /// It could not be made, or nobody can tell whether it left.
    Unjudged(String),
    /// It went, and nothing came back.
    Silence,
    /// The broker answered that it may not.
    Refused,
    /// Somebody answered.
    Answered(String),
}

/// The attempts that need no address of the broker's.
pub(super) const ATTEMPTS: [&str; 13] = [
    "tcp-22",
    "tcp-80",
    "tcp-443",
    "tcp-8080",
    "udp-53",
    "udp-123",
    "udp-443",
    "names",
    "icmp",
    "ipv6-tcp-443",
    "ipv6-udp-443",
    "ipv6-icmp",
    "forged-source",
];
/// The attempt on a port of the broker's machine.
pub(super) const PORT: &str = "broker-port";

/// Makes one attempt, and says what came of it.
pub(super) fn run(attempt: &str, at: Option<SocketAddr>, output: &Output) -> Outcome {
    let outside = |port| SocketAddr::from((OUTSIDE, port));
    let outside_v6 = |port| SocketAddr::from((OUTSIDE_V6, port));
    let to = at.unwrap_or_else(|| if attempt.starts_with("ipv6") { outside_v6(443) } else { outside(443) });
    if let Err(error) = way(to) {
        return tell(&of_no_way(&error), output);
    }
    let came = match (attempt, at) {
        ("tcp-22", _) => tcp(outside(22)),
        ("tcp-80", _) => http(outside(80)),
        ("tcp-443", _) => http(outside(443)),
        ("tcp-8080", _) => tcp(outside(8080)),
        // What is steered as a question about a name and is none.
        ("udp-53", _) => names(outside(53), b"no question at all"),
        ("names", _) => names(outside(53), &question()),
        ("udp-123", _) => udp(outside(123)),
        ("udp-443", _) => udp(outside(443)),
        ("icmp", _) => icmp(IpAddr::V4(OUTSIDE)),
        ("ipv6-tcp-443", _) => http(outside_v6(443)),
        ("ipv6-udp-443", _) => udp(outside_v6(443)),
        ("ipv6-icmp", _) => icmp(IpAddr::V6(OUTSIDE_V6)),
        ("forged-source", _) => forged(),
        (PORT, Some(at)) => tcp(at),
        _ => return Err(Failure::bad_input("there is no such attempt")),
    };
    tell(&came.unwrap_or_else(of_error), output)
}

fn tell(came: &Came, output: &Output) -> Outcome {
    let document = serde_json::to_value(came).map_err(|error| Failure::failed(error.to_string()))?;
    output.print(&document.to_string())?;
    Ok(Exit::Done)
}

/// Asks the kernel for its way to this address. Nothing is sent.
fn way(to: SocketAddr) -> io::Result<()> {
    UdpSocket::bind(unspecified(to))?.connect(to)
}

fn unspecified(to: SocketAddr) -> SocketAddr {
    if to.is_ipv4() { (Ipv4Addr::UNSPECIFIED, 0).into() } else { (Ipv6Addr::UNSPECIFIED, 0).into() }
}

fn of_no_way(error: &io::Error) -> Came {
    match Errno::from_io_error(error) {
        Some(Errno::NETUNREACH | Errno::HOSTUNREACH | Errno::AFNOSUPPORT | Errno::ADDRNOTAVAIL) => {
            Came::Nowhere(plain(error))
        }
        _ => Came::Unjudged(plain(error)),
    }
}

/// SECURITY: there was a way. What says now that there is none may be a router that the packet got to, or a rule of the workload's own.
fn of_error(error: io::Error) -> Came {
    match error.kind() {
        ErrorKind::TimedOut | ErrorKind::WouldBlock => Came::Silence,
        ErrorKind::ConnectionRefused | ErrorKind::ConnectionReset => {
            Came::Answered("with a refusal of its own".into())
        }
        _ => Came::Unjudged(plain(&error)),
    }
}

fn tcp(to: SocketAddr) -> io::Result<Came> {
    TcpStream::connect_timeout(&to, PATIENCE).map(|_| Came::Answered("a connection was made".into()))
}

/// As a program that knows of no broker; a refusal in the broker's words is none of the destination's.
fn http(to: SocketAddr) -> io::Result<Came> {
    let mut stream = TcpStream::connect_timeout(&to, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    // Whoever ends the connection at once has answered too.
    let _ = stream.write_all(b"GET / HTTP/1.1\r\nHost: example.org\r\nConnection: close\r\n\r\n");
    let mut answer = Vec::new();
    let _ = stream.take(16 * 1024).read_to_end(&mut answer);
    let answer = String::from_utf8_lossy(&answer);
    if answer.contains("application/problem+json")
        && answer.to_ascii_lowercase().contains("proxy-status: cloakroom")
    {
        return Ok(Came::Refused);
    }
    Ok(Came::Answered(answer.lines().next().unwrap_or("a connection was made").escape_default().to_string()))
}

fn udp(to: SocketAddr) -> io::Result<Came> {
    exchange(to, b"anybody?").map(|_| Came::Answered("a datagram came back".into()))
}

/// A question about a name that is permitted to nobody here; a name server that knows it is none of ours.
fn names(to: SocketAddr, question: &[u8]) -> io::Result<Came> {
    let answer = exchange(to, question)?;
    let (code, answers) = (answer.get(3).map(|byte| byte & 15), answer.get(6..8));
    Ok(match (code, answers) {
        // FORMERR, NXDOMAIN, REFUSED, and no record: nobody was asked.
        (Some(1 | 3 | 5), Some([0, 0])) => Came::Refused,
        _ => Came::Answered("the name was answered".into()),
    })
}

/// example.org, type A (RFC 1035, section 4.1).
fn question() -> Vec<u8> {
    [&[0x0c, 0x10, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0][..], b"\x07example\x03org\0", &[0, 1, 0, 1]].concat()
}

fn exchange(to: SocketAddr, bytes: &[u8]) -> io::Result<Vec<u8>> {
    let socket = UdpSocket::bind(unspecified(to))?;
    socket.set_read_timeout(Some(PATIENCE))?;
    socket.connect(to)?;
    socket.send(bytes)?;
    let mut answer = [0; 1500];
    let length = socket.recv(&mut answer)?;
    Ok(answer[..length].to_vec())
}

/// An echo request, with the checksum that its bytes come to (RFC 792; the kernel makes that of ICMPv6).
fn icmp(to: IpAddr) -> io::Result<Came> {
    let (family, protocol, request, reply) = match to {
        IpAddr::V4(_) => (AddressFamily::INET, ipproto::ICMP, [8, 0, 0xf7, 0xff, 0, 0, 0, 0], 0),
        IpAddr::V6(_) => (AddressFamily::INET6, ipproto::ICMPV6, [128, 0, 0, 0, 0, 0, 0, 0], 129),
    };
    let socket = socket(family, SocketType::RAW, Some(protocol))?;
    set_socket_timeout(&socket, Timeout::Recv, Some(PATIENCE))?;
    sendto(&socket, &request, SendFlags::empty(), &SocketAddr::new(to, 0))?;
    let mut bytes = [0; 1500];
    for _ in 0..8 {
        let (length, _, from) = recvfrom(&socket, &mut bytes[..], RecvFlags::empty())?;
        let is_from =
            from.and_then(|from| SocketAddr::try_from(from).ok()).is_some_and(|from| from.ip() == to);
        // An IPv4 header comes first.
        let kind = if to.is_ipv4() { bytes.get(20) } else { bytes.first() };
        if is_from && length > 0 && kind == Some(&reply) {
            return Ok(Came::Answered("the echo came back".into()));
        }
    }
    Ok(Came::Silence)
}

/// A datagram from an address that is not the workload's, made by hand. No answer can come.
fn forged() -> io::Result<Came> {
    let socket = socket(AddressFamily::INET, SocketType::RAW, Some(ipproto::RAW))?;
    let datagram = [0x10, 0xe1, 0, 9, 0, 8, 0, 0];
    let mut packet = vec![0x45, 0, 0, 28, 0, 1, 0, 0, 64, 17, 0, 0];
    packet.extend(FORGED.octets());
    packet.extend(OUTSIDE.octets());
    packet.extend(datagram);
    sendto(&socket, &packet, SendFlags::empty(), &SocketAddr::from((OUTSIDE, 0)))?;
    std::thread::sleep(Duration::from_millis(50));
    Ok(Came::Silence)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_attempt_says_what_came_of_it_and_is_read_back() {
        for came in [
            Came::Nowhere("network unreachable".into()),
            Came::Unjudged("operation not permitted".into()),
            Came::Silence,
            Came::Refused,
            Came::Answered("x".into()),
        ] {
            let text = serde_json::to_string(&came).unwrap();
            assert_eq!(serde_json::from_str::<Came>(&text).unwrap(), came);
        }
    }

    #[test]
    fn what_was_not_tried_or_may_have_left_is_not_taken_to_have_gone_nowhere() {
        for errno in [Errno::PERM, Errno::ACCESS, Errno::MFILE, Errno::NOBUFS] {
            assert!(matches!(of_no_way(&errno.into()), Came::Unjudged(_)), "{errno}");
        }
        for errno in [Errno::PERM, Errno::MFILE, Errno::HOSTUNREACH, Errno::NETUNREACH] {
            assert!(matches!(of_error(errno.into()), Came::Unjudged(_)), "{errno}");
        }
        assert!(matches!(of_no_way(&Errno::NETUNREACH.into()), Came::Nowhere(_)));
    }

    #[test]
    fn who_answers_is_told_from_who_is_silent() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let at = listener.local_addr().unwrap();
        assert!(matches!(tcp(at), Ok(Came::Answered(_))));
        drop(listener);
        assert!(matches!(tcp(at).unwrap_or_else(of_error), Came::Answered(_)), "a reset is an answer");
        let silent = UdpSocket::bind("127.0.0.1:0").unwrap();
        assert_eq!(udp(silent.local_addr().unwrap()).unwrap_or_else(of_error), Came::Silence);
    }
}
