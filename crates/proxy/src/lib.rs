//! Workload-facing: listeners, interception, parsing, authentication, walking the stages.

#![allow(clippy::todo, missing_docs)]
use arc_swap::ArcSwap;
use cloakroom_egress::{Upstream, custody::Custody};
use cloakroom_policy::PolicySet;
use cloakroom_store::{Store, journal::Journal};
use std::path::Path as FilePath;
use std::sync::Arc;

/// The broker's certificate authority for interception. ECDSA P-256.
pub struct Authority {}
#[derive(Debug, thiserror::Error)]
pub enum ProxyError { #[error("{0}")] Other(String) }
impl Authority {
    /// Loads `DIR/ca.key` and `DIR/ca.pem`, creating both (key 0600) when neither exists.
    pub fn load_or_create(_data: &FilePath) -> Result<Self, ProxyError> { todo!() }
}

/// Whether a call waits for the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability { BeforeSend, Grouped }

/// Limits on everything a stranger can send. Each has a documented default.
#[derive(Clone, Debug)]
pub struct Limits {}
impl Default for Limits { fn default() -> Self { Self {} } }

/// All that the workload side needs.
pub struct Proxy {
    pub policies: Arc<ArcSwap<PolicySet>>,
    pub custody: Arc<Custody>,
    pub upstream: Arc<Upstream>,
    pub store: Arc<dyn Store>,
    pub journal: Arc<Journal>,
    pub authority: Authority,
    pub limits: Limits,
    pub durability: Durability,
}

/// Serves until `shutdown` resolves, then drains.
pub async fn serve(_proxy: Arc<Proxy>, _listener: tokio::net::TcpListener, _shutdown: impl Future<Output = ()> + Send) -> Result<(), ProxyError> { todo!() }
