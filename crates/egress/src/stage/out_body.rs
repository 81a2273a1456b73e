//! The body of an armed call: the part that was read, then the rest as it streams.

use bytes::Bytes;
use cloakroom_model::{BodyFault, Rest};
use http_body::{Body, Frame, SizeHint};
use std::pin::Pin;
use std::task::{Context, Poll};

/// A request body on its way out. The length is known, or the body is chunked.
pub(crate) struct OutBody {
    head: Bytes,
    rest: Option<Rest>,
    left: Option<u64>,
    once: bool,
}

impl OutBody {
    /// The whole body.
    pub(crate) fn whole(bytes: Bytes) -> Self {
        let left = Some(bytes.len() as u64);
        Self { head: bytes, rest: None, left, once: false }
    }

    /// A body of which `head` was read and `rest` was not; `length` is the declared length of both.
    pub(crate) fn streaming(head: Bytes, rest: Rest, length: Option<u64>) -> Self {
        Self { head, rest: Some(rest), left: length, once: false }
    }

    /// All of it, where it is here.
    pub(crate) fn as_whole(&self) -> Option<&Bytes> {
        self.rest.is_none().then_some(&self.head)
    }

    /// A body of which nothing may be sent twice: that of a counted call (invariant 7).
    pub(crate) fn once(self) -> Self {
        Self { once: true, ..self }
    }

    /// Puts back what was taken and not sent.
    pub(crate) fn unread(&mut self, data: Bytes) {
        self.left = self.left.map(|left| left + data.len() as u64);
        self.head =
            if self.head.is_empty() { data } else { [data, std::mem::take(&mut self.head)].concat().into() };
    }

    /// The same body again, where all of it is here and it may be sent again on the word of a destination that says that it processed
    /// nothing of it.
    pub(crate) fn again(&self) -> Option<Self> {
        (self.rest.is_none() && !self.once).then(|| Self::whole(self.head.clone()))
    }
}

impl Body for OutBody {
    type Data = Bytes;
    type Error = BodyFault;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyFault>>> {
        if !self.head.is_empty() {
            let head = std::mem::take(&mut self.head);
            self.left = self.left.map(|left| left.saturating_sub(head.len() as u64));
            return Poll::Ready(Some(Ok(Frame::data(head))));
        }
        let Some(rest) = self.rest.as_mut() else { return Poll::Ready(None) };
        let polled = Pin::new(rest).poll_frame(cx);
        if let Poll::Ready(Some(Ok(frame))) = &polled {
            let sent = frame.data_ref().map_or(0, |data| data.len() as u64);
            self.left = self.left.map(|left| left.saturating_sub(sent));
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.head.is_empty() && self.rest.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.left.map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}
