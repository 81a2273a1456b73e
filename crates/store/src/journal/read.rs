//! Reading back: records for people, lines for other programs. Takes no lock; a running broker may go on writing.

use super::frame::Frame;
use super::key::Checkpoint;
use super::segment::{self, End, Segment};
use super::{JournalError, Record, json};
use cloakroom_model::Timestamp;
use serde::Serialize;
use serde_json::{Map, Value};
use std::io::Write;
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
    let mut keep = |segment: &Segment, frame: &Frame<'_>| {
        if frame.sequence > since && !Checkpoint::recognises(frame.payload) {
            records.push(record(segment, frame)?);
        }
        Ok(())
    };
    let from = (start == 0).then_some(End::ORIGIN);
    segment::walk(&segments[start..], from, &mut keep)?;
    Ok(records)
}

/// The last segment that begins at or before the record after `since`.
fn first_needed(segments: &[Segment], since: u64) -> Result<usize, JournalError> {
    for (index, segment) in segments.iter().enumerate().rev() {
        if since > 0 && segment.first()? <= since.saturating_add(1) {
            return Ok(index);
        }
    }
    Ok(0)
}

fn record(segment: &Segment, frame: &Frame<'_>) -> Result<Record, String> {
    let entry = serde_json::from_slice(frame.payload)
        .map_err(|error| format!("the record verifies, but this version cannot read it: {error}"))?;
    let (segment, offset) = (segment.name.clone(), frame.offset as u64);
    Ok(Record { sequence: frame.sequence, segment, offset, entry })
}

#[derive(Serialize)]
struct Line {
    sequence: u64,
    time: String,
    hash: String,
    #[serde(flatten)]
    payload: Map<String, Value>,
}

/// Writes every record, checkpoints included, as one line of JSON: `sequence`, `time` (RFC 3339), `hash` (its chain hash),
/// then the members of the record as they stand, `kind` first.
///
/// # Errors
/// As [`read`], and when `out` fails. What was written until then is whole lines.
pub fn export(dir: &Path, mut out: impl Write) -> Result<(), JournalError> {
    let segments = segment::list(dir)?;
    let mut line = Vec::new();
    let mut failed = None;
    let mut write = |_: &Segment, frame: &Frame<'_>| {
        line.clear();
        json::write(&mut line, &exported(frame)?).map_err(|error| error.to_string())?;
        line.push(b'\n');
        out.write_all(&line).map_err(|error| {
            failed = Some(JournalError::Failed(format!("cannot write the export: {error}")));
            String::new()
        })
    };
    let outcome = segment::walk(&segments, Some(End::ORIGIN), &mut write);
    match failed {
        Some(error) => return Err(error),
        None => outcome?,
    };
    out.flush().map_err(|error| JournalError::Failed(format!("cannot write the export: {error}")))
}

fn exported(frame: &Frame<'_>) -> Result<Line, String> {
    let payload: Map<String, Value> =
        serde_json::from_slice(frame.payload).map_err(|error| error.to_string())?;
    let at = payload.get("at").and_then(Value::as_u64).unwrap_or_default();
    let time = Timestamp::from_millis(at).to_string();
    Ok(Line { sequence: frame.sequence, time, hash: frame.hash.to_string(), payload })
}
