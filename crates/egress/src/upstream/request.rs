//! The request's head as each protocol wants it. The authority is the destination's, whatever the head said before (I1).

use super::upload::Framing;
use crate::stage::OutBody;
use bytes::{BufMut, BytesMut};
use cloakroom_model::{Code, Destination, Refusal};
use http::header::{
    CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, EXPECT, HOST, HeaderMap, HeaderName, HeaderValue,
    PROXY_AUTHENTICATE, PROXY_AUTHORIZATION, TE, TRAILER, TRANSFER_ENCODING, UPGRADE,
};
use http::uri::PathAndQuery;
use http::{Method, Request, Uri, Version, request};
use http_body::Body;

/// Fields that belong to one connection; the canonical request has none, and none gets past here.
fn is_hop_by_hop(name: &HeaderName) -> bool {
    [
        CONNECTION,
        CONTENT_LENGTH,
        EXPECT,
        HOST,
        PROXY_AUTHENTICATE,
        PROXY_AUTHORIZATION,
        TE,
        TRAILER,
        TRANSFER_ENCODING,
        UPGRADE,
    ]
    .contains(name)
}

/// How the body is framed over HTTP/1.1.
pub(super) fn framing(body: &OutBody) -> Framing {
    match body.size_hint().exact() {
        _ if body.is_end_stream() => Framing::Empty,
        Some(length) => Framing::Length(length),
        None => Framing::Chunked,
    }
}

/// The whole head for HTTP/1.1, with `extra` lines before the framing: origin form, and `Host` first (RFC 9110, section 7.2).
pub(super) fn http1(
    head: &request::Parts,
    destination: &Destination,
    framing: Framing,
    extra: &[(&str, &str)],
) -> BytesMut {
    let host = destination.authority();
    let target = target(&head.uri);
    let fields: usize = head.headers.iter().map(|(name, value)| name.as_str().len() + value.len() + 4).sum();
    let extras: usize = extra.iter().map(|(name, value)| name.len() + value.len() + 4).sum();
    let mut out = BytesMut::with_capacity(target.len() + host.len() + fields + extras + 96);
    out.put_slice(head.method.as_str().as_bytes());
    out.put_slice(b" ");
    out.put_slice(target.as_bytes());
    out.put_slice(b" HTTP/1.1\r\n");
    line(&mut out, "host", host.as_bytes());
    for (name, value) in head.headers.iter().filter(|(name, _)| !is_hop_by_hop(name)) {
        line(&mut out, name.as_str(), value.as_bytes());
    }
    for (name, value) in extra {
        line(&mut out, name, value.as_bytes());
    }
    match framing {
        Framing::Length(length) => line(&mut out, "content-length", length.to_string().as_bytes()),
        Framing::Chunked => line(&mut out, "transfer-encoding", b"chunked"),
        // Some servers answer 411 where it is left out (RFC 9110, section 8.6).
        Framing::Empty if expects_content(&head.method) => line(&mut out, "content-length", b"0"),
        Framing::Empty => {}
    }
    out.put_slice(b"\r\n");
    out
}

fn line(out: &mut BytesMut, name: &str, value: &[u8]) {
    out.put_slice(name.as_bytes());
    out.put_slice(b": ");
    out.put_slice(value);
    out.put_slice(b"\r\n");
}

/// Full address and no `Host`, for HTTP/2. Secrets are sensitive values, which HPACK never indexes.
///
/// # Errors
/// `internal-fault` when the authority cannot be written.
pub(super) fn http2(
    head: &request::Parts,
    body: &OutBody,
    destination: &Destination,
) -> Result<Request<()>, Refusal> {
    let full = Uri::builder()
        .scheme(destination.scheme().as_str())
        .authority(destination.authority())
        .path_and_query(path(&head.uri));
    let mut request = Request::new(());
    *request.uri_mut() = full.build().map_err(|_| unwritable())?;
    *request.version_mut() = Version::HTTP_2;
    *request.method_mut() = head.method.clone();
    let mut fields = head.headers.clone();
    let dropped: Vec<HeaderName> = fields.keys().filter(|name| is_hop_by_hop(name)).cloned().collect();
    for name in dropped {
        fields.remove(name);
    }
    if is_grpc(&fields) {
        // SPEC: gRPC asks for it, and some servers refuse calls without: it says that trailers are understood on all of the way.
        fields.insert(TE, HeaderValue::from_static("trailers"));
    }
    match body.size_hint().exact() {
        Some(0) | None if !(body.is_end_stream() && expects_content(&head.method)) => {}
        length => {
            fields.insert(CONTENT_LENGTH, HeaderValue::from(length.unwrap_or_default()));
        }
    }
    *request.headers_mut() = fields;
    Ok(request)
}

/// Whether a request speaks gRPC, which exists over HTTP/2 only.
pub(super) fn is_grpc(fields: &HeaderMap) -> bool {
    let kind = fields.get(CONTENT_TYPE).map(HeaderValue::as_bytes).unwrap_or_default();
    kind.get(..16).is_some_and(|kind| kind.eq_ignore_ascii_case(b"application/grpc"))
}

fn expects_content(method: &Method) -> bool {
    [Method::POST, Method::PUT, Method::PATCH].contains(method)
}

fn target(uri: &Uri) -> &str {
    uri.path_and_query().map_or("/", PathAndQuery::as_str)
}

fn path(uri: &Uri) -> PathAndQuery {
    uri.path_and_query().cloned().unwrap_or(PathAndQuery::from_static("/"))
}

fn unwritable() -> Refusal {
    Refusal::new(Code::InternalFault, "the request's address could not be written")
}
