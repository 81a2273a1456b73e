//! The address of the outside wire from a DHCP server (RFC 2131): asked for once, before anything listens, and kept by renewing it.
//!
//! ```text
//!  discover ─► offer ─► request ─► acknowledgement ─► (half of the time) request ─► acknowledgement ─► …
//! ```
//!
//! The server is on the wire to the destinations, which is trusted with nothing but an address: an answer that offers none that can be used is
//! no answer. Once the machine is closed its address cannot be changed any more. So a lease that ends, or that the server takes back, ends the
//! machine in order; its host starts it anew.

use super::arguments::Address;
use crate::failure::{Failure, plain};
use dhcproto::v4::{DhcpOption, Flags, HType, Message, MessageType, Opcode, OptionCode};
use dhcproto::{Decodable, Encodable};
use rustix::process::{Signal, getpid, kill_process};
use socket2::{Domain, Protocol, Socket, Type};
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddrV4, UdpSocket};
use std::time::{Duration, Instant};

const CLIENT: u16 = 68;
const SERVER: u16 = 67;
/// How long one answer is waited for before the question is said again, doubled each time up to the second (RFC 2131, section 4.1).
const FIRST_WAIT: Duration = Duration::from_secs(1);
const LONGEST_WAIT: Duration = Duration::from_secs(16);
/// A wire on which nobody answers for that long has no server.
const PATIENCE: Duration = Duration::from_secs(60);
/// A lease that ends sooner is none that a broker could live on.
const SHORTEST: u32 = 10;
/// As long as an answer can be on Ethernet.
const LARGEST: usize = 1500;

/// What the server lent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Lease {
    pub(super) address: Ipv4Addr,
    pub(super) prefix: u8,
    pub(super) gateway: Option<Ipv4Addr>,
    /// Who resolves names.
    pub(super) resolvers: Vec<Ipv4Addr>,
    server: Ipv4Addr,
    /// For how long, from when it was asked for.
    time: Duration,
}

/// What a renewal came to.
#[derive(Debug, PartialEq, Eq)]
enum Renewed {
    /// The same address, for this long again.
    For(Duration),
    /// It is somebody else's now, or nobody's.
    Ended,
}

/// The client of one card.
pub(super) struct Client {
    socket: UdpSocket,
    hardware: [u8; 6],
}

impl Client {
    /// On the card of this name and hardware address. It needs no address of its own yet.
    pub(super) fn open(card: &str, hardware: [u8; 6]) -> io::Result<Self> {
        let socket = Socket::new(Domain::IPV4, Type::DGRAM, Some(Protocol::UDP))?;
        socket.set_broadcast(true)?;
        socket.set_reuse_address(true)?;
        // SECURITY: no other wire can answer, and none is asked.
        socket.bind_device(Some(card.as_bytes()))?;
        socket.bind(&SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, CLIENT).into())?;
        Ok(Self { socket: socket.into(), hardware })
    }

    /// Asks until there is a lease.
    ///
    /// # Errors
    /// Where no server lends one in time.
    pub(super) fn acquire(&self) -> Result<Lease, Failure> {
        let (begun, mut wait) = (Instant::now(), FIRST_WAIT);
        while begun.elapsed() < PATIENCE {
            match self.lease(wait) {
                Ok(Some(lease)) => return Ok(lease),
                Ok(None) => wait = (wait * 2).min(LONGEST_WAIT),
                Err(error) => {
                    return Err(Failure::failed(format!("no address can be asked for: {}", plain(&error))));
                }
            }
        }
        Err(Failure::failed("no DHCP server on the outside wire lends an address")
            .hinting("start one there, or say the address: cloakroom.outside=CARD,ADDRESS/BITS,via=GATEWAY"))
    }

    fn lease(&self, wait: Duration) -> io::Result<Option<Lease>> {
        let transaction = transaction()?;
        let Some(offer) =
            self.ask(&discover(transaction, self.hardware), wait, |kind| kind == MessageType::Offer)?
        else {
            return Ok(None);
        };
        let Some(offered) = Lease::read(&offer) else { return Ok(None) };
        let answer = self.ask(&request(transaction, self.hardware, &offered), wait, is_verdict)?;
        Ok(answer.as_ref().filter(|answer| kind_of(answer) == Some(MessageType::Ack)).and_then(Lease::read))
    }

    /// Keeps the lease beside everything else. When it is lost the broker is told to stop, as its host would tell it.
    pub(super) fn keep_beside(self, lease: Lease) {
        std::thread::spawn(move || {
            self.keep(lease);
            tracing::error!("the outside address is not this machine's any more: it goes off");
            let _ = kill_process(getpid(), Signal::TERM);
        });
    }

    /// Keeps the lease for as long as that goes. Comes back when it is lost.
    fn keep(&self, mut lease: Lease) {
        let mut since = Instant::now();
        loop {
            // RFC 2131, section 4.4.5: after half of the time, and then after half of what is left.
            let left = lease.time.saturating_sub(since.elapsed());
            if left.is_zero() {
                return;
            }
            std::thread::sleep((left / 2).max(FIRST_WAIT).min(left));
            let asked = Instant::now();
            match self.renew(&lease) {
                Ok(Some(Renewed::For(time))) => {
                    tracing::info!(seconds = time.as_secs(), "the lease of the outside address was renewed");
                    (lease.time, since) = (time, asked);
                }
                Ok(Some(Renewed::Ended)) => return,
                Ok(None) => {}
                Err(error) => tracing::warn!(%error, "the lease of the outside address was not renewed"),
            }
        }
    }

    fn renew(&self, lease: &Lease) -> io::Result<Option<Renewed>> {
        let again = renewal(transaction()?, self.hardware, lease);
        let answer = self.ask(&again, FIRST_WAIT, is_verdict)?;
        Ok(answer.map(|answer| match Lease::read(&answer) {
            Some(same) if kind_of(&answer) == Some(MessageType::Ack) && same.address == lease.address => {
                Renewed::For(same.time)
            }
            _ => Renewed::Ended,
        }))
    }

    /// Says it to everybody on the wire, and waits for an answer of this kind to this very question.
    fn ask(
        &self,
        question: &Message,
        wait: Duration,
        wanted: impl Fn(MessageType) -> bool,
    ) -> io::Result<Option<Message>> {
        let bytes = question.to_vec().map_err(io::Error::other)?;
        self.socket.send_to(&bytes, (Ipv4Addr::BROADCAST, SERVER))?;
        let until = Instant::now() + wait;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(None);
            }
            self.socket.set_read_timeout(Some(left))?;
            let mut bytes = [0; LARGEST];
            let length = match self.socket.recv(&mut bytes) {
                Ok(length) => length,
                Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {
                    continue;
                }
                Err(error) => return Err(error),
            };
            let Ok(answer) = Message::from_bytes(&bytes[..length]) else { continue };
            if answers(question, &answer) && kind_of(&answer).is_some_and(&wanted) {
                return Ok(Some(answer));
            }
        }
    }
}

