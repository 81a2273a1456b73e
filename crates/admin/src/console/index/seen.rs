//! When each placeholder and credential was used last, and how each placeholder was misused.

use cloakroom_model::{Code, CredentialId, EventKind, IdMap, PlaceholderId, RequestId, Timestamp};
use cloakroom_store::journal::Entry;

/// What the journal says of one placeholder.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Seen {
    /// Its last use.
    pub(crate) used: Option<(Timestamp, RequestId)>,
    /// How many calls it was in.
    pub(crate) calls: u64,
    /// The last refusal of a call with it.
    pub(crate) refused: Option<(Timestamp, Code)>,
    /// How often it was misused.
    pub(crate) misused: u64,
    /// How it was misused last.
    pub(crate) misuse: Option<(Timestamp, EventKind)>,
}

/// Of all of them.
#[derive(Debug, Default)]
pub(crate) struct Sightings {
    placeholders: IdMap<PlaceholderId, Seen>,
    credentials: IdMap<CredentialId, Timestamp>,
}

impl Sightings {
    pub(super) fn see(&mut self, entry: &Entry) {
        match entry {
            Entry::Intent(intent) => {
                for one in &intent.uses {
                    let seen = self.placeholders.entry(one.placeholder).or_default();
                    seen.used = Some((intent.at, intent.request));
                    seen.calls += 1;
                    self.credentials.insert(one.credential, intent.at);
                }
            }
            Entry::Refusal { at, code, placeholder: Some(placeholder), .. } => {
                self.placeholders.entry(*placeholder).or_default().refused = Some((*at, *code));
            }
            Entry::Event(event) if event.event.is_misuse() => {
                let Some(placeholder) = event.placeholder else { return };
                let seen = self.placeholders.entry(placeholder).or_default();
                seen.misused += 1;
                seen.misuse = Some((event.at, event.event));
            }
            _ => {}
        }
    }

    pub(crate) fn of(&self, placeholder: PlaceholderId) -> Seen {
        self.placeholders.get(&placeholder).copied().unwrap_or_default()
    }

    /// The last use of a credential.
    pub(crate) fn credential(&self, credential: CredentialId) -> Option<Timestamp> {
        self.credentials.get(&credential).copied()
    }
}
