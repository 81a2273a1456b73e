//! What a lock is: interfaces that lead to workloads, where those send from, and the listeners that stay reachable.

use super::{namespace, nft};
use crate::cli::{LockArguments, Shelf};
use crate::data_dir::{DataDir, read_if_there, write_private};
use crate::failure::Failure;
use crate::serve::Doors;
use cloakroom_model::Name;
use ipnet::IpNet;
use serde::{Deserialize, Serialize};
use std::net::SocketAddr;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::PathBuf;

/// The kernel's bound on names of interfaces, without the zero at the end (`IFNAMSIZ`).
const LONGEST_INTERFACE: usize = 15;

/// A lock.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Lock {
    /// The operator's name for it.
    pub(super) name: Name,
    /// The namespace whose wires end at the interfaces, where it was named by that.
    pub(super) namespace: Option<String>,
    /// The near ends of the workloads' wires.
    pub(super) interfaces: Vec<Interface>,
    /// Where the workloads send from.
    pub(super) sources: Vec<IpNet>,
    /// What stays reachable.
    pub(super) doors: Doors,
    /// Whether this kernel's rules can name the bridge of a packet, so that ports which are added later are closed too.
    #[serde(default)]
    pub(super) names_bridges: bool,
    /// How the kernel lists the rules since they were applied.
    #[serde(default)]
    pub(super) in_force: String,
}

/// An interface of this machine that leads to workloads.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Interface {
    pub(super) name: String,
    /// Whether it is a bridge: then its ports are closed to each other too.
    pub(super) is_bridge: bool,
    /// The ports that it has, where it is one.
    #[serde(default)]
    pub(super) ports: Vec<String>,
}

impl Interface {
    /// One that leads to one workload.
    pub(super) fn wire(name: &str) -> Self {
        Self { name: name.to_owned(), is_bridge: false, ports: Vec::new() }
    }

    /// A bridge, with the ports that it has now: none where there is no such bridge.
    pub(super) fn bridge(name: &str) -> Self {
        let listed = std::fs::read_dir(PathBuf::from("/sys/class/net").join(name).join("brif"));
        let names =
            listed.into_iter().flatten().flatten().filter_map(|entry| entry.file_name().into_string().ok());
        let mut ports: Vec<String> = names.collect();
        ports.sort_unstable();
        Self { name: name.to_owned(), is_bridge: true, ports }
    }

    /// Ports that it has now and had not.
    pub(super) fn new_ports(&self) -> Vec<String> {
        let now = if self.is_bridge { Self::bridge(&self.name).ports } else { Vec::new() };
        now.into_iter().filter(|port| !self.ports.contains(port)).collect()
    }
}

impl Lock {
    /// What was asked for. `on_interfaces`: whether it has to say where on this machine.
    ///
    /// # Errors
    /// Where nothing is named, or nothing would stay reachable.
    pub(super) fn of(data: &DataDir, asked: LockArguments, on_interfaces: bool) -> Result<Self, Failure> {
        let wires = asked.interface.iter().map(|name| Interface::wire(name));
        let mut interfaces: Vec<Interface> =
            wires.chain(asked.bridge.iter().map(|name| Interface::bridge(name))).collect();
        if let Some(namespace) = &asked.netns {
            interfaces = namespace::near_ends(&namespace::entered(namespace))?;
        }
        if on_interfaces && interfaces.is_empty() {
            return Err(Failure::bad_input("the lock says nothing of where it is put")
                .hinting("name one: --netns NAME, --interface NAME or --bridge NAME"));
        }
        let names =
            interfaces.iter().flat_map(|interface| std::iter::once(&interface.name).chain(&interface.ports));
        if let Some(wrong) = names.into_iter().find(|name| !is_interface(name)) {
            return Err(Failure::bad_input(format!("{wrong:?} is no name of an interface"))
                .hinting("list them: ip -brief link"));
        }
        let has_bridges = interfaces.iter().any(|interface| interface.is_bridge);
        let last = Doors::last(data)?;
        let doors = Doors {
            proxy: asked.proxy.or(last.proxy).filter(is_reachable),
            transparent: asked.transparent.or(last.transparent).filter(is_reachable),
            dns: asked.dns.or(last.dns).filter(is_reachable),
        };
        let lock = Self {
            name: asked.name,
            namespace: asked.netns,
            interfaces,
            sources: asked.from,
            doors,
            names_bridges: !has_bridges || nft::names_bridges(),
            in_force: String::new(),
        };
        lock.require_a_door()?;
        Ok(lock)
    }

