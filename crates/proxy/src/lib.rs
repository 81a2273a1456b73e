//! Workload-facing: listeners, interception, parsing, authentication, walking the stages.
//!
//! What a call may do is `policy`'s decision, what a secret is only `egress` knows. Start reading at `desk`.

mod ask;
mod asking;
mod authenticate;
mod authority;
mod aws;
mod calls;
mod canonical;
mod claim;
mod connection;
mod conversation;
mod desk;
mod entry;
mod error;
mod grpc;
mod guesses;
mod h2;
mod head;
mod holdings;
mod interims;
mod io;
mod laps;
mod last_use;
mod leaf;
mod ledger;
mod lesson;
mod limits;
mod live;
mod names;
mod outcome;
mod pages;
mod peer;
mod problem;
mod propose;
mod proxy;
mod recall;
mod repeats;
mod reply;
mod seats;
mod serve;
mod stages;
mod switch;
mod trace;
mod traced;
mod tunnel;
mod vsock;
mod wire;
mod workers;

#[doc(hidden)]
pub mod fuzz;

pub use authority::{Authority, WorkloadCertificate};
pub use entry::{
    BesideTls, BootNonce, CHECK_PROTOCOL, Certificate, Checks, Entrance, GivenCertificate,
    RenewedCertificate, Validity,
};
pub use error::ProxyError;
pub use limits::Limits;
pub use names::{NameListeners, Pool, PoolError, serve_names};
pub use proxy::{Durability, Proxy};
pub use serve::{Listeners, serve};
pub use traced::{CallTrace, Tracer};
pub use vsock::VsockListener;
