//! The only reader of secrets: custody, arming, upstream, scrubbing.

#![allow(clippy::todo, missing_docs, dead_code)]
use cloakroom_model::*;
use cloakroom_policy::Authorized;
use std::future::Future;
use std::path::PathBuf;
use std::time::Duration;

pub mod custody {
    use super::*;
    /// Where the key-encryption key comes from.
    pub enum KekSource { KeyFile(PathBuf), Passphrase { salt_file: PathBuf, passphrase: zeroize::Zeroizing<Vec<u8>> } }
    /// Opens secrets for one use. Holds ciphertext of every credential and the key-encryption key.
    pub struct Custody {}
    #[derive(Debug, thiserror::Error)]
    pub enum CustodyError { #[error("{0}")] Other(String) }
    /// The public half of the intake key: seals a secret so that only this broker process opens it (HPKE, RFC 9180).
    #[derive(Clone, serde::Serialize, serde::Deserialize)]
    pub struct Intake { pub public_key: String }
    /// A secret on its way in.
    #[derive(Clone, serde::Serialize, serde::Deserialize)]
    pub struct DropOff { pub encapsulated: String, pub ciphertext: String }
    impl Intake { pub fn seal(&self, _secret: zeroize::Zeroizing<Vec<u8>>, _name: &Name) -> Result<DropOff, CustodyError> { todo!() } }
    /// What a deposit becomes.
    pub struct Accepted { pub sealed: SealedSecret, pub shape: Shape }
    impl Custody {
        /// ASSERTION POINT: the caller declares that secrets may be opened from now on.
        pub fn assert_unlocked(_source: KekSource) -> Result<Self, CustodyError> { todo!() }
        pub fn intake(&self) -> Intake { todo!() }
        /// Opens the drop-off, checks the secret (8 bytes to 16 KiB, no CR, LF, NUL), learns its shape, seals it bound to id, kind, destinations, generation.
        pub fn accept(&self, _drop: &DropOff, _name: &Name, _id: CredentialId, _kind: CredentialKind, _destinations: &[Destination], _generation: u32) -> Result<Accepted, CustodyError> { todo!() }
        /// Swaps in the credentials that may be opened from now on.
        pub fn hold(&self, _credentials: &[CredentialRecord]) { todo!() }
    }
}

/// Stage 3 begins: records the intent, opens the secrets, substitutes.
pub trait Arm: Sized {
    fn arm<L: Ledger>(self, custody: &custody::Custody, ledger: &L) -> impl Future<Output = Result<Armed, Refusal>> + Send;
}
impl Arm for Authorized {
    async fn arm<L: Ledger>(self, _custody: &custody::Custody, _ledger: &L) -> Result<Armed, Refusal> { todo!() }
}

/// Stage 3: the secret is in the call.
pub struct Armed { _private: () }
impl Armed {
    pub async fn send(self, _upstream: &Upstream) -> Result<Returned, Refusal> { todo!() }
}

/// Stage 4: the upstream answered; the reply is not scrubbed yet.
pub struct Returned { _private: () }
impl Returned {
    pub fn scrub(self) -> Result<Answer, Refusal> { todo!() }
}

/// Stage 5: a reply without secrets.
pub struct Answer { _private: () }
impl Answer {
    pub fn status(&self) -> http::StatusCode { todo!() }
    pub fn into_response(self) -> http::Response<ScrubbedBody> { todo!() }
}

/// A scrubbed body. Implements `http_body::Body<Data = Bytes, Error = BodyFault>`; `on_end` is told once, at its end or drop.
pub struct ScrubbedBody {}
/// What a reply came to.
#[derive(Clone, Copy, Debug, Default)]
pub struct Tally { pub bytes: u64, pub replaced: u64, pub complete: bool }
impl ScrubbedBody {
    #[must_use]
    pub fn on_end(self, _tell: impl FnOnce(Tally) + Send + 'static) -> Self { todo!() }
}

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
pub enum UpstreamError { #[error("{0}")] Other(String) }
impl Upstream {
    /// ASSERTION POINT: opens the way out.
    pub fn assert_opened(_settings: UpstreamSettings) -> Result<Self, UpstreamError> { todo!() }
}
