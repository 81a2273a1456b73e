//! A request on its way over HTTP/1.1: head and body in as few writes as they allow.

use super::line::Line;
use crate::stage::OutBody;
use bytes::{Buf, Bytes, BytesMut};
use cloakroom_model::BodyFault;
use http_body::Body;
use std::io::{self, IoSlice, Write};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tokio::io::AsyncWrite;
use tokio::time::Instant;

/// How the request's body is framed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Framing {
    /// No body.
    Empty,
    /// So many bytes are still to come.
    Length(u64),
    /// In chunks.
    Chunked,
}

/// Why a request did not get out.
pub(super) enum Stuck {
    /// Its body failed.
    Body(BodyFault),
    /// The connection broke before it took a byte of the request.
    Unsent,
    /// The connection broke.
    Broken,
}

/// What of a request is not written yet. Written in this order: `head`, `data`, `tail`, and then what `body` yields.
pub(super) struct Upload {
    head: BytesMut,
    data: Bytes,
    tail: &'static [u8],
    body: OutBody,
    framing: Framing,
    ended: bool,
    touched: bool,
    moved: Instant,
}

impl Upload {
    /// A request with this head.
    pub(super) fn new(head: BytesMut, body: OutBody, framing: Framing) -> Self {
        let ended = framing == Framing::Empty;
        Self {
            head,
            data: Bytes::new(),
            tail: b"",
            body,
            framing,
            ended,
            touched: false,
            moved: Instant::now(),
        }
    }

    /// When the request last made progress.
    pub(super) fn moved(&self) -> Instant {
        self.moved
    }

    /// Whether the connection took nothing of it, so that it may go over another one.
    pub(super) fn is_untouched(&self) -> bool {
        !self.touched
    }

    /// The body of a request of which nothing was sent.
    pub(super) fn into_body(mut self) -> OutBody {
        self.body.unread(std::mem::take(&mut self.data));
        self.body
    }

    /// Writes until all of it is out.
    pub(super) fn poll(&mut self, line: &mut Line, cx: &mut Context<'_>) -> Poll<Result<(), Stuck>> {
        loop {
            // Before the head is written, so that both leave in one piece.
            let more = if self.data.is_empty() && self.tail.is_empty() && !self.ended {
                self.gather(cx).map_err(Stuck::Body)?
            } else {
                Poll::Ready(())
            };
            if self.is_written() {
                // What TLS or the operating system did not take at once goes on while nothing new comes.
                let flushed = Pin::new(&mut line.io).poll_flush(cx).map_err(|_| Stuck::Broken)?;
                ready!(more);
                ready!(flushed);
                if self.ended {
                    return Poll::Ready(Ok(()));
                }
                continue;
            }
            let written = match ready!(self.poll_write(line, cx)) {
                Ok(0) | Err(_) if self.is_untouched() && !line.io.wrote_since_mark() => {
                    return Poll::Ready(Err(Stuck::Unsent));
                }
                Ok(0) | Err(_) => return Poll::Ready(Err(Stuck::Broken)),
                Ok(written) => written,
            };
            self.advance(written);
        }
    }

    fn is_written(&self) -> bool {
        self.head.is_empty() && self.data.is_empty() && self.tail.is_empty()
    }

    fn poll_write(&self, line: &mut Line, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let io = Pin::new(&mut line.io);
        if self.data.is_empty() && self.tail.is_empty() {
            return io.poll_write(cx, &self.head);
        }
        let slices = [IoSlice::new(&self.head), IoSlice::new(&self.data), IoSlice::new(self.tail)];
        let from = usize::from(self.head.is_empty());
        io.poll_write_vectored(cx, &slices[from..])
    }

    fn advance(&mut self, written: usize) {
        self.touched = true;
        self.moved = Instant::now();
        let of_head = written.min(self.head.len());
        self.head.advance(of_head);
        let of_data = (written - of_head).min(self.data.len());
        self.data.advance(of_data);
        self.tail = &self.tail[written - of_head - of_data..];
    }

    /// Takes the next piece of the body, if there is one by now.
    fn gather(&mut self, cx: &mut Context<'_>) -> Result<Poll<()>, BodyFault> {
        loop {
            let Poll::Ready(frame) = Pin::new(&mut self.body).poll_frame(cx) else {
                return Ok(Poll::Pending);
            };
            // Trailers of a request are not part of what was checked: they end here.
            match frame.transpose()?.map(|frame| frame.into_data()) {
                Some(Ok(data)) if !data.is_empty() => self.frame(data)?,
                Some(_) => continue,
                None => self.end()?,
            }
            return Ok(Poll::Ready(()));
        }
    }

    fn frame(&mut self, data: Bytes) -> Result<(), BodyFault> {
        match &mut self.framing {
            Framing::Empty => return Err(BodyFault::Broken),
            Framing::Length(left) => {
                // INVARIANT: what was declared is what is sent; a byte more would begin another request (T36).
                *left = left.checked_sub(data.len() as u64).ok_or(BodyFault::Broken)?;
                self.ended = *left == 0 && self.body.is_end_stream();
            }
            Framing::Chunked => {
                let mut line = SizeLine::default();
                // Writing to an array that is long enough does not fail.
                let _ = write!(line, "{:x}\r\n", data.len());
                self.head.extend_from_slice(line.bytes());
                self.ended = self.body.is_end_stream();
                self.tail = if self.ended { b"\r\n0\r\n\r\n" } else { b"\r\n" };
            }
        }
        self.data = data;
        Ok(())
    }

    fn end(&mut self) -> Result<(), BodyFault> {
        self.ended = true;
        match self.framing {
            Framing::Length(1..) => Err(BodyFault::Broken),
            Framing::Chunked => {
                self.tail = b"0\r\n\r\n";
                Ok(())
            }
            Framing::Empty | Framing::Length(0) => Ok(()),
        }
    }
}

/// The line before a chunk: at most sixteen digits and its end.
#[derive(Default)]
struct SizeLine {
    text: [u8; 18],
    length: usize,
}

impl SizeLine {
    fn bytes(&self) -> &[u8] {
        &self.text[..self.length]
    }
}

impl Write for SizeLine {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let taken = (&mut self.text[self.length..]).write(bytes)?;
        self.length += taken;
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
