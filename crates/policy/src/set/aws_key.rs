//! Placeholders that stand for what signs calls to AWS, for programs that ask for keys.

use super::PolicySet;
use super::held::{Held, Standing};
use crate::search;
use cloakroom_model::{Code, CredentialKind, Principal, Refusal, Timestamp, WorkloadId};

impl PolicySet {
    /// When this placeholder ends, where it is this workload's, counts now, and stands for an AWS key or role; `None`: it does not end.
    ///
    /// # Errors
    /// `unknown-placeholder`, `wrong-workload`, `place-not-permitted`; why it does not count now.
    pub fn aws_key(
        &self,
        placeholder: &str,
        principal: &Principal,
        now: Timestamp,
    ) -> Result<Option<Timestamp>, Refusal> {
        let unknown = || Refusal::new(Code::UnknownPlaceholder, "this is no placeholder");
        let held = match search::in_text(placeholder.as_bytes(), self).as_slice() {
            [core] => self.held(*core).ok_or_else(unknown)?,
            _ => return Err(unknown()),
        };
        if held.text != self.lookup_key().placeholder_hash(placeholder) {
            return Err(unknown());
        }
        held.require_holder(principal)?;
        held.permits_at(now)?;
        if !is_aws(&held) {
            let reason = "the placeholder stands for nothing that signs calls to AWS";
            return Err(
                Refusal::new(Code::PlaceNotPermitted, reason).with(|facts| facts.placeholder = Some(held.id))
            );
        }
        Ok(held.expires)
    }

    /// Whether this workload has a placeholder that stands for an AWS key or role, and counts.
    pub fn has_aws_key(&self, workload: WorkloadId) -> bool {
        let table = self.by_destination.get(&workload);
        table.is_some_and(|table| table.values().flatten().any(|(held, _)| is_aws(held)))
    }
}

fn is_aws(held: &Held) -> bool {
    match &held.standing {
        // A token that was captured is no key.
        Standing::Active(approved) if held.token().is_none() => {
            matches!(approved.grounds.kind, CredentialKind::Aws | CredentialKind::AwsRole)
        }
        _ => false,
    }
}
