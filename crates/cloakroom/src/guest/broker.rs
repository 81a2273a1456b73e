//! Where the broker is, seen from the workload's side.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};

/// One way to the broker's workload listener.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Broker {
    /// By network.
    Network(SocketAddr),
    /// By a socket in the file system; the kernel says there who connects.
    Unix(PathBuf),
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
        }
    }
}

impl FromStr for Broker {
    type Err = &'static str;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const HOW: &str = "write http://ADDRESS:PORT or unix:PATH";
        if let Some(address) = text.strip_prefix("http://") {
            return address.trim_end_matches('/').parse().map(Self::Network).map_err(|_| HOW);
        }
        if let Some(path) = text.strip_prefix("unix:").filter(|path| !path.is_empty()) {
            return Ok(Self::Unix(path.into()));
        }
        Err(HOW)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_broker_is_an_address_or_a_socket() {
        let read = |text: &str| text.parse::<Broker>();
        assert_eq!(read("http://10.77.0.1:8480"), Ok(Broker::Network("10.77.0.1:8480".parse().unwrap())));
        assert_eq!(read("http://[fd00::1]:80/"), Ok(Broker::Network("[fd00::1]:80".parse().unwrap())));
        assert_eq!(read("unix:/run/b.sock"), Ok(Broker::Unix("/run/b.sock".into())));
        for wrong in ["", "10.77.0.1:8480", "http://broker:1", "https://10.0.0.1:1", "unix:"] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
    }
}
