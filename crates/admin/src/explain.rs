//! What the journal knows about one call.

use cloakroom_model::RequestId;
use cloakroom_store::journal::{Entry, JournalError, Record, read};
use std::path::Path;

/// Whether an entry is about this call.
pub fn concerns(entry: &Entry, request: RequestId) -> bool {
    match entry {
        Entry::Intent(intent) => intent.request == request,
        Entry::Outcome { request: of, .. }
        | Entry::Failure { request: of, .. }
        | Entry::Returned { request: of, .. }
        | Entry::Replayed { request: of, .. }
        | Entry::Refusal { request: of, .. } => *of == request,
        Entry::Event(event) => event.request == Some(request),
        _ => false,
    }
}

/// The records of one call, oldest first, read from the journal's files.
///
/// # Errors
/// When the journal cannot be read.
pub fn records_of(journal: &Path, request: RequestId) -> Result<Vec<Record>, JournalError> {
    let mut records = read(journal, 0)?;
    records.retain(|record| concerns(&record.entry, request));
    Ok(records)
}
