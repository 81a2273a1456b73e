//! One attempt to get out, made from where the workload is. The addresses are set aside for documentation (RFC 5737, RFC 3849): nobody
//! is bothered where there is no lock.

use super::mark::Mark;
use crate::Outcome;
use crate::exit::Exit;
use crate::failure::{Failure, plain};
use crate::output::Output;
use rustix::io::Errno;
use rustix::net::{RecvFlags, recvfrom};
use serde::{Deserialize, Serialize};
use socket2::{Domain, Protocol, Socket, Type};
use std::fmt::{self, Display};
use std::io::{self, ErrorKind, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream, UdpSocket};
use std::time::Duration;

/// How long an answer is waited for.
const PATIENCE: Duration = Duration::from_millis(700);
/// How many addresses are looked at for a way to any.
const DRAWN: usize = 64;
/// What a workload could want to reach.
const OUTSIDE: IpAddr = IpAddr::V4(NOBODY);
const NOBODY: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
const OUTSIDE_V6: IpAddr = IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1));
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

/// The name of an attempt on a port of the broker's machine.
const ON_BROKER: &str = "broker-port";

/// What is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A connection, and nothing on it.
    Tcp,
    /// A request, as by a program that knows of no broker.
    Http,
    Udp,
    /// What is steered as a question about a name, and is none.
    NoQuestion,
    /// A question about a name that is permitted to nobody.
    Question,
    Echo,
    /// A datagram from an address that is not the workload's.
    Forged,
}

/// One attempt: its name, what is sent, and where to.
#[derive(Clone, Copy, Debug)]
pub(super) struct Attempt {
    pub(super) name: &'static str,
    pub(super) kind: Kind,
    pub(super) to: SocketAddr,
}

const fn attempt(name: &'static str, kind: Kind, ip: IpAddr, port: u16) -> Attempt {
    Attempt { name, kind, to: SocketAddr::new(ip, port) }
}

/// The attempts that need no address of the broker's.
pub(super) const ATTEMPTS: [Attempt; 13] = [
    attempt("tcp-22", Kind::Tcp, OUTSIDE, 22),
    attempt("tcp-80", Kind::Http, OUTSIDE, 80),
    attempt("tcp-443", Kind::Http, OUTSIDE, 443),
    attempt("tcp-8080", Kind::Tcp, OUTSIDE, 8080),
    attempt("udp-53", Kind::NoQuestion, OUTSIDE, 53),
    attempt("udp-123", Kind::Udp, OUTSIDE, 123),
    attempt("udp-443", Kind::Udp, OUTSIDE, 443),
    attempt("names", Kind::Question, OUTSIDE, 53),
    attempt("icmp", Kind::Echo, OUTSIDE, 0),
    attempt("ipv6-tcp-443", Kind::Http, OUTSIDE_V6, 443),
    attempt("ipv6-udp-443", Kind::Udp, OUTSIDE_V6, 443),
    attempt("ipv6-icmp", Kind::Echo, OUTSIDE_V6, 0),
    attempt("forged-source", Kind::Forged, OUTSIDE, 9),
];

impl Attempt {
    /// On a port of the broker's machine.
    pub(super) const fn on_broker(at: SocketAddr) -> Self {
        Self { name: ON_BROKER, kind: Kind::Tcp, to: at }
    }

    /// By name; one on a port of the broker's machine takes its address besides.
    fn named(name: &str, at: Option<SocketAddr>) -> Option<Self> {
        at.map(Self::on_broker).into_iter().chain(ATTEMPTS).find(|attempt| attempt.name == name)
    }

    fn make(self, mark: Mark) -> io::Result<Came> {
        match self.kind {
            Kind::Tcp => tcp(mark, self.to),
            Kind::Http => http(mark, self.to),
            Kind::Udp => udp(mark, self.to),
            Kind::NoQuestion => names(mark, self.to, b"no question at all"),
            Kind::Question => names(mark, self.to, &question()),
            Kind::Echo => icmp(mark, self.to.ip()),
            Kind::Forged => forged(mark, self.to.port()),
        }
    }
}

impl Display for Attempt {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.name)?;
        if self.name == ON_BROKER { write!(out, " {}", self.to) } else { Ok(()) }
    }
}

