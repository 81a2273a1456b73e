//! Sealing how a lease is ended, bound to the lease and its credential: it outlives the credential's own record.

use super::binding::Bound;
use super::kek::KeyEncryption;
use super::sealed;
use crate::secret::Secret;
use cloakroom_model::{CredentialId, LeaseId, SealedSecret};
use std::sync::Arc;

/// Seals and opens what ends leases.
pub(crate) struct LeaseSeal(Arc<dyn KeyEncryption>);

impl LeaseSeal {
    pub(super) fn new(keys: Arc<dyn KeyEncryption>) -> Self {
        Self(keys)
    }

    pub(crate) fn seal(
        &self,
        lease: LeaseId,
        credential: CredentialId,
        text: &Secret,
    ) -> Option<SealedSecret> {
        sealed::seal(self.0.as_ref(), &bound(lease, credential), text).ok()
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
fn bound(lease: LeaseId, credential: CredentialId) -> Bound {
    Bound {
        key: format!("cloakroom lease key v1 {lease} {credential}").into_bytes(),
        secret: format!("cloakroom lease v1 {lease} {credential}").into_bytes(),
    }
}
