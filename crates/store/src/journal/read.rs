//! Reading back. Takes no lock; a running broker may go on writing.

use super::frame::Frame;
use super::key::Signed;
use super::segment::{self, Item, Segment};
use super::{JournalError, Record};
use std::path::Path;

/// Reads the records of a journal directory without changing it, `since` a sequence number (0: all). Checkpoints are left
/// out; a record cut short at the end is not there yet.
///
/// # Errors
/// [`JournalError::Damaged`] at the first record that does not verify or that this version cannot read.
pub fn read(dir: &Path, since: u64) -> Result<Vec<Record>, JournalError> {
    let segments = segment::list(dir)?;
    let start = first_needed(&segments, since)?;
    let mut records = Vec::new();
    let mut keep = |segment: &Segment, item: Item<'_>| {
        if let Item::Record(frame, _) = item
            && frame.sequence > since
            && !Signed::recognises(frame.payload)
        {
            records.push(record(segment, frame)?);
        }
        Ok(())
    };
    segment::walk(&segments[start..], &mut keep)?;
    Ok(records)
}

/// The last segment that begins at or before the record after `since`.
pub(super) fn first_needed(segments: &[Segment], since: u64) -> Result<usize, JournalError> {
    for (index, segment) in segments.iter().enumerate().rev() {
        if since > 0 && segment.header()?.first() <= since.saturating_add(1) {
            return Ok(index);
        }
    }
    Ok(0)
}

pub(super) fn record(segment: &Segment, frame: &Frame<'_>) -> Result<Record, String> {
    let entry = serde_json::from_slice(frame.payload)
        .map_err(|error| format!("the record verifies, but this version cannot read it: {error}"))?;
    let (segment, offset) = (segment.name.clone(), frame.offset as u64);
    Ok(Record { sequence: frame.sequence, segment, offset, entry })
}
