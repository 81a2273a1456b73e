//! What lies under an HTTP/2 connection: it counts the frames that go by, and reads no more once they are a flood.

use super::flood::Budget;
use super::frames::Frames;
use crate::io::Io;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Instant;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Says that a connection is flooded. Looked at by the task that polls the connection, so it wakes nobody.
#[derive(Clone, Debug, Default)]
pub(super) struct Alarm(Arc<AtomicBool>);

impl Alarm {
    /// Whether it rang.
    pub(super) fn rings(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    fn ring(&self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// The bytes of a connection, counted frame by frame.
pub(super) struct Guard {
    io: Box<dyn Io>,
    incoming: Frames,
    outgoing: Frames,
    budget: Budget,
    alarm: Alarm,
}

impl Guard {
    /// Over a connection of which nothing was read.
    pub(super) fn new(io: Box<dyn Io>, alarm: Alarm) -> Self {
        let budget = Budget::new(Instant::now());
        Self { io, incoming: Frames::to_server(), outgoing: Frames::of_server(), budget, alarm }
    }

    fn judge(&mut self) {
        if self.budget.is_spent(Instant::now) {
            self.alarm.ring();
        }
    }

    fn went(&mut self, bytes: &[u8]) {
        let Self { outgoing, budget, .. } = self;
        outgoing.read(bytes, |frame| budget.went(frame));
    }
}

impl AsyncRead for Guard {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        out: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if this.alarm.rings() {
            // Nothing more is read: the task that polls this says goodbye and ends.
            return Poll::Pending;
        }
        let before = out.filled().len();
        ready!(Pin::new(&mut this.io).poll_read(cx, out))?;
        let Self { incoming, budget, .. } = this;
        incoming.read(&out.filled()[before..], |frame| budget.came(frame));
        this.judge();
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Guard {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = ready!(Pin::new(&mut self.io).poll_write(cx, bytes))?;
        self.went(&bytes[..written]);
        self.judge();
        Poll::Ready(Ok(written))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = ready!(Pin::new(&mut self.io).poll_write_vectored(cx, parts))?;
        let mut left = written;
        for part in parts {
            let take = part.len().min(left);
            self.went(&part[..take]);
            left -= take;
        }
        self.judge();
        Poll::Ready(Ok(written))
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::super::frames::PREFACE;
    use super::*;
    use futures_util::FutureExt;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    const PING: [u8; 17] = [0, 0, 8, 6, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];

    #[tokio::test]
    async fn t95_a_flood_rings_and_is_not_read_on() {
        let (mut peer, ours) = tokio::io::duplex(64 * 1024);
        let alarm = Alarm::default();
        let mut guard = Guard::new(Box::new(ours), alarm.clone());
        peer.write_all(PREFACE).await.unwrap();
        peer.write_all(&PING.repeat(400)).await.unwrap();
        let mut space = vec![0; 64 * 1024];
        while guard.read(&mut space).now_or_never().is_some() {}
        assert!(!alarm.rings());
        peer.write_all(&PING.repeat(2)).await.unwrap();
        assert!(guard.read(&mut space).now_or_never().is_some());
        assert!(alarm.rings());
        peer.write_all(&PING).await.unwrap();
        assert!(guard.read(&mut space).now_or_never().is_none());
        // Goodbye can still be said.
        guard.write_all(b"bye").await.unwrap();
    }
}
