//! Checking a whole journal: hashes, sequence, tree, segments, signatures, and an outside witness where there is one.

use super::frame::Frame;
use super::key::Signed;
use super::note::{Checkpoint, PublicKey};
use super::retire;
use super::segment::{self, Item, Segment};
use super::tree::Frontier;
use super::{JournalError, PUBLIC_KEY};
use serde::Serialize;
use serde::de::IgnoredAny;
use std::path::Path;

/// What `verify` found.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Verdict {
    /// Nothing bad was found.
    pub ok: bool,
    /// Records there are and were, checkpoints included: the size of the tree.
    pub records: u64,
    /// How many of them have left the journal, in order: the tree still covers them.
    pub retired: u64,
    /// Segment files there are.
    pub segments: u64,
    /// Checkpoints whose signature verifies, those in the headers of segments included.
    pub checkpoints: u64,
    /// Bytes of a record cut short at the very end: a write in progress, or a crash. Not damage.
    pub unfinished_bytes: u64,
    /// The last record that a checkpoint signs.
    pub signed: u64,
    /// The last record that the witness's checkpoints cover, where there is a witness and all of them hold.
    pub witnessed: Option<u64>,
    /// The root of the tree of all records, in base64; empty where one of them is bad.
    pub root: String,
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
    /// Checkpoints that it was sent ([`checkpoints_in`](super::checkpoints_in)).
    pub checkpoints: Vec<Checkpoint>,
}

/// Checks the journal in `dir` against the `key.pub` beside it. Takes no lock.
///
/// # Errors
/// When files cannot be read. Damage is no error but a verdict.
pub fn verify(dir: &Path) -> Result<Verdict, JournalError> {
    verify_against(dir, Witness::default(), &mut |_| {})
}

/// Checks the journal in `dir`, against what an outside witness knows. Only a witness shows that whole records were cut
/// off the end, or that everything was made anew by somebody who has the signing key. `told` hears of each record's bytes once it
/// is checked ([`size`](super::size) says how many there are).
///
/// # Errors
/// As [`verify`].
pub fn verify_against(
    dir: &Path,
    witness: Witness,
    told: &mut dyn FnMut(u64),
) -> Result<Verdict, JournalError> {
    let mut verdict = Verdict::default();
    match check(dir, witness, &mut verdict, told) {
        Ok(()) => verdict.ok = true,
        Err(JournalError::Damaged { segment, offset, sequence, why }) => {
            verdict.first_bad = Some(Bad { segment, offset, sequence, why });
        }
        Err(error) => return Err(error),
    }
    Ok(verdict)
}

fn check(
    dir: &Path,
    witness: Witness,
    verdict: &mut Verdict,
    told: &mut dyn FnMut(u64),
) -> Result<(), JournalError> {
    let segments = segment::list(dir)?;
    verdict.segments = segments.len() as u64;
    let (Some(first), Some(last)) = (segments.first(), segments.last()) else {
        return Err(Segment::new(dir, 1).damaged(0, 1, segment::MISSING));
    };
    let key = match witness.key {
        Some(key) => key,
        None => PublicKey::open_file(&dir.join(PUBLIC_KEY))?,
    };
    retire::require_beginning(dir, first, &key)?;
    verdict.retired = first.header()?.before.size();
    let mut examiner = Examiner { key, witnessed: Sorted::new(witness.checkpoints), verdict };
    let end = segment::walk(&segments, &mut |_, item| {
        examiner.examine(item)?;
        told(item.bytes());
        Ok(())
    })?;
    let outcome = examiner.witnessed.compare(&end.tree, true);
    let (known, most) = (examiner.witnessed.matched, examiner.witnessed.most);
    verdict.unfinished_bytes = end.unfinished as u64;
    outcome.map_err(|why| last.damaged(end.offset, end.next(), why))?;
    verdict.witnessed = most.and(known);
    verdict.root = end.tree.root().to_string();
    Ok(())
}

