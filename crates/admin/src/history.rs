//! What the journal knows about one placeholder: its last use, how it ended, and who was refused first after that.

use crate::wire::{ActView, History, Occasion};
use cloakroom_model::{Change, PlaceholderId};
use cloakroom_store::journal::{Entry, JournalError, read};
use std::path::Path;

/// Reads the journal's files for this placeholder.
///
/// # Errors
/// When the journal cannot be read.
pub(crate) fn history_of(journal: &Path, placeholder: PlaceholderId) -> Result<History, JournalError> {
    let mut history = History::default();
    for record in read(journal, 0)? {
        see(&mut history, &record.entry, placeholder);
    }
    Ok(history)
}

fn see(history: &mut History, entry: &Entry, placeholder: PlaceholderId) {
    match entry {
        Entry::Intent(intent) if intent.uses.iter().any(|used| used.placeholder == placeholder) => {
            history.last_use = Some(Occasion {
                at: intent.at.to_string(),
                request: intent.request,
                peer: intent.peer.map(|peer| peer.to_string()),
                code: None,
            });
        }
        Entry::Act { at, act, subject, by, .. } if *subject == placeholder.to_string() => {
            if ends(act) {
                history.ended = Some(ActView { at: at.to_string(), act: act.clone(), by: by.clone() });
                history.first_refusal = None;
            } else if resumes(act) {
                (history.ended, history.first_refusal) = (None, None);
            }
        }
        Entry::Refusal { request, at, code, placeholder: Some(of), peer, .. }
            if *of == placeholder && history.ended.is_some() && history.first_refusal.is_none() =>
        {
            history.first_refusal = Some(Occasion {
                at: at.to_string(),
                request: *request,
                peer: peer.clone(),
                code: Some(*code),
            });
        }
        _ => {}
    }
}

fn ends(act: &str) -> bool {
    [Change::Revoke, Change::Freeze, Change::Expire, Change::Spend].iter().any(|change| change.act() == act)
}

fn resumes(act: &str) -> bool {
    [Change::Thaw, Change::GiveBack].iter().any(|change| change.act() == act)
}
