//! The vsock listener: virtual machines connect to it without a network (vsock(7)). The kernel says which of them does, by its number.

use socket2::SockRef;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use tokio::io::Interest;
use tokio::net::UnixStream;

/// A vsock socket that the runtime hears.
///
/// The runtime has no type for this family. That of a Unix socket waits for any descriptor, and reads and writes any connection; what it does
/// with addresses, which are of another family here, nobody asks of it.
#[derive(Debug)]
pub struct VsockListener(UnixStream);

impl VsockListener {
    /// Hears on a socket that listens already.
    ///
    /// # Errors
    /// Where the runtime cannot wait for it.
    pub fn heard(socket: OwnedFd) -> io::Result<Self> {
        waited_for(socket).and_then(UnixStream::from_std).map(Self)
    }

    /// Where it listens.
    ///
    /// # Errors
    /// Where it is no vsock socket.
    pub fn port(&self) -> io::Result<u32> {
        let address = SockRef::from(&self.0).local_addr()?.as_vsock_address();
        address.map(|(_, port)| port).ok_or_else(|| io::ErrorKind::InvalidInput.into())
    }

    /// The next connection, and the number of whoever made it.
    pub(crate) async fn accept(&self) -> io::Result<(std::os::unix::net::UnixStream, u32)> {
        let accept = || SockRef::from(&self.0).accept();
        let (socket, from) = self.0.async_io(Interest::READABLE, accept).await?;
        let (cid, _) = from.as_vsock_address().ok_or(io::ErrorKind::InvalidData)?;
        Ok((waited_for(socket.into())?, cid))
    }
}

fn waited_for(socket: OwnedFd) -> io::Result<std::os::unix::net::UnixStream> {
    let stream = std::os::unix::net::UnixStream::from(socket);
    stream.set_nonblocking(true)?;
    Ok(stream)
}

impl AsFd for VsockListener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
