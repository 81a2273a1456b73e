//! What the kernel's command line says of this appliance: its wires and its disks. A word that is not known stops the start.

use crate::failure::Failure;
use crate::image::WORKLOAD_PORT;
use cloakroom_admin::nearest;
use std::net::IpAddr;
use std::str::FromStr;

/// Everything that is said there.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Arguments {
    /// What workloads are on.
    pub(super) workloads: Workloads,
    /// The wire to the destinations.
    pub(super) outside: Option<Outside>,
    /// The wire that only operators are on.
    pub(super) operator: Option<Address>,
    /// Where the data directory is.
    pub(super) data: Data,
    /// The block device that holds the passphrase of the key-encryption key.
    pub(super) kek: Option<String>,
    /// The TPM that the machine measures itself into.
    pub(super) tpm: Option<String>,
}

/// What workloads are on: a wire, or no network at all.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Workloads {
    Wire(Address),
    /// A port of the vsock.
    Vsock(u32),
}

/// The wire to the destinations: its address said here, or lent by a DHCP server on it.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Outside {
    Said(Address),
    /// The card: its name, or its hardware address.
    Lent(String),
}

/// An address on one network card.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Address {
    /// The card: its name, or its hardware address.
    pub(super) card: String,
    pub(super) ip: IpAddr,
    /// How many bits of the address name the network.
    pub(super) prefix: u8,
    /// Where the rest of the world is.
    pub(super) gateway: Option<IpAddr>,
    /// Where the listener is, if not at its usual port.
    pub(super) port: Option<u16>,
}

/// Where the data directory is.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Data {
    /// An ext4 file system on this device.
    Device(String),
    /// In memory: gone with the machine.
    Memory,
}

/// Each word and how it is written.
const KNOWN: [(&str, &str); 6] = [
    ("cloakroom.workloads", "CARD,ADDRESS/BITS[,port=PORT], or vsock[,port=PORT]"),
    ("cloakroom.outside", "CARD,ADDRESS/BITS[,via=GATEWAY], or CARD,dhcp"),
    ("cloakroom.operator", "CARD,ADDRESS/BITS[,port=PORT]"),
    ("cloakroom.data", "DEVICE, or memory"),
    ("cloakroom.kek", "DEVICE"),
    ("cloakroom.tpm", "DEVICE"),
];

impl Arguments {
    /// Reads `/proc/cmdline`.
    ///
    /// # Errors
    /// Where a word is unknown, given twice, badly written, or missing.
    pub(crate) fn read(line: &str) -> Result<Self, Failure> {
        let words: Vec<(&str, &str)> = line
            .split_ascii_whitespace()
            .filter(|word| word.starts_with("cloakroom."))
            .map(|word| word.split_once('=').unwrap_or((word, "")))
            .collect();
        for (at, (word, _)) in words.iter().enumerate() {
            let names: Vec<&str> = KNOWN.iter().map(|(known, _)| *known).collect();
            if !names.contains(word) {
                let near = nearest(word, names.iter().copied()).unwrap_or(names[0]).to_owned();
                return Err(Failure::bad_input(
                    "the kernel's command line has a word that is not known here",
                )
                .hinting(format!("did you mean {near}?")));
            }
            if words[..at].iter().any(|(before, _)| before == word) {
                return Err(wrong(word));
            }
        }
        let value = |name: &str| words.iter().find(|(word, _)| *word == name).map(|(_, value)| *value);
        let address = |name: &'static str| {
            value(name).map(|text| Address::read(text).ok_or_else(|| wrong(name))).transpose()
        };
        let device =
            |name: &'static str| value(name).map(|text| device(text).ok_or_else(|| wrong(name))).transpose();
        let data = match value("cloakroom.data") {
            Some("memory") => Data::Memory,
            _ => Data::Device(device("cloakroom.data")?.ok_or_else(|| wrong("cloakroom.data"))?),
        };
        Ok(Self {
            workloads: value("cloakroom.workloads")
                .and_then(Workloads::read)
                .ok_or_else(|| wrong("cloakroom.workloads"))?,
            outside: value("cloakroom.outside")
                .map(|text| Outside::read(text).ok_or_else(|| wrong("cloakroom.outside")))
                .transpose()?,
            operator: address("cloakroom.operator")?,
            data,
            kek: device("cloakroom.kek")?,
            tpm: device("cloakroom.tpm")?,
        })
    }
}

