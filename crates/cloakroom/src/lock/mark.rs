//! What the packets of one attempt are known by at the lock: a port to send from, a number of hops and a traffic class, all drawn at random. A
//! workload that fills its network with junk, not knowing them, does not hit them: there are 2^29.
//!
//! | packet | port | hops | class |
//! |---|---|---|---|
//! | TCP, UDP | source port | TTL or hop limit | DSCP |
//! | ICMP, ICMPv6 | identifier of the echo | the same | the same |

use super::probe::{Attempt, Kind};
use rustix::fd::AsFd;
use rustix::net::sockopt::{set_ip_tos, set_ip_ttl, set_ipv6_tclass, set_ipv6_unicast_hops};
use socket2::{Domain, Protocol, Socket, Type};
use std::fmt::{self, Display};
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::str::FromStr;

/// The mark of one attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Mark {
    /// The port that is sent from; an echo's identifier.
    pub(super) port: u16,
    /// How many hops a packet may go, before the first.
    pub(super) hops: u8,
    /// The six bits of the Differentiated Services field (RFC 2474).
    class: u8,
}

impl Mark {
    /// One that nobody knows.
    pub(super) fn random() -> io::Result<Self> {
        let mut bytes = [0; 4];
        getrandom::fill(&mut bytes).map_err(io::Error::other)?;
        // No port that takes a privilege; hops enough for any network; a class that is not that of every packet.
        let port = 1024 + u16::from_le_bytes([bytes[0], bytes[1]]) % (u16::MAX - 1024);
        Ok(Self { port, hops: 70 + bytes[2] % 128, class: 1 + bytes[3] % 62 })
    }

    /// The byte of the header that has the class.
    pub(super) const fn service(self) -> u8 {
        self.class << 2
    }

    /// A socket whose packets have this mark.
    pub(super) fn socket(self, to: SocketAddr, kind: Type, protocol: Option<Protocol>) -> io::Result<Socket> {
        let socket = Socket::new(Domain::for_address(to), kind, protocol)?;
        self.dress(&socket, to.is_ipv4())?;
        if kind != Type::RAW {
            let any: SocketAddr = match to {
                SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, self.port).into(),
                SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, self.port).into(),
            };
            socket.bind(&any.into())?;
        }
        Ok(socket)
    }

    fn dress(self, socket: impl AsFd, is_v4: bool) -> io::Result<()> {
        if is_v4 {
            set_ip_ttl(&socket, self.hops.into())?;
            set_ip_tos(&socket, self.service())?;
        } else {
            set_ipv6_unicast_hops(&socket, Some(self.hops))?;
            set_ipv6_tclass(&socket, self.service().into())?;
        }
        Ok(())
    }

    /// What nft matches the packets of this attempt by; `wherever` they were led on their way. In a machine a packet has one hop less than before it.
    pub(super) fn matches(self, attempt: &Attempt, wherever: bool) -> String {
        let Self { port, hops, class } = self;
        let (ip, hop, icmp) = match attempt.to {
            SocketAddr::V4(_) => ("ip", "ttl", "icmp"),
            SocketAddr::V6(_) => ("ip6", "hoplimit", "icmpv6"),
        };
        let head = format!("{ip} {hop} {{ {}, {hops} }} {ip} dscp {class}", hops - 1);
        let to = if wherever { String::new() } else { format!(" {ip} daddr {}", attempt.to.ip()) };
        let protocol = match attempt.kind {
            Kind::Echo => return format!("{head}{to} {icmp} type echo-request {icmp} id {port}"),
            Kind::Tcp | Kind::Http => "tcp",
            Kind::Udp | Kind::NoQuestion | Kind::Question | Kind::Forged => "udp",
        };
        let at = if wherever { String::new() } else { format!(" {protocol} dport {}", attempt.to.port()) };
        format!("{head}{to} {protocol} sport {port}{at}")
    }
}

impl Display for Mark {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}.{}.{}", self.port, self.hops, self.class)
    }
}

impl FromStr for Mark {
    type Err = &'static str;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let read = || {
            let mut parts = text.split('.');
            let port = parts.next()?.parse().ok().filter(|port| *port > 0)?;
            let hops = parts.next()?.parse().ok().filter(|hops| *hops > 1)?;
            let class = parts.next()?.parse().ok().filter(|class| *class < 64)?;
            parts.next().is_none().then_some(Self { port, hops, class })
        };
        read().ok_or("write PORT.HOPS.CLASS")
    }
}

#[cfg(test)]
mod tests {
    use super::super::probe::ATTEMPTS;
    use super::*;

    #[test]
    fn a_mark_is_written_and_read_and_is_another_each_time() {
        let marks: Vec<Mark> = (0..64).map(|_| Mark::random().unwrap()).collect();
        for mark in &marks {
            assert_eq!(mark.to_string().parse(), Ok(*mark));
            assert!(mark.port >= 1024 && mark.hops >= 70 && (1..63).contains(&mark.class));
        }
        assert!(marks[1..].iter().all(|mark| *mark != marks[0]));
        for wrong in ["", "1.2", "0.64.1", "1.1.1", "1.64.64", "1.64.1.1", "65536.64.1", "a.b.c"] {
            assert!(wrong.parse::<Mark>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_marked_socket_sends_from_its_port_with_its_hops_and_its_class() {
        let mark = Mark::random().unwrap();
        let to: SocketAddr = "127.0.0.1:9".parse().unwrap();
        let socket = mark.socket(to, Type::DGRAM, None).unwrap();
        assert_eq!(socket.local_addr().unwrap().as_socket().unwrap().port(), mark.port);
        assert_eq!(rustix::net::sockopt::ip_ttl(&socket).unwrap(), u32::from(mark.hops));
        assert_eq!(rustix::net::sockopt::ip_tos(&socket).unwrap(), mark.service());
    }

    #[test]
    fn an_attempts_packets_are_matched_by_mark_and_destination_and_where_they_were_led_elsewhere_by_mark() {
        let mark: Mark = "4000.80.5".parse().unwrap();
        let at = Attempt::on_broker("[fd77::1]:22".parse().unwrap());
        let words = "ip6 hoplimit { 79, 80 } ip6 dscp 5";
        assert_eq!(
            mark.matches(&at, false),
            format!("{words} ip6 daddr fd77::1 tcp sport 4000 tcp dport 22")
        );
        assert_eq!(mark.matches(&at, true), format!("{words} tcp sport 4000"));
        let echo = ATTEMPTS.iter().find(|attempt| attempt.name == "icmp").unwrap();
        let words = "ip ttl { 79, 80 } ip dscp 5";
        assert_eq!(mark.matches(echo, true), format!("{words} icmp type echo-request icmp id 4000"));
    }
}
