//! Sealing and opening secrets.

#![allow(clippy::todo, missing_docs, dead_code)]
use crate::secret::Secret;
use cloakroom_model::*;
use std::path::PathBuf;

/// Where the key-encryption key comes from.
pub enum KekSource {
    KeyFile(PathBuf),
    Passphrase { salt_file: PathBuf, passphrase: zeroize::Zeroizing<Vec<u8>> },
}
/// Opens secrets for one use. Holds ciphertext of every credential and the key-encryption key.
pub struct Custody {}
#[derive(Debug, thiserror::Error)]
pub enum CustodyError {
    #[error("{0}")]
    Other(String),
}
/// The public half of the intake key: seals a secret so that only this broker process opens it (HPKE, RFC 9180).
#[derive(Clone, serde::Serialize, serde::Deserialize)]
pub struct Intake {
    pub public_key: String,
}
/// A secret on its way in.
#[derive(Clone, serde::Serialize, serde::Deserialize)]
pub struct DropOff {
    pub encapsulated: String,
    pub ciphertext: String,
}
impl Intake {
    pub fn seal(&self, _secret: zeroize::Zeroizing<Vec<u8>>, _name: &Name) -> Result<DropOff, CustodyError> {
        todo!()
    }
}
/// What a deposit becomes.
pub struct Accepted {
    pub sealed: SealedSecret,
    pub shape: Shape,
}
/// A secret opened for one use.
pub(crate) struct Opened {
    pub(crate) secret: Secret,
    pub(crate) generation: u32,
}
impl Custody {
    /// ASSERTION POINT: the caller declares that secrets may be opened from now on.
    pub fn assert_unlocked(_source: KekSource) -> Result<Self, CustodyError> {
        todo!()
    }
    pub fn intake(&self) -> Intake {
        todo!()
    }
    /// Opens the drop-off, checks the secret (8 bytes to 16 KiB, no CR, LF, NUL), learns its shape, seals it bound to id, kind, destinations, generation.
    pub fn accept(
        &self,
        _drop: &DropOff,
        _name: &Name,
        _id: CredentialId,
        _kind: CredentialKind,
        _destinations: &[Destination],
        _generation: u32,
    ) -> Result<Accepted, CustodyError> {
        todo!()
    }
    /// Swaps in the credentials that may be opened from now on.
    pub fn hold(&self, _credentials: &[CredentialRecord]) {
        todo!()
    }
    /// Opens one secret.
    pub(crate) fn open(&self, _id: CredentialId) -> Result<Opened, Refusal> {
        todo!()
    }
}
