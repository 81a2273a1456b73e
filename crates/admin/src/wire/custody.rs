//! How custody stands, as JSON: sealed or not, by whom the root keys are wrapped, which of their versions are in use. Nothing of a key.

use cloakroom_egress::custody::DropOff;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// `GET /api/v1/custody`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CustodyView {
    /// `open` or `sealed`.
    pub state: String,
    /// Who wraps the root keys: `kek` of the settings.
    pub kek: String,
    /// Why it is sealed, where it is.
    pub reason: Option<String>,
    /// What operators have to bring: `passphrase` or `share`.
    pub wants: Option<String>,
    /// What that is sealed to, base64 (X25519): another one after each seal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub intake: Option<String>,
    /// Shares that were given since it was sealed.
    pub given: Option<u8>,
    /// Shares that are needed together.
    pub threshold: Option<u8>,
    /// The version of the root key that is sealed under; `None` while sealed.
    pub current: Option<u32>,
    /// What was sealed under an older version than this does not open.
    pub minimum: Option<u32>,
    /// Each version that something is sealed under, and how much.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub versions: Vec<RootVersion>,
    /// How far the secrets were brought under the current version, where that goes on.
    #[serde(default)]
    pub rewrap: Option<RewrapView>,
}

/// One version of the root key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RootVersion {
    /// Its number.
    pub version: u32,
    /// How many secrets are sealed under it.
    pub sealed: u64,
    /// Whether it is held: what is sealed under it opens.
    pub held: bool,
}

/// How far a rewrap has come. What is done and what there is are counted from the rows, so a crash changes neither.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RewrapView {
    /// Sealed under the current version.
    pub done: u64,
    /// All that is sealed.
    pub total: u64,
    /// Whether it runs now.
    pub running: bool,
    /// Why it stopped, where it did.
    pub trouble: Option<String>,
}

/// `POST /api/v1/custody/unseal`.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Unsealing {
    /// A share or the passphrase, sealed to `intake` of `GET /api/v1/custody` with the info string `cloakroom unseal v1`; absent: the provider is asked again.
    #[serde(default)]
    #[schema(value_type = Option<Object>)]
    pub part: Option<DropOff>,
}
