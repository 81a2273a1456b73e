//! A placeholder as the data plane knows it.

use super::rate::Limit;
use crate::permit::Permit;
use cloakroom_model::{Code, CredentialId, KeyedHash, Name, PlaceholderId, Refusal, Timestamp, WorkloadId};
use std::sync::Arc;

/// A row of the snapshot; retired placeholders are here too, so that they are recognised.
pub(crate) struct Held {
    pub(crate) id: PlaceholderId,
    pub(crate) text: KeyedHash,
    pub(crate) credential: CredentialId,
    pub(crate) credential_name: Option<Name>,
    pub(crate) workload: WorkloadId,
    pub(crate) expires: Option<Timestamp>,
    pub(crate) uses: Option<u32>,
    pub(crate) used: u32,
    pub(crate) standing: Standing,
}

/// Whether a placeholder counts.
pub(crate) enum Standing {
    /// Approved, and the approval verifies: these are its permits.
    Active(Vec<Compiled>),
    Pending,
    Denied,
    Revoked,
}

/// A permit in force, with the state of its rate limit.
pub(crate) struct Compiled {
    pub(crate) permit: Permit,
    pub(crate) limit: Option<Arc<Limit>>,
}

impl Held {
    /// The permits; none where the placeholder does not count.
    pub(crate) fn permits(&self) -> &[Compiled] {
        match &self.standing {
            Standing::Active(permits) => permits,
            _ => &[],
        }
    }

    /// The permits, or why there are none now.
    pub(crate) fn permits_at(&self, now: Timestamp) -> Result<&[Compiled], Refusal> {
        let permits = match &self.standing {
            Standing::Active(permits) => permits,
            Standing::Pending => {
                return Err(Refusal::new(
                    Code::PlaceholderPending,
                    "the placeholder was issued and not approved yet",
                ));
            }
            Standing::Denied => {
                return Err(Refusal::new(Code::ApprovalDenied, "the approver denied this placeholder"));
            }
            Standing::Revoked => return Err(revoked()),
        };
        if self.expires.is_some_and(|end| now >= end) {
            return Err(Refusal::new(Code::PlaceholderExpired, "the placeholder is past its end"));
        }
        if self.uses.is_some_and(|uses| self.used >= uses) {
            return Err(Refusal::new(
                Code::PlaceholderSpent,
                "the placeholder has been used as often as it may be",
            ));
        }
        Ok(permits)
    }
}

fn revoked() -> Refusal {
    Refusal::new(Code::PlaceholderRevoked, "the placeholder, its credential or its approval no longer counts")
        .as_event(cloakroom_model::Severity::Warning)
}
