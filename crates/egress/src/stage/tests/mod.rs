//! Replies assembled in memory: every placement, coding and part of a reply.

mod bodies;
mod heads;

use super::{Answer, Returned, ScrubbedBody};
use crate::scrub::tests::{CANARY, PLACEHOLDER, finder};
use crate::upstream::RawBody;
use bytes::Bytes;
use cloakroom_model::{BodyFault, Refusal};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Response};
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt;
use std::collections::VecDeque;
use std::pin::Pin;
use std::task::{Context, Poll};

/// A body of given frames; its length is declared or not.
struct Frames {
    frames: VecDeque<Result<Frame<Bytes>, BodyFault>>,
    length: Option<u64>,
}

impl Body for Frames {
    type Data = Bytes;
    type Error = BodyFault;
    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyFault>>> {
        Poll::Ready(self.frames.pop_front())
    }
    fn size_hint(&self) -> SizeHint {
        self.length.map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}

/// Whether the upstream declares the body's length.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Length {
    Declared,
    Chunked,
}

/// A reply on its way back.
struct Reply {
    method: Method,
    status: u16,
    fields: HeaderMap,
    body: Vec<Bytes>,
    fault: Option<BodyFault>,
    trailers: Option<HeaderMap>,
    length: Length,
    range_allowed: bool,
}

impl Reply {
    fn new(body: impl Into<Vec<u8>>) -> Self {
        Self {
            method: Method::GET,
            status: 200,
            fields: HeaderMap::new(),
            body: vec![Bytes::from(body.into())],
            fault: None,
            trailers: None,
            length: Length::Chunked,
            range_allowed: false,
        }
    }

    fn field(mut self, name: &str, value: &str) -> Self {
        let name: HeaderName = name.parse().unwrap();
        self.fields.append(name, HeaderValue::from_bytes(value.as_bytes()).unwrap());
        self
    }

    fn status(mut self, status: u16) -> Self {
        self.status = status;
        self
    }

    fn declared(mut self, length: Length) -> Self {
        self.length = length;
        self
    }

    async fn scrub(self) -> Result<Answer, Refusal> {
        let length = self.body.iter().map(|chunk| chunk.len() as u64).sum();
        let data = self.body.into_iter().map(|chunk| Ok(Frame::data(chunk)));
        let end = self.trailers.map(|fields| Ok(Frame::trailers(fields)));
        let frames = data.chain(self.fault.map(Err)).chain(end).collect();
        let length = (self.length == Length::Declared).then_some(length);
        let body = RawBody::of(Frames { frames, length }.boxed_unsync());
        let mut reply = Response::new(body);
        *reply.status_mut() = self.status.try_into().unwrap();
        *reply.headers_mut() = self.fields;
        if let Some(length) = length {
            reply.headers_mut().insert("content-length", length.into());
        }
        let finder = finder(CANARY, PLACEHOLDER, None);
        Returned::new(reply, self.method, finder, self.range_allowed).await?.scrub()
    }

    async fn answer(self) -> (HeaderMap, Vec<u8>, Option<HeaderMap>) {
        let (head, body) = self.scrub().await.unwrap().into_response().into_parts();
        let body = body.collect().await.unwrap();
        let trailers = body.trailers().cloned();
        (head.headers, body.to_bytes().to_vec(), trailers)
    }
}

/// The chunks that a body yields, up to its end or fault.
async fn drain(mut body: ScrubbedBody) -> (Vec<Bytes>, Option<BodyFault>) {
    let mut chunks = Vec::new();
    while let Some(frame) = body.frame().await {
        match frame {
            Ok(frame) => chunks.extend(frame.into_data().ok()),
            Err(fault) => return (chunks, Some(fault)),
        }
    }
    (chunks, None)
}
