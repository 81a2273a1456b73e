//! Where the wires of a network namespace end.

use super::model::Interface;
use crate::failure::Failure;
use serde::Deserialize;
use std::path::Path;
use std::process::Command;

/// An interface, as ip(8) lists it.
#[derive(Debug, Deserialize)]
struct Link {
    ifindex: u32,
    ifname: String,
    /// The other end, by its number where it is.
    link_index: Option<u32>,
    /// There where the other end is in another namespace.
    link_netnsid: Option<i32>,
    #[serde(default)]
    link_type: String,
    linkinfo: Option<Kind>,
}

#[derive(Debug, Deserialize)]
struct Kind {
    #[serde(default)]
    info_kind: String,
}

impl Link {
    fn is_veth(&self) -> bool {
        self.linkinfo.as_ref().is_some_and(|kind| kind.info_kind == "veth")
    }
}

/// What nsenter(1) has to be told to enter a namespace that `ip netns` names.
pub(super) fn entered(namespace: &str) -> Vec<String> {
    vec![format!("--net={}", Path::new("/run/netns").join(namespace).display())]
}

/// Why the wires of a namespace cannot be named.
#[derive(Debug)]
pub(super) enum Unlockable {
    /// One of them leads elsewhere than to this machine, or there is none: there is nothing to lock from here.
    Leads(Failure),
    /// They could not be listed.
    Unknown(Failure),
}

impl From<Unlockable> for Failure {
    fn from(why: Unlockable) -> Self {
        match why {
            Unlockable::Leads(failure) | Unlockable::Unknown(failure) => failure,
        }
    }
}

/// The near ends of the wires that lead out of the network namespace that nsenter(1) enters like this.
///
/// # Errors
/// When a wire ends elsewhere than on this machine, there is none, or they cannot be listed.
pub(super) fn near_ends(enter: &[String]) -> Result<Vec<Interface>, Unlockable> {
    let mut command = Command::new("nsenter");
    command.args(enter).args(["--", "ip"]);
    let inside = links(command).map_err(Unlockable::Unknown)?;
    let here = links(Command::new("ip")).map_err(Unlockable::Unknown)?;
    let ends = ends(&inside, &here).map_err(|name| {
        Unlockable::Leads(
            Failure::failed(format!("its interface {name} leads elsewhere than to this machine"))
                .hinting("give the namespace veth pairs whose other ends are here, and nothing else"),
        )
    })?;
    if ends.is_empty() {
        return Err(Unlockable::Leads(Failure::failed("no wire leads out of the namespace").hinting(
            "there is nothing to lock, and nothing to reach the broker by: ip link add … type veth peer …",
        )));
    }
    Ok(ends)
}

fn ends(inside: &[Link], here: &[Link]) -> Result<Vec<Interface>, String> {
    let mut ends = Vec::new();
    for link in inside.iter().filter(|link| link.link_type != "loopback") {
        match (link.link_netnsid, &link.linkinfo) {
            (Some(_), _) => {
                let is_end = |other: &&Link| {
                    Some(other.ifindex) == link.link_index
                        && other.link_index == Some(link.ifindex)
                        && other.is_veth()
                };
                let end =
                    here.iter().find(is_end).filter(|_| link.is_veth()).ok_or_else(|| link.ifname.clone())?;
                ends.push(Interface::wire(&end.ifname));
            }
            // Made of the others: a bridge, a tunnel, a VLAN inside.
            (None, Some(kind)) if !kind.info_kind.is_empty() => {}
            // A card of the machine's own.
            (None, _) => return Err(link.ifname.clone()),
        }
    }
    Ok(ends)
}

fn links(mut command: Command) -> Result<Vec<Link>, Failure> {
    let output = command.args(["-json", "-details", "link", "show"]).output().map_err(|error| {
        Failure::failed(format!("ip cannot be run: {}", crate::failure::plain(&error)))
            .hinting("install the packages iproute2 and util-linux")
    })?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        let why = said.lines().next().unwrap_or("no reason");
        return Err(Failure::failed(format!("the interfaces cannot be listed: {why}")));
    }
    serde_json::from_slice(&output.stdout)
        .map_err(|error| Failure::failed(format!("ip lists interfaces in a form that is not known: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> Vec<Link> {
        serde_json::from_str(text).unwrap()
    }

    const LO: &str = r#"{"ifindex":1,"ifname":"lo","link_type":"loopback"}"#;
    const VETH: &str = r#"{"ifindex":2,"ifname":"out0","link_index":7,"link_netnsid":0,"link_type":"ether","linkinfo":{"info_kind":"veth"}}"#;

    #[test]
    fn the_near_end_is_the_one_that_names_the_far_one() {
        let inside = of(&format!("[{LO},{VETH}]"));
        let here = of(
            r#"[{"ifindex":7,"ifname":"wl0","link_index":2,"link_netnsid":3,"link_type":"ether","linkinfo":{"info_kind":"veth"}}]"#,
        );
        let found = ends(&inside, &here).unwrap();
        assert_eq!((found.len(), found[0].name.as_str()), (1, "wl0"));
    }

    #[test]
    fn what_leads_elsewhere_is_named() {
        let other = of(
            r#"[{"ifindex":7,"ifname":"wl0","link_index":9,"link_type":"ether","linkinfo":{"info_kind":"veth"}}]"#,
        );
        assert_eq!(ends(&of(&format!("[{LO},{VETH}]")), &other), Err("out0".into()));
        let macvlan = r#"{"ifindex":3,"ifname":"mv0","link_index":7,"link_netnsid":0,"link_type":"ether","linkinfo":{"info_kind":"macvlan"}}"#;
        assert_eq!(ends(&of(&format!("[{macvlan}]")), &other), Err("mv0".into()));
        let card = r#"{"ifindex":3,"ifname":"eth0","link_type":"ether"}"#;
        assert_eq!(ends(&of(&format!("[{LO},{card}]")), &other), Err("eth0".into()));
        let inner = r#"{"ifindex":3,"ifname":"br0","link_type":"ether","linkinfo":{"info_kind":"bridge"}}"#;
        assert_eq!(ends(&of(&format!("[{inner}]")), &other), Ok(Vec::new()));
    }
}
