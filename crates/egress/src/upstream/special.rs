//! Which addresses are public: the IANA special-purpose registries as tables.
//!
//! IPv4 is public unless listed; IPv6 is public only in 2000::/3 (all that is allocated as global unicast) unless listed.
//! An IPv4 address inside an IPv6 one is taken out and judged as what it is (T47).
//! SPEC: <https://www.iana.org/assignments/iana-ipv4-special-registry>, <https://www.iana.org/assignments/iana-ipv6-special-registry>.

use ipnet::IpNet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

const SPECIAL_V4: &[(Ipv4Addr, u32)] = &[
    (v4(0, 0, 0, 0), 8),       // this network
    (v4(10, 0, 0, 0), 8),      // private use
    (v4(100, 64, 0, 0), 10),   // shared address space (carrier-grade NAT)
    (v4(127, 0, 0, 0), 8),     // loopback
    (v4(169, 254, 0, 0), 16),  // link local; cloud metadata
    (v4(172, 16, 0, 0), 12),   // private use
    (v4(192, 0, 0, 0), 24),    // protocol assignments
    (v4(192, 0, 2, 0), 24),    // documentation
    (v4(192, 31, 196, 0), 24), // AS112
    (v4(192, 52, 193, 0), 24), // AMT
    (v4(192, 88, 99, 0), 24),  // 6to4 relay anycast, deprecated
    (v4(192, 168, 0, 0), 16),  // private use
    (v4(192, 175, 48, 0), 24), // AS112
    (v4(198, 18, 0, 0), 15),   // benchmarking
    (v4(198, 51, 100, 0), 24), // documentation
    (v4(203, 0, 113, 0), 24),  // documentation
    (v4(224, 0, 0, 0), 4),     // multicast
    (v4(240, 0, 0, 0), 4),     // reserved; limited broadcast
];

/// Inside 2000::/3.
const SPECIAL_V6: &[(Ipv6Addr, u32)] = &[
    (v6(0x2001, 0, 0), 23),      // protocol assignments: Teredo, benchmarking, ORCHID, …
    (v6(0x2001, 0x0db8, 0), 32), // documentation
    (v6(0x2002, 0, 0), 16),      // 6to4: carries an IPv4 address; deprecated
    (v6(0x2620, 0x004f, 0x8000), 48), // AS112
    (v6(0x3fff, 0, 0), 20),      // documentation
];

const GLOBAL_UNICAST: (Ipv6Addr, u32) = (v6(0x2000, 0, 0), 3);
const NAT64: (Ipv6Addr, u32) = (v6(0x0064, 0xff9b, 0), 96);

const fn v4(a: u8, b: u8, c: u8, d: u8) -> Ipv4Addr {
    Ipv4Addr::new(a, b, c, d)
}

const fn v6(first: u16, second: u16, third: u16) -> Ipv6Addr {
    Ipv6Addr::new(first, second, third, 0, 0, 0, 0, 0)
}

/// Whether the address may be dialled: public, or in a range the operator allows.
pub(super) fn is_permitted(address: IpAddr, allowed: &[IpNet]) -> bool {
    // An IPv4 address in IPv6 notation reaches the IPv4 host.
    let address = address.to_canonical();
    if allowed.iter().any(|range| range.contains(&address)) {
        return true;
    }
    match address {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) if within_v6(address, NAT64) => is_permitted(last_four(address).into(), allowed),
        IpAddr::V6(address) => is_public_v6(address),
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let within = |(network, length): &(Ipv4Addr, u32)| {
        (address.to_bits() ^ network.to_bits()).checked_shr(32 - length) == Some(0)
    };
    !SPECIAL_V4.iter().any(within)
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    within_v6(address, GLOBAL_UNICAST)
        && !SPECIAL_V6.iter().any(|special| within_v6(address, *special))
        && !is_isatap(address)
}

/// An interface identifier that carries an IPv4 address (RFC 5214): the packet ends up at that one.
fn is_isatap(address: Ipv6Addr) -> bool {
    let segments = address.segments();
    matches!(segments[4], 0 | 0x0200) && segments[5] == 0x5efe
}

fn within_v6(address: Ipv6Addr, (network, length): (Ipv6Addr, u32)) -> bool {
    (address.to_bits() ^ network.to_bits()).checked_shr(128 - length) == Some(0)
}

