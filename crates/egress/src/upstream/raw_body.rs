//! A reply's body as it came, whichever protocol brought it. It may hold the secret.

use super::{http2, reply};
use bytes::Bytes;
use cloakroom_model::BodyFault;
use http_body::{Body, Frame, SizeHint};
#[cfg(test)]
use http_body_util::combinators::UnsyncBoxBody;
use std::pin::Pin;
use std::task::{Context, Poll};

/// A reply's body, bounded by the idle timeout.
pub(crate) struct RawBody(Source);

/// Boxed: a reply passes through several hands before its body is read.
enum Source {
    Http1(Box<reply::Reply>),
    Http2(Box<http2::Reply>),
    #[cfg(test)]
    Test(UnsyncBoxBody<Bytes, BodyFault>),
}

impl RawBody {
    pub(super) fn http1(reply: reply::Reply) -> Self {
        Self(Source::Http1(Box::new(reply)))
    }

    pub(super) fn http2(reply: http2::Reply) -> Self {
        Self(Source::Http2(Box::new(reply)))
    }

    /// A body assembled in memory.
    #[cfg(test)]
    pub(crate) fn of(body: UnsyncBoxBody<Bytes, BodyFault>) -> Self {
        Self(Source::Test(body))
    }
}

impl Body for RawBody {
    type Data = Bytes;
    type Error = BodyFault;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyFault>>> {
        match &mut self.0 {
            Source::Http1(reply) => Pin::new(&mut **reply).poll_frame(cx),
            Source::Http2(reply) => Pin::new(&mut **reply).poll_frame(cx),
            #[cfg(test)]
            Source::Test(body) => Pin::new(body).poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.0 {
            Source::Http1(reply) => reply.is_end_stream(),
            Source::Http2(reply) => reply.is_end_stream(),
            #[cfg(test)]
            Source::Test(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            Source::Http1(reply) => reply.size_hint(),
            Source::Http2(reply) => reply.size_hint(),
            #[cfg(test)]
            Source::Test(body) => body.size_hint(),
        }
    }
}