/// Makes one attempt with packets of this mark, and says what came of it.
pub(super) fn run(name: &str, at: Option<SocketAddr>, mark: Option<Mark>, output: &Output) -> Outcome {
    let mark = mark.map_or_else(Mark::random, Ok)?;
    let attempt = Attempt::named(name, at).ok_or_else(|| Failure::bad_input("there is no such attempt"))?;
    if let Err(error) = way(attempt.to) {
        return tell(&of_no_way(&error, || leads_elsewhere(attempt.to)), output);
    }
    tell(&attempt.make(mark).unwrap_or_else(of_error), output)
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

/// Whether the kernel knows a way to any of some addresses drawn at random among all that somebody could have.
fn leads_elsewhere(to: SocketAddr) -> bool {
    let drawn = |_| {
        let mut bytes = [0; 16];
        getrandom::fill(&mut bytes).ok()?;
        let ip = match to.ip() {
            IpAddr::V4(_) => IpAddr::from([1 + bytes[0] % 223, bytes[1], bytes[2], bytes[3]]),
            // 2000::/3, of which all that is handed out is.
            IpAddr::V6(_) => {
                bytes[0] = 0x20 | bytes[0] & 0x1f;
                IpAddr::from(bytes)
            }
        };
        Some(SocketAddr::new(ip, 9)).filter(|at| !at.ip().is_loopback())
    };
    (0..DRAWN).filter_map(drawn).any(|at| way(at).is_ok())
}

/// SECURITY: no way to the address of the attempt alone, where others can be reached, is a route that somebody made for the attempt.
fn of_no_way(error: &io::Error, leads_elsewhere: impl Fn() -> bool) -> Came {
    match Errno::from_io_error(error) {
        _ if leads_elsewhere() => {
            Came::Unjudged(format!("{}, but there is a way to other addresses", plain(error)))
        }
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

fn connect(mark: Mark, to: SocketAddr) -> io::Result<TcpStream> {
    let socket = mark.socket(to, Type::STREAM, None)?;
    socket.connect_timeout(&to.into(), PATIENCE)?;
    Ok(socket.into())
}

fn tcp(mark: Mark, to: SocketAddr) -> io::Result<Came> {
    connect(mark, to).map(|_| Came::Answered("a connection was made".into()))
}

/// As a program that knows of no broker; a refusal in the broker's words is none of the destination's.
fn http(mark: Mark, to: SocketAddr) -> io::Result<Came> {
    let mut stream = connect(mark, to)?;
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

fn udp(mark: Mark, to: SocketAddr) -> io::Result<Came> {
    exchange(mark, to, b"anybody?").map(|_| Came::Answered("a datagram came back".into()))
}

/// A question about a name that is permitted to nobody here; a name server that knows it is none of ours.
fn names(mark: Mark, to: SocketAddr, question: &[u8]) -> io::Result<Came> {
    let answer = exchange(mark, to, question)?;
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

fn exchange(mark: Mark, to: SocketAddr, bytes: &[u8]) -> io::Result<Vec<u8>> {
    let socket: UdpSocket = mark.socket(to, Type::DGRAM, None)?.into();
    socket.set_read_timeout(Some(PATIENCE))?;
    socket.connect(to)?;
    socket.send(bytes)?;
    let mut answer = [0; 1500];
    let length = socket.recv(&mut answer)?;
    Ok(answer[..length].to_vec())
}

/// An echo request (RFC 792, RFC 4443).
fn icmp(mark: Mark, to: IpAddr) -> io::Result<Came> {
    let at = SocketAddr::new(to, 0);
    let [high, low] = mark.port.to_be_bytes();
    let (protocol, request, reply) = match to {
        IpAddr::V4(_) => {
            // The sum of a request whose other bytes are zero; the kernel makes that of ICMPv6.
            let (sum, carried) = 0x0800u16.overflowing_add(mark.port);
            let [sum_high, sum_low] = (!(sum + u16::from(carried))).to_be_bytes();
            (Protocol::ICMPV4, [8, 0, sum_high, sum_low, high, low, 0, 0], 0)
        }
        IpAddr::V6(_) => (Protocol::ICMPV6, [128, 0, 0, 0, high, low, 0, 0], 129),
    };
    let socket = mark.socket(at, Type::RAW, Some(protocol))?;
    socket.set_read_timeout(Some(PATIENCE))?;
    socket.send_to(&request, &at.into())?;
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
fn forged(mark: Mark, port: u16) -> io::Result<Came> {
    let socket = Socket::new(Domain::IPV4, Type::RAW, Some(Protocol::from(libc::IPPROTO_RAW)))?;
    let mut packet = vec![0x45, mark.service(), 0, 28, 0, 1, 0, 0, mark.hops, 17, 0, 0];
    packet.extend(FORGED.octets());
    packet.extend(NOBODY.octets());
    packet.extend([mark.port, port].iter().flat_map(|port| port.to_be_bytes()));
    // Eight bytes long, without a checksum.
    packet.extend([0, 8, 0, 0]);
    socket.send_to(&packet, &SocketAddr::from((NOBODY, 0)).into())?;
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
            assert!(matches!(of_no_way(&errno.into(), || false), Came::Unjudged(_)), "{errno}");
        }
        for errno in [Errno::PERM, Errno::MFILE, Errno::HOSTUNREACH, Errno::NETUNREACH] {
            assert!(matches!(of_error(errno.into()), Came::Unjudged(_)), "{errno}");
        }
        assert!(matches!(of_no_way(&Errno::NETUNREACH.into(), || false), Came::Nowhere(_)));
        assert!(matches!(of_no_way(&Errno::NETUNREACH.into(), || true), Came::Unjudged(_)));
    }

    #[test]
    fn who_answers_is_told_from_who_is_silent() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let at = listener.local_addr().unwrap();
        let mark = || Mark::random().unwrap();
        assert!(matches!(tcp(mark(), at), Ok(Came::Answered(_))));
        drop(listener);
        assert!(
            matches!(tcp(mark(), at).unwrap_or_else(of_error), Came::Answered(_)),
            "a reset is an answer"
        );
        let silent = UdpSocket::bind("127.0.0.1:0").unwrap();
        assert_eq!(udp(mark(), silent.local_addr().unwrap()).unwrap_or_else(of_error), Came::Silence);
    }
}
