//! The canonical request: the one value that is checked, approved, journalled and serialised.

use crate::{Destination, Path, Query, RequestId};
use bytes::Bytes;
use http::{HeaderMap, Method};
use http_body_util::BodyExt;
use http_body_util::combinators::UnsyncBoxBody;
use serde::{Deserialize, Serialize};
use std::fmt;

/// How the workload reached the broker.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Way {
    /// `CONNECT` and interception.
    Connect,
    /// Absolute-form proxying, upgraded to TLS.
    Absolute,
    /// `/to/<authority>/<path…>`.
    BaseUrl,
    /// SOCKS5 (RFC 1928) and interception.
    Socks,
    /// Steered to the transparent listener on its way to an address that the broker's own names gave out.
    Transparent,
}

impl Way {
    /// As it serialises.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Connect => "connect",
            Self::Absolute => "absolute",
            Self::BaseUrl => "base-url",
            Self::Socks => "socks",
            Self::Transparent => "transparent",
        }
    }
}

/// The protocol that a call asks to go on with after its head.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Upgrade {
    /// WebSocket (RFC 6455), asked for by `Upgrade` or by extended CONNECT (RFC 8441).
    WebSocket,
}

impl Upgrade {
    /// The protocol's word, as policy files write it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::WebSocket => "websocket",
        }
    }
}

/// Why a body ended early.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BodyFault {
    /// The sender broke the connection or the framing.
    #[error("the body ended early")]
    Broken,
    /// The sender was slower than the limit.
    #[error("the body came too slowly")]
    Slow,
    /// More bytes than the limit.
    #[error("the body is larger than the limit")]
    TooLarge,
    /// The bytes could not be decoded or searched.
    #[error("the body could not be decoded")]
    Undecodable,
    /// The placeholder was revoked, or the broker stops.
    #[error("the broker ended the stream")]
    Ended,
}

/// What of a body is not read yet.
pub type Rest = UnsyncBoxBody<Bytes, BodyFault>;

/// A request body: the part read for checking, and the rest that streams through.
pub struct Payload {
    /// The first bytes. The whole body when `rest` is `None`.
    pub head: Bytes,
    /// What follows `head`, unread.
    pub rest: Option<Rest>,
    /// The declared length of head and rest together, where one was declared.
    pub length: Option<u64>,
    /// The trailers of a body that was read to its end. They are searched, and never forwarded: no permit describes them.
    pub trailers: Option<Box<HeaderMap>>,
}

impl Payload {
    /// No body.
    pub fn empty() -> Self {
        Self::complete(Bytes::new())
    }

    /// A body that is all here.
    pub fn complete(bytes: Bytes) -> Self {
        Self { length: Some(bytes.len() as u64), head: bytes, rest: None, trailers: None }
    }

    /// What stands for a body that nobody read: it has an end, and nothing before it.
    pub fn unread() -> Rest {
        Rest::new(http_body_util::Empty::new().map_err(|never| match never {}))
    }

    /// The whole body, where it was read completely.
    pub fn whole(&self) -> Option<&Bytes> {
        self.rest.is_none().then_some(&self.head)
    }
}

impl fmt::Debug for Payload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Payload")
            .field("head_bytes", &self.head.len())
            .field("complete", &self.rest.is_none())
            .finish()
    }
}

/// One call in canonical form. Framing and hop-by-hop fields are gone; `headers` are end-to-end fields only.
pub struct Call {
    /// Names this call everywhere.
    pub request: RequestId,
    /// How it came.
    pub way: Way,
    /// The method, as sent; matching is exact.
    pub method: Method,
    /// The one authority.
    pub destination: Destination,
    /// The path.
    pub path: Path,
    /// The query.
    pub query: Query,
    /// End-to-end header fields, without `Host`, framing and proxy fields.
    pub headers: HeaderMap,
    /// The protocol that is asked for. The fields that ask for it are not in `headers`: each side makes its own.
    pub upgrade: Option<Upgrade>,
    /// The body.
    pub body: Payload,
}

impl fmt::Debug for Call {
    /// SECURITY: header values, query values and the body are the workload's; none is shown (invariant 11).
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Call")
            .field("request", &self.request)
            .field("destination", &self.destination)
            .finish_non_exhaustive()
    }
}