impl Lease {
    /// As an address of this card.
    pub(super) fn on(&self, card: String) -> Address {
        let gateway = self.gateway.map(IpAddr::V4);
        Address { card, ip: IpAddr::V4(self.address), prefix: self.prefix, gateway, port: None }
    }

    /// What an offer or acknowledgement lends; `None` where that is nothing to live on.
    fn read(answer: &Message) -> Option<Self> {
        let options = answer.opts();
        let DhcpOption::SubnetMask(mask) = options.get(OptionCode::SubnetMask)? else { return None };
        let DhcpOption::ServerIdentifier(server) = options.get(OptionCode::ServerIdentifier)? else {
            return None;
        };
        let DhcpOption::AddressLeaseTime(seconds) = options.get(OptionCode::AddressLeaseTime)? else {
            return None;
        };
        let gateway = match options.get(OptionCode::Router) {
            Some(DhcpOption::Router(routers)) => routers.first().copied(),
            _ => None,
        };
        let resolvers = match options.get(OptionCode::DomainNameServer) {
            Some(DhcpOption::DomainNameServer(servers)) => servers.clone(),
            _ => Vec::new(),
        };
        let (address, bits) = (answer.yiaddr(), u32::from(*mask));
        let prefix = u8::try_from(bits.leading_ones()).ok()?;
        let is_mask = bits.leading_ones() + bits.trailing_zeros() == 32 && prefix > 0;
        let is_usable = !(address.is_unspecified()
            || address.is_loopback()
            || address.is_multicast()
            || address.is_broadcast());
        let within = |other: Ipv4Addr| u32::from(other) & bits == u32::from(address) & bits;
        let fine = is_mask && is_usable && *seconds >= SHORTEST && gateway.is_none_or(within);
        let time = Duration::from_secs(u64::from(*seconds));
        fine.then_some(Self { address, prefix, gateway, resolvers, server: *server, time })
    }
}

/// Whether this is a server's answer to that question of this machine.
fn answers(question: &Message, answer: &Message) -> bool {
    // SECURITY: first. An answer may give its address a length for which there is no room, and the crate would look beyond its end.
    answer.hlen() == question.hlen()
        && answer.opcode() == Opcode::BootReply
        && answer.xid() == question.xid()
        && answer.chaddr() == question.chaddr()
}

fn kind_of(message: &Message) -> Option<MessageType> {
    message.opts().msg_type()
}

fn is_verdict(kind: MessageType) -> bool {
    matches!(kind, MessageType::Ack | MessageType::Nak)
}

