//! Who asks, on the console's listener and on the admin socket alike, and what they may do.
//!
//! ```text
//! admin socket, operators' link   the kernel's or TLS's word           every role
//! Authorization: Bearer ckt_…     an API token, kept as a keyed hash   its own roles
//! cookie                          a session, kept as a keyed hash      its person's roles, looked up at each request
//! and what its pages hold         its other half, for every change      (decision 67)
//! ```

mod access;
mod attempts;
mod caller;
mod cookie;
mod form;
mod guard;
mod origin;
mod session;
mod sign_on;

pub(crate) use access::Access;
pub(crate) use attempts::{Attempts, TooMany};
pub(crate) use caller::Caller;
pub(crate) use cookie::Jar;
pub(crate) use form::Form;
pub(crate) use guard::{from_here_or_known, from_own_page, known_caller, known_peer, permit, to_page};
pub(crate) use origin::require_same_origin;
pub(crate) use session::{Begun, Newcomer};
pub use sign_on::SingleSignOn;
pub(crate) use sign_on::UnderWay;

use std::time::Duration;

/// How long a session lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Spans {
    /// After so long without a request it ends.
    pub idle: Duration,
    /// After so long it ends, however it is used.
    pub whole: Duration,
}

impl Default for Spans {
    fn default() -> Self {
        Self { idle: Duration::from_secs(30 * 60), whole: Duration::from_secs(12 * 3600) }
    }
}

/// What is decided, and what is remembered, about those who log in.
#[derive(Debug, Default)]
pub struct Identity {
    pub(crate) spans: Spans,
    pub(crate) attempts: Attempts,
}

impl Identity {
    /// With sessions that live so long.
    pub fn new(spans: Spans) -> Self {
        Self { spans, ..Self::default() }
    }
}

#[cfg(test)]
pub(crate) mod tests;
