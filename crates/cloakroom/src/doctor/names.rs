//! Names of destinations: whether the servers that are asked for them answer at all.

use super::{Finding, Standing};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::path::Path;
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(2);
/// Where the system names its servers (resolv.conf(5)).
const SYSTEM: &str = "/etc/resolv.conf";
/// Who serves the root (RFC 1035, section 4.1): the one question that every server can answer. Its first two bytes come back.
const QUESTION: [u8; 17] = [0xc1, 0x0a, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 2, 0, 1];

/// The servers are the settings', where they name any, and else the system's.
pub(super) fn look(settings: Option<&Path>) -> Finding {
    const CHECK: &str = "names (DNS)";
    let servers = match settings.map(crate::settings::resolvers).transpose() {
        Err(failure) => return Finding::of_failure(CHECK, Standing::Broken, &failure),
        Ok(Some(named)) if !named.is_empty() => named,
        Ok(_) => of_system(&std::fs::read_to_string(SYSTEM).unwrap_or_default()),
    };
    if servers.is_empty() {
        return Finding::new(
            CHECK,
            Standing::Weak,
            "no server is named: only addresses and /etc/hosts resolve",
        )
        .remedied_by("name one in /etc/resolv.conf, or in upstream.resolvers");
    }
    let silent: Vec<String> =
        servers.iter().filter(|server| !answers(**server)).map(ToString::to_string).collect();
    match silent.len() {
        0 => Finding::good(CHECK, format!("{} servers answer", servers.len())),
        some => {
            let standing = if some == servers.len() { Standing::Broken } else { Standing::Weak };
            Finding::new(CHECK, standing, format!("no answer from {}", silent.join(", ")))
                .remedied_by("name servers that answer in /etc/resolv.conf, or in upstream.resolvers")
        }
    }
}

fn of_system(text: &str) -> Vec<SocketAddr> {
    let address =
        |line: &str| -> Option<IpAddr> { line.trim().strip_prefix("nameserver")?.trim().parse().ok() };
    text.lines().filter_map(address).map(|address| (address, 53).into()).collect()
}

fn answers(server: SocketAddr) -> bool {
    let own: IpAddr =
        if server.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    let ask = || -> std::io::Result<bool> {
        let socket = UdpSocket::bind((own, 0))?;
        socket.set_read_timeout(Some(PATIENCE))?;
        socket.connect(server)?;
        socket.send(&QUESTION)?;
        let mut answer = [0; 512];
        let length = socket.recv(&mut answer)?;
        Ok(length >= 12 && answer[..2] == QUESTION[..2])
    };
    ask().unwrap_or(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_of_the_system_are_lines_of_their_own() {
        let text = "# nameserver 192.0.2.1\nsearch example\nnameserver 192.0.2.53\nnameserver  2001:db8::53 \nnameserver x\n";
        let servers = of_system(text);
        assert_eq!(
            servers.iter().map(ToString::to_string).collect::<Vec<_>>(),
            ["192.0.2.53:53", "[2001:db8::53]:53"]
        );
    }
}
