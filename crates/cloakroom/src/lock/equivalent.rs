//! The same lock where others make the rules: Kubernetes, Docker, Fly, and systemd for the start of a machine.

use super::model::Lock;
use crate::failure::Failure;
use ipnet::IpNet;
use serde_json::{Value, json};
use std::fmt::Write;
use std::net::SocketAddr;
use std::path::Path;

/// A NetworkPolicy: it cannot steer, so programs have to know the proxy; names are asked of the broker.
pub(super) fn kubernetes(lock: &Lock) -> Result<String, Failure> {
    let mut rules = Vec::new();
    if let Some(proxy) = lock.doors.proxy {
        rules.push((proxy, "TCP"));
    }
    if let Some(dns) = lock.doors.dns {
        rules.extend([(dns, "UDP"), (dns, "TCP")]);
    }
    let rules: Vec<(SocketAddr, &str)> =
        rules.into_iter().filter(|(door, _)| !door.ip().is_unspecified()).collect();
    if rules.is_empty() {
        return Err(no_address());
    }
    let name = &lock.name;
    let names = match lock.doors.dns {
        Some(_) => ", and dnsPolicy: None with the broker as name server",
        None => ", and get no names: dnsPolicy: None",
    };
    let mut text = format!(
        "# Pods with the label cloakroom-lock: {name} reach the broker and nothing else. The cluster's network plugin has to enforce it.\n\
         # Nothing is steered here: the pods need HTTPS_PROXY{names}.\n\
         apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata:\n  name: cloakroom-{}\nspec:\n  podSelector:\n    matchLabels:\n      \
         cloakroom-lock: \"{name}\"\n  policyTypes: [Ingress, Egress]\n  egress:\n",
        name.as_str().to_ascii_lowercase().replace('_', "-"),
    );
    for (door, protocol) in rules {
        let block = IpNet::from(door.ip());
        let _ = writeln!(
            text,
            "    - to:\n        - ipBlock: {{ cidr: \"{block}\" }}\n      ports:\n        - {{ protocol: {protocol}, port: {} }}",
            door.port()
        );
    }
    Ok(text)
}

/// A network without a way out, on a bridge of a known name for `lock apply --bridge`.
pub(super) fn docker(lock: &Lock) -> Result<String, Failure> {
    let bridge = lock.interfaces.first().map_or("cloakroom0", |interface| interface.name.as_str());
    let subnet = lock.sources.first().map(IpNet::to_string).unwrap_or_default();
    let servers = lock.doors.dns.filter(|door| door.port() == 53 && !door.ip().is_unspecified());
    let dns = servers.map_or_else(String::new, |door| format!("    dns: [\"{}\"]\n", door.ip()));
    let proxy = lock.doors.proxy.filter(|door| !door.ip().is_unspecified());
    let proxy = proxy.map_or_else(String::new, |door| {
        format!(
            "    environment:\n      HTTPS_PROXY: \"http://{door}\"\n      HTTP_PROXY: \"http://{door}\"\n"
        )
    });
    Ok(format!(
        "# The network has no way out; where the broker is on this machine, lock its bridge too:\n\
         #   cloakroom lock apply {name} --bridge {bridge} --from {subnet}\n\
         services:\n  workload:\n    networks: [\"{name}\"]\n    cap_drop: [ALL]\n    security_opt: [\"no-new-privileges:true\"]\n{dns}{proxy}\
         networks:\n  \"{name}\":\n    driver: bridge\n    internal: true\n    enable_ipv6: false\n    driver_opts:\n      \
         com.docker.network.bridge.name: \"{bridge}\"\n    ipam:\n      config:\n        - subnet: \"{subnet}\"\n",
        name = lock.name,
    ))
}

/// A network policy of Fly Machines. It knows ports and no addresses, so this is less than the others.
pub(super) fn fly(lock: &Lock) -> Result<String, Failure> {
    let port = |door: SocketAddr, protocols: &[&str]| -> Vec<Value> {
        protocols.iter().map(|protocol| json!({ "protocol": protocol, "port": door.port() })).collect()
    };
    let proxy = lock.doors.proxy.map(|door| port(door, &["tcp"])).unwrap_or_default();
    let dns = lock.doors.dns.map(|door| port(door, &["udp", "tcp"])).unwrap_or_default();
    let ports = [proxy, dns].concat();
    if ports.is_empty() {
        return Err(no_address());
    }
    let policy = json!({
        "name": format!("cloakroom-{}", lock.name),
        "selector": { "all": true },
        "rules": [{ "action": "allow", "direction": "egress", "ports": ports }],
    });
    let text = serde_json::to_string_pretty(&policy).map_err(|error| Failure::failed(error.to_string()))?;
    Ok(format!("{text}\n"))
}

/// A unit that loads the kept rules before there is a network, and again whenever nftables is loaded again.
pub(super) fn systemd(lock: &Lock, rules: &Path) -> String {
    format!(
        "[Unit]\nDescription=Cloakroom lock {name}\nDefaultDependencies=no\nWants=network-pre.target\nBefore=network-pre.target shutdown.target\n\
         After=nftables.service\nPartOf=nftables.service\nReloadPropagatedFrom=nftables.service\nConflicts=shutdown.target\n\n\
         [Service]\nType=oneshot\nRemainAfterExit=yes\nExecStart=nft -f {rules}\nExecReload=nft -f {rules}\n\n[Install]\nWantedBy=sysinit.target nftables.service\n",
        name = lock.name,
        rules = rules.display(),
    )
}

fn no_address() -> Failure {
    Failure::bad_input("no listener has an address that can be named there")
        .hinting("name them as the workloads reach them: --proxy ADDR, --dns ADDR")
}
