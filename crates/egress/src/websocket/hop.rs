//! One hop of a channel: messages in from a peer, messages out to it.

use super::close::Close;
use super::decoder::{Decoder, Event, Kind, Message, Sender};
use super::deflate::{deflate, inflate};
use super::extension::Agreed;
use super::frame::{Mask, Opcode, write};
use super::violation::Violation;
use bytes::BytesMut;
use std::io;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use zeroize::Zeroizing;

/// How much is read at a time from a peer that says little, and from one that says more.
const LITTLE: usize = 2 * 1024;
const MUCH: usize = 16 * 1024;

/// Why nothing more comes from a peer.
#[derive(Debug)]
pub(crate) enum Gone {
    /// It broke a rule.
    Violation(Violation),
    /// Its connection ended without a Close.
    Lost,
}

impl From<Violation> for Gone {
    fn from(violation: Violation) -> Self {
        Self::Violation(violation)
    }
}

impl From<io::Error> for Gone {
    fn from(_: io::Error) -> Self {
        Self::Lost
    }
}

/// Reads what a peer says.
pub(crate) struct Source<R> {
    read: R,
    buffer: BytesMut,
    decoder: Decoder,
    most: u64,
    step: usize,
}

impl<R: AsyncRead + Unpin> Source<R> {
    /// `early` is what was read with the handshake.
    pub(crate) fn new(read: R, early: BytesMut, sender: Sender, deflate: bool, most: u64) -> Self {
        Self { read, buffer: early, decoder: Decoder::new(sender, deflate, most), most, step: LITTLE }
    }

    /// What the peer says next. A message is whole, as it was before it was compressed, and a text is UTF-8.
    pub(crate) async fn next(&mut self) -> Result<Event, Gone> {
        loop {
            match self.decoder.next(&mut self.buffer)? {
                Some(Event::Message(message)) => return Ok(Event::Message(self.plain(message)?)),
                Some(event) => return Ok(event),
                None => self.fill().await?,
            }
        }
    }

    /// Reads and forgets, until the peer ends the connection.
    pub(crate) async fn drain(&mut self) {
        loop {
            self.buffer.clear();
            if self.fill().await.is_err() {
                return;
            }
        }
    }

    async fn fill(&mut self) -> Result<(), Gone> {
        if self.buffer.is_empty() {
            // An idle channel keeps a small buffer only.
            self.buffer = BytesMut::new();
        }
        self.buffer.reserve(self.step);
        match self.read.read_buf(&mut self.buffer).await? {
            0 => Err(Gone::Lost),
            count => {
                self.step = if count < LITTLE { LITTLE } else { MUCH };
                Ok(())
            }
        }
    }

    fn plain(&self, message: Message) -> Result<Message, Violation> {
        if !message.compressed {
            return Ok(message);
        }
        let payload = inflate(&message.payload, self.most)?;
        if message.kind == Kind::Text && std::str::from_utf8(&payload).is_err() {
            return Err(Violation::not_text("a text message is not UTF-8"));
        }
        Ok(Message { payload, compressed: false, ..message })
    }
}

/// Writes to a peer.
pub(crate) struct Sink<W> {
    write: W,
    /// What is still to be written. May hold a secret.
    pending: Zeroizing<Vec<u8>>,
    at: usize,
    /// Towards an upstream, every frame is masked with a key of its own.
    masked: bool,
    deflate: Option<Agreed>,
    /// Nothing follows a Close.
    closed: bool,
}

impl<W: AsyncWrite + Unpin> Sink<W> {
    pub(crate) fn new(write: W, masked: bool, deflate: Option<Agreed>) -> Self {
        Self { write, pending: Zeroizing::default(), at: 0, masked, deflate, closed: false }
    }

    /// One message, in one frame.
    pub(crate) fn message(&mut self, kind: Kind, payload: &[u8]) -> io::Result<()> {
        let compressed = self.deflate.and_then(|agreed| deflate(payload, agreed.bits));
        match compressed {
            Some(compressed) => self.queue(opcode(kind), true, &compressed),
            None => self.queue(opcode(kind), false, payload),
        }
    }

    /// One message with a secret in it.
    ///
    /// SECURITY: never compressed. Its size would say how much of the secret the workload's text around it repeats.
    pub(crate) fn armed(&mut self, kind: Kind, payload: &[u8]) -> io::Result<()> {
        self.queue(opcode(kind), false, payload)
    }

    pub(crate) fn control(&mut self, opcode: Opcode, payload: &[u8]) -> io::Result<()> {
        self.queue(opcode, false, payload)
    }

    pub(crate) fn close(&mut self, close: Option<&Close>) -> io::Result<()> {
        let payload = close.map(|close| Close::payload(close.code, &close.reason));
        self.control(Opcode::Close, &payload.unwrap_or_default())?;
        self.closed = true;
        Ok(())
    }

    /// Writes everything that is pending. What a cancelled flush has written is not written again.
    pub(crate) async fn flush(&mut self) -> io::Result<()> {
        while self.at < self.pending.len() {
            match self.write.write(&self.pending[self.at..]).await? {
                0 => return Err(io::ErrorKind::WriteZero.into()),
                count => self.at += count,
            }
        }
        self.at = 0;
        self.pending = Zeroizing::default();
        self.write.flush().await
    }

    /// Ends the connection after what is pending.
    pub(crate) async fn finish(&mut self) -> io::Result<()> {
        self.flush().await?;
        self.write.shutdown().await
    }

    fn queue(&mut self, opcode: Opcode, rsv1: bool, payload: &[u8]) -> io::Result<()> {
        if self.closed {
            return Ok(());
        }
        let mask = if self.masked { Some(fresh_mask()?) } else { None };
        write(&mut self.pending, opcode, rsv1, mask, payload);
        Ok(())
    }
}

const fn opcode(kind: Kind) -> Opcode {
    match kind {
        Kind::Text => Opcode::Text,
        Kind::Binary => Opcode::Binary,
    }
}

/// Nobody may foresee a mask (RFC 6455, section 10.3).
fn fresh_mask() -> io::Result<Mask> {
    let mut mask = Mask::default();
    getrandom::fill(&mut mask).map_err(|_| io::ErrorKind::Other)?;
    Ok(mask)
}
