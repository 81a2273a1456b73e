//! A copy of the database as it is at one moment, while a broker writes to it or not.

use super::open;
use crate::StoreError;
use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// Copies the database at `from` into a new file at `to` (0600): one snapshot, whole, without what was erased.
///
/// # Errors
/// When `from` cannot be read or is no store of ours, or `to` exists or cannot be written.
pub fn copy_database(from: &Path, to: &Path) -> Result<(), StoreError> {
    let failed = |error: &dyn std::fmt::Display| {
        StoreError::Failed(format!("the database cannot be copied to {}: {error}", to.display()))
    };
    // Made first, so that nobody else can read it at any time: SQLite fills a file that is empty.
    let fresh = OpenOptions::new().write(true).create_new(true).mode(0o600).open(to);
    fresh.map_err(|error| failed(&error))?;
    let text = to.to_str().ok_or_else(|| failed(&"its name is no text"))?;
    let copied = open::reader_of_ours(from)
        .and_then(|db| db.execute("VACUUM INTO ?1", [text]).map(drop).map_err(|error| failed(&error)));
    if copied.is_err() {
        // What is left of it is no copy.
        let _ = std::fs::remove_file(to);
    }
    copied
}
