//! One exchange over HTTP/1.1, driven by the call's own task: nothing is spawned, and nothing is passed between tasks.
//!
//! The request goes on while the reply's head is waited for, and after it came: a destination may answer early.

use super::line::Line;
use super::upload::{Stuck, Upload};
use super::{Failed, Hints, Limits, cut, unreachable};
use bytes::BytesMut;
use cloakroom_model::{Code, Refusal};
use cloakroom_wire::{Fault, HeadEnd, ReplyHead};
use http::StatusCode;
use std::future::poll_fn;
use std::task::{Context, Poll};
use tokio::time::Instant;

/// Bytes of all heads of one reply, informational ones included (T96, T100).
const HEAD_LIMIT: usize = 64 * 1024;
/// Fields of one head.
const MOST_FIELDS: usize = 100;

/// One exchange up to the reply's head.
pub(super) struct Exchange {
    pub(super) line: Box<Line>,
    /// What of the request is not sent yet.
    pub(super) upload: Option<Upload>,
    /// What came behind the last head that was read.
    pub(super) buffer: BytesMut,
    /// The connection took not all of the request, and carries no other one.
    pub(super) cut_short: bool,
    end: HeadEnd,
    head_bytes: usize,
    moved: Instant,
}

impl Exchange {
    pub(super) fn new(mut line: Box<Line>, upload: Upload) -> Self {
        line.io.mark();
        let moved = upload.moved();
        Self {
            line,
            upload: Some(upload),
            buffer: BytesMut::new(),
            cut_short: false,
            end: HeadEnd::default(),
            head_bytes: 0,
            moved,
        }
    }

    /// Sends, and waits for the head of the reply: the first that is not informational, or `101`.
    ///
    /// # Errors
    /// [`Failed::Unsent`] when no byte was sent; otherwise what [`super::Upstream::send`] refuses with.
    pub(super) async fn head(&mut self, limits: &Limits, hints: &mut Hints<'_>) -> Result<ReplyHead, Failed> {
        loop {
            let head = poll_fn(|cx| self.poll_head(cx, limits)).await?;
            match head.status {
                // We never ask for it, so it tells nothing.
                StatusCode::CONTINUE => {}
                StatusCode::SWITCHING_PROTOCOLS => return Ok(head),
                status if status.is_informational() => hints.tell(status, head.fields)?,
                _ => return Ok(head),
            }
        }
    }

    fn poll_head(&mut self, cx: &mut Context<'_>, limits: &Limits) -> Poll<Result<ReplyHead, Failed>> {
        loop {
            self.send_on(cx)?;
            if let Some(head) = self.take_head().map_err(|fault| Failed::from(malformed(fault)))? {
                return Poll::Ready(Ok(head));
            }
            if self.head_bytes + self.buffer.len() > HEAD_LIMIT {
                return Poll::Ready(
                    Err(unreachable("the head of the reply is larger than the limit").into()),
                );
            }
            match self.line.poll_fill(cx, &mut self.buffer) {
                Poll::Ready(Ok(1..)) => {}
                Poll::Ready(Ok(0) | Err(_)) => {
                    return Poll::Ready(Err(
                        unreachable("the connection broke before the reply began").into()
                    ));
                }
                Poll::Pending => {
                    let moved = self.upload.as_ref().map_or(self.moved, Upload::moved);
                    return self.line.alarm.poll(cx, moved, limits.head, limits.shortest()).map(|()| {
                        let reason = "the destination did not answer in time";
                        Err(Refusal::new(Code::UpstreamTimeout, reason).into())
                    });
                }
            }
        }
    }

    fn send_on(&mut self, cx: &mut Context<'_>) -> Result<(), Failed> {
        let Some(upload) = self.upload.as_mut() else { return Ok(()) };
        match upload.poll(&mut self.line, cx) {
            Poll::Pending => return Ok(()),
            Poll::Ready(Ok(())) => {}
            Poll::Ready(Err(Stuck::Body(fault))) => return Err(cut(fault).into()),
            Poll::Ready(Err(Stuck::Unsent)) => {
                return self.upload.take().map_or(Ok(()), |upload| Err(Failed::Unsent(Box::new(upload))));
            }
            // Some destinations refuse a large body and close: what they say may still be on its way.
            Poll::Ready(Err(Stuck::Broken)) => self.cut_short = true,
        }
        self.moved = upload.moved();
        self.upload = None;
        Ok(())
    }

    fn take_head(&mut self) -> Result<Option<ReplyHead>, Fault> {
        let Some(end) = self.end.find(&self.buffer)? else { return Ok(None) };
        self.head_bytes += end;
        self.end = HeadEnd::default();
        if self.head_bytes > HEAD_LIMIT {
            // The bound holds however the bytes arrive; the caller says so.
            return Ok(None);
        }
        ReplyHead::parse(&self.buffer.split_to(end).freeze(), MOST_FIELDS).map(Some)
    }
}

/// What a reply outside the grammar means.
pub(super) fn malformed(fault: Fault) -> Refusal {
    tracing::debug!(reason = fault.reason(), "a reply is malformed");
    unreachable("the reply is not well-formed HTTP")
}
