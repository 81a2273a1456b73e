//! Federations: a grant of which nothing is secret, sealed all the same, so that none of it is edited.

use super::binding::Binding;
use super::{Accepted, Custody, CustodyError, sealed, shape};
use crate::mint::Federation;
use crate::secret::Secret;
use cloakroom_model::{CredentialId, CredentialKind, Destination};
use zeroize::Zeroizing;

impl Custody {
    /// Seals a federation; `None` where the deposit is another grant.
    pub(super) fn accept_federation(
        &self,
        deposited: &Secret,
        id: CredentialId,
        destinations: &[Destination],
        generation: u32,
    ) -> Option<Result<Accepted, CustodyError>> {
        let federation = match Federation::read(deposited.expose())? {
            Ok(federation) => federation,
            Err(reason) => return Some(Err(CustodyError::Grant(reason))),
        };
        let binding = Binding { id, kind: CredentialKind::Oauth, destinations, generation };
        let text = federation.write().ok_or(CustodyError::Cryptography("write the grant"));
        let sealed = text.and_then(|text| {
            sealed::seal(self.keys.as_ref(), &binding.bound(), &Secret::new(Zeroizing::new(text)))
        });
        Some(sealed.map(|sealed| Accepted { sealed, shape: shape::learn(&Federation::likeness()) }))
    }
}
