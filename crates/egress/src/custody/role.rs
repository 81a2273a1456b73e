//! Roles: what is sealed is how one is assumed; what a call is signed with are the keys of a session.

use super::binding::Binding;
use super::{Accepted, Custody, CustodyError, Held, Opened, sealed, shape};
use crate::mint::{Asking, Remembered, Role, RoleSession, Sessions, Whose};
use crate::secret::Secret;
use cloakroom_model::{Code, CredentialId, CredentialKind, CredentialRecord, Destination, Name, Refusal};
use cloakroom_policy::Use;
use std::sync::Arc;
use zeroize::Zeroizing;

impl Custody {
    /// Sees to it that sessions are at hand of the roles among what these uses stand for.
    ///
    /// # Errors
    /// `credential-unavailable`, `login-required`, `broker-sealed`.
    pub(crate) async fn assume(&self, uses: &[Use], workload: &Name) -> Result<(), Refusal> {
        self.require_unsealed()?;
        for used in uses {
            let Some((held, sessions)) = self.role_held(used.credential()) else { continue };
            let faulty = || Refusal::new(Code::InternalFault, "no role can be assumed in this process");
            let means = self.means.get().ok_or_else(faulty)?;
            let asking = Asking { workload: workload.clone(), credential: held.record.name.clone() };
            let ready = sessions.ready(&whose(used), &asking, means, || self.role(&held)).await;
            ready
                .map_err(|refusal| refusal.with(|facts| facts.credential = Some(held.record.name.clone())))?;
        }
        Ok(())
    }

    /// As [`Custody::open_for`] for what is deposited; for a role the keys of the session that is for this use alone.
    ///
    /// # Errors
    /// As [`Custody::open_for`]; `credential-unavailable` where the session has ended.
    pub(super) fn open_own(&self, used: &Use, destination: &Destination) -> Result<Opened, Refusal> {
        let Some((held, sessions)) = self.role_held(used.credential()) else {
            return self.open_for(used.credential(), destination, used.spot(), used.narrowing());
        };
        self.require_unsealed()?;
        self.require_fit(used.credential(), destination, used.spot())?;
        let ended = || Refusal::new(Code::CredentialUnavailable, "the session of the role has ended");
        let live = sessions.live(&whose(used)).ok_or_else(ended)?;
        self.count_opening();
        Ok(Opened::of_live(live, held.record.kind, held.record.generation))
    }

    /// The ARN of a role, and what a session gets of it: nothing that lets anybody in. `None` where it is no role, or does not open.
    pub fn role_of(&self, id: CredentialId) -> Option<(String, RoleSession)> {
        let (held, _) = self.role_held(id)?;
        Some(self.role(&held).ok()?.describe())
    }

    /// The keys of every session of this role; none where it is no role.
    pub(crate) fn sessions(&self, id: CredentialId) -> Vec<Opened> {
        let Some((held, sessions)) = self.role_held(id) else { return Vec::new() };
        let (kind, generation) = (held.record.kind, held.record.generation);
        sessions.all().into_iter().map(|live| Opened::of_live(live, kind, generation)).collect()
    }

    /// A whole role; or, where one is held already that is assumed with an access key, only that key anew.
    pub(super) fn accept_role(
        &self,
        deposited: &Secret,
        id: CredentialId,
        destinations: &[Destination],
        generation: u32,
    ) -> Result<Accepted, CustodyError> {
        let role = match Role::read(deposited.expose()) {
            Ok(role) => role,
            Err(reason) => self.renewed_role(deposited, id).ok_or(CustodyError::Grant(reason))?,
        };
        let text = Zeroizing::new(role.write().ok_or(CustodyError::Cryptography("write the role"))?);
        // What is sealed is read again first: with another key in it, it may be none any more.
        Role::read(&text).map_err(CustodyError::Grant)?;
        let binding = Binding { id, kind: CredentialKind::AwsRole, destinations, generation };
        let sealed = sealed::seal(self.keys.as_ref(), &binding.bound(), &Secret::new(text))?;
        Ok(Accepted { sealed, shape: shape::learn(&Role::likeness()) })
    }

    fn renewed_role(&self, deposited: &Secret, id: CredentialId) -> Option<Role> {
        let (held, _) = self.role_held(id)?;
        self.role(&held).ok()?.with_key(std::str::from_utf8(deposited.expose()).ok()?)
    }

    fn role(&self, held: &Held) -> Result<Role, Refusal> {
        let secret = self.unsealed(held, &held.record.sealed)?;
        Role::read(secret.expose()).map_err(|reason| Refusal::new(Code::BrokerSealed, reason))
    }

    fn role_held(&self, id: CredentialId) -> Option<(Held, Arc<Sessions>)> {
        let held = self.held.load();
        let held = held.get(&id)?;
        let sessions = Arc::clone(held.sessions.as_ref()?);
        Some((held.clone(), sessions))
    }
}

fn whose(used: &Use) -> Whose {
    Whose { placeholder: used.placeholder(), policy: used.session_policy().cloned() }
}

/// Sessions outlive a change of the row, as long as the generation is the same.
pub(super) fn sessions_of(
    record: &CredentialRecord,
    known: Option<&Held>,
    remembered: &Arc<Remembered>,
) -> Option<Arc<Sessions>> {
    if record.kind != CredentialKind::AwsRole || record.removed.is_some() {
        return None;
    }
    let known = known.and_then(|held| held.sessions.clone());
    let known = known.filter(|sessions| sessions.generation() == record.generation);
    Some(
        known
            .unwrap_or_else(|| Arc::new(Sessions::new(record.id, record.generation, Arc::clone(remembered)))),
    )
}
