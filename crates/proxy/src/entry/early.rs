//! A connection whose beginning is being read: message by message, each within one deadline.

use super::{Malformed, Parsed, Part};
use crate::io::{Io, Rewound};
use bytes::{Buf, BytesMut};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::{Instant, timeout, timeout_at};

/// How much is read at once: enough for any message here and most request heads.
const STEP: usize = 2048;
/// How long a peer that was refused may take to read why, and how much of it is thrown away meanwhile.
const LINGER: Duration = Duration::from_secs(1);
const LINGER_BYTES: usize = 64 * 1024;

/// The connection, and what was read of it.
pub(super) struct Early {
    io: Box<dyn Io>,
    bytes: BytesMut,
}

/// Why no message came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unread {
    /// What came is none.
    Malformed,
    /// The peer went away or took too long.
    Gone,
}

impl From<Malformed> for Unread {
    fn from(Malformed: Malformed) -> Self {
        Self::Malformed
    }
}

impl Early {
    pub(super) fn new(io: Box<dyn Io>) -> Self {
        Self { io, bytes: BytesMut::new() }
    }

    /// The first byte of what comes next. It stays unread.
    pub(super) async fn first(&mut self, deadline: Instant) -> Option<u8> {
        if self.bytes.is_empty() {
            self.fill(deadline).await.ok()?;
        }
        self.bytes.first().copied()
    }

    /// The next message.
    pub(super) async fn message<T>(
        &mut self,
        read: impl Fn(&[u8]) -> Parsed<T>,
        deadline: Instant,
    ) -> Result<T, Unread> {
        loop {
            if let Part::Whole(message, length) = read(&self.bytes)? {
                self.bytes.advance(length);
                return Ok(message);
            }
            self.fill(deadline).await?;
        }
    }

    async fn fill(&mut self, deadline: Instant) -> Result<(), Unread> {
        self.bytes.reserve(STEP);
        let read = timeout_at(deadline, self.io.read_buf(&mut self.bytes)).await;
        if matches!(read, Ok(Ok(1..))) { Ok(()) } else { Err(Unread::Gone) }
    }

    /// Whether these bytes could be written in time.
    pub(super) async fn say(&mut self, bytes: &[u8], deadline: Instant) -> bool {
        let writing = async {
            self.io.write_all(bytes).await?;
            self.io.flush().await
        };
        matches!(timeout_at(deadline, writing).await, Ok(Ok(())))
    }

    /// Closes so that the peer can still read what was said: bytes that nobody read would take it away.
    pub(super) async fn close(mut self) {
        let mut seen = 0;
        let closing = async {
            let _ = self.io.shutdown().await;
            while seen < LINGER_BYTES {
                self.bytes.clear();
                match self.io.read_buf(&mut self.bytes).await {
                    Ok(0) | Err(_) => return,
                    Ok(bytes) => seen += bytes,
                }
            }
        };
        let _ = timeout(LINGER, closing).await;
    }

    /// The connection, and what was read and not used.
    pub(super) fn into_parts(self) -> (Box<dyn Io>, BytesMut) {
        (self.io, self.bytes)
    }

    /// The connection as if nothing unused had been read.
    pub(super) fn rewound(self) -> Rewound {
        Rewound::new(self.bytes, self.io)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(bytes: &[u8]) -> Parsed<Vec<u8>> {
        match bytes.iter().position(|byte| *byte == b'\n') {
            _ if bytes.contains(&0) => Err(Malformed),
            Some(end) => Ok(Part::Whole(bytes[..end].to_vec(), end + 1)),
            None => Ok(Part::Beginning),
        }
    }

    fn soon() -> Instant {
        Instant::now() + Duration::from_millis(100)
    }

    #[tokio::test]
    async fn messages_come_one_at_a_time_and_the_rest_stays() {
        let (mut peer, ours) = tokio::io::duplex(64);
        let mut early = Early::new(Box::new(ours));
        peer.write_all(b"one\ntwo\nrest").await.unwrap();
        assert_eq!(early.first(soon()).await, Some(b'o'));
        assert_eq!(early.message(line, soon()).await, Ok(b"one".to_vec()));
        assert_eq!(early.message(line, soon()).await, Ok(b"two".to_vec()));
        assert_eq!(&early.into_parts().1[..], b"rest");
    }

    #[tokio::test]
    async fn t94_a_message_that_does_not_come_or_is_none_ends_the_wait() {
        let (mut peer, ours) = tokio::io::duplex(64);
        let mut early = Early::new(Box::new(ours));
        assert_eq!(early.first(soon()).await, None);
        peer.write_all(b"on").await.unwrap();
        assert_eq!(early.message(line, soon()).await, Err(Unread::Gone));
        peer.write_all(b"\0").await.unwrap();
        assert_eq!(early.message(line, soon()).await, Err(Unread::Malformed));
        drop(peer);
        let (peer, ours) = tokio::io::duplex(64);
        drop(peer);
        assert_eq!(Early::new(Box::new(ours)).message(line, soon()).await, Err(Unread::Gone));
    }
}
