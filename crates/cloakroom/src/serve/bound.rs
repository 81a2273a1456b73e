//! Every socket of the network that hears somebody: those that are open already, and new ones. Opened while the process still may and before it
//! has a second thread; heard later.

use super::link;
use super::sockets::Sockets;
use super::steered::SteeredSockets;
use crate::failure::{Failure, plain};
use crate::settings::Settings;
use socket2::{Domain, SockAddr, Socket, Type};
use std::net::{SocketAddr, TcpListener};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixListener;

/// Connections that may wait to be accepted.
const WAITING: i32 = 1024;

/// Bound, and not yet heard.
pub(super) struct Bound {
    pub(super) workloads: TcpListener,
    pub(super) console: TcpListener,
    pub(super) steered: Option<SteeredSockets>,
    pub(super) issuer: Option<TcpListener>,
    pub(super) operators: Option<link::Bound>,
    /// Open already, from a broker that was taken over; their paths are looked at later.
    pub(super) admin: Option<UnixListener>,
    pub(super) unix: Option<UnixListener>,
    pub(super) vsock: Option<OwnedFd>,
}

impl Bound {
    /// Takes what is open, and opens the rest.
    ///
    /// # Errors
    /// Where nobody may listen there.
    pub(super) fn open(settings: &Settings, mut sockets: Sockets) -> Result<Self, Failure> {
        let steered =
            settings.steered.map(|steered| SteeredSockets::open(steered, &mut sockets)).transpose()?;
        if let (Some(steered), Some(wires)) = (&steered, &settings.appliance) {
            steered.hear_only(&wires.workloads)?;
        }
        let workloads = match &settings.appliance {
            Some(wires) => on_card(&wires.workloads, settings.listen)?,
            None => sockets.workloads.map_or_else(|| listen(settings.listen, "--listen"), Ok)?,
        };
        let console = sockets.console.map_or_else(|| listen(settings.console, "--console"), Ok)?;
        let operators = settings.appliance.as_ref().and_then(|wires| wires.operator.as_ref());
        let operators = operators.map(link::Bound::open).transpose()?;
        let issuer = settings.issuer.as_ref().and_then(|issuer| issuer.listen).map(shared).transpose()?;
        let vsock = settings.vsock.map(|port| vsock(sockets.vsock, port)).transpose()?;
        let (admin, unix) = (sockets.admin, sockets.unix);
        Ok(Self { workloads, console, steered, issuer, operators, admin, unix, vsock })
    }
}

/// The vsock listener: the one that is open already, where it is at this port, or a new one.
fn vsock(open: Option<Socket>, port: u32) -> Result<OwnedFd, Failure> {
    let at = |socket: &Socket| socket.local_addr().ok()?.as_vsock_address().map(|(_, port)| port);
    if let Some(open) = open.filter(|open| at(open) == Some(port)) {
        return Ok(open.into());
    }
    let listening = || -> std::io::Result<Socket> {
        let socket = Socket::new(Domain::VSOCK, Type::STREAM, None)?;
        socket.bind(&SockAddr::vsock(libc::VMADDR_CID_ANY, port))?;
        socket.listen(WAITING)?;
        Ok(socket)
    };
    listening().map(Into::into).map_err(|error| {
        Failure::failed(format!("cannot listen on the vsock's port {port}: {}", plain(&error))).hinting(
            "choose a free port; the kernel needs vhost_vsock on the host of virtual machines, a transport such as vmw_vsock_virtio_transport within one",
        )
    })
}

/// One that the runtime hears.
pub(super) fn heard(listener: TcpListener) -> Result<tokio::net::TcpListener, Failure> {
    listener.set_nonblocking(true)?;
    Ok(tokio::net::TcpListener::from_std(listener)?)
}

/// One that hears one network card only.
pub(super) fn on_card(card: &str, address: SocketAddr) -> Result<TcpListener, Failure> {
    open(address, |socket| socket.bind_device(Some(card.as_bytes())))
        .map_err(|error| Failure::failed(format!("cannot listen on {address} of {card}: {}", plain(&error))))
}

fn listen(address: SocketAddr, option: &str) -> Result<TcpListener, Failure> {
    open(address, |_| Ok(())).map_err(|error| {
        Failure::failed(format!("cannot listen on {address}: {}", plain(&error)))
            .hinting(format!("choose another address: {option} ADDR; port 0 takes any free one"))
    })
}

/// A broker that takes over opens it beside the former one: both say the same there.
fn shared(address: SocketAddr) -> Result<TcpListener, Failure> {
    open(address, |socket| socket.set_reuse_port(true)).map_err(|error| {
        Failure::failed(format!("cannot listen on {address}: {}", plain(&error)))
            .hinting("choose another address: [issuer] listen; port 0 takes any free one")
    })
}

fn open(
    address: SocketAddr,
    prepare: impl FnOnce(&Socket) -> std::io::Result<()>,
) -> std::io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
    socket.set_reuse_address(true)?;
    prepare(&socket)?;
    socket.bind(&address.into())?;
    socket.listen(WAITING)?;
    Ok(socket.into())
}
