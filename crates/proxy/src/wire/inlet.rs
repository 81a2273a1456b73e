//! The reading half of a connection: one head at a time, with deadlines.

use super::{HeadBounds, Received, malformed};
use crate::io::Io;
use bytes::{Bytes, BytesMut};
use cloakroom_model::Refusal;
use std::future::{Future, pending, poll_fn};
use std::io;
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, ReadBuf, ReadHalf};
use tokio::time::{Instant, Sleep, sleep, sleep_until, timeout};

/// How much is read at once.
const READ: usize = 16 * 1024;
/// How much is read ahead while an answer is on its way.
const READ_AHEAD: usize = 16 * 1024;
/// How much of an unwanted body is thrown away before the connection is closed, and for how long.
const LINGER_BYTES: usize = 4 * 1024 * 1024;
const LINGER: Duration = Duration::from_secs(2);

/// How long to wait for a head.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Patience {
    /// For its first byte.
    pub(crate) idle: Duration,
    /// For all of it, from its first byte on.
    pub(crate) head: Duration,
    /// For its first byte, once the broker stops.
    pub(crate) grace: Duration,
}

/// What came next.
#[derive(Debug)]
pub(crate) enum Heard {
    /// A request.
    Head(Received),
    /// Nothing more: the peer or the broker is done.
    Closed,
}

/// The reading half and what was read beyond the last message.
pub(crate) struct Inlet {
    io: ReadHalf<Box<dyn Io>>,
    buffer: BytesMut,
    /// One for the life of the connection: moving it on costs less than making another for each wait.
    alarm: Option<Pin<Box<Sleep>>>,
}

/// Resolves when the broker stops. Not to be polled again then.
pub(crate) type Stopped = Pin<Box<dyn Future<Output = ()> + Send>>;

impl Inlet {
    /// Over this half, of which `buffer` was read already.
    pub(crate) fn new(io: ReadHalf<Box<dyn Io>>, buffer: BytesMut) -> Self {
        Self { io, buffer, alarm: None }
    }

    /// Over one end of a pipe.
    #[cfg(test)]
    pub(crate) fn over(io: impl Io + 'static) -> Self {
        let io: Box<dyn Io> = Box::new(io);
        Self::new(tokio::io::split(io).0, BytesMut::new())
    }

    /// The next head. `stop` ends the wait between requests, never one that has begun.
    ///
    /// # Errors
    /// `malformed-call` or `ambiguous-call`, also for a head that is too large or comes too slowly.
    pub(crate) async fn next_head(
        &mut self,
        bounds: &HeadBounds,
        patience: Patience,
        stopped: &mut Stopped,
    ) -> Result<Heard, Refusal> {
        if self.buffer.is_empty() {
            // An idle connection keeps no buffer.
            self.buffer = BytesMut::new();
            let first = tokio::select! {
                biased;
                read = self.fill_within(patience.idle) => matches!(read, Some(Ok(1..))),
                () = ended(stopped, patience.grace) => false,
            };
            if !first {
                return Ok(Heard::Closed);
            }
        }
        self.whole_head(bounds, Instant::now() + patience.head).await
    }

    /// [`Inlet::fill`]; `None` when nothing came for so long.
    async fn fill_within(&mut self, patience: Duration) -> Option<io::Result<usize>> {
        let deadline = Instant::now() + patience;
        let Self { io, buffer, alarm } = self;
        let alarm = alarm.get_or_insert_with(|| Box::pin(sleep_until(deadline)));
        alarm.as_mut().reset(deadline);
        poll_fn(|cx| match poll_fill(io, buffer, cx) {
            Poll::Ready(read) => Poll::Ready(Some(read)),
            Poll::Pending => alarm.as_mut().poll(cx).map(|()| None),
        })
        .await
    }

