//! Drop-offs as JSON: the keys that parcels are sealed to. The parcel itself is
//! [egress' own](cloakroom_egress::custody::Parcel).

use cloakroom_egress::custody::{DropKey, Parcel};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// `GET /api/v1/drop-off`: the keys that open parcels, the current one first. Everything here is public.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct DropOffView {
    /// The keys.
    pub keys: Vec<DropKeyView>,
}

/// A key that parcels are sealed to.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct DropKeyView {
    /// What parcels call it.
    pub id: String,
    /// The key.
    #[schema(value_type = String)]
    pub key: DropKey,
    /// When it was made (RFC 3339).
    pub made: String,
    /// When it opens nothing any more; absent: it is the current one.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub ends: Option<String>,
}

/// `POST /api/v1/drop-off/evidence`.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct EvidenceQuestion {
    /// 32 bytes in hexadecimal, which nobody could foresee.
    pub nonce: String,
}

/// What a machine's TPM says of the machine and of its current drop-off key. Everything here is public, and anybody's word until it is verified.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Evidence {
    /// The version of this format: 1.
    pub evidence: u32,
    /// The key that is vouched for.
    #[schema(value_type = String)]
    pub key: DropKey,
    /// The question, in hexadecimal.
    pub nonce: String,
    /// The key that the TPM signs with: two coordinates on P-256, in hexadecimal.
    pub machine: String,
    /// What it signed (`TPMS_ATTEST`), base64.
    pub attested: String,
    /// The signature (ECDSA, two numbers of 32 bytes), base64.
    pub signature: String,
    /// What the machine's kernel was started with.
    pub command_line: String,
}

/// `POST /api/v1/drop-off/rotate`.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct DropOffRotation {
    /// For how many seconds the key before opens parcels still; 0: every other key ends at once.
    pub overlap: u64,
}

/// `POST /api/v1/parcels`: a parcel as it was sealed, with its label.
#[derive(Deserialize, ToSchema)]
#[serde(transparent)]
#[schema(value_type = Object)]
pub(crate) struct ParcelDocument(pub(crate) Parcel);
