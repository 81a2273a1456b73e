//! A request body while it comes in on a stream. The sender is allowed more bytes only when those before were taken:
//! flow control reaches from the upstream to the workload.

use bytes::Bytes;
use cloakroom_model::BodyFault;
use h2::RecvStream;
use http_body::{Body, Frame, SizeHint};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::time::{Instant, Sleep, sleep_until};

/// How slow a body may be.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pace {
    /// Between two reads. `None` where a pause is part of the protocol.
    pub(super) idle: Option<Duration>,
    /// For the whole body.
    pub(super) total: Option<Duration>,
}

/// A body whose bytes are given back to the sender's window as they are taken.
pub(super) struct Upload {
    stream: RecvStream,
    /// Handed out last, and not given back yet.
    lent: usize,
    /// The declared length that is still to come.
    left: Option<u64>,
    has_ended: bool,
    idle: Option<Duration>,
    end: Option<Instant>,
    /// When the sender is too slow. Set only while one waits for it.
    alarm: Option<Pin<Box<Sleep>>>,
}

impl Upload {
    /// The body of a stream.
    pub(super) fn new(stream: RecvStream, length: Option<u64>, pace: Pace) -> Self {
        let end = pace.total.map(|total| Instant::now() + total);
        Self { stream, lent: 0, left: length, has_ended: false, idle: pace.idle, end, alarm: None }
    }

    fn give_back(&mut self) {
        if self.lent > 0 {
            // It fails only when the stream is over, and then nobody needs the window.
            let _ = self.stream.flow_control().release_capacity(self.lent);
            self.lent = 0;
        }
    }

    fn poll_slow(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.alarm.is_none() {
            let idle = self.idle.map(|idle| Instant::now() + idle);
            let Some(at) = idle.into_iter().chain(self.end).min() else { return Poll::Pending };
            self.alarm = Some(Box::pin(sleep_until(at)));
        }
        self.alarm.as_mut().map_or(Poll::Pending, |alarm| alarm.as_mut().poll(cx))
    }

    /// The next bytes, or the trailers; `None` after the last, once the end of the stream was seen.
    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyFault>>> {
        if let Some(data) = ready!(self.stream.poll_data(cx)) {
            return Poll::Ready(Some(data.map(Frame::data).map_err(|_| BodyFault::Broken)));
        }
        let trailers = ready!(self.stream.poll_trailers(cx)).map_err(|_| BodyFault::Broken);
        Poll::Ready(trailers.map(|trailers| trailers.map(Frame::trailers)).transpose())
    }
}

impl Body for Upload {
    type Data = Bytes;
    type Error = BodyFault;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyFault>>> {
        let this = self.get_mut();
        if this.has_ended {
            return Poll::Ready(None);
        }
        this.give_back();
        let Poll::Ready(next) = this.poll_next(cx) else {
            ready!(this.poll_slow(cx));
            return Poll::Ready(Some(Err(BodyFault::Slow)));
        };
        this.alarm = None;
        match &next {
            Some(Ok(frame)) => match frame.data_ref() {
                Some(data) => {
                    this.lent = data.len();
                    this.left = this.left.map(|left| left.saturating_sub(data.len() as u64));
                }
                None => this.has_ended = true,
            },
            Some(Err(_)) | None => this.has_ended = true,
        }
        Poll::Ready(next)
    }

    fn is_end_stream(&self) -> bool {
        self.has_ended || self.stream.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.left.map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}