struct Examiner<'v> {
    key: PublicKey,
    witnessed: Sorted,
    verdict: &'v mut Verdict,
}

impl Examiner<'_> {
    fn examine(&mut self, item: Item<'_>) -> Result<(), String> {
        match item {
            Item::Header(header) => {
                self.witnessed.compare(&header.before, false)?;
                let checkpoint = signed_for(&header.note, &header.before, &self.key);
                self.count(checkpoint)?;
                self.verdict.records = header.before.size();
                Ok(())
            }
            Item::Record(frame, before) => self.record(frame, before),
        }
    }

    fn record(&mut self, frame: &Frame<'_>, before: &Frontier) -> Result<(), String> {
        self.witnessed.compare(before, false)?;
        if Signed::recognises(frame.payload) {
            let checkpoint = signed_by_record(frame.payload, before, &self.key);
            self.count(checkpoint.map(|(_, checkpoint)| checkpoint))?;
        } else {
            serde_json::from_slice::<IgnoredAny>(frame.payload).map_err(|_| "the record is not JSON")?;
        }
        self.verdict.records = frame.sequence;
        Ok(())
    }

    fn count(&mut self, checkpoint: Result<Checkpoint, String>) -> Result<(), String> {
        let since = self.verdict.signed + 1;
        let checkpoint = checkpoint.map_err(|why| match why.as_str() {
            OTHER_TREE => format!(
                "{OTHER_TREE}: one of the records from {since} on was changed, or the checkpoint is another's"
            ),
            _ => why,
        })?;
        self.verdict.checkpoints += 1;
        self.verdict.signed = checkpoint.size;
        Ok(())
    }
}

const OTHER_TREE: &str = "the checkpoint does not sign the records before it";

/// Checks that a note signs exactly this tree.
pub(super) fn signed_for(note: &str, tree: &Frontier, key: &PublicKey) -> Result<Checkpoint, String> {
    let checkpoint = key.checkpoint(note)?;
    match (checkpoint.size, checkpoint.root) == (tree.size(), tree.root()) {
        true => Ok(checkpoint),
        false => Err(OTHER_TREE.into()),
    }
}

/// Checks that a record is a checkpoint, signed for exactly this tree.
pub(super) fn signed_by_record(
    payload: &[u8],
    tree: &Frontier,
    key: &PublicKey,
) -> Result<(String, Checkpoint), String> {
    let signed: Signed = serde_json::from_slice(payload).map_err(|_| "the checkpoint cannot be read")?;
    let checkpoint = signed_for(&signed.note, tree, key)?;
    Ok((signed.note, checkpoint))
}

/// A witness's checkpoints in order of size, and how far they were compared.
struct Sorted {
    left: Vec<Checkpoint>,
    matched: Option<u64>,
    most: Option<u64>,
}

impl Sorted {
    fn new(mut checkpoints: Vec<Checkpoint>) -> Self {
        checkpoints.sort_by_key(|checkpoint| std::cmp::Reverse(checkpoint.size));
        let most = checkpoints.first().map(|checkpoint| checkpoint.size);
        Self { left: checkpoints, matched: None, most }
    }

    /// Compares all that are of this size. Smaller ones are about records that have left: their tree is in the larger ones.
    fn compare(&mut self, tree: &Frontier, at_the_end: bool) -> Result<(), String> {
        while let Some(known) = self.left.pop_if(|known| known.size <= tree.size()) {
            if known.size == tree.size() {
                if known.root != tree.root() {
                    let size = known.size;
                    return Err(format!("the first {size} records are not those that the witness knows"));
                }
                self.matched = Some(known.size);
            }
        }
        match self.most {
            Some(most) if at_the_end && !self.left.is_empty() => {
                Err(format!("records are cut off the end: the witness knows {most}"))
            }
            _ => Ok(()),
        }
    }
}
