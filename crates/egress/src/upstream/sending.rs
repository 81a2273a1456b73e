//! The request on its way: its head as the protocol wants it, and a body that tells when it moved last.

use crate::stage::OutBody;
use bytes::Bytes;
use cloakroom_model::{BodyFault, Code, Destination, Refusal};
use http::header::{
    CONNECTION, CONTENT_LENGTH, EXPECT, HOST, HeaderMap, HeaderValue, PROXY_AUTHENTICATE,
    PROXY_AUTHORIZATION, TE, TRAILER, TRANSFER_ENCODING, UPGRADE,
};
use http::uri::PathAndQuery;
use http::{Method, Request, Uri, Version, request};
use http_body::{Body, Frame, SizeHint};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::time::Instant;

/// Fields that belong to one connection; the canonical request has none, and none gets past here.
const HOP_BY_HOP: [http::HeaderName; 9] = [
    CONNECTION,
    CONTENT_LENGTH,
    EXPECT,
    PROXY_AUTHENTICATE,
    PROXY_AUTHORIZATION,
    TE,
    TRAILER,
    TRANSFER_ENCODING,
    UPGRADE,
];

/// When a request last made progress.
pub(super) struct Progress {
    start: Instant,
    millis: AtomicU64,
}

impl Progress {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self { start: Instant::now(), millis: AtomicU64::new(0) })
    }

    pub(super) fn last(&self) -> Instant {
        self.start + Duration::from_millis(self.millis.load(Ordering::Relaxed))
    }

    fn touch(&self) {
        let millis = u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.millis.store(millis, Ordering::Relaxed);
    }
}

/// The request body, watched.
pub(super) struct Watched {
    body: OutBody,
    progress: Arc<Progress>,
}

impl Watched {
    pub(super) fn new(body: OutBody, progress: Arc<Progress>) -> Self {
        Self { body, progress }
    }
}

impl Body for Watched {
    type Data = Bytes;
    type Error = BodyFault;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyFault>>> {
        self.progress.touch();
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// The request without any field that belongs to a connection, and without extensions.
pub(super) fn request(mut head: request::Parts, body: Watched) -> Request<Watched> {
    head.extensions = http::Extensions::new();
    HOP_BY_HOP.iter().for_each(|name| drop(head.headers.remove(name)));
    Request::from_parts(head, body)
}

/// Origin form and `Host`, for HTTP/1.1. The authority is the destination's, whatever the head said before (I1).
///
/// # Errors
/// `internal-fault` when the authority cannot be written.
pub(super) fn for_http1(request: &mut Request<Watched>, destination: &Destination) -> Result<(), Refusal> {
    let host = HeaderValue::try_from(destination.authority()).map_err(|_| unwritable())?;
    *request.uri_mut() = Uri::from(path(request.uri()));
    *request.version_mut() = Version::HTTP_11;
    // `Host` goes first (RFC 9110, section 7.2).
    let mut rest = std::mem::take(request.headers_mut());
    rest.remove(HOST);
    let headers = request.headers_mut();
    *headers = HeaderMap::with_capacity(rest.len() + 1);
    headers.insert(HOST, host);
    headers.extend(rest);
    if expects_content(request.method()) && request.body().is_end_stream() {
        // hyper leaves it out; some servers answer 411 then (RFC 9110, section 8.6).
        request.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from_static("0"));
    }
    Ok(())
}

/// Full address and no `Host`, for HTTP/2. Secrets are sensitive values, which HPACK never indexes.
///
/// # Errors
/// `internal-fault` when the authority cannot be written.
pub(super) fn for_http2(request: &mut Request<Watched>, destination: &Destination) -> Result<(), Refusal> {
    let full = Uri::builder()
        .scheme(destination.scheme().as_str())
        .authority(destination.authority())
        .path_and_query(path(request.uri()));
    *request.uri_mut() = full.build().map_err(|_| unwritable())?;
    *request.version_mut() = Version::HTTP_2;
    request.headers_mut().remove(HOST);
    Ok(())
}

fn expects_content(method: &Method) -> bool {
    [Method::POST, Method::PUT, Method::PATCH].contains(method)
}

fn path(uri: &Uri) -> PathAndQuery {
    uri.path_and_query().cloned().unwrap_or(PathAndQuery::from_static("/"))
}

fn unwritable() -> Refusal {
    Refusal::new(Code::InternalFault, "the request's address could not be written")
}