#[cfg(test)]
impl Arguments {
    /// The cards, in the order of the wires.
    pub(crate) fn cards(&self) -> Vec<&str> {
        let outside = self.outside.as_ref().map(|outside| match outside {
            Outside::Said(address) => address.card.as_str(),
            Outside::Lent(card) => card,
        });
        let operator = self.operator.as_ref().map(|address| address.card.as_str());
        let workloads = self.workloads.wire().map(|address| address.card.as_str());
        [workloads, outside, operator].into_iter().flatten().collect()
    }
}

impl Workloads {
    fn read(text: &str) -> Option<Self> {
        match text.split_once(',').unwrap_or((text, "")) {
            ("vsock", "") if !text.ends_with(',') => Some(Self::Vsock(WORKLOAD_PORT.into())),
            ("vsock", port) => {
                let port = port.strip_prefix("port=")?.parse().ok();
                port.filter(|port| (1..u32::MAX).contains(port)).map(Self::Vsock)
            }
            _ => Address::read(text).map(Self::Wire),
        }
    }

    /// The wire, where there is one.
    pub(super) fn wire(&self) -> Option<&Address> {
        match self {
            Self::Wire(address) => Some(address),
            Self::Vsock(_) => None,
        }
    }

    /// The port of the vsock, where there is no wire.
    pub(super) fn vsock(&self) -> Option<u32> {
        match self {
            Self::Wire(_) => None,
            Self::Vsock(port) => Some(*port),
        }
    }
}

impl Outside {
    fn read(text: &str) -> Option<Self> {
        match text.strip_suffix(",dhcp").filter(|card| is_card(card)) {
            Some(card) => Some(Self::Lent(card.to_owned())),
            None => Address::read(text).map(Self::Said),
        }
    }
}

impl FromStr for Address {
    type Err = &'static str;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::read(text).filter(|read| read.port.is_none()).ok_or("write CARD,ADDRESS/BITS[,via=GATEWAY]")
    }
}

impl Address {
    /// One from where nothing but its own network is reached.
    pub(crate) fn plain(card: &str, ip: IpAddr, prefix: u8) -> Self {
        Self { card: card.to_owned(), ip, prefix, gateway: None, port: None }
    }

    fn read(text: &str) -> Option<Self> {
        let mut parts = text.split(',');
        let card = parts.next().filter(|card| is_card(card))?.to_owned();
        let (ip, prefix) = parts.next()?.split_once('/')?;
        let (ip, prefix): (IpAddr, u8) = (ip.parse().ok()?, prefix.parse().ok()?);
        let longest = if ip.is_ipv4() { 32 } else { 128 };
        let mut read = Self { card, ip, prefix, gateway: None, port: None };
        for part in parts {
            match part.split_once('=')? {
                ("via", gateway) if read.gateway.is_none() => read.gateway = Some(gateway.parse().ok()?),
                ("port", port) if read.port.is_none() => {
                    read.port = Some(port.parse().ok().filter(|p| *p > 0)?)
                }
                _ => return None,
            }
        }
        let of_one_family = read.gateway.is_none_or(|gateway| gateway.is_ipv4() == ip.is_ipv4());
        (prefix <= longest && of_one_family && !ip.is_unspecified()).then_some(read)
    }
}

/// A card's name, such as `eth0`, or its hardware address, such as `52:54:00:00:77:01`.
fn is_card(text: &str) -> bool {
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b':' | b'-' | b'_');
    !text.is_empty() && text.len() < 18 && text.bytes().all(plain)
}

/// `/dev/vda` and the like: one name directly below `/dev`.
fn device(text: &str) -> Option<String> {
    let name = text.strip_prefix("/dev/")?;
    let fine = !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric());
    fine.then(|| text.to_owned())
}

