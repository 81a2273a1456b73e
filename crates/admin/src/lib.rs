//! Operator-facing: the admin API over a Unix socket or the operators' link of an appliance, and the console listener. Writes secrets, never reads one back.
//!
//! A secret passes through here sealed to the intake key (only `egress` opens it). What a permit means is left to
//! `policy`, what is kept to `store`.

mod act;
mod admin;
mod api;
mod ballot;
mod console;
mod explain;
mod farewell;
mod find;
pub mod handover;
#[cfg(test)]
#[path = "tests/held.rs"]
mod held;
mod history;
#[cfg(test)]
#[path = "tests/house.rs"]
mod house;
mod identity;
mod issuer;
mod link;
mod listen;
mod login;
mod metrics;
mod patient;
mod peer;
mod pin;
mod places;
mod problem;
mod readiness;
mod registrar;
mod rewrap;
mod secret_text;
mod socket;
mod tls;
mod warden;
pub mod wire;

pub use admin::{Admin, AdminError, Attestor, Certifier, Changes};
pub use api::approvers::in_force;
pub use api::feed::Feeds;
pub use api::locks::Locks;
pub use api::replays::Replays;
pub use ballot::Ballots;
pub use console::{ConsoleState, Offer, OfferedLogin, OfferedPolicy, Waiting, WaitingKind, serve_console};
pub use explain::{concerns, records_of};
pub use find::nearest;
pub use identity::{Identity, SingleSignOn, Spans};
pub use issuer::serve_issuer;
pub use link::{Link, serve_link};
pub use login::Logins;
pub use pin::Pin;
pub use problem::{Problem, ProblemCode};
pub use readiness::{Draining, Readiness};
pub use rewrap::Rewrap;
pub use socket::serve_socket;
pub use tls::TlsSettings;
pub use warden::Revoker;
