//! The wires: each network card gets the address that the kernel's command line says, and nothing passes from one to another.

use super::arguments::{Address, Arguments, Outside};
use super::dhcp::{Client, Lease};
use super::netlink::{Netlink, address, default_route, up};
use crate::failure::{Failure, plain};
use std::io;
use std::path::{Path, PathBuf};

/// What the kernel calls the cards that something listens on.
pub(super) struct Names {
    pub(super) workloads: Option<String>,
    pub(super) operator: Option<String>,
    /// The address of the outside wire, where it is lent: to be kept.
    pub(super) lent: Option<(Client, Lease)>,
}

/// Below `/proc/sys/net`. Linux answers on any card for an address of any other; listeners are bound to their card besides.
const RULES: [(&str, &str); 12] = [
    ("ipv4/ip_forward", "0"),
    ("ipv4/conf/all/rp_filter", "1"),
    ("ipv4/conf/default/rp_filter", "1"),
    ("ipv4/conf/all/arp_ignore", "2"),
    ("ipv4/conf/all/arp_announce", "2"),
    ("ipv4/conf/all/accept_redirects", "0"),
    ("ipv4/conf/default/accept_redirects", "0"),
    ("ipv4/conf/all/send_redirects", "0"),
    ("ipv4/conf/default/send_redirects", "0"),
    ("ipv4/conf/all/accept_source_route", "0"),
    ("ipv4/icmp_echo_ignore_all", "1"),
    ("ipv4/tcp_syncookies", "1"),
];
const RULES_OF_IPV6: [(&str, &str); 4] = [
    ("ipv6/conf/all/forwarding", "0"),
    ("ipv6/conf/all/accept_ra", "0"),
    ("ipv6/conf/default/accept_ra", "0"),
    ("ipv6/conf/all/accept_redirects", "0"),
];

/// Sets everything up.
pub(super) fn configure(arguments: &Arguments) -> Result<Names, Failure> {
    let Arguments { outside, operator, .. } = arguments;
    let workloads = arguments.workloads.wire();
    let said = match outside {
        Some(Outside::Said(address)) => Some(address),
        _ => None,
    };
    let with_ipv6 = [workloads, said, operator.as_ref()].iter().flatten().any(|address| address.ip.is_ipv6());
    rules(with_ipv6)?;
    let netlink = Netlink::open()?;
    netlink.ask(&up(Card::named("lo").ok_or_else(|| absent("lo"))?.index))?;
    let lent = match outside {
        Some(Outside::Lent(card)) => Some(lend(&netlink, card)?),
        _ => None,
    };
    let leased = lent.as_ref().map(|(card, _, lease)| lease.on(card.name.clone()));
    let outside = said.or(leased.as_ref());
    let all: Vec<&Address> = [workloads, outside, operator.as_ref()].into_iter().flatten().collect();
    let cards: Vec<Card> = all.iter().map(|address| Card::find(&address.card)).collect::<Result<_, _>>()?;
    // SECURITY: a wire that is two wires is no wire of its own.
    for (at, card) in cards.iter().enumerate() {
        if cards[..at].iter().any(|before| before.index == card.index) {
            return Err(Failure::bad_input("two wires of this appliance are one network card")
                .hinting("give workloads, outside and operator a card each"));
        }
    }
    for (card, address) in cards.iter().zip(&all) {
        wire(&netlink, card, address).map_err(|error| {
            Failure::failed(format!("{} does not take its address: {}", card.name, plain(&error)))
        })?;
    }
    let last = operator.as_ref().and_then(|_| cards.last());
    Ok(Names {
        workloads: workloads.map(|_| cards[0].name.clone()),
        operator: last.map(|card| card.name.clone()),
        lent: lent.map(|(_, client, lease)| (client, lease)),
    })
}

/// Asks for the card's address. Nothing listens yet.
fn lend(netlink: &Netlink, wanted: &str) -> Result<(Card, Client, Lease), Failure> {
    let card = Card::find(wanted)?;
    netlink.ask(&up(card.index))?;
    // Whether an answer is taken from where no route leads yet: the stricter of the two counts.
    let strictly = |value: &str| {
        ["all", &card.name].into_iter().try_for_each(|whose| {
            let path = Path::new("/proc/sys/net/ipv4/conf").join(whose).join("rp_filter");
            std::fs::write(&path, value).map_err(|error| Failure::file("write", &path, &error))
        })
    };
    strictly("0")?;
    let client = Client::open(&card.name, card.hardware()?)?;
    let lease = client.acquire();
    strictly("1")?;
    let lease = lease?;
    tracing::info!(address = %lease.address, "the outside address is lent");
    write_resolvers(&lease)?;
    Ok((card, client, lease))
}

