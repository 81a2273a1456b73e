//! Operator-facing: the admin API over a Unix socket, and the console listener. Writes secrets, never reads one back.

#![allow(clippy::todo, missing_docs)]
use arc_swap::ArcSwap;
use cloakroom_egress::custody::Custody;
use cloakroom_model::LookupKey;
use cloakroom_policy::{Approvers, PolicySet};
use cloakroom_store::{Store, journal::Journal};
use std::sync::Arc;

pub struct Admin {
    pub store: Arc<dyn Store>,
    pub journal: Arc<Journal>,
    pub custody: Arc<Custody>,
    pub policies: Arc<ArcSwap<PolicySet>>,
    pub approvers: Approvers,
    pub lookup_key: Arc<LookupKey>,
    pub data: std::path::PathBuf,
}
#[derive(Debug, thiserror::Error)]
pub enum AdminError { #[error("{0}")] Other(String) }
impl Admin {
    /// Reads the rows and puts them in force: policy snapshot and custody. After every change, and at start.
    pub async fn reload(&self) -> Result<(), AdminError> { todo!() }
}
pub async fn serve_socket(_admin: Arc<Admin>, _listener: tokio::net::UnixListener, _shutdown: impl Future<Output = ()> + Send) -> Result<(), AdminError> { todo!() }
pub async fn serve_console(_admin: Arc<Admin>, _listener: tokio::net::TcpListener, _shutdown: impl Future<Output = ()> + Send) -> Result<(), AdminError> { todo!() }
