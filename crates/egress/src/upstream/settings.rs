//! What the operator can say about the way out, and why it may not open.

use ipnet::IpNet;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

/// Settings of the way out. Proxy variables in the broker's environment are not among them: nothing reads those.
#[derive(Clone, Debug)]
pub struct UpstreamSettings {
    /// Files with extra trust anchors, PEM, besides the platform's. Default: none.
    pub anchors: Vec<PathBuf>,
    /// Special-purpose ranges that may be dialled although they are not public. Default: none.
    pub allowed: Vec<IpNet>,
    /// The broker's own listeners, with the ports they got: never dialled, whatever `allowed` says. Default: none.
    pub own: Vec<SocketAddr>,
    /// Time for a connection to be ready: name, TCP, TLS. Default: 10 s.
    pub connect_timeout: Duration,
    /// Time from the last byte of the request to the whole head of the reply. Default: 300 s, since language models think
    /// that long before they answer.
    pub header_timeout: Duration,
    /// Time without a byte of the reply's body. Default: 60 s.
    pub idle_timeout: Duration,
    /// How long an unused connection is kept. Default: 60 s.
    pub pool_idle: Duration,
    /// How many unused connections are kept for one set of credentials at one destination. Default: 128.
    pub pool_per_destination: usize,
    /// Name servers to ask instead of those in the system's configuration. Default: none.
    pub resolvers: Vec<SocketAddr>,
}

impl Default for UpstreamSettings {
    fn default() -> Self {
        Self {
            anchors: Vec::new(),
            allowed: Vec::new(),
            own: Vec::new(),
            connect_timeout: Duration::from_secs(10),
            header_timeout: Duration::from_secs(300),
            idle_timeout: Duration::from_secs(60),
            pool_idle: Duration::from_secs(60),
            pool_per_destination: 128,
            resolvers: Vec::new(),
        }
    }
}

/// Why the way out could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum UpstreamError {
    /// A file of trust anchors that cannot be read, or holds none.
    #[error("no certificate could be read from {}: {reason}", path.display())]
    Anchors {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// Nothing to trust: no destination could ever prove who it is.
    #[error("this machine has no trusted certificate authorities")]
    NoAnchors,
    /// TLS could not be set up.
    #[error("TLS could not be set up: {0}")]
    Tls(#[from] rustls::Error),
    /// The resolver could not be set up.
    #[error("the resolver could not be set up: {0}")]
    Resolver(String),
}

impl UpstreamError {
    /// What the operator can do about it.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Anchors { .. } => "--upstream-ca takes a file with one or more PEM certificates",
            Self::NoAnchors => "install the package ca-certificates, or name a file: --upstream-ca FILE",
            Self::Tls(_) => "tell us: this is a fault of the broker",
            Self::Resolver(_) => "check /etc/resolv.conf, or name a resolver in the settings",
        }
    }
}
