//! Development only: loopback upstreams that record what they got, the canary, and a broker to drive.
//!
//! Everything is blocking and speaks raw bytes, so that a test says exactly what goes over the wire and sees exactly
//! what comes back. Nothing here is part of the product.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::cast_possible_truncation,
    reason = "a broken fixture must stop the test that uses it"
)]

mod authority;
mod broker;
mod canary;
mod frames;
mod git;
mod h2;
mod h2_client;
mod hunt;
mod message;
mod reply;
mod scenario;
mod swtpm;
mod upstream;
mod websocket;
mod wire;

pub use authority::TestAuthority;
pub use broker::{Answer, Broker, BrokerBuilder, Issued, Setup};
pub use canary::{CANARY, TAIL, shaped};
pub use frames::{FrameWire, PREFACE, RawFrame, Verdict, literals};
pub use git::GitServer;
pub use h2::{H2Upstream, Service};
pub use h2_client::{H2Answer, H2Call, H2Client, Lost, next_data, send_all};
pub use hunt::{Hit, hunt};
pub use message::{Received, Response, read_request, read_response};
pub use reply::{After, Coding, Reply};
pub use scenario::{Meanings, Scenario, Step};
pub use swtpm::{Bus, MachineTpm, Swtpm};
pub use upstream::{Handler, TlsUpstream, demand_bearer, demand_header, echo};
pub use websocket::{Talk, WS_FIELDS, WsFrame, WsUpstream, ws_accept};
pub use wire::{Log, Request, Way, Wire, Workload, client_config};
