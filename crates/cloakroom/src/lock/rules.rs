//! The rules of a lock, as nft reads them: what is printed is what is applied.

use super::model::Lock;
use ipnet::IpNet;
use std::fmt::{Display, Write};
use std::net::{IpAddr, SocketAddr};

/// The table of a lock, in every family.
pub(super) fn table(name: impl Display) -> String {
    format!("cloakroom_{name}")
}

/// The interfaces of a lock, as a set.
pub(super) fn wires(lock: &Lock) -> String {
    set(lock.interfaces.iter().map(|interface| format!("\"{}\"", interface.name)))
}

/// The whole text. Loaded, it replaces what is there of the lock in one step.
pub(super) fn text(lock: &Lock) -> String {
    let mut text = String::new();
    let table = table(&lock.name);
    let wires = wires(lock);
    // A table has to be there to be deleted.
    let _ = writeln!(text, "table inet {table} {{ }}\ndelete table inet {table}");
    let _ = writeln!(text, "table inet {table} {{");
    for counter in ["spoofed", "closed", "forwarded"] {
        let _ = writeln!(text, "\tcounter {counter} {{ }}");
    }
    text.push_str(&steer(lock, &wires));
    text.push_str(&input(lock, &wires));
    let _ = write!(
        text,
        "\n\t# Nothing is handed on, in or out, whatever next hop, address family or protocol.\n\
         \tchain forward {{\n\t\ttype filter hook forward priority filter - 5; policy accept;\n\
         \t\tiifname {wires} counter name forwarded drop\n\t\toifname {wires} counter name forwarded drop\n\t}}\n}}\n"
    );
    text.push_str(&bridged(lock, &table));
    text
}

/// What is led to the broker, wherever it was going. Before others' translations.
fn steer(lock: &Lock, wires: &str) -> String {
    let mut text = "\n\t# Led to the broker, wherever it was going.\n\tchain steer {\n\t\ttype nat hook prerouting priority dstnat - 5; policy accept;\n".to_owned();
    let _ = writeln!(text, "\t\tiifname != {wires} return");
    if let Some(proxy) = lock.doors.proxy {
        let _ = writeln!(text, "\t\t{}tcp dport {} return", towards(proxy), proxy.port());
    }
    if let Some(dns) = lock.doors.dns {
        for protocol in ["udp", "tcp"] {
            let _ = writeln!(text, "\t\t{protocol} dport 53 {}", lead(dns));
        }
    }
    if let Some(transparent) = lock.doors.transparent {
        let _ = writeln!(text, "\t\ttcp dport {{ 80, 443 }} {}", lead(transparent));
    }
    text.push_str("\t}\n");
    text
}

/// What of this machine can be reached: the listeners.
fn input(lock: &Lock, wires: &str) -> String {
    let mut text = "\n\t# Of this machine, the listeners and nothing else.\n\tchain input {\n\t\ttype filter hook input priority filter - 5; policy accept;\n".to_owned();
    let _ = writeln!(text, "\t\tiifname != {wires} return");
    if lock.doors.all().any(|door| door.is_ipv6() && has_sources(lock, door)) {
        text.push_str("\t\ticmpv6 type { nd-neighbor-solicit, nd-neighbor-advert } accept\n");
    }
    for (family, is_v4) in [("ip", true), ("ip6", false)] {
        let sources =
            set(lock.sources.iter().filter(|source| source.addr().is_ipv4() == is_v4).map(IpNet::to_string));
        let rule = match sources.as_str() {
            "{ }" => format!("meta nfproto {} counter name closed drop", if is_v4 { "ipv4" } else { "ipv6" }),
            _ => format!("{family} saddr != {sources} counter name spoofed drop"),
        };
        let _ = writeln!(text, "\t\t{rule}");
    }
    // What this machine itself began may be answered.
    text.push_str("\t\tct state established ct direction reply accept\n");
    if let Some(proxy) = lock.doors.proxy {
        let _ = writeln!(text, "\t\t{}tcp dport {} accept", towards(proxy), proxy.port());
    }
    if let Some(dns) = lock.doors.dns {
        let _ = writeln!(
            text,
            "\t\t{0}udp dport {1} accept\n\t\t{0}tcp dport {1} accept",
            towards(dns),
            dns.port()
        );
    }
    if let Some(transparent) = lock.doors.transparent {
        // Only what was steered: there is nothing to say to it otherwise.
        let _ = writeln!(
            text,
            "\t\tct status dnat {}tcp dport {} accept",
            towards(transparent),
            transparent.port()
        );
    }
    text.push_str("\t\tcounter name closed drop\n\t}\n");
    text
}

