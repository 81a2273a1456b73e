//! Whose a connection on the loopback is, by the kernel's word (proc_net_tcp: `Documentation/networking/proc_net_tcp.rst`).

use std::net::{Ipv4Addr, SocketAddrV4};

/// Established. SECURITY: in any other state the connection may be nobody's any more, which the kernel shows as root's.
const ESTABLISHED: &str = "01";

/// The user at the far end of a connection from `peer` to `local`. `None` where the kernel knows none (any more).
///
/// SECURITY: asked twice. A row is not one moment: a connection that is closed while it is written shows as established, and as root's. Then the
/// second row does not.
pub(super) fn of(peer: SocketAddrV4, local: SocketAddrV4) -> Option<u32> {
    let first = once(peer, local)?;
    (once(peer, local)? == first).then_some(first)
}

fn once(peer: SocketAddrV4, local: SocketAddrV4) -> Option<u32> {
    let table = |name: &str| std::fs::read_to_string(format!("/proc/self/net/{name}")).unwrap_or_default();
    find(&table("tcp"), &plain(peer), &plain(local))
        .or_else(|| find(&table("tcp6"), &mapped(peer), &mapped(local)))
}

/// The row whose own end is `peer`.
fn find(table: &str, peer: &str, local: &str) -> Option<u32> {
    table.lines().skip(1).find_map(|row| {
        let mut words = row.split_ascii_whitespace().skip(1);
        let (own, far, state) = (words.next()?, words.next()?, words.next()?);
        let is_it = own == peer && far == local && state == ESTABLISHED;
        // Then queues, timer, retransmissions.
        is_it.then(|| words.nth(3)?.parse().ok()).flatten()
    })
}

fn plain(address: SocketAddrV4) -> String {
    format!("{}:{:04X}", word(*address.ip()), address.port())
}

/// As a socket of IPv6 has it that connected to an address of IPv4 (Java's do).
fn mapped(address: SocketAddrV4) -> String {
    let marker = u32::from_ne_bytes([0, 0, 0xff, 0xff]);
    format!("{:016X}{marker:08X}{}", 0, plain(address))
}

/// Four bytes in the order of the network, printed as a number of this machine.
fn word(address: Ipv4Addr) -> String {
    format!("{:08X}", u32::from_ne_bytes(address.octets()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{TcpListener, TcpStream};

    fn v4(address: std::net::SocketAddr) -> SocketAddrV4 {
        match address {
            std::net::SocketAddr::V4(address) => address,
            std::net::SocketAddr::V6(address) => {
                SocketAddrV4::new(address.ip().to_ipv4_mapped().unwrap(), address.port())
            }
        }
    }

    #[test]
    fn the_user_of_a_connection_is_found_and_one_that_is_gone_is_nobodys() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let local = v4(listener.local_addr().unwrap());
        let stream = TcpStream::connect(local).unwrap();
        let (_held, peer) = listener.accept().unwrap();
        let own = rustix::process::getuid().as_raw();
        assert_eq!(of(v4(peer), local), Some(own));
        assert_eq!(of(local, v4(peer)), Some(own), "the other end");
        assert_eq!(of(SocketAddrV4::new(*local.ip(), 1), local), None);
        // Closed at once, with what was sent still to be read: root's, the kernel would say.
        drop(stream);
        assert_eq!(of(v4(peer), local), None);
    }

    #[test]
    fn a_socket_of_ipv6_that_connected_to_ipv4_is_found_too() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let local = v4(listener.local_addr().unwrap());
        let Ok(stream) = TcpStream::connect(("::ffff:127.0.0.1", local.port())) else {
            eprintln!("LEFT OUT: this machine has no IPv6");
            return;
        };
        let (_held, peer) = listener.accept().unwrap();
        assert_eq!(of(v4(peer), local), Some(rustix::process::getuid().as_raw()));
        drop(stream);
    }

    #[cfg(target_endian = "little")]
    #[test]
    fn rows_are_read_as_the_kernel_writes_them() {
        let table = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n\
                     0: 0100007F:D431 0100007F:2120 01 00000000:00000000 00:00000000 00000000  1000        0 1 1\n\
                     1: 0100007F:D432 0100007F:2120 06 00000000:00000000 00:00000000 00000000     0        0 0 1\n\
                     2: 0100007F:D433 0100007F:2120 05 00000000:00000000 00:00000000 00000000     0        0 0 1\n";
        let at = |port| SocketAddrV4::new(Ipv4Addr::LOCALHOST, port);
        assert_eq!(find(table, &plain(at(54321)), &plain(at(8480))), Some(1000));
        for closed in [54322, 54323] {
            assert_eq!(find(table, &plain(at(closed)), &plain(at(8480))), None, "{closed} is nobody's");
        }
        assert_eq!(mapped(at(8480)), "0000000000000000FFFF00000100007F:2120");
    }
}
