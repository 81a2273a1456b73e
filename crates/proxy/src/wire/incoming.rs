//! A request body while it comes. It owns the reading half, and gives it back when it was read to its end.
//!
//! INVARIANT: whoever does not get the reading half back as [`Handover::Complete`] cannot read another request: a
//! connection whose body was not fully read is never used again (T38).

use super::{Chunked, Framing, Inlet, Step};
use bytes::{Buf, Bytes};
use cloakroom_model::BodyFault;
use http_body::{Body, Frame, SizeHint};
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::sync::oneshot;
use tokio::time::{Instant, Sleep, sleep_until};

/// The reading half, given back.
pub(crate) enum Handover {
    /// After the last byte of the body.
    Complete(Inlet),
    /// Somewhere in the body.
    Abandoned(Inlet),
}

/// How slow a body may be.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pace {
    /// Between two reads.
    pub(crate) idle: Duration,
    /// For the whole body.
    pub(crate) total: Option<Duration>,
}

/// What is left to come.
enum Left {
    Bytes(u64),
    Chunks(Chunked),
}

/// A body with its framing taken off.
pub(crate) struct Incoming {
    inlet: Option<Inlet>,
    back: Option<oneshot::Sender<Handover>>,
    left: Left,
    idle: Duration,
    end: Option<Instant>,
    alarm: Pin<Box<Sleep>>,
    waiting: bool,
}

impl Incoming {
    /// The body that follows a head with this framing, and where its reading half comes back to.
    pub(crate) fn new(inlet: Inlet, framing: Framing, pace: Pace) -> (Self, oneshot::Receiver<Handover>) {
        let (back, handed_back) = oneshot::channel();
        let left = match framing {
            Framing::Empty => Left::Bytes(0),
            Framing::Length(bytes) => Left::Bytes(bytes),
            Framing::Chunked => Left::Chunks(Chunked::new()),
        };
        let now = Instant::now();
        let end = pace.total.map(|total| now + total);
        let mut body = Self {
            inlet: Some(inlet),
            back: Some(back),
            left,
            idle: pace.idle,
            end,
            alarm: Box::pin(sleep_until(now + pace.idle)),
            waiting: false,
        };
        if framing == Framing::Empty {
            body.hand_back(Handover::Complete);
        }
        (body, handed_back)
    }

    fn hand_back(&mut self, how: impl FnOnce(Inlet) -> Handover) {
        if let (Some(inlet), Some(back)) = (self.inlet.take(), self.back.take()) {
            // Nobody waits any more when the connection's task is gone.
            let _ = back.send(how(inlet));
        }
    }

    /// One step of decoding what is in the buffer.
    fn decode(&mut self) -> Result<Step, BodyFault> {
        let Some(inlet) = self.inlet.as_mut() else { return Ok(Step::End) };
        let buffer = inlet.buffer();
        match &mut self.left {
            Left::Bytes(0) => Ok(Step::End),
            Left::Bytes(_) if !buffer.has_remaining() => Ok(Step::More),
            Left::Bytes(left) => {
                let take = usize::try_from(*left).unwrap_or(usize::MAX).min(buffer.len());
                *left -= take as u64;
                Ok(Step::Data(buffer.split_to(take).freeze()))
            }
            Left::Chunks(decoder) => decoder.step(buffer).map_err(|_| BodyFault::Broken),
        }
    }

