//! Checking a whole journal: chain, sequence, segments, signatures, and an outside witness where there is one.

use super::frame::Frame;
use super::key::{Checkpoint, PublicKey};
use super::segment::{self, End, Segment};
use super::{JournalError, PUBLIC_KEY};
use serde::Serialize;
use serde::de::IgnoredAny;
use std::path::Path;

/// What `verify` found.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Verdict {
    /// Nothing bad was found.
    pub ok: bool,
    /// Records that verify, checkpoints included.
    pub records: u64,
    /// Segment files there are.
    pub segments: u64,
    /// Checkpoints whose signature verifies.
    pub checkpoints: u64,
    /// Bytes of a record cut short at the very end: a write in progress, or a crash. Not damage.
    pub unfinished_bytes: u64,
    /// The last record that a checkpoint signs: later ones are chained, not signed.
    pub signed: u64,
    /// The chain hash of the last good record, in hexadecimal: note it elsewhere, with `records`, as a witness.
    pub head: String,
    /// The first bad record.
    pub first_bad: Option<Bad>,
}

/// Where a journal is bad, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Bad {
    /// The segment file.
    pub segment: String,
    /// Where the record begins in it.
    pub offset: u64,
    /// The sequence number expected there.
    pub sequence: u64,
    /// What does not hold.
    pub why: String,
}

/// What an outside witness knows, to hold the journal against.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Witness {
    /// The public key, kept elsewhere; without it `key.pub` beside the segments is believed.
    pub key: Option<PublicKey>,
    /// A record's sequence number and chain hash, noted earlier.
    pub head: Option<(u64, String)>,
}

/// Checks the journal in `dir` against the `key.pub` beside it. Takes no lock.
///
/// # Errors
/// When files cannot be read. Damage is no error but a verdict.
pub fn verify(dir: &Path) -> Result<Verdict, JournalError> {
    verify_against(dir, &Witness::default())
}

/// Checks the journal in `dir`, against what an outside witness knows. Only a witness shows that whole records were cut
/// off the end, or that everything was made anew under another key.
///
/// # Errors
/// As [`verify`].
pub fn verify_against(dir: &Path, witness: &Witness) -> Result<Verdict, JournalError> {
    let mut verdict = Verdict::default();
    match check(dir, witness, &mut verdict) {
        Ok(()) => verdict.ok = true,
        Err(JournalError::Damaged { segment, offset, sequence, why }) => {
            verdict.first_bad = Some(Bad { segment, offset, sequence, why });
        }
        Err(error) => return Err(error),
    }
    Ok(verdict)
}

fn check(dir: &Path, witness: &Witness, verdict: &mut Verdict) -> Result<(), JournalError> {
    let segments = segment::list(dir)?;
    verdict.segments = segments.len() as u64;
    let Some(last) = segments.last() else {
        return Err(Segment::new(dir, 1).damaged(0, 1, "the segment file is missing"));
    };
    let key = match &witness.key {
        Some(key) => key.clone(),
        None => PublicKey::open(&dir.join(PUBLIC_KEY))?,
    };
    let end =
        segment::walk(&segments, Some(End::ORIGIN), &mut |_, frame| examine(frame, &key, witness, verdict))?;
    verdict.unfinished_bytes = end.unfinished as u64;
    match &witness.head {
        Some((sequence, _)) if *sequence >= end.next => {
            let why = format!("records are cut off the end: the witness knows record {sequence}");
            Err(last.damaged(end.offset, end.next, why))
        }
        _ => Ok(()),
    }
}

fn examine(
    frame: &Frame<'_>,
    key: &PublicKey,
    witness: &Witness,
    verdict: &mut Verdict,
) -> Result<(), String> {
    if Checkpoint::recognises(frame.payload) {
        key.verify(frame.payload, frame.sequence, frame.before)?;
        verdict.checkpoints += 1;
        verdict.signed = frame.sequence - 1;
    } else {
        serde_json::from_slice::<IgnoredAny>(frame.payload).map_err(|_| "the record is not JSON")?;
    }
    let hash = frame.hash.to_string();
    if witness.head.as_ref().is_some_and(|(sequence, known)| *sequence == frame.sequence && *known != hash) {
        return Err("the record is not the one that the witness knows".into());
    }
    verdict.records += 1;
    verdict.head = hash;
    Ok(())
}