fn wrong(word: &str) -> Failure {
    let how = KNOWN.iter().find(|(known, _)| *known == word).map_or("", |(_, how)| how);
    Failure::bad_input("the kernel's command line does not say, once and well, what this appliance needs")
        .hinting(format!("write {word}={how}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const LEAST: &str = "quiet cloakroom.workloads=eth0,10.77.0.1/24 cloakroom.data=memory";

    #[test]
    fn a_command_line_says_wires_and_disks() {
        let read = Arguments::read(
            "console=ttyS0 cloakroom.workloads=52:54:00:00:77:01,10.77.0.1/24,port=80 cloakroom.data=/dev/vda \
             cloakroom.outside=eth1,10.78.0.2/24,via=10.78.0.1 cloakroom.operator=eth2,fd00::1/64 cloakroom.kek=/dev/vdb cloakroom.tpm=/dev/tpm0\n",
        )
        .unwrap();
        let workloads = read.workloads.wire().unwrap();
        assert_eq!((workloads.card.as_str(), workloads.port), ("52:54:00:00:77:01", Some(80)));
        let Some(Outside::Said(outside)) = read.outside else { panic!("{:?}", read.outside) };
        assert_eq!(outside.gateway, Some("10.78.0.1".parse().unwrap()));
        assert_eq!(read.operator.unwrap().prefix, 64);
        assert_eq!(read.data, Data::Device("/dev/vda".into()));
        assert_eq!(read.kek.as_deref(), Some("/dev/vdb"));
        assert_eq!(read.tpm.as_deref(), Some("/dev/tpm0"));
        assert!(Arguments::read(LEAST).unwrap().operator.is_none());
        let lent = Arguments::read(&format!("{LEAST} cloakroom.outside=eth1,dhcp")).unwrap();
        assert_eq!(lent.outside, Some(Outside::Lent("eth1".into())));
    }

    #[test]
    fn a_workloads_card_has_an_address_and_perhaps_a_gateway_and_no_listener() {
        let read: Address = "eth0,10.77.0.2/24,via=10.77.0.1".parse().unwrap();
        assert_eq!(read.gateway, Some("10.77.0.1".parse().unwrap()));
        let plain = Address::plain("eth0", "10.77.0.2".parse().unwrap(), 24);
        assert_eq!("eth0,10.77.0.2/24".parse(), Ok(plain));
        for wrong in ["eth0", "eth0,10.77.0.2/24,port=80", "eth0,dhcp", ""] {
            assert!(wrong.parse::<Address>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn workloads_are_on_a_wire_or_on_the_vsock() {
        let read = |workloads: &str| {
            Arguments::read(&format!("cloakroom.data=memory cloakroom.workloads={workloads}")).ok()
        };
        for (written, port) in [("vsock", 8480), ("vsock,port=1024", 1024)] {
            assert_eq!(read(written).unwrap().workloads, Workloads::Vsock(port), "{written}");
            assert!(read(written).unwrap().cards().is_empty());
        }
        for wrong in
            ["vsock,", "vsock,port=0", "vsock,port=4294967295", "vsock,8480", "vsock,port=1,port=2", "Vsock"]
        {
            assert_eq!(read(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn what_is_unknown_missing_twice_or_badly_written_stops_the_start() {
        let twice = format!("{LEAST} cloakroom.data=/dev/vda");
        let unknown = format!("{LEAST} cloakroom.opreator=eth1,10.0.0.1/24");
        let mut wrong = vec![
            twice,
            unknown,
            "cloakroom.data=memory".into(),
            "cloakroom.workloads=eth0,10.77.0.1/24".into(),
            "cloakroom.workloads=eth0,10.77.0.1/24 cloakroom.data=".into(),
            "cloakroom.workloads=eth0,10.77.0.1/24 cloakroom.data=/dev/../etc".into(),
            "cloakroom.workloads=eth0,10.77.0.1/24 cloakroom.data=/proc/1".into(),
        ];
        for address in
            ["eth0", "eth0,10.0.0.1", "eth0,10.0.0.1/33", ",10.0.0.1/24", "eth0,0.0.0.0/0", "a/b,10.0.0.1/8"]
        {
            wrong.push(format!("cloakroom.data=memory cloakroom.workloads={address}"));
        }
        for outside in ["dhcp", ",dhcp", "eth1,dhcp,via=10.0.0.1", "eth1,DHCP", "a/b,dhcp"] {
            wrong.push(format!("{LEAST} cloakroom.outside={outside}"));
        }
        wrong.push("cloakroom.data=memory cloakroom.workloads=eth0,dhcp".into());
        for more in ["via=::1", "via=x", "port=0", "port=1,port=2", "colour=red", ""] {
            wrong.push(format!("cloakroom.data=memory cloakroom.workloads=eth0,10.0.0.1/24,{more}"));
        }
        for line in wrong {
            assert!(Arguments::read(&line).is_err(), "{line}");
        }
    }
}