/// The ports of a bridge are closed to each other: an uplink among them would be a way out.
fn bridged(lock: &Lock, table: &str) -> String {
    let bridges = lock.interfaces.iter().filter(|interface| interface.is_bridge);
    let bridges = set(bridges.map(|interface| format!("\"{}\"", interface.name)));
    if bridges == "{ }" {
        return String::new();
    }
    let ports = lock.interfaces.iter().flat_map(|interface| &interface.ports);
    let ports = set(ports.map(|port| format!("\"{port}\"")));
    let mut rules = String::new();
    for (known, incoming, outgoing, names) in [
        (lock.names_bridges, "meta ibrname", "meta obrname", &bridges),
        (ports != "{ }", "iifname", "oifname", &ports),
    ] {
        if known {
            for matching in [incoming, outgoing] {
                let _ = writeln!(rules, "\t\t{matching} {names} counter name bridged drop");
            }
        }
    }
    format!(
        "table bridge {table} {{ }}\ndelete table bridge {table}\ntable bridge {table} {{\n\tcounter bridged {{ }}\n\n\
         \t# From port to port: nothing.\n\tchain forward {{\n\t\ttype filter hook forward priority filter - 5; policy accept;\n{rules}\t}}\n}}\n"
    )
}

/// `ip daddr ADDRESS `, or the family alone where the listener has every address.
fn towards(door: SocketAddr) -> String {
    match (door.ip(), door.ip().is_unspecified()) {
        (IpAddr::V4(_), true) => "meta nfproto ipv4 ".to_owned(),
        // A listener on every IPv6 address takes IPv4 too.
        (IpAddr::V6(_), true) => String::new(),
        (IpAddr::V4(address), false) => format!("ip daddr {address} "),
        (IpAddr::V6(address), false) => format!("ip6 daddr {address} "),
    }
}

fn lead(door: SocketAddr) -> String {
    match (door.ip(), door.ip().is_unspecified()) {
        (_, true) => format!("redirect to :{}", door.port()),
        (IpAddr::V4(_), false) => format!("meta nfproto ipv4 dnat ip to {door}"),
        (IpAddr::V6(_), false) => format!("meta nfproto ipv6 dnat ip6 to {door}"),
    }
}

fn has_sources(lock: &Lock, door: SocketAddr) -> bool {
    lock.sources.iter().any(|source| source.addr().is_ipv4() == door.is_ipv4())
}

fn set(members: impl Iterator<Item = String>) -> String {
    let members: Vec<String> = members.collect();
    if members.is_empty() { "{ }".to_owned() } else { format!("{{ {} }}", members.join(", ")) }
}

#[cfg(test)]
mod tests {
    use super::super::model::Interface;
    use super::*;
    use crate::serve::Doors;
    use cloakroom_model::Name;

    fn lock(sources: &[&str], doors: Doors, is_bridge: bool) -> Lock {
        Lock {
            name: Name::parse("robot").unwrap(),
            namespace: None,
            interfaces: vec![Interface {
                name: "wl0".into(),
                is_bridge,
                ports: if is_bridge { vec!["p1".into()] } else { Vec::new() },
            }],
            sources: sources.iter().map(|source| source.parse().unwrap()).collect(),
            doors,
            names_bridges: true,
            in_force: String::new(),
        }
    }

    #[test]
    fn only_the_listeners_are_open_and_what_is_steered_ends_there() {
        let doors = Doors {
            proxy: "10.77.0.1:8480".parse().ok(),
            transparent: "10.77.0.1:8443".parse().ok(),
            dns: "0.0.0.0:5353".parse().ok(),
        };
        let text = text(&lock(&["10.77.0.2/32"], doors, false));
        let verdicts: Vec<&str> =
            text.lines().map(str::trim).filter(|line| line.ends_with("accept")).collect();
        assert_eq!(
            verdicts,
            [
                "ct state established ct direction reply accept",
                "ip daddr 10.77.0.1 tcp dport 8480 accept",
                "meta nfproto ipv4 udp dport 5353 accept",
                "meta nfproto ipv4 tcp dport 5353 accept",
                "ct status dnat ip daddr 10.77.0.1 tcp dport 8443 accept",
            ]
        );
        for line in [
            "tcp dport { 80, 443 } meta nfproto ipv4 dnat ip to 10.77.0.1:8443",
            "udp dport 53 redirect to :5353",
            "ip saddr != { 10.77.0.2/32 } counter name spoofed drop",
            "meta nfproto ipv6 counter name closed drop",
        ] {
            assert!(text.contains(line), "{line}\n{text}");
        }
        assert!(!text.contains("table bridge"));
    }

    #[test]
    fn a_bridge_is_closed_between_its_ports_and_ipv6_has_its_neighbours_where_it_has_a_door() {
        let doors = Doors { transparent: "[fd77::1]:8443".parse().ok(), ..Doors::default() };
        let text = text(&lock(&["fd77::/64"], doors, true));
        for line in [
            "table bridge cloakroom_robot {",
            "meta ibrname { \"wl0\" } counter name bridged drop",
            "meta obrname { \"wl0\" } counter name bridged drop",
            "iifname { \"p1\" } counter name bridged drop",
            "oifname { \"p1\" } counter name bridged drop",
            "icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert } accept",
            "meta nfproto ipv6 dnat ip6 to [fd77::1]:8443",
            "meta nfproto ipv4 counter name closed drop",
        ] {
            assert!(text.contains(line), "{line}\n{text}");
        }
    }
}