    fn poll_fill(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BodyFault>> {
        let Some(inlet) = self.inlet.as_mut() else { return Poll::Ready(Err(BodyFault::Broken)) };
        if let Poll::Ready(read) = inlet.poll_fill(context) {
            if !matches!(read, Ok(1..)) {
                return Poll::Ready(Err(BodyFault::Broken));
            }
            self.waiting = false;
            return Poll::Ready(Ok(()));
        }
        if !self.waiting {
            // The time in which nobody asked is not the sender's.
            self.waiting = true;
            self.reset_alarm();
        }
        ready!(self.alarm.as_mut().poll(context));
        Poll::Ready(Err(BodyFault::Slow))
    }

    fn reset_alarm(&mut self) {
        let idle = Instant::now() + self.idle;
        let at = self.end.map_or(idle, |end| end.min(idle));
        self.alarm.as_mut().reset(at);
    }

    fn poll_data(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Bytes, BodyFault>>> {
        loop {
            match self.decode() {
                Err(fault) => return Poll::Ready(Some(Err(fault))),
                Ok(Step::End) => return Poll::Ready(None),
                Ok(Step::Data(data)) => return Poll::Ready(Some(Ok(data))),
                Ok(Step::More) => {
                    if let Err(fault) = ready!(self.poll_fill(context)) {
                        return Poll::Ready(Some(Err(fault)));
                    }
                }
            }
        }
    }
}

impl Body for Incoming {
    type Data = Bytes;
    type Error = BodyFault;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyFault>>> {
        let this = self.get_mut();
        let next = ready!(this.poll_data(context));
        if let (None, Left::Chunks(decoder)) = (&next, &mut this.left)
            && let Some(trailers) = decoder.take_trailers()
        {
            this.hand_back(Handover::Complete);
            return Poll::Ready(Some(Ok(Frame::trailers(trailers))));
        }
        match &next {
            // A reader that knows the length does not ask again after the last byte.
            None => this.hand_back(Handover::Complete),
            Some(Ok(_)) if matches!(this.left, Left::Bytes(0)) => this.hand_back(Handover::Complete),
            Some(Ok(_)) => {}
            Some(Err(_)) => this.hand_back(Handover::Abandoned),
        }
        Poll::Ready(next.map(|read| read.map(Frame::data)))
    }

    fn is_end_stream(&self) -> bool {
        matches!(self.left, Left::Bytes(0))
    }

    fn size_hint(&self) -> SizeHint {
        match self.left {
            Left::Bytes(left) => SizeHint::with_exact(left),
            Left::Chunks(_) => SizeHint::default(),
        }
    }
}

impl Drop for Incoming {
    fn drop(&mut self) {
        self.hand_back(Handover::Abandoned);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http_body_util::BodyExt;
    use tokio::io::AsyncWriteExt;

    const PACE: Pace = Pace { idle: Duration::from_secs(30), total: Some(Duration::from_secs(100)) };

    async fn read(framing: Framing, bytes: &[u8]) -> (Result<Bytes, BodyFault>, Option<bool>) {
        let (mut peer, ours) = tokio::io::duplex(1024);
        peer.write_all(bytes).await.unwrap();
        drop(peer);
        let (body, mut back) = Incoming::new(Inlet::over(ours), framing, PACE);
        let read = body.collect().await.map(http_body_util::Collected::to_bytes);
        (read, back.try_recv().ok().map(|handover| matches!(handover, Handover::Complete(_))))
    }

    #[tokio::test]
    async fn t38_only_a_body_read_to_its_end_gives_the_connection_back() {
        assert_eq!(read(Framing::Length(3), b"abcGET").await, (Ok("abc".into()), Some(true)));
        assert_eq!(read(Framing::Chunked, b"3\r\nabc\r\n0\r\n\r\nGET").await, (Ok("abc".into()), Some(true)));
        assert_eq!(read(Framing::Empty, b"GET").await, (Ok(Bytes::new()), Some(true)));
        assert_eq!(read(Framing::Length(4), b"abc").await, (Err(BodyFault::Broken), Some(false)));
        assert_eq!(read(Framing::Chunked, b"3\r\nabcd\r\n").await, (Err(BodyFault::Broken), Some(false)));
    }

    #[tokio::test]
    async fn t38_a_dropped_body_gives_the_connection_back_as_abandoned() {
        let (_peer, ours) = tokio::io::duplex(1024);
        let (body, mut back) = Incoming::new(Inlet::over(ours), Framing::Length(3), PACE);
        drop(body);
        assert!(matches!(back.try_recv(), Ok(Handover::Abandoned(_))));
    }

    #[tokio::test]
    async fn t42_a_slow_body_ends_at_its_deadline() {
        let short = Pace { idle: Duration::from_millis(5), total: None };
        let (peer, ours) = tokio::io::duplex(1024);
        let (body, _back) = Incoming::new(Inlet::over(ours), Framing::Length(3), short);
        assert_eq!(body.collect().await.map(|_| ()).unwrap_err(), BodyFault::Slow);
        drop(peer);
    }
}
