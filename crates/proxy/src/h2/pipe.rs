//! A stream as a connection of its own: bytes both ways, for tunnels (RFC 9113, section 8.5) and WebSockets (RFC 8441).

use bytes::{Buf, Bytes};
use h2::{Reason, RecvStream, SendStream};
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// How much is asked for at once.
const PIECE: usize = 16 * 1024;

/// Both directions of one stream.
pub(super) struct Pipe {
    read: RecvStream,
    write: SendStream<Bytes>,
    /// Arrived and not taken yet.
    ahead: Bytes,
    has_ended: bool,
}

impl Pipe {
    /// Over a stream that was accepted with 200.
    pub(super) fn new(read: RecvStream, write: SendStream<Bytes>) -> Self {
        Self { read, write, ahead: Bytes::new(), has_ended: false }
    }
}

impl AsyncRead for Pipe {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        out: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        while self.ahead.is_empty() && !self.has_ended {
            match ready!(self.read.poll_data(cx)) {
                Some(data) => self.ahead = data.map_err(io::Error::other)?,
                None => self.has_ended = true,
            }
        }
        let take = self.ahead.len().min(out.remaining());
        out.put_slice(&self.ahead[..take]);
        self.ahead.advance(take);
        if take > 0 {
            // It fails only when the stream is over, and then nobody needs the window.
            let _ = self.read.flow_control().release_capacity(take);
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Pipe {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        if bytes.is_empty() {
            return Poll::Ready(Ok(0));
        }
        self.write.reserve_capacity(bytes.len().min(PIECE));
        let room = match self.write.capacity() {
            0 => match ready!(self.write.poll_capacity(cx)) {
                Some(room) => room.map_err(io::Error::other)?,
                None => return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())),
            },
            room => room,
        };
        let take = room.min(bytes.len());
        self.write.send_data(Bytes::copy_from_slice(&bytes[..take]), false).map_err(io::Error::other)?;
        Poll::Ready(Ok(take))
    }

    /// The connection's own task writes.
    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        // A stream that is over already needs no end.
        let _ = self.write.send_data(Bytes::new(), true);
        Poll::Ready(Ok(()))
    }
}

impl Drop for Pipe {
    fn drop(&mut self) {
        if !self.has_ended {
            // SPEC: RFC 9113, section 8.5: what is a TCP reset elsewhere is CONNECT_ERROR here.
            self.write.send_reset(Reason::CONNECT_ERROR);
        }
    }
}
