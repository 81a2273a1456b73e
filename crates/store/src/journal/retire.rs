//! Segments that have left the journal, in order: the signed word that they did.

use super::JournalError;
use super::note::PublicKey;
use super::segment::{MISSING, Segment};
use std::io::ErrorKind;
use std::path::Path;

/// A signed checkpoint of all that has left, and up to which segment, beside the segments.
pub(super) const RETIRED: &str = "retired";
/// Begins the line that names that segment.
pub(super) const UPTO: &str = "retired up to ";

/// Checks that the segments before `first` left in order. Someone who merely deletes them has no signature for it.
pub(super) fn require_beginning(dir: &Path, first: &Segment, key: &PublicKey) -> Result<(), JournalError> {
    if first.number == 1 {
        return Ok(());
    }
    let missing = |why: &str| Segment::new(dir, first.number - 1).damaged(0, 0, why);
    let path = dir.join(RETIRED);
    let note = match std::fs::read_to_string(&path) {
        Ok(note) => note,
        Err(error) if error.kind() == ErrorKind::NotFound => return Err(missing(MISSING)),
        Err(error) => return Err(JournalError::at("read", &path, &error)),
    };
    let bad = |why: &str| missing(&format!("{MISSING}, and \"{RETIRED}\" does not say that it left: {why}"));
    let text = key.open(&note).map_err(bad)?;
    let checkpoint = key.checkpoint(&note).map_err(bad)?;
    let upto =
        text.lines().find_map(|line| line.strip_prefix(UPTO)?.strip_suffix(".seg")?.parse::<u32>().ok());
    let header = first.header()?;
    match upto {
        Some(upto) if upto >= first.number - 1 && checkpoint.size >= header.before.size() => Ok(()),
        _ => Err(bad("it is about fewer segments")),
    }
}
