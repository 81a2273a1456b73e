//! The issuer of tokens, as JSON.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// `GET /api/v1/issuer`: the broker as issuer of tokens. Everything here is public.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct IssuerView {
    /// Its URL.
    pub url: String,
    /// The keys that are published.
    pub keys: Vec<IssuerKeyView>,
    /// The discovery document.
    pub discovery: serde_json::Value,
    /// The key set.
    pub key_set: serde_json::Value,
}

/// A key of the issuer, by id and age.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct IssuerKeyView {
    /// Its id: `kid`.
    pub id: String,
    /// When it was made, and published (RFC 3339).
    pub made: String,
    /// From when on it signs.
    pub signs_from: String,
    /// Whether it is the one that signs now.
    pub signs: bool,
    /// Until when it is published, where another one follows.
    pub withdrawn: Option<String>,
}

/// `POST /api/v1/issuer/rotate`.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct IssuerRotation {
    /// After how many seconds the new key signs.
    pub after: u64,
    /// Whether every other key is withdrawn at once.
    pub withdraw: bool,
}