fn transaction() -> io::Result<u32> {
    let mut bytes = [0; 4];
    getrandom::fill(&mut bytes)
        .map_err(|_| io::Error::other("the operating system gives no random bytes"))?;
    Ok(u32::from_ne_bytes(bytes))
}

/// A question that is answered to everybody on the wire, because this machine cannot hear at an address yet.
fn question(transaction: u32, hardware: [u8; 6], kind: MessageType) -> Message {
    let mut message = Message::default();
    message.set_opcode(Opcode::BootRequest).set_htype(HType::Eth).set_xid(transaction);
    message.set_flags(Flags::default().set_broadcast()).set_chaddr(&hardware);
    let wanted = vec![
        OptionCode::SubnetMask,
        OptionCode::Router,
        OptionCode::DomainNameServer,
        OptionCode::AddressLeaseTime,
    ];
    message.opts_mut().insert(DhcpOption::MessageType(kind));
    message.opts_mut().insert(DhcpOption::ParameterRequestList(wanted));
    message
}

fn discover(transaction: u32, hardware: [u8; 6]) -> Message {
    question(transaction, hardware, MessageType::Discover)
}

/// Takes an offer. It says whose, so that the other servers take theirs back.
fn request(transaction: u32, hardware: [u8; 6], offered: &Lease) -> Message {
    let mut message = question(transaction, hardware, MessageType::Request);
    message.opts_mut().insert(DhcpOption::RequestedIpAddress(offered.address));
    message.opts_mut().insert(DhcpOption::ServerIdentifier(offered.server));
    message
}

