//! A reply's body over HTTP/1.1: bounded by the idle timeout, and the connection's way back into the pool.

use super::Limits;
use super::http1::Exchange;
use super::line::Line;
use super::pool::{Pool, PoolKey};
use super::upload::{Stuck, Upload};
use bytes::{Bytes, BytesMut};
use cloakroom_model::BodyFault;
use cloakroom_wire::{Chunked, ReplyFraming, Step};
use http_body::{Body, Frame, SizeHint};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use tokio::time::Instant;

/// What of the body is still to come.
enum Left {
    Length(u64),
    Chunks(Chunked),
    UntilClose,
    Nothing,
}

/// A reply's body as it came. Polling it goes on sending the request, where that is not complete yet.
pub(super) struct Reply {
    left: Left,
    buffer: BytesMut,
    line: Option<Box<Line>>,
    upload: Option<Upload>,
    /// Whether the connection may carry another call.
    keep: bool,
    pool: Arc<Pool>,
    key: Arc<PoolKey>,
    limits: Limits,
    moved: Instant,
}

impl Reply {
    /// The body that follows a head.
    pub(super) fn new(
        exchange: Exchange,
        framing: ReplyFraming,
        keep: bool,
        pool: Arc<Pool>,
        key: Arc<PoolKey>,
        limits: Limits,
    ) -> Self {
        let left = match framing {
            ReplyFraming::Empty | ReplyFraming::Length(0) => Left::Nothing,
            ReplyFraming::Length(length) => Left::Length(length),
            ReplyFraming::Chunked => Left::Chunks(Chunked::new()),
            ReplyFraming::UntilClose => Left::UntilClose,
        };
        let Exchange { line, upload, buffer, cut_short, .. } = exchange;
        let keep = keep && !cut_short;
        let moved = Instant::now();
        let mut reply = Self { left, buffer, line: Some(line), upload, keep, pool, key, limits, moved };
        if matches!(reply.left, Left::Nothing) {
            reply.end();
        }
        reply
    }

    /// The body is complete: gives the connection back, if nothing speaks against it.
    ///
    /// SECURITY: bytes behind the reply would be taken for the next one (T43), and the rest of a request that was answered
    /// early for the begin of the next (T38). A reply that is dropped before its end takes its connection with it as well.
    fn end(&mut self) {
        self.left = Left::Nothing;
        let clean = self.keep && self.upload.is_none() && self.buffer.is_empty();
        self.buffer = BytesMut::new();
        self.upload = None;
        if let Some(line) = self.line.take().filter(|_| clean) {
            self.pool.put_back(&self.key, line);
        }
    }

    fn fail(&mut self) {
        self.line = None;
        self.upload = None;
        self.buffer = BytesMut::new();
    }

    /// Decodes what is in the buffer.
    fn decode(&mut self) -> Result<Step, BodyFault> {
        match &mut self.left {
            Left::Nothing => Ok(Step::End),
            _ if self.buffer.is_empty() => Ok(Step::More),
            Left::Length(left) => {
                let take = usize::try_from(*left).unwrap_or(usize::MAX).min(self.buffer.len());
                *left -= take as u64;
                let complete = *left == 0;
                let data = self.buffer.split_to(take).freeze();
                if complete {
                    self.end();
                }
                Ok(Step::Data(data))
            }
            Left::Chunks(chunked) => chunked.step(&mut self.buffer).map_err(|fault| {
                tracing::debug!(reason = fault.reason(), "a reply is malformed");
                BodyFault::Broken
            }),
            Left::UntilClose => Ok(Step::Data(self.buffer.split().freeze())),
        }
    }

    /// Goes on sending the request.
    fn send_on(&mut self, cx: &mut Context<'_>) -> Result<(), BodyFault> {
        let (Some(upload), Some(line)) = (self.upload.as_mut(), self.line.as_mut()) else { return Ok(()) };
        match upload.poll(line, cx) {
            Poll::Pending => {
                self.moved = self.moved.max(upload.moved());
                return Ok(());
            }
            Poll::Ready(Ok(())) => {}
            // Nobody can tell the destination but by closing: the reply to half a request is worth nothing.
            Poll::Ready(Err(Stuck::Body(fault))) => return Err(fault),
            // The destination answered and reads no more; its reply counts all the same.
            Poll::Ready(Err(Stuck::Unsent | Stuck::Broken)) => self.keep = false,
        }
        self.upload = None;
        Ok(())
    }

    fn poll_step(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Frame<Bytes>>, BodyFault>> {
        loop {
            match self.decode()? {
                Step::Data(data) => return Poll::Ready(Ok(Some(Frame::data(data)))),
                Step::End => {
                    let trailers = match &mut self.left {
                        Left::Chunks(chunked) => chunked.take_trailers(),
                        _ => None,
                    };
                    self.end();
                    return Poll::Ready(Ok(trailers.map(Frame::trailers)));
                }
                Step::More => {}
            }
            self.send_on(cx)?;
            let Some(line) = self.line.as_mut() else { return Poll::Ready(Err(BodyFault::Broken)) };
            match line.poll_fill(cx, &mut self.buffer) {
                Poll::Ready(Ok(1..)) => self.moved = Instant::now(),
                Poll::Ready(Ok(0)) if matches!(self.left, Left::UntilClose) => {
                    self.keep = false;
                    self.end();
                }
                Poll::Ready(Ok(0) | Err(_)) => return Poll::Ready(Err(BodyFault::Broken)),
                Poll::Pending => {
                    let Limits { idle, .. } = self.limits;
                    return line
                        .alarm
                        .poll(cx, self.moved, idle, self.limits.shortest())
                        .map(|()| Err(BodyFault::Slow));
                }
            }
        }
    }
}

impl Body for Reply {
    type Data = Bytes;
    type Error = BodyFault;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyFault>>> {
        let step = self.poll_step(cx);
        step.map(|step| {
            if let Err(fault) = step {
                tracing::debug!(%fault, "a reply broke off");
                self.fail();
            }
            step.transpose()
        })
    }

    fn is_end_stream(&self) -> bool {
        matches!(self.left, Left::Nothing)
    }

    fn size_hint(&self) -> SizeHint {
        match self.left {
            Left::Length(left) => SizeHint::with_exact(left),
            Left::Nothing => SizeHint::with_exact(0),
            Left::Chunks(_) | Left::UntilClose => SizeHint::default(),
        }
    }
}
