//! The listeners of workloads behind a lock: where their connections end, and where they ask for names.

use super::bound::heard;
use super::sockets::Sockets;
use crate::failure::{Failure, plain};
use crate::settings::Steered;
use cloakroom_proxy::{NameListeners, Pool};
use rustix::net::SocketType;
use socket2::SockRef;
use std::net::SocketAddr;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use tokio::net::{TcpListener, UdpSocket};

/// Bound, and not yet heard.
pub(super) struct SteeredSockets {
    transparent: std::net::TcpListener,
    tcp: std::net::TcpListener,
    udp: std::net::UdpSocket,
    pool: Pool,
}

impl SteeredSockets {
    /// Those that are open already, or new ones.
    ///
    /// # Errors
    /// Where nobody may listen there.
    pub(super) fn open(settings: Steered, sockets: &mut Sockets) -> Result<Self, Failure> {
        let transparent = tcp(sockets, settings.transparent, "--transparent")?;
        // With this the listener also takes what a TPROXY rule hands it. Where it may not be set, redirected connections still come.
        let _ = SockRef::from(&transparent).set_ip_transparent_v4(true);
        let tcp = tcp(sockets, settings.dns, "--dns")?;
        let at = tcp.local_addr()?;
        let udp = match sockets.take_steered(SocketType::DGRAM, at) {
            Some(open) => open.into(),
            None => std::net::UdpSocket::bind(at).map_err(|error| busy(at, "--dns", &error))?,
        };
        let pool = Pool::new(settings.pool).map_err(|error| Failure::bad_input(error.to_string()))?;
        Ok(Self { transparent, tcp, udp, pool })
    }

    /// Lets them hear one network card only.
    ///
    /// # Errors
    /// Where the kernel refuses.
    pub(super) fn hear_only(&self, device: &str) -> std::io::Result<()> {
        let all = [self.transparent.as_fd(), self.tcp.as_fd(), self.udp.as_fd()];
        all.iter().try_for_each(|socket| SockRef::from(socket).bind_device(Some(device.as_bytes())))
    }

    /// Lets the runtime hear them.
    ///
    /// # Errors
    /// Where it cannot.
    pub(super) fn heard(self) -> Result<SteeredListeners, Failure> {
        self.udp.set_nonblocking(true)?;
        let names = NameListeners { udp: UdpSocket::from_std(self.udp)?, tcp: heard(self.tcp)? };
        Ok(SteeredListeners { transparent: heard(self.transparent)?, names, pool: Arc::new(self.pool) })
    }
}

/// Open, and what stands for names.
pub(super) struct SteeredListeners {
    pub(super) transparent: TcpListener,
    pub(super) names: NameListeners,
    pub(super) pool: Arc<Pool>,
}

impl SteeredListeners {
    /// Copies, for a broker that takes over.
    pub(super) fn offered(&self) -> std::io::Result<Vec<OwnedFd>> {
        let all = [self.transparent.as_fd(), self.names.tcp.as_fd(), self.names.udp.as_fd()];
        all.into_iter().map(|socket| socket.try_clone_to_owned()).collect()
    }

    /// Where they listen: for connections, and for names.
    pub(super) fn addresses(&self) -> std::io::Result<(SocketAddr, SocketAddr)> {
        Ok((self.transparent.local_addr()?, self.names.tcp.local_addr()?))
    }
}

fn tcp(sockets: &mut Sockets, at: SocketAddr, option: &str) -> Result<std::net::TcpListener, Failure> {
    match sockets.take_steered(SocketType::STREAM, at) {
        Some(open) => Ok(open.into()),
        None => std::net::TcpListener::bind(at).map_err(|error| busy(at, option, &error)),
    }
}

fn busy(at: SocketAddr, option: &str, error: &std::io::Error) -> Failure {
    Failure::failed(format!("cannot listen on {at}: {}", plain(error)))
        .hinting(format!("choose an address of this machine, and a port that is free: {option} ADDR"))
}
