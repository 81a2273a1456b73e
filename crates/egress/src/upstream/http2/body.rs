//! A reply's body over HTTP/2: bounded by the idle timeout; dropping it resets the stream.

use super::Upload;
use crate::upstream::Limits;
use crate::upstream::alarm::Alarm;
use crate::upstream::pool::Stream;
use bytes::Bytes;
use cloakroom_model::BodyFault;
use h2::RecvStream;
use http_body::{Body, Frame, SizeHint};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tokio::time::Instant;

/// A reply's body as it came. Polling it goes on sending the request, where that is not complete yet.
pub(in crate::upstream) struct Reply {
    incoming: RecvStream,
    /// Bytes still to come, where a length was declared.
    left: Option<u64>,
    /// Bytes handed on, whose room the destination gets back when more are asked for.
    held: usize,
    upload: Option<Upload>,
    /// Counted while it is open.
    stream: Option<Stream>,
    alarm: Alarm,
    limits: Limits,
    moved: Instant,
}

impl Reply {
    pub(super) fn new(
        incoming: RecvStream,
        left: Option<u64>,
        upload: Option<Upload>,
        stream: Stream,
        alarm: Alarm,
        limits: Limits,
    ) -> Self {
        let moved = Instant::now();
        let stream = Some(stream);
        Self { incoming, left, held: 0, upload, stream, alarm, limits, moved }
    }

    /// Goes on sending the request.
    fn send_on(&mut self, cx: &mut Context<'_>) -> Result<(), BodyFault> {
        let Some(upload) = self.upload.as_mut() else { return Ok(()) };
        if let Poll::Ready(Err(fault)) = upload.poll(cx) {
            return Err(fault);
        }
        self.moved = self.moved.max(upload.moved());
        if upload.is_over() {
            self.upload = None;
        }
        Ok(())
    }

    fn poll_incoming(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Frame<Bytes>>, BodyFault>> {
        // Back-pressure: the destination may send more only when somebody took what it sent.
        let held = std::mem::take(&mut self.held);
        if held > 0 && self.incoming.flow_control().release_capacity(held).is_err() {
            return Poll::Ready(Err(BodyFault::Broken));
        }
        match ready!(self.incoming.poll_data(cx)) {
            Some(Ok(data)) => {
                self.held = data.len();
                self.left = self.left.map(|left| left.saturating_sub(data.len() as u64));
                Poll::Ready(Ok(Some(Frame::data(data))))
            }
            Some(Err(error)) => {
                tracing::debug!(%error, "a reply broke off");
                Poll::Ready(Err(BodyFault::Broken))
            }
            None => {
                let trailers = ready!(self.incoming.poll_trailers(cx)).map_err(|_| BodyFault::Broken)?;
                Poll::Ready(Ok(trailers.map(Frame::trailers)))
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
        let this = &mut *self;
        if this.stream.is_none() {
            return Poll::Ready(None);
        }
        if let Err(fault) = this.send_on(cx) {
            this.stream = None;
            return Poll::Ready(Some(Err(fault)));
        }
        match this.poll_incoming(cx) {
            Poll::Ready(frame) => {
                this.moved = Instant::now();
                let over = !matches!(&frame, Ok(Some(frame)) if frame.is_data());
                if over {
                    this.stream = None;
                    this.upload = None;
                }
                Poll::Ready(frame.transpose())
            }
            Poll::Pending => {
                let Limits { idle, .. } = this.limits;
                ready!(this.alarm.poll(cx, this.moved, idle, this.limits.shortest()));
                this.stream = None;
                Poll::Ready(Some(Err(BodyFault::Slow)))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.stream.is_none() || self.incoming.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.left.map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}
