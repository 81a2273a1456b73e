//! What the end-to-end tests share.

use cloakroom_testkit::{Log, Request, Setup, TlsUpstream, Wire};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// The binary under test.
pub(crate) const BINARY: &str = env!("CARGO_BIN_EXE_cloakroom");

/// A broker with a workload `robot`.
pub(crate) fn setup() -> Setup {
    Setup::new(BINARY)
}

/// A policy with one permit for this destination; `rest` is more of the permit.
pub(crate) fn policy(to: &str, call: &str, place: &str, rest: &str) -> String {
    format!(
        "version = 1\n[[permit]]\nname = \"the permit\"\nto = \"{to}\"\ncall = [\"{call}\"]\nplace = \"{place}\"\n{rest}\n"
    )
}

/// The permit that most tests use: `GET /v1/items/{id}` with a bearer credential.
pub(crate) fn items(upstream: &TlsUpstream) -> String {
    policy(&upstream.url(), "GET /v1/items/{id}", "header authorization bearer", "")
}

/// A call that [`items`] permits.
pub(crate) fn item(upstream: &TlsUpstream, id: &str, placeholder: &str) -> Request {
    Request::new("GET", &upstream.authority(), &format!("/v1/items/{id}"))
        .with("authorization", &format!("Bearer {placeholder}"))
}

/// Tries until `done` gives something; for what takes a moment that nobody announces.
pub(crate) fn eventually<T>(what: &str, mut done: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        if let Some(value) = done() {
            return value;
        }
        assert!(Instant::now() < deadline, "not within 30 s: {what}");
        std::thread::yield_now();
    }
}

/// The status of one call, where there was an answer at all.
pub(crate) fn acknowledged(listen: SocketAddr, log: &Log, request: &[u8]) -> Option<u16> {
    std::net::TcpStream::connect(listen).ok()?;
    let mut wire = std::panic::catch_unwind(|| Wire::open(listen, log.clone())).ok()?;
    wire.send(request);
    wire.receive("GET").ok().filter(|answer| answer.complete).map(|answer| answer.status)
}
