//! PKCS#11 tokens, reached from processes of their own.
//!
//! The vendor's module is C code that is loaded at run time. It is loaded in a process that starts for one question and ends with its
//! answer; the process that starts those holds no module, and neither ever sees a byte of a workload. Only `cloakroom` depends on this
//! crate: `egress` and `proxy` do not link what loads modules.
//!
//! ```text
//! broker ── questions, answers ── keeper ── one question each ── worker ── the vendor's module ── token
//!        (a socket, from the start)       (a pipe)                      (dlopen)
//! ```

mod keeper;
mod pin;
mod settings;
#[cfg(not(target_feature = "crt-static"))]
mod token;
#[cfg(target_feature = "crt-static")]
#[path = "no_token.rs"]
mod token;
mod worker;

pub use keeper::{Typed, keep};
pub use settings::{Mechanism, TokenSettings, Which};
pub use worker::work;

/// Whether this program can load a module at all.
pub const CAN_LOAD: bool = cfg!(not(target_feature = "crt-static"));
