//! What the robot knows: lines `name=value`.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddrV4};

pub(crate) struct Plan {
    /// Its own address, with the bits of the network.
    pub(crate) own: String,
    /// The other end of its wire.
    pub(crate) broker: Ipv4Addr,
    /// The destination that it may call through the broker, and may not reach itself.
    pub(crate) destination: SocketAddrV4,
    /// A port there that answers datagrams.
    pub(crate) datagrams: SocketAddrV4,
    /// The broker's addresses on its other wires.
    pub(crate) others: Vec<Ipv4Addr>,
    /// The broker's hardware address on this wire.
    pub(crate) card: String,
    /// Its workload key, and the placeholder.
    pub(crate) key: String,
    pub(crate) placeholder: String,
}

impl Plan {
    pub(crate) fn read() -> Self {
        let text = std::fs::read_to_string("/plan").unwrap();
        let values: BTreeMap<&str, &str> = text.lines().filter_map(|line| line.split_once('=')).collect();
        let value = |name: &str| values.get(name).copied().unwrap_or_default();
        Self {
            own: value("own").into(),
            broker: value("broker").parse().unwrap(),
            destination: value("destination").parse().unwrap(),
            datagrams: value("datagrams").parse().unwrap(),
            others: value("others").split(',').filter_map(|one| one.parse().ok()).collect(),
            card: value("card").into(),
            key: value("key").into(),
            placeholder: value("placeholder").into(),
        }
    }
}
