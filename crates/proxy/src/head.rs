//! A request before its body, whatever version of HTTP brought it. It has exactly one reading.

use crate::wire::{Named, Target};
use cloakroom_model::Upgrade;
use http::{HeaderMap, Method};

/// A request before its body.
#[derive(Clone, Debug)]
pub(crate) struct Head {
    /// The method: upper case, never TRACE.
    pub(crate) method: Method,
    /// The target.
    pub(crate) target: Target,
    /// The `Host` field, or `:authority`. Only CONNECT may lack it.
    pub(crate) host: Option<Named>,
    /// Every field, hop-by-hop ones included.
    pub(crate) fields: HeaderMap,
    /// Which other protocol the connection, or the stream, is to speak: asked for by `Upgrade`, or by extended CONNECT
    /// (RFC 8441), which has GET as its method here.
    pub(crate) upgrade: Option<Upgrade>,
}
