//! What may be said of a secret that lives elsewhere: where it is read, when it was, and what is in the way. Nothing of what lets the broker in.

use super::Custody;
use crate::source::Described;
use cloakroom_model::{CredentialId, CredentialKind, LeaseId, Timestamp};

/// A source as operators see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceReport {
    /// The kind of source.
    pub from: &'static str,
    /// Where the secret is.
    pub place: String,
    /// How the broker logs in there.
    pub login: Option<&'static str>,
    /// When it was read last; `None`: not since the start, or nothing is at hand now.
    pub read: Option<Timestamp>,
    /// What it is lent by.
    pub lease: Option<LeaseId>,
    /// Why the last reading failed.
    pub trouble: Option<&'static str>,
}

impl Custody {
    /// How many connections to destinations were made, and how many are kept; `None` before there is a way out.
    pub fn connections(&self) -> Option<(u64, usize)> {
        self.means.get().map(|means| (means.upstream.connections(), means.upstream.kept()))
    }

    /// What may be said of the source of this credential; `None` where it has none, or where it does not open.
    pub fn source_of(&self, id: CredentialId) -> Option<SourceReport> {
        let held = self.held.load().get(&id).cloned()?;
        let is_sourced = held.record.kind == CredentialKind::Sourced && held.record.removed.is_none();
        let mint = held.mint.clone().filter(|_| is_sourced)?;
        let Described { from, place, login } = self.source(&held).ok()?.describe();
        let (read, trouble) = (mint.made(), mint.health().failed.map(|(_, reason)| reason));
        Some(SourceReport { from, place, login, read, lease: mint.lease(), trouble })
    }
}
