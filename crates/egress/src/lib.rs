//! The only reader of secrets: custody, arming, upstream, scrubbing.
//!
//! No plaintext secret leaves this crate but towards the upstream that a permit names (invariant 1). What a call may do is
//! decided in `policy`; how calls arrive is `proxy`'s business.

pub mod age;
mod arm;
mod capture;
pub mod custody;
pub mod issuer;
mod mint;
mod scrub;
mod secret;
mod source;
mod stage;
mod upstream;
pub mod websocket;

/// Logins of people at authorization servers.
pub mod login {
    pub use crate::mint::login::{
        Answer, Invitation, LoggedIn, LoginCode, LoginError, PATIENCE, Provider, SignOn, SignedOn, Waiting,
    };
}

pub use mint::{Farewell, Health, Keeper, Kept, Revocation, RoleSession};
#[cfg(feature = "fuzz")]
#[doc(hidden)]
pub use scrub::{fuzz, gauge};
pub use source::{LeaseBook, LeaseStep};
pub use stage::{Answer, Arm, Armed, Interim, Returned, ScrubbedBody, Tally};
pub use upstream::{Letter, MailError, MailServer, Security, Upstream, UpstreamError, UpstreamSettings};
