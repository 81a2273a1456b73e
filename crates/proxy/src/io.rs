//! A connection, whatever carries it: a socket, TLS, a tunnel, a stream of another connection.

use bytes::{Buf, BytesMut};
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Bytes both ways.
pub(crate) trait Io: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Io for T {}

/// A connection of which some bytes were read to find out what it is. They are read again first.
pub(crate) struct Rewound {
    early: BytesMut,
    io: Box<dyn Io>,
}

impl Rewound {
    /// `early` is what was read already.
    pub(crate) fn new(early: BytesMut, io: Box<dyn Io>) -> Self {
        // One that is empty may still hold the room that the request before it took.
        Self { early: if early.is_empty() { BytesMut::new() } else { early }, io }
    }
}

impl AsyncRead for Rewound {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        out: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.early.is_empty() {
            return Pin::new(&mut self.io).poll_read(cx, out);
        }
        let take = self.early.len().min(out.remaining());
        out.put_slice(&self.early[..take]);
        self.early.advance(take);
        if self.early.is_empty() {
            // An idle connection keeps no buffer.
            self.early = BytesMut::new();
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Rewound {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write_vectored(cx, parts)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    #[tokio::test]
    async fn what_was_read_early_comes_first_and_once() {
        let (mut peer, ours) = tokio::io::duplex(64);
        peer.write_all(b"lo").await.unwrap();
        let mut rewound = Rewound::new(BytesMut::from(&b"hel"[..]), Box::new(ours));
        rewound.write_all(b"back").await.unwrap();
        drop(peer.shutdown().await);
        let mut text = String::new();
        rewound.read_to_string(&mut text).await.unwrap();
        assert_eq!(text, "hello");
        drop(rewound);
        let mut back = String::new();
        peer.read_to_string(&mut back).await.unwrap();
        assert_eq!(back, "back");
    }
}
