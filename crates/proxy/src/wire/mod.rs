//! HTTP/1.1 as this broker reads and writes it: one strict grammar, nothing passed through.
//!
//! Whatever two programs could read differently is refused here, before anybody asks who is calling. What the request
//! *means* is left to `ask` and `canonical`. Why this is not hyper's server: `docs/decisions/0004-admission.md`.

mod connection_options;
mod fields;
mod framing;
mod head;
mod incoming;
mod inlet;
mod outlet;
mod returning;
mod target;

pub(crate) use cloakroom_wire::{Chunked, Step};
pub(crate) use connection_options::expects_continue;
pub(crate) use fields::{hides_a_field_that_matters, single};
pub(crate) use framing::{Framing, plain_length};
use head::Version;
pub(crate) use head::{HeadBounds, Received, method};
pub(crate) use incoming::{Handover, Incoming, Pace};
pub(crate) use inlet::{Heard, Inlet, Patience, Stopped};
pub(crate) use outlet::{Manner, Outlet};
pub(crate) use returning::Returning;
pub(crate) use target::{Named, Target};

use cloakroom_model::{Code, Refusal};

/// `malformed-call` for this reason.
pub(crate) fn malformed(reason: &'static str) -> Refusal {
    Refusal::new(Code::MalformedCall, reason)
}

/// `ambiguous-call` for this reason.
pub(crate) fn ambiguous(reason: &'static str) -> Refusal {
    Refusal::new(Code::AmbiguousCall, reason)
}
