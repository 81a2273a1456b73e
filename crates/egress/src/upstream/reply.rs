//! The reply's body: bounded by the idle timeout, and the connection's way back into the pool.

use super::pool::{Homed, Pool, PoolKey, Stream};
use bytes::Bytes;
use cloakroom_model::BodyFault;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::time::{Instant, Sleep};

/// What is done with the connection when the reply is complete.
pub(super) enum Lease {
    /// Put back into the pool.
    Http1 { sender: Homed, pool: Arc<Pool>, key: Arc<PoolKey> },
    /// Its stream is counted as closed.
    Http2 { _stream: Stream },
}

/// A reply's body as it came.
pub(super) struct Reply {
    incoming: Incoming,
    lease: Option<Lease>,
    idle: Duration,
    moved: Instant,
    alarm: Option<Pin<Box<Sleep>>>,
}

impl Reply {
    pub(super) fn new(incoming: Incoming, lease: Lease, idle: Duration) -> Self {
        let mut reply = Self { incoming, lease: Some(lease), idle, moved: Instant::now(), alarm: None };
        reply.end_if_complete();
        reply
    }

    /// Gives the connection back. A reply that is dropped before takes its connection with it: what was not read would
    /// be taken for the next reply (T38, T43).
    fn end_if_complete(&mut self) {
        if self.incoming.is_end_stream() {
            self.end();
        }
    }

    fn end(&mut self) {
        if let Some(Lease::Http1 { sender, pool, key }) = self.lease.take() {
            pool.put_back(key, sender);
        }
    }

    /// Ready when nothing came for too long. The timer is made at the first wait and moved on only when it rings.
    fn poll_idle(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let deadline = self.moved + self.idle;
        let alarm = self.alarm.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(deadline)));
        while alarm.as_mut().poll(cx).is_ready() {
            if Instant::now() >= deadline {
                return Poll::Ready(());
            }
            alarm.as_mut().reset(deadline);
        }
        Poll::Pending
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
        match Pin::new(&mut this.incoming).poll_frame(cx) {
            Poll::Ready(Some(Ok(frame))) => {
                this.moved = Instant::now();
                this.end_if_complete();
                Poll::Ready(Some(Ok(frame)))
            }
            Poll::Ready(Some(Err(error))) => {
                tracing::debug!(%error, "a reply broke off");
                this.lease = None;
                Poll::Ready(Some(Err(BodyFault::Broken)))
            }
            Poll::Ready(None) => {
                this.end();
                Poll::Ready(None)
            }
            Poll::Pending => this.poll_idle(cx).map(|()| {
                this.lease = None;
                Some(Err(BodyFault::Slow))
            }),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.incoming.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming.size_hint()
    }
}
