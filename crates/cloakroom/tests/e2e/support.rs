//! What the end-to-end tests share.

use cloakroom_testkit::{
    Broker, BrokerBuilder, Issued, Log, Request, Setup, TestAuthority, TlsUpstream, Way, Wire, Workload,
    echo, shaped,
};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// The binary under test.
pub(crate) const BINARY: &str = env!("CARGO_BIN_EXE_cloakroom");

/// A broker with a workload `robot`.
pub(crate) fn setup() -> Setup {
    Setup::new(BINARY)
}

/// A broker with settings of its own, an upstream that echoes, a credential `c` for it, and a workload `robot`.
pub(crate) struct Furnished {
    pub(crate) broker: Broker,
    pub(crate) upstream: TlsUpstream,
    pub(crate) robot: Workload,
    /// Its file, and that of the settings, are read again when the broker is launched again.
    pub(crate) authority: TestAuthority,
}

impl Furnished {
    pub(crate) fn with(settings: &str) -> Self {
        Self::dressed(TestAuthority::new(), settings, |builder| builder)
    }

    /// With an authority that others have certificates of, and what else the builder wants.
    pub(crate) fn dressed(
        authority: TestAuthority,
        settings: &str,
        dress: impl FnOnce(BrokerBuilder) -> BrokerBuilder,
    ) -> Self {
        let file = settings_of(&authority);
        std::fs::write(&file, settings).unwrap();
        let builder = BrokerBuilder::new(BINARY, &authority).argument("--config").argument(file);
        let broker = dress(builder).start();
        let upstream = TlsUpstream::start(&authority, echo);
        broker.deposit("c", "bearer", &[&upstream.url()], &shaped("sk_live_"));
        let robot = broker.workload("robot");
        Self { broker, upstream, robot, authority }
    }
}

/// The settings file of a furnished broker.
pub(crate) fn settings_of(authority: &TestAuthority) -> PathBuf {
    authority.directory().join("settings.toml")
}

/// What a call that [`items`] permits comes to: a refusal's code, or a status.
pub(crate) fn outcome(broker: &Broker, robot: &Workload, upstream: &TlsUpstream, issued: &Issued) -> String {
    let answer = broker.call(Way::Absolute, Some(robot), &item(upstream, "1", &issued.text));
    answer.code().unwrap_or_else(|| answer.status.to_string())
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

/// Asks as a workload for this policy; gives the id of the proposal.
pub(crate) fn propose(broker: &Broker, who: &Workload, policy: &str, reason: &str) -> String {
    let body = serde_json::json!({ "policy": policy, "reason": reason }).to_string();
    let (key, length) = (&who.key, body.len());
    let mut wire = broker.wire();
    wire.send(format!("POST /.cloakroom/requests HTTP/1.1\r\nhost: b\r\ncloakroom-workload: {key}\r\ncontent-length: {length}\r\n\r\n{body}").as_bytes());
    let answer = wire.receive("POST").unwrap();
    assert_eq!(answer.status, 202, "{}", answer.text());
    answer.json()["proposal"].as_str().unwrap().to_owned()
}

/// The bearer credential that reached the destination last.
pub(crate) fn presented(upstream: &TlsUpstream) -> String {
    let requests = upstream.requests();
    let last = requests.last().unwrap().header("authorization").unwrap();
    last.strip_prefix("Bearer ").unwrap().to_owned()
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

/// A port of this machine's vsock for a test of its own; none where the kernel has no vsock.
pub(crate) fn port_of_vsock() -> Option<u32> {
    use socket2::{Domain, Socket, Type};
    let has_vsock = Socket::new(Domain::VSOCK, Type::STREAM, None).is_ok();
    if !has_vsock {
        eprintln!("LEFT OUT: this machine's kernel has no vsock");
    }
    has_vsock.then(|| 1 << 24 | std::process::id())
}
