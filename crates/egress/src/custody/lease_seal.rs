//! Sealing how a lease is ended, bound to the lease and its credential: it outlives the credential's own record.

use super::binding::Bound;
use super::error::CustodyError;
use super::keyring::{Keyring, Writing};
use super::sealed;
use crate::secret::Secret;
use cloakroom_model::{CredentialId, LeaseId, LeaseRecord, SealedSecret};
use std::sync::Arc;

/// Seals and opens what ends leases.
pub(crate) struct LeaseSeal(Arc<Keyring>);

impl LeaseSeal {
    pub(super) fn new(keys: Arc<Keyring>) -> Self {
        Self(keys)
    }

    /// As [`Keyring::writing`].
    pub(crate) fn writing(&self) -> Writing {
        self.0.writing()
    }

    pub(crate) fn seal(
        &self,
        lease: LeaseId,
        credential: CredentialId,
        text: &Secret,
    ) -> Option<SealedSecret> {
        sealed::seal(self.0.as_ref(), &bound(lease, credential), text).ok()
    }

    /// The same under the current root key; `None` where it is already.
    ///
    /// # Errors
    /// When it does not open.
    pub(crate) fn rewrap(&self, row: &LeaseRecord) -> Result<Option<SealedSecret>, CustodyError> {
        sealed::rewrap(&self.0, &bound(row.id, row.credential), &row.sealed.0).map_err(Into::into)
    }

    pub(crate) fn open(
        &self,
        lease: LeaseId,
        credential: CredentialId,
        sealed: &SealedSecret,
    ) -> Option<Secret> {
        sealed::open(self.0.as_ref(), &bound(lease, credential), &sealed.0).ok()
    }
}

/// INVARIANT: neither text begins like that of a credential's secret.
pub(super) fn bound(lease: LeaseId, credential: CredentialId) -> Bound {
    Bound {
        key: format!("cloakroom lease key v1 {lease} {credential}").into_bytes(),
        secret: format!("cloakroom lease v1 {lease} {credential}").into_bytes(),
    }
}
