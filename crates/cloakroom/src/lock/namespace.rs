//! Where the wires of a network namespace end.

use super::model::Interface;
use crate::failure::Failure;
use serde::Deserialize;
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

/// The near ends of the wires that lead out of this namespace.
///
/// # Errors
/// When a wire ends elsewhere than on this machine, or there is none: such a namespace cannot be locked from here.
pub(super) fn near_ends(namespace: &str) -> Result<Vec<Interface>, Failure> {
    let inside = links(&["-n", namespace])?;
    let here = links(&[])?;
    let ends = ends(&inside, &here).map_err(|name| {
        Failure::failed(format!(
            "the interface {name} of the namespace {namespace} leads elsewhere than to this one"
        ))
        .hinting("give the namespace veth pairs whose other ends are here, and nothing else")
    })?;
    if ends.is_empty() {
        return Err(Failure::failed(format!("no wire leads out of the namespace {namespace}")).hinting(
            "there is nothing to lock, and nothing to reach the broker by: ip link add … type veth peer …",
        ));
    }
    Ok(ends)
}

/// Whether there is an interface in the namespace that does not end at one of these.
pub(super) fn strays(namespace: &str, locked: &[Interface]) -> Result<Vec<String>, Failure> {
    let ends = near_ends(namespace)?;
    Ok(ends
        .into_iter()
        .map(|end| end.name)
        .filter(|name| !locked.iter().any(|one| one.name == *name))
        .collect())
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

fn links(of: &[&str]) -> Result<Vec<Link>, Failure> {
    let output = Command::new("ip").args(["-json", "-details"]).args(of).args(["link", "show"]).output();
    let output = output.map_err(|error| {
        Failure::failed(format!("ip cannot be run: {}", crate::failure::plain(&error)))
            .hinting("install the package iproute2")
    })?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        return Err(Failure::failed(format!(
            "ip does not list the interfaces: {}",
            said.lines().next().unwrap_or("no reason")
        )));
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