/// Whom to ask for names where the settings name nobody: written while the root can be.
fn write_resolvers(lease: &Lease) -> Result<(), Failure> {
    let path = Path::new("/etc/resolv.conf");
    let lines: String = lease.resolvers.iter().map(|resolver| format!("nameserver {resolver}\n")).collect();
    std::fs::write(path, lines).map_err(|error| Failure::file("write", path, &error))
}

/// The loopback, and one card with one address if the machine has one: the machine of a workload.
pub(crate) fn attach(given: Option<&Address>) -> Result<(), Failure> {
    rules(given.is_some_and(|given| given.ip.is_ipv6()))?;
    let netlink = Netlink::open()?;
    netlink.ask(&up(Card::named("lo").ok_or_else(|| absent("lo"))?.index))?;
    let Some(given) = given else { return Ok(()) };
    Ok(wire(&netlink, &Card::find(&given.card)?, given)?)
}

fn wire(netlink: &Netlink, card: &Card, given: &Address) -> io::Result<()> {
    netlink.ask(&up(card.index))?;
    netlink.ask(&address(card.index, given.ip, given.prefix))?;
    given.gateway.map_or(Ok(()), |gateway| netlink.ask(&default_route(card.index, gateway)))
}

/// INVARIANT: written before a card is up, so that nothing is ever passed on.
fn rules(with_ipv6: bool) -> Result<(), Failure> {
    let off = [("ipv6/conf/all/disable_ipv6", "1"), ("ipv6/conf/default/disable_ipv6", "1")];
    let of_ipv6: &[(&str, &str)] = if with_ipv6 { &RULES_OF_IPV6 } else { &off };
    for (rule, value) in RULES.iter().chain(of_ipv6) {
        let path = Path::new("/proc/sys/net").join(rule);
        match std::fs::write(&path, value) {
            // A kernel without IPv6 has nothing to turn off.
            Err(error) if error.kind() == io::ErrorKind::NotFound && rule.starts_with("ipv6") => {}
            other => other.map_err(|error| Failure::file("write", &path, &error))?,
        }
    }
    Ok(())
}

struct Card {
    name: String,
    index: u32,
}

impl Card {
    /// By name or hardware address.
    fn find(wanted: &str) -> Result<Self, Failure> {
        if let Some(card) = Self::named(wanted) {
            return Ok(card);
        }
        let cards = std::fs::read_dir("/sys/class/net")?.flatten();
        let names = cards.filter_map(|entry| entry.file_name().into_string().ok());
        let mut having = names.filter(|name| {
            let is = std::fs::read_to_string(of(name).join("address"));
            is.is_ok_and(|is| is.trim().eq_ignore_ascii_case(wanted))
        });
        match (having.next(), having.next()) {
            (Some(name), None) => Self::named(&name).ok_or_else(|| absent(wanted)),
            _ => Err(absent(wanted)),
        }
    }

    fn hardware(&self) -> Result<[u8; 6], Failure> {
        let text = std::fs::read_to_string(of(&self.name).join("address"))?;
        let bytes: Option<Vec<u8>> =
            text.trim().split(':').map(|byte| u8::from_str_radix(byte, 16).ok()).collect();
        bytes.and_then(|bytes| bytes.try_into().ok()).ok_or_else(|| {
            Failure::failed(format!("{} has no hardware address that a DHCP server could know", self.name))
        })
    }

    fn named(name: &str) -> Option<Self> {
        let index = std::fs::read_to_string(of(name).join("ifindex")).ok()?.trim().parse().ok()?;
        Some(Self { name: name.to_owned(), index })
    }
}

fn of(name: &str) -> PathBuf {
    Path::new("/sys/class/net").join(name)
}

fn absent(card: &str) -> Failure {
    Failure::failed(format!("this machine has no network card {card}, or more than one"))
        .hinting("name it as the hypervisor does: by its hardware address, such as 52:54:00:00:77:01")
}