/// Rebinding rather than renewing (RFC 2131, table 4): said to every server, with the address that this machine has.
fn renewal(transaction: u32, hardware: [u8; 6], lease: &Lease) -> Message {
    let mut message = question(transaction, hardware, MessageType::Request);
    message.set_ciaddr(lease.address);
    message
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;
    use std::process::Command;

    const CARD: [u8; 6] = [0x52, 0x54, 0, 0xc1, 0, 2];

    fn offer(more: impl FnOnce(&mut Message)) -> Message {
        let mut message = question(7, CARD, MessageType::Offer);
        message.set_opcode(Opcode::BootReply).set_yiaddr(Ipv4Addr::new(10, 5, 0, 20));
        for option in [
            DhcpOption::SubnetMask(Ipv4Addr::new(255, 255, 255, 0)),
            DhcpOption::Router(vec![Ipv4Addr::new(10, 5, 0, 1)]),
            DhcpOption::ServerIdentifier(Ipv4Addr::new(10, 5, 0, 1)),
            DhcpOption::AddressLeaseTime(120),
        ] {
            message.opts_mut().insert(option);
        }
        more(&mut message);
        message
    }

    #[test]
    fn an_offer_that_a_machine_could_not_live_on_is_none() {
        let lease = Lease::read(&offer(|_| {})).unwrap();
        assert_eq!((lease.prefix, lease.gateway), (24, Some(Ipv4Addr::new(10, 5, 0, 1))));
        type Change = Box<dyn FnOnce(&mut Message)>;
        let wrong: [Change; 7] = [
            Box::new(|m| {
                m.set_yiaddr(Ipv4Addr::UNSPECIFIED);
            }),
            Box::new(|m| {
                m.set_yiaddr(Ipv4Addr::LOCALHOST);
            }),
            Box::new(|m| drop(m.opts_mut().insert(DhcpOption::SubnetMask(Ipv4Addr::new(255, 0, 255, 0))))),
            Box::new(|m| drop(m.opts_mut().insert(DhcpOption::SubnetMask(Ipv4Addr::UNSPECIFIED)))),
            Box::new(|m| drop(m.opts_mut().insert(DhcpOption::AddressLeaseTime(1)))),
            Box::new(|m| drop(m.opts_mut().insert(DhcpOption::Router(vec![Ipv4Addr::new(10, 6, 0, 1)])))),
            Box::new(|m| drop(m.opts_mut().remove(OptionCode::ServerIdentifier))),
        ];
        for (at, change) in wrong.into_iter().enumerate() {
            assert_eq!(Lease::read(&offer(change)), None, "{at}");
        }
    }

    /// Said to this very test where it runs in the client's namespace.
    const INSIDE: &str = "CLOAKROOM_TEST_INSIDE";
    /// A cable between two namespaces: the client's, and `server`.
    const CABLE: &str = "mkdir -p /run/netns; mount -t tmpfs none /run/netns; ip netns add server
        ip link add card type veth peer name there; ip link set there netns server; ip link set card up
        ip -n server addr add 10.5.0.1/24 dev there; ip -n server addr add 10.6.0.1/24 dev there; ip -n server link set there up
        echo 0 > /proc/sys/net/ipv4/conf/all/rp_filter; echo 0 > /proc/sys/net/ipv4/conf/card/rp_filter; exec \"$@\"";

    #[test]
    fn a_real_server_lends_an_address_renews_it_and_takes_it_back() {
        if std::env::var_os(INSIDE).is_some() {
            return lend_renew_and_lose();
        }
        if !rustix::process::geteuid().is_root() {
            eprintln!("LEFT OUT: a cable between two namespaces takes root; this run proves less");
            return;
        }
        let mut command = Command::new("unshare");
        command.args(["--net", "--mount", "--pid", "--fork", "--kill-child", "--", "sh", "-ec", CABLE, "sh"]);
        command.arg(std::env::current_exe().unwrap());
        command.args([
            "--exact",
            "init::dhcp::tests::a_real_server_lends_an_address_renews_it_and_takes_it_back",
            "--nocapture",
        ]);
        let output = command.env(INSIDE, "1").output().unwrap();
        assert!(output.status.success(), "{output:?}");
    }

    /// dnsmasq in the other namespace, for this one address.
    fn server(place: &Path, address: &str) -> std::process::Child {
        let mut command = Command::new("ip");
        command.args([
            "netns",
            "exec",
            "server",
            "dnsmasq",
            "--no-daemon",
            "--conf-file=/dev/null",
            "--port=0",
            "--user=root",
        ]);
        command.args([
            "--interface=there",
            "--dhcp-authoritative",
            "--no-ping",
            "--dhcp-option=option:dns-server,10.5.0.9",
        ]);
        command.arg(format!("--dhcp-range={address},{address},255.255.255.0,2m"));
        command.arg(format!("--dhcp-leasefile={}", place.join("leases").display()));
        command.arg(format!("--pid-file={}", place.join("pid").display()));
        command.stderr(std::process::Stdio::null()).spawn().unwrap()
    }

    fn lend_renew_and_lose() {
        let place = tempfile::tempdir().unwrap();
        let mut dnsmasq = server(place.path(), "10.5.0.20");
        // /sys shows the cards of the namespace that it was mounted in.
        let said = Command::new("ip").args(["-o", "link", "show", "card"]).output().unwrap().stdout;
        let said = String::from_utf8(said).unwrap();
        let address = said.split("link/ether ").nth(1).unwrap().split(' ').next().unwrap();
        let bytes: Vec<u8> = address.split(':').map(|b| u8::from_str_radix(b, 16).unwrap()).collect();
        let client = Client::open("card", bytes.try_into().unwrap()).unwrap();
        let lease = client.acquire().unwrap();
        assert_eq!((lease.address, lease.prefix), (Ipv4Addr::new(10, 5, 0, 20), 24));
        assert_eq!(lease.gateway, Some(Ipv4Addr::new(10, 5, 0, 1)));
        assert_eq!(lease.resolvers, [Ipv4Addr::new(10, 5, 0, 9)]);
        assert_eq!(lease.time, Duration::from_secs(120));
        // As the machine has it from then on.
        assert!(
            Command::new("ip")
                .args(["addr", "add", "10.5.0.20/24", "dev", "card"])
                .status()
                .unwrap()
                .success()
        );
        let renewed = std::iter::repeat_with(|| client.renew(&lease).unwrap()).take(20).flatten().next();
        assert_eq!(renewed, Some(Renewed::For(Duration::from_secs(120))));
        // Whoever runs the network gives the address to nobody any more.
        dnsmasq.kill().unwrap();
        dnsmasq.wait().unwrap();
        assert_eq!(client.renew(&lease).unwrap(), None, "nobody answers: the lease goes on until it ends");
        let mut other = server(place.path(), "10.6.0.30");
        let renewed = std::iter::repeat_with(|| client.renew(&lease).unwrap()).take(20).flatten().next();
        other.kill().unwrap();
        other.wait().unwrap();
        assert_eq!(renewed, Some(Renewed::Ended));
    }

    #[test]
    fn an_answer_to_another_question_or_to_another_machine_is_not_heard() {
        let asked = discover(7, CARD);
        assert!(answers(&asked, &offer(|_| {})));
        assert!(!answers(
            &asked,
            &offer(|m| {
                m.set_xid(8);
            })
        ));
        assert!(!answers(
            &asked,
            &offer(|m| {
                m.set_chaddr(&[1; 6]);
            })
        ));
        assert!(!answers(&asked, &asked), "a question is no answer");
        let mut bytes = offer(|_| {}).to_vec().unwrap();
        for length in [0, 5, 16, 17, 255] {
            bytes[2] = length;
            let odd = Message::from_bytes(&bytes).unwrap();
            assert!(!answers(&asked, &odd), "an address of {length} bytes");
        }
        for cut in 0..bytes.len() {
            if let Ok(message) = Message::from_bytes(&bytes[..cut]) {
                let _ = Lease::read(&message);
            }
        }
    }
}