fn last_four(address: Ipv6Addr) -> Ipv4Addr {
    let [.., a, b, c, d] = address.octets();
    Ipv4Addr::new(a, b, c, d)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn permitted(address: &str, allowed: &[&str]) -> bool {
        let allowed: Vec<IpNet> = allowed.iter().map(|range| range.parse().unwrap()).collect();
        is_permitted(address.parse().unwrap(), &allowed)
    }

    #[test]
    fn public_addresses_are_permitted() {
        for address in [
            "1.1.1.1",
            "8.8.8.8",
            "9.255.255.255",
            "11.0.0.0",
            "100.63.255.255",
            "100.128.0.0",
            "126.255.255.255",
            "128.0.0.0",
            "169.253.255.255",
            "172.15.255.255",
            "172.32.0.0",
            "192.0.1.1",
            "192.167.255.255",
            "192.169.0.0",
            "198.17.255.255",
            "198.20.0.0",
            "223.255.255.255",
            "2606:4700:4700::1111",
            "2a00:1450:4001::200e",
            "2001:4860:4860::8888",
            "2001:200::1",
            "2620:4f:7fff::1",
            "::ffff:8.8.8.8",
            "64:ff9b::8.8.8.8",
        ] {
            assert!(permitted(address, &[]), "{address}");
        }
    }

    #[test]
    fn t46_special_purpose_addresses_are_refused() {
        for address in [
            "0.0.0.0",
            "0.1.2.3",
            "10.0.0.1",
            "10.255.255.255",
            "100.64.0.1",
            "100.127.255.255",
            "127.0.0.1",
            "127.1.2.3",
            "127.255.255.255",
            "169.254.0.1",
            "169.254.169.254",
            "169.254.170.2",
            "172.16.0.1",
            "172.31.255.255",
            "192.0.0.1",
            "192.0.0.170",
            "192.0.0.192",
            "192.0.2.1",
            "192.31.196.1",
            "192.52.193.1",
            "192.88.99.1",
            "192.168.0.1",
            "192.168.255.255",
            "192.175.48.1",
            "198.18.0.1",
            "198.19.255.255",
            "198.51.100.1",
            "203.0.113.1",
            "224.0.0.1",
            "239.255.255.255",
            "240.0.0.1",
            "255.255.255.254",
            "255.255.255.255",
            "::",
            "::1",
            "::2",
            "100::1",
            "2001:db8::1",
            "2001:2::1",
            "2001:10::1",
            "2001:20::1",
            "2620:4f:8000::1",
            "3fff::1",
            "3fff:fff::1",
            "4000::1",
            "5f00::1",
            "fc00::1",
            "fd00:ec2::254",
            "fe80::1",
            "febf::1",
            "ff02::1",
            "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
        ] {
            assert!(!permitted(address, &[]), "{address}");
        }
    }

    #[test]
    fn t47_an_ipv4_address_inside_an_ipv6_one_is_judged_as_what_it_is() {
        for address in [
            "::ffff:127.0.0.1",
            "::ffff:10.0.0.1",
            "::ffff:169.254.169.254",
            "::ffff:0:127.0.0.1",
            "::127.0.0.1",
            "::8.8.8.8",
            "64:ff9b::127.0.0.1",
            "64:ff9b::a9fe:a9fe",
            "64:ff9b:1::8.8.8.8",
            "64:ff9b:0:0:0:1:808:808",
            "2001:0:4136:e378:8000:63bf:3fff:fdd2",
            "2001::1",
            "2002:7f00:1::1",
            "2002:808:808::1",
            "2606:4700::5efe:127.0.0.1",
            "2606:4700::200:5efe:10.0.0.1",
            "fe80::5efe:10.0.0.1",
            "fec0::1",
            "feff::1",
        ] {
            assert!(!permitted(address, &[]), "{address}");
        }
    }

    #[test]
    fn a_range_that_the_operator_allows_is_permitted_and_its_neighbours_are_not() {
        assert!(permitted("127.0.0.1", &["127.0.0.0/8"]));
        assert!(permitted("::ffff:127.0.0.1", &["127.0.0.0/8"]));
        assert!(permitted("64:ff9b::10.0.0.1", &["10.0.0.0/8"]));
        assert!(permitted("fd00::1", &["fd00::/8"]));
        assert!(permitted("::1", &["::1/128"]));
        assert!(!permitted("::1", &["127.0.0.0/8"]));
        assert!(!permitted("10.1.0.1", &["10.0.0.0/16"]));
        assert!(!permitted("169.254.169.254", &["127.0.0.0/8", "10.0.0.0/8"]));
    }
}