    fn require_a_door(&self) -> Result<(), Failure> {
        let fits =
            |door: &SocketAddr| self.sources.iter().any(|source| source.addr().is_ipv4() == door.is_ipv4());
        if self.doors.all().any(|door| fits(&door)) {
            return Ok(());
        }
        Err(Failure::bad_input("no listener of the broker can be reached from there: everything would be closed").hinting(
            "let the broker listen on an address of this machine: cloakroom serve --transparent ADDR --dns ADDR, or --listen ADDR",
        ))
    }

    /// The lock of this name, as it was applied.
    pub(super) fn kept(shelf: &Shelf, name: &Name) -> Result<Self, Failure> {
        let missing = || {
            Failure::failed(format!("no lock {name} was applied from here"))
                .hinting("apply it: cloakroom lock apply NAME …")
        };
        require_own(shelf)?;
        let path = file(shelf, name, "json");
        let bytes = read_if_there(&path)?.ok_or_else(missing)?;
        serde_json::from_slice(&bytes)
            .map_err(|error| Failure::failed(format!("{}: {error}", path.display())))
    }

    /// Keeps it, and its rules for a start of the machine.
    pub(super) fn keep(&self, shelf: &Shelf, rules: &str) -> Result<(), Failure> {
        require_own(shelf)?;
        let text = serde_json::to_vec_pretty(self).map_err(|error| Failure::failed(error.to_string()))?;
        write_private(&file(shelf, &self.name, "json"), &text)?;
        write_private(&file(shelf, &self.name, "nft"), rules.as_bytes())
    }

    /// Forgets it. Whether it was kept.
    pub(super) fn forget(shelf: &Shelf, name: &Name) -> Result<bool, Failure> {
        let mut was_there = false;
        for end in ["nft", "json"] {
            let path = file(shelf, name, end);
            match std::fs::remove_file(&path) {
                Ok(()) => was_there = true,
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
                Err(error) => return Err(Failure::file("remove", &path, &error)),
            }
        }
        Ok(was_there)
    }
}

fn file(shelf: &Shelf, name: &Name, end: &str) -> PathBuf {
    shelf.keep_in.join(format!("{name}.{end}"))
}

/// Makes the directory, where there is none. SECURITY: root loads the rules in it at every start of the machine, so nobody else, the broker's
/// user least of all, may write there.
pub(super) fn require_own(shelf: &Shelf) -> Result<(), Failure> {
    let directory = &shelf.keep_in;
    let mut builder = std::fs::DirBuilder::new();
    builder
        .recursive(true)
        .mode(0o755)
        .create(directory)
        .map_err(|error| Failure::file("create", directory, &error).hinting("changing rules takes root"))?;
    let found =
        std::fs::symlink_metadata(directory).map_err(|error| Failure::file("read", directory, &error))?;
    let is_own =
        found.is_dir() && found.uid() == rustix::process::geteuid().as_raw() && found.mode() & 0o022 == 0;
    if is_own {
        return Ok(());
    }
    Err(Failure::failed(format!("{} is not a directory that you alone write in", directory.display()))
        .hinting("name another: --keep-in DIR"))
}

/// Nobody but this machine reaches its loopback.
fn is_reachable(door: &SocketAddr) -> bool {
    !door.ip().is_loopback()
}

/// SECURITY: names go into rules between quotation marks.
fn is_interface(name: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-' | b'@' | b':');
    (1..=LONGEST_INTERFACE).contains(&name.len()) && name.bytes().all(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_of_an_interface_cannot_end_its_quotation() {
        for name in ["eth0", "br-1a2b3c4d5e6f", "veth@x", "eth0.12"] {
            assert!(is_interface(name), "{name}");
        }
        for name in ["", "a\"b", "a b", "a;b", "a\nb", "{", "sixteen-letters-", "é"] {
            assert!(!is_interface(name), "{name}");
        }
    }
}
