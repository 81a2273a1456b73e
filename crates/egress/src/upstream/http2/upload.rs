//! A request's body on its way over HTTP/2, as fast as the destination's windows allow.

use crate::stage::OutBody;
use bytes::Bytes;
use cloakroom_model::BodyFault;
use h2::client::{ResponseFuture, SendRequest};
use h2::{Reason, SendStream};
use http::Request;
use http_body::Body;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tokio::time::Instant;

/// What of a request is not sent yet.
pub(super) struct Upload {
    stream: SendStream<Bytes>,
    data: Bytes,
    body: OutBody,
    /// Bytes still to come, where a length was declared.
    left: Option<u64>,
    ended: bool,
    moved: Instant,
}

impl Upload {
    /// Begins a stream.
    ///
    /// # Errors
    /// Gives the body back when the connection takes no stream: nothing was sent.
    pub(super) fn begin(
        sender: &mut SendRequest<Bytes>,
        request: Request<()>,
        body: OutBody,
    ) -> Result<(ResponseFuture, Self), Box<OutBody>> {
        let ended = body.is_end_stream();
        let Ok((response, stream)) = sender.send_request(request, ended) else { return Err(Box::new(body)) };
        let left = body.size_hint().exact();
        Ok((response, Self { stream, data: Bytes::new(), body, left, ended, moved: Instant::now() }))
    }

    /// When the request last made progress.
    pub(super) fn moved(&self) -> Instant {
        self.moved
    }

    /// Whether there is nothing left to send.
    pub(super) fn is_over(&self) -> bool {
        self.ended
    }

    /// Sends until all of it is out, or the destination takes no more.
    ///
    /// # Errors
    /// When the request's own body fails: then the stream is reset, so that nobody takes it for complete.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BodyFault>> {
        while !self.ended {
            if self.data.is_empty() {
                match ready!(self.poll_gather(cx)) {
                    Ok(()) => continue,
                    Err(fault) => {
                        self.ended = true;
                        self.stream.send_reset(Reason::CANCEL);
                        return Poll::Ready(Err(fault));
                    }
                }
            }
            self.stream.reserve_capacity(self.data.len());
            match ready!(self.stream.poll_capacity(cx)) {
                Some(Ok(capacity)) => self.send(capacity),
                Some(Err(_)) | None => self.ended = true,
            }
        }
        Poll::Ready(Ok(()))
    }

    /// Takes the next piece of the body.
    fn poll_gather(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BodyFault>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(cx)).transpose()?;
        // Trailers of a request are not part of what was checked: they end here.
        let data = frame.map(|frame| frame.into_data().unwrap_or_default());
        match (&mut self.left, data) {
            (Some(1..), None) => return Poll::Ready(Err(BodyFault::Broken)),
            (_, None) => {
                self.ended = true;
                // Where it fails, the reply tells.
                let _ = self.stream.send_data(Bytes::new(), true);
            }
            (left, Some(data)) => {
                if let Some(left) = left {
                    // INVARIANT: what was declared is what is sent (T41).
                    *left = left.checked_sub(data.len() as u64).ok_or(BodyFault::Broken)?;
                }
                self.data = data;
            }
        }
        Poll::Ready(Ok(()))
    }

    fn send(&mut self, capacity: usize) {
        let piece = self.data.split_to(capacity.min(self.data.len()));
        if piece.is_empty() {
            return;
        }
        let last = self.data.is_empty() && self.body.is_end_stream() && !matches!(self.left, Some(1..));
        self.ended = self.stream.send_data(piece, last).is_err() || last;
        self.moved = Instant::now();
    }
}