    async fn whole_head(&mut self, bounds: &HeadBounds, deadline: Instant) -> Result<Heard, Refusal> {
        let mut scanned = 0;
        loop {
            if let Some(end) = head_end(&self.buffer, &mut scanned)? {
                if end > bounds.bytes {
                    return Err(malformed("the request head is too large"));
                }
                let head = self.buffer.split_to(end).freeze();
                return Received::parse(&head, bounds).map(Heard::Head);
            }
            if self.buffer.len() > bounds.bytes {
                return Err(malformed("the request head is too large"));
            }
            match self.fill_within(deadline.saturating_duration_since(Instant::now())).await {
                Some(Ok(1..)) => {}
                Some(_) => return Ok(Heard::Closed),
                None => return Err(malformed("the request head came too slowly")),
            }
        }
    }

    /// Reads some bytes into the buffer.
    async fn fill(&mut self) -> io::Result<usize> {
        poll_fn(|cx| poll_fill(&mut self.io, &mut self.buffer, cx)).await
    }

    /// Reads some bytes into the buffer.
    pub(super) fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        poll_fill(&mut self.io, &mut self.buffer, cx)
    }

    /// What was read and not taken yet.
    pub(super) fn buffer(&mut self) -> &mut BytesMut {
        &mut self.buffer
    }

    /// The next `length` bytes, if they are all here.
    pub(super) fn take_exactly(&mut self, length: u64) -> Option<Bytes> {
        let length = usize::try_from(length).ok().filter(|length| *length <= self.buffer.len())?;
        Some(self.buffer.split_to(length).freeze())
    }

    /// The reading half and the bytes read too far, for a tunnel.
    pub(crate) fn into_parts(self) -> (ReadHalf<Box<dyn Io>>, BytesMut) {
        (self.io, self.buffer)
    }

    /// Whether bytes are here that nobody asked for yet.
    pub(crate) fn holds_bytes(&self) -> bool {
        !self.buffer.is_empty()
    }

    /// Resolves when the peer has gone. Reads a bounded amount ahead meanwhile.
    pub(crate) async fn closed(&mut self) {
        while self.buffer.len() < READ_AHEAD {
            if !matches!(self.fill().await, Ok(1..)) {
                return;
            }
        }
        pending().await
    }

    /// Throws away what still comes, within bounds, so that closing does not take the answer away from the peer
    /// (RFC 9112, section 9.6).
    pub(crate) async fn linger(mut self) {
        let mut seen = 0;
        let discard = async {
            while seen < LINGER_BYTES {
                self.buffer.clear();
                match self.fill().await {
                    Ok(0) | Err(_) => return,
                    Ok(bytes) => seen += bytes,
                }
            }
        };
        let _ = timeout(LINGER, discard).await;
    }
}

/// Through a buffer on the stack: one in the connection would be kept by each that waits.
fn poll_fill(
    io: &mut ReadHalf<Box<dyn Io>>,
    buffer: &mut BytesMut,
    cx: &mut Context<'_>,
) -> Poll<io::Result<usize>> {
    let mut space = [MaybeUninit::<u8>::uninit(); READ];
    let mut read = ReadBuf::uninit(&mut space);
    ready!(Pin::new(io).poll_read(cx, &mut read))?;
    buffer.extend_from_slice(read.filled());
    Poll::Ready(Ok(read.filled().len()))
}

/// The broker stops, and the grace is over.
async fn ended(stopped: &mut Stopped, grace: Duration) {
    stopped.await;
    if !grace.is_zero() {
        sleep(grace).await;
    }
}

