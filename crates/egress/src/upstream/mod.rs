//! The only way out.

#![allow(clippy::todo, missing_docs, dead_code)]
use crate::stage::OutBody;
use bytes::Bytes;
use cloakroom_model::{BodyFault, CredentialId, Destination, Refusal};
use http_body_util::combinators::UnsyncBoxBody;
use std::path::PathBuf;
use std::time::Duration;

#[derive(Clone, Debug)]
pub struct UpstreamSettings {
    /// Extra trust anchors, PEM.
    pub anchors: Vec<PathBuf>,
    /// Special-purpose ranges the operator allows.
    pub allowed: Vec<ipnet::IpNet>,
    /// The broker's own listeners: never dialled.
    pub own: Vec<std::net::SocketAddr>,
    pub connect_timeout: Duration,
    pub header_timeout: Duration,
    pub idle_timeout: Duration,
    pub pool_idle: Duration,
    pub pool_per_destination: usize,
    /// Name servers to ask instead of the system's.
    pub resolvers: Vec<std::net::SocketAddr>,
}
/// The only way out. Concrete on purpose: a transport that can be swapped is a way to read secrets.
pub struct Upstream {}
#[derive(Debug, thiserror::Error)]
pub enum UpstreamError {
    #[error("{0}")]
    Other(String),
}
/// What a pooled connection may be reused for: the same credentials (each with its generation) at the same destination.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct PoolKey {
    pub(crate) credentials: Vec<(CredentialId, u32)>,
    pub(crate) destination: Destination,
}
/// A reply's body as it came, bounded by the idle timeout.
pub(crate) type RawBody = UnsyncBoxBody<Bytes, BodyFault>;
impl Upstream {
    /// ASSERTION POINT: opens the way out.
    pub fn assert_opened(_settings: UpstreamSettings) -> Result<Self, UpstreamError> {
        todo!()
    }
    /// Sends one call to exactly `key.destination`.
    pub(crate) async fn send(
        &self,
        _head: http::request::Parts,
        _body: OutBody,
        _key: PoolKey,
    ) -> Result<http::Response<RawBody>, Refusal> {
        todo!()
    }
}
