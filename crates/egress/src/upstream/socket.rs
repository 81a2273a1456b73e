//! One TCP connection to a destination, with TLS on it or without.

use bytes::{Buf, BytesMut};
use std::io::{self, IoSlice};
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncBufRead, AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

/// What is read at once where nothing says how much will come.
const READ: usize = 4096;

/// What is read at once while much comes: TLS asks for 4 KiB at a time, and each would be a system call.
const AHEAD: usize = 64 * 1024;

/// The TCP connection.
pub(super) struct Socket {
    /// Absent only where moving it to another runtime failed.
    stream: Option<TcpStream>,
    /// What was read and not asked for yet.
    ahead: BytesMut,
    /// The last read brought all that was asked for, so more is there.
    more: bool,
    /// Whether a byte was written since the mark was last taken away.
    wrote: bool,
}

/// Bytes to and from a destination.
pub(super) enum Stream {
    /// As they are.
    Plain(Socket),
    /// Inside TLS.
    Tls(Box<TlsStream<Socket>>),
}

impl Socket {
    pub(super) fn new(stream: TcpStream) -> Self {
        Self { stream: Some(stream), ahead: BytesMut::new(), more: false, wrote: false }
    }

    fn move_here(&mut self) -> io::Result<()> {
        let stream = self.stream.take().ok_or(io::ErrorKind::NotConnected)?.into_std()?;
        // This runtime knows nothing of what came before, and would take a closed connection for a quiet one.
        match stream.peek(&mut [0]) {
            _ if !self.ahead.is_empty() => return Err(io::ErrorKind::ConnectionAborted.into()),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            _ => return Err(io::ErrorKind::ConnectionAborted.into()),
        }
        self.stream = Some(TcpStream::from_std(stream)?);
        Ok(())
    }

    fn stream(&mut self) -> io::Result<Pin<&mut TcpStream>> {
        self.stream.as_mut().map(Pin::new).ok_or_else(|| io::ErrorKind::NotConnected.into())
    }

    /// Reads what is there, as far as there is room for it. The buffer is kept only while more comes than fits elsewhere.
    fn poll_ahead(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.ahead.reserve(AHEAD);
        let stream = self.stream.as_mut().ok_or(io::ErrorKind::NotConnected)?;
        let read = pin!(stream.read_buf(&mut self.ahead)).poll(cx);
        self.more = matches!(read, Poll::Ready(Ok(AHEAD..)));
        if self.ahead.is_empty() {
            self.ahead = BytesMut::new();
        }
        read.map_ok(|_| ())
    }

    fn wrote(&mut self, written: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        self.wrote |= matches!(written, Poll::Ready(Ok(1..)));
        written
    }
}

impl Stream {
    fn socket(&mut self) -> &mut Socket {
        match self {
            Self::Plain(socket) => socket,
            Self::Tls(stream) => stream.get_mut().0,
        }
    }

    /// Has the runtime of this thread watch the connection from now on, unless something came meanwhile.
    ///
    /// # Errors
    /// When something came, or the operating system does not let it be moved; then it is of no more use.
    pub(super) fn move_here(&mut self) -> io::Result<()> {
        self.socket().move_here()
    }

    /// Forgets what was written so far.
    pub(super) fn mark(&mut self) {
        self.socket().wrote = false;
    }

    /// Whether the operating system took a byte since the mark.
    pub(super) fn wrote_since_mark(&mut self) -> bool {
        self.socket().wrote
    }

    /// Adds what came to `buffer`: 0 bytes at the end.
    pub(super) fn poll_fill(
        &mut self,
        cx: &mut Context<'_>,
        buffer: &mut BytesMut,
    ) -> Poll<io::Result<usize>> {
        match self {
            Self::Plain(socket) => {
                buffer.reserve(READ);
                pin!(socket.read_buf(buffer)).poll(cx)
            }
            // Without a buffer of our own as long as nothing came.
            Self::Tls(stream) => {
                let came = ready!(Pin::new(&mut **stream).poll_fill_buf(cx))?;
                let count = came.len();
                buffer.extend_from_slice(came);
                Pin::new(&mut **stream).consume(count);
                Poll::Ready(Ok(count))
            }
        }
    }
}

impl AsyncRead for Socket {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let room = buffer.remaining();
        if self.ahead.is_empty() && !(self.more && room < AHEAD) {
            let before = buffer.filled().len();
            ready!(self.stream()?.poll_read(cx, buffer))?;
            self.more = buffer.filled().len() - before == room;
            return Poll::Ready(Ok(()));
        }
        if self.ahead.is_empty() {
            ready!(self.poll_ahead(cx))?;
        }
        let come = self.ahead.len().min(room);
        buffer.put_slice(&self.ahead[..come]);
        self.ahead.advance(come);
        if self.ahead.is_empty() && !self.more {
            // An idle connection keeps no buffer.
            self.ahead = BytesMut::new();
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Socket {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = self.stream()?.poll_write(cx, bytes);
        self.wrote(written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = self.stream()?.poll_write_vectored(cx, slices);
        self.wrote(written)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream()?.poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream()?.poll_shutdown(cx)
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match &mut *self {
            Self::Plain(socket) => Pin::new(socket).poll_read(cx, buffer),
            Self::Tls(stream) => Pin::new(&mut **stream).poll_read(cx, buffer),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match &mut *self {
            Self::Plain(socket) => Pin::new(socket).poll_write(cx, bytes),
            Self::Tls(stream) => Pin::new(&mut **stream).poll_write(cx, bytes),
        }
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match &mut *self {
            Self::Plain(socket) => Pin::new(socket).poll_write_vectored(cx, slices),
            Self::Tls(stream) => Pin::new(&mut **stream).poll_write_vectored(cx, slices),
        }
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut *self {
            Self::Plain(socket) => Pin::new(socket).poll_flush(cx),
            Self::Tls(stream) => Pin::new(&mut **stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut *self {
            Self::Plain(socket) => Pin::new(socket).poll_shutdown(cx),
            Self::Tls(stream) => Pin::new(&mut **stream).poll_shutdown(cx),
        }
    }
}
