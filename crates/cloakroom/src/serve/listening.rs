//! Where the workload listener of a data directory's broker is: written at each start, read by the commands that lead workloads there.

use crate::data_dir::{DataDir, write_private};
use crate::failure::Failure;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;

/// What stands for the broker where it listens on every address of its machine: only the workload's side knows which one leads there.
pub(crate) const BROKER_ADDRESS: &str = "BROKER-ADDRESS";

/// A workload listener.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Listening {
    /// The socket's address.
    pub(crate) address: SocketAddr,
    /// Whether it speaks TLS, and nothing else.
    pub(crate) speaks_tls: bool,
}

impl Default for Listening {
    fn default() -> Self {
        Self { address: (Ipv4Addr::LOCALHOST, 8480).into(), speaks_tls: false }
    }
}

impl Listening {
    /// Where the broker of this data directory listens, or last did.
    pub(crate) fn last(data: &DataDir) -> Option<Self> {
        Self::parse(&std::fs::read_to_string(data.path().join("listen")).ok()?)
    }

    /// Says so to the commands.
    pub(super) fn keep(self, data: &DataDir) -> Result<(), Failure> {
        write_private(&data.path().join("listen"), format!("{}\n", self.url()).as_bytes())
    }

    /// As a URL.
    pub(super) fn url(self) -> String {
        format!("{}://{}", self.scheme(), self.address)
    }

    /// A URL; an address alone, as it was written before there was TLS, means `http`.
    fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        let (speaks_tls, address) = match text.split_once("://") {
            Some(("https", address)) => (true, address),
            Some(("http", address)) => (false, address),
            Some(_) => return None,
            None => (false, text),
        };
        Some(Self { address: address.parse().ok()?, speaks_tls })
    }

    /// As in URLs.
    pub(crate) const fn scheme(self) -> &'static str {
        if self.speaks_tls { "https" } else { "http" }
    }

    /// Its host as a workload writes it, without brackets.
    pub(crate) fn host(self) -> String {
        match self.address.ip() {
            ip if ip.is_unspecified() => BROKER_ADDRESS.to_owned(),
            ip => ip.to_string(),
        }
    }

    /// Host and port as a workload writes them.
    pub(crate) fn authority(self) -> String {
        match self.address.ip() {
            IpAddr::V6(ip) if !ip.is_unspecified() => self.address.to_string(),
            _ => format!("{}:{}", self.host(), self.address.port()),
        }
    }
}

/// Every way in for workloads.
pub(super) struct WaysIn<'a> {
    pub(super) network: Listening,
    pub(super) unix: Option<&'a Path>,
    pub(super) vsock: Option<u32>,
    pub(super) transparent: Option<SocketAddr>,
}

impl WaysIn<'_> {
    /// As the health document has them.
    pub(super) fn words(&self) -> Vec<String> {
        let further = [
            self.unix.map(|path| format!("unix:{}", path.display())),
            self.vsock.map(|port| format!("vsock:{port}")),
            self.transparent.map(|address| format!("transparent:{address}")),
        ];
        [self.network.url()].into_iter().chain(further.into_iter().flatten()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listener_is_a_url_and_an_address_alone_means_http() {
        for (text, scheme, authority) in [
            ("https://10.0.0.5:8480\n", "https", "10.0.0.5:8480"),
            ("http://[::1]:1\n", "http", "[::1]:1"),
            ("127.0.0.1:8480\n", "http", "127.0.0.1:8480"),
        ] {
            let listening = Listening::parse(text).unwrap();
            assert_eq!((listening.scheme(), listening.authority().as_str()), (scheme, authority));
        }
        for wrong in ["", "ftp://127.0.0.1:1", "https://robot", "127.0.0.1"] {
            assert_eq!(Listening::parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn every_way_in_has_a_word() {
        let network = Listening::default();
        let none = WaysIn { network, unix: None, vsock: None, transparent: None };
        assert_eq!(none.words(), ["http://127.0.0.1:8480"]);
        let transparent = Some(([10, 0, 0, 1], 8443).into());
        let all = WaysIn { unix: Some(Path::new("/run/w.sock")), vsock: Some(8480), transparent, ..none };
        let further = ["unix:/run/w.sock", "vsock:8480", "transparent:10.0.0.1:8443"];
        assert_eq!(all.words()[1..], further);
    }

    #[test]
    fn every_address_of_a_machine_is_not_one_to_connect_to() {
        for text in ["http://0.0.0.0:8480", "http://[::]:8480"] {
            assert_eq!(Listening::parse(text).unwrap().authority(), "BROKER-ADDRESS:8480");
        }
    }
}
