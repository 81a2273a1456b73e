//! What travels about credentials: secrets come sealed, and never go back.

use cloakroom_egress::custody::DropOff;
use cloakroom_model::{CredentialId, CredentialKind, Destination, Name};
use serde::{Deserialize, Serialize};

/// `POST /api/v1/credentials`.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewCredential {
    /// The operator's name for it.
    pub name: Name,
    /// How it is usually placed.
    pub kind: CredentialKind,
    /// Where it may go at all.
    pub destinations: Vec<Destination>,
    /// The sealed secret.
    pub secret: DropOff,
}

/// `POST /api/v1/credentials/{name}/rotate`.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rotation {
    /// The new secret, sealed under the credential's name.
    pub secret: DropOff,
}

/// A credential as shown: by name and age, never by content.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct CredentialView {
    /// Its id.
    pub id: CredentialId,
    /// Its name.
    pub name: Name,
    /// How it is usually placed.
    pub kind: CredentialKind,
    /// Where it may go at all.
    pub destinations: Vec<Destination>,
    /// Counts rotations, from 1.
    pub generation: u32,
    /// When it was deposited (RFC 3339).
    pub created: String,
    /// When the present generation was deposited.
    pub rotated: String,
    /// Placeholders that stand for it and are pending or active.
    pub placeholders: usize,
}
