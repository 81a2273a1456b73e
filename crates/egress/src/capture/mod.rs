//! Tokens in the replies of token endpoints (T09, T106): a workload's own SDK runs an OAuth grant with placeholders, and what the
//! reply grants becomes placeholders before the workload sees it.
//!
//! ```text
//! workload ── refresh_token=placeholder ──► armed ──► token endpoint
//!          ◄── access_token=placeholder' ── rewritten ◄── access_token=ya29.…
//!                                             │
//!               sealed, durable first ◄───────┘ each of them
//! ```
//!
//! Which calls are exchanges, and what their tokens are good for, was decided in `policy`; this reads the reply. A reply is rewritten from
//! what is known of such replies, never passed: what is not known is left out, and without a token that is known it is refused.

mod document;
mod order;
mod reply;

pub(crate) use order::{Order, RefreshToken, RefreshTokenIs};