/// Where the head ends, its empty line included. `scanned` is how much was looked at before.
///
/// SECURITY: whatever can be no head is refused at once, not when its deadline comes.
fn head_end(buffer: &[u8], scanned: &mut usize) -> Result<Option<usize>, Refusal> {
    if buffer.first().is_some_and(|b| !b.is_ascii_alphabetic()) {
        return Err(malformed("the bytes do not begin an HTTP/1.1 request"));
    }
    for at in memchr::memchr_iter(b'\n', &buffer[*scanned..]) {
        let at = *scanned + at;
        if !buffer[..at].ends_with(b"\r") {
            return Err(malformed("the request head has a CR or LF that does not end a line"));
        }
        if buffer[..at].ends_with(b"\r\n\r") {
            return Ok(Some(at + 1));
        }
    }
    *scanned = buffer.len();
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::AsyncWriteExt;

    const BOUNDS: HeadBounds = HeadBounds { bytes: 256, fields: 8, target: 64 };
    /// Short: the tests that wait for it wait for nothing else.
    const PATIENCE: Patience = Patience {
        idle: Duration::from_millis(200),
        head: Duration::from_millis(200),
        grace: Duration::from_millis(50),
    };

    async fn hear(inlet: &mut Inlet) -> Result<Heard, Refusal> {
        let mut stopped: Stopped = Box::pin(pending());
        inlet.next_head(&BOUNDS, PATIENCE, &mut stopped).await
    }

    #[tokio::test]
    async fn pipelined_heads_come_one_at_a_time() {
        let (mut peer, ours) = tokio::io::duplex(1024);
        let mut inlet = Inlet::over(ours);
        peer.write_all(b"GET /a HTTP/1.1\r\nHost: h\r\n\r\nGET /b HTTP/1.1\r\nHost: h\r\n\r\n")
            .await
            .unwrap();
        drop(peer);
        assert!(matches!(hear(&mut inlet).await, Ok(Heard::Head(_))));
        assert!(matches!(hear(&mut inlet).await, Ok(Heard::Head(_))));
        assert!(matches!(hear(&mut inlet).await, Ok(Heard::Closed)));
    }

    #[tokio::test]
    async fn t94_a_slow_head_is_refused_and_an_idle_connection_is_closed() {
        let (mut peer, ours) = tokio::io::duplex(1024);
        let mut inlet = Inlet::over(ours);
        assert!(matches!(hear(&mut inlet).await, Ok(Heard::Closed)));
        peer.write_all(b"GET / HTTP/1.1\r\nHost:").await.unwrap();
        assert_eq!(hear(&mut inlet).await.unwrap_err(), malformed("the request head came too slowly"));
    }

    #[tokio::test]
    async fn a_broker_that_stops_still_hears_who_was_about_to_speak_and_nobody_else() {
        let heard = async |grace| {
            let (mut peer, ours) = tokio::io::duplex(1024);
            let (mut inlet, mut stop): (_, Stopped) = (Inlet::over(ours), Box::pin(std::future::ready(())));
            let speaking = async {
                // Not ready at the first look, as on a socket that has just been registered.
                tokio::task::yield_now().await;
                peer.write_all(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n").await.unwrap();
            };
            let patience = Patience { grace, ..PATIENCE };
            tokio::join!(inlet.next_head(&BOUNDS, patience, &mut stop), speaking).0
        };
        assert!(matches!(heard(PATIENCE.grace).await, Ok(Heard::Head(_))));
        assert!(matches!(heard(Duration::ZERO).await, Ok(Heard::Closed)));
    }

    #[tokio::test]
    async fn t96_a_head_beyond_the_bound_is_refused() {
        let (mut peer, ours) = tokio::io::duplex(1024);
        let mut inlet = Inlet::over(ours);
        peer.write_all(&[b'A'; 300]).await.unwrap();
        assert_eq!(hear(&mut inlet).await.unwrap_err(), malformed("the request head is too large"));
    }

    #[tokio::test]
    async fn t37_a_bare_line_feed_is_refused_without_waiting_for_more() {
        for bytes in [&b"GET / HTTP/1.1\n"[..], b"\n", b"\r\n", b"\x16\x03\x01", b" GET"] {
            let (mut peer, ours) = tokio::io::duplex(1024);
            let mut inlet = Inlet::over(ours);
            peer.write_all(bytes).await.unwrap();
            assert!(hear(&mut inlet).await.is_err(), "{}", bytes.escape_ascii());
        }
    }
}
