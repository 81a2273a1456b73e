//! Where the broker is, seen from the workload's side.

use cloakroom_proxy::BootNonce;
use socket2::{Domain, SockAddr, Socket, Type};
use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::str::FromStr;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};

/// One way to the broker's workload listener.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Broker {
    /// By network.
    Network(SocketAddr),
    /// By a socket in the file system; the kernel says there who connects.
    Unix(PathBuf),
    /// Without a network, from one virtual machine to another or to the host; the hypervisor says there who connects.
    Vsock {
        /// The broker's machine.
        cid: u32,
        port: u32,
        /// Which boot of this machine connects: said first on each connection.
        boot: Option<BootNonce>,
    },
}

/// A connection to it.
pub(crate) trait Connection: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Connection for T {}

impl Broker {
    /// Whether anybody listens there now.
    pub(crate) fn answers(&self) -> bool {
        match self {
            Self::Network(address) => std::net::TcpStream::connect(address).is_ok(),
            Self::Unix(path) => std::os::unix::net::UnixStream::connect(path).is_ok(),
            Self::Vsock { cid, port, .. } => dial(*cid, *port).is_ok(),
        }
    }

    /// Connects.
    pub(crate) async fn connect(&self) -> io::Result<Box<dyn Connection>> {
        match self {
            Self::Network(address) => {
                let stream = TcpStream::connect(address).await?;
                stream.set_nodelay(true)?;
                Ok(Box::new(stream))
            }
            Self::Unix(path) => Ok(Box::new(UnixStream::connect(path).await?)),
            Self::Vsock { cid, port, boot } => {
                let mut stream = over_vsock(*cid, *port).await?;
                if let Some(boot) = boot {
                    stream.write_all(&boot.line()).await?;
                }
                Ok(Box::new(stream))
            }
        }
    }

    /// The same, by a machine that was given this nonce at its start.
    ///
    /// # Errors
    /// Where the broker is reached in another way: there it is not asked for, and nobody but the broker shall see it.
    pub(super) fn at_boot(self, nonce: BootNonce) -> Result<Self, &'static str> {
        match self {
            Self::Vsock { cid, port, .. } => Ok(Self::Vsock { cid, port, boot: Some(nonce) }),
            Self::Network(_) | Self::Unix(_) => Err("the nonce of a boot is for a broker on the vsock"),
        }
    }
}

/// The kernel gives up by itself, after two seconds.
fn dial(cid: u32, port: u32) -> io::Result<Socket> {
    let socket = Socket::new(Domain::VSOCK, Type::STREAM, None)?;
    socket.connect(&SockAddr::vsock(cid, port))?;
    Ok(socket)
}

/// A stream of the library's for Unix sockets reads and writes any stream socket.
async fn over_vsock(cid: u32, port: u32) -> io::Result<UnixStream> {
    let dialled = tokio::task::spawn_blocking(move || dial(cid, port));
    let socket = dialled.await.map_err(io::Error::other)??;
    socket.set_nonblocking(true)?;
    UnixStream::from_std(OwnedFd::from(socket).into())
}

impl FromStr for Broker {
    type Err = &'static str;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const HOW: &str = "write http://ADDRESS:PORT, unix:PATH or vsock:CID:PORT";
        if let Some(address) = text.strip_prefix("http://") {
            return address.trim_end_matches('/').parse().map(Self::Network).map_err(|_| HOW);
        }
        if let Some(path) = text.strip_prefix("unix:").filter(|path| !path.is_empty()) {
            return Ok(Self::Unix(path.into()));
        }
        let (cid, port) = text.strip_prefix("vsock:").and_then(|rest| rest.split_once(':')).ok_or(HOW)?;
        let number = |text: &str| text.parse().ok().filter(|number| *number != u32::MAX).ok_or(HOW);
        Ok(Self::Vsock { cid: number(cid)?, port: number(port)?, boot: None })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nonce_of_a_boot_is_for_the_vsock_alone() {
        let at_boot = |broker: &str| broker.parse::<Broker>().unwrap().at_boot("cwb_x".parse().unwrap());
        assert!(matches!(at_boot("vsock:2:1"), Ok(Broker::Vsock { boot: Some(_), .. })));
        assert!(at_boot("unix:/run/b.sock").is_err() && at_boot("http://10.0.0.1:1").is_err());
    }

    #[test]
    fn a_broker_is_an_address_a_socket_or_a_port_of_the_vsock() {
        let read = |text: &str| text.parse::<Broker>();
        assert_eq!(read("http://10.77.0.1:8480"), Ok(Broker::Network("10.77.0.1:8480".parse().unwrap())));
        assert_eq!(read("http://[fd00::1]:80/"), Ok(Broker::Network("[fd00::1]:80".parse().unwrap())));
        assert_eq!(read("unix:/run/b.sock"), Ok(Broker::Unix("/run/b.sock".into())));
        assert_eq!(read("vsock:4:8480"), Ok(Broker::Vsock { cid: 4, port: 8480, boot: None }));
        for wrong in
            ["vsock:", "vsock:4", "vsock:4:", "vsock::1", "vsock:4:x", "vsock:4294967295:1", "vsock:4:1:2"]
        {
            assert!(read(wrong).is_err(), "{wrong}");
        }
        for wrong in ["", "10.77.0.1:8480", "http://broker:1", "https://10.0.0.1:1", "unix:"] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
    }
}
