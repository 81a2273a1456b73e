//! Custody of sources: where a secret lives, and how the broker is let in there.

use super::binding::Binding;
use super::{Accepted, Custody, CustodyError, Held, sealed, shape};
use crate::secret::Secret;
use crate::source::Source;
use cloakroom_model::{Code, CredentialId, CredentialKind, Destination, Refusal};
use zeroize::Zeroizing;

impl Custody {
    pub(super) fn source(&self, held: &Held) -> Result<Source, Refusal> {
        let secret = self.unsealed(held, &held.record.sealed)?;
        Source::read(secret.expose()).map_err(|reason| Refusal::new(Code::BrokerSealed, reason))
    }

    /// Where the secret is, and how the broker is let in there; or, where that is held already, only what lets it in anew.
    pub(super) fn accept_source(
        &self,
        deposited: Secret,
        id: CredentialId,
        destinations: &[Destination],
        generation: u32,
    ) -> Result<Accepted, CustodyError> {
        let source = match Source::read(deposited.expose()) {
            Ok(source) => source,
            Err(reason) => self.readmitted(&deposited, id).ok_or(CustodyError::Grant(reason))?,
        };
        let text = Zeroizing::new(source.write().ok_or(CustodyError::Cryptography("write the source"))?);
        // As with grants: what is sealed is read again first.
        let source = Source::read(&text).map_err(CustodyError::Grant)?;
        if let Some(means) = self.means.get() {
            source.allowed(&means.sources).map_err(CustodyError::Grant)?;
        }
        let binding = Binding { id, kind: CredentialKind::Sourced, destinations, generation };
        let sealed = sealed::seal(self.keys.as_ref(), &binding.bound(), &Secret::new(text))?;
        Ok(Accepted { sealed, shape: shape::learn(&source.likeness()) })
    }

    fn readmitted(&self, deposited: &Secret, id: CredentialId) -> Option<Source> {
        let held = self.held.load().get(&id).cloned()?;
        let fresh = std::str::from_utf8(deposited.expose()).ok()?;
        self.source(&held).ok()?.with_secret(fresh)
    }
}
