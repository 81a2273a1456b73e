//! What the journal says of calls, for whoever counts them.

use crate::failure::Failure;
use cloakroom_model::{Destination, Intent, Timestamp};
use cloakroom_store::journal::{self, Entry};
use std::path::Path;

/// Calls and refusals of a journal, and when placeholders were revoked.
#[derive(Default)]
pub(super) struct Recorded {
    pub(super) intents: Vec<Intent>,
    /// Where refused calls wanted to go; `None`: nobody could tell.
    pub(super) refused: Vec<Option<Destination>>,
    /// Placeholder, as the journal names it, and when.
    pub(super) revoked: Vec<(String, Timestamp)>,
}

impl Recorded {
    /// Reads a journal: its directory, or the data directory that it is in.
    pub(super) fn read(directory: &Path, since: u64) -> Result<Self, Failure> {
        let inner = directory.join("journal");
        let directory = if inner.is_dir() { &inner } else { directory };
        if !directory.is_dir() {
            return Err(Failure::failed(format!("there is no journal in {}", directory.display()))
                .hinting("name the journal's directory, or the data directory"));
        }
        let mut recorded = Self::default();
        for record in journal::read(directory, since)? {
            match record.entry {
                Entry::Intent(intent) => recorded.intents.push(intent),
                Entry::Refusal { destination, .. } => recorded.refused.push(destination),
                Entry::Act { at, act, subject, .. } if act == "placeholder revoked" => {
                    recorded.revoked.push((subject, at));
                }
                _ => {}
            }
        }
        Ok(recorded)
    }
}
