//! Proofs for people who have nothing but the public key: that a record is in the tree of a checkpoint (c2sp.org/tlog-proof), and that
//! one checkpoint continues another (the request of c2sp.org/tlog-witness).

use super::frame::{Frame, HEAD};
use super::hash::{HASH, Hash};
use super::key::Signed;
use super::note::{Checkpoint, PublicKey};
use super::read::first_needed;
use super::segment::{self, Item, Segment};
use super::tree::{Tree, is_consistent, root_by_inclusion};
use super::{JournalError, PUBLIC_KEY};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;
use serde_json::{Map, Value};
use std::fmt;
use std::path::Path;

const TITLE: &str = "c2sp.org/tlog-proof@v1";

/// That one record is in the tree which a checkpoint signs. Its text is all that is needed beside the public key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proof {
    /// The record, as it is hashed for the tree.
    record: Vec<u8>,
    /// Its sequence number less one.
    index: u64,
    path: Vec<Hash>,
    /// The signed checkpoint.
    note: String,
}

/// What a proof says, once it was checked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Checked {
    /// The record's sequence number.
    pub sequence: u64,
    /// The record.
    pub record: Map<String, Value>,
    /// Of how many records the checkpoint is.
    pub size: u64,
    /// The root of their tree.
    pub root: String,
    /// Whose signature verifies.
    pub signer: String,
}

impl Proof {
    /// Reads what [`fmt::Display`] writes; the error says what is wrong with the text.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        const OTHER: &str = "it is not a proof of a journal record (c2sp.org/tlog-proof@v1)";
        let (head, note) = text.split_once("\n\n").ok_or(OTHER)?;
        let mut lines = head.split('\n');
        if lines.next() != Some(TITLE) {
            return Err(OTHER);
        }
        let mut named = |name| lines.next().and_then(|line| line.strip_prefix(name)).ok_or(OTHER);
        let record = STANDARD.decode(named("extra ")?).map_err(|_| OTHER)?;
        let index = decimal(named("index ")?).ok_or(OTHER)?;
        let path = hashes(lines).ok_or(OTHER)?;
        Ok(Self { record, index, path, note: note.into() })
    }

    /// Checks it against the public key alone.
    ///
    /// # Errors
    /// What does not hold.
    pub fn check(&self, key: &PublicKey) -> Result<Checked, &'static str> {
        let checkpoint = key.checkpoint(&self.note)?;
        let root = root_by_inclusion(Hash::leaf(&self.record), self.index, checkpoint.size, &self.path);
        if root != Some(checkpoint.root) {
            return Err("the record is not in the tree that the checkpoint signs, or not in this place");
        }
        let (sequence, payload) = Frame::parts(&self.record).ok_or("the record cannot be read")?;
        if sequence != self.index + 1 {
            return Err("the record carries another sequence number than its place in the tree");
        }
        let record = serde_json::from_slice(payload).map_err(|_| "the record is not JSON")?;
        let (size, root) = (checkpoint.size, checkpoint.root.to_string());
        Ok(Checked { sequence, record, size, root, signer: key.name().into() })
    }
}

impl fmt::Display for Proof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{TITLE}\nextra {}\nindex {}", STANDARD.encode(&self.record), self.index)?;
        self.path.iter().try_for_each(|step| writeln!(f, "{step}"))?;
        write!(f, "\n{}", self.note)
    }
}

/// A record that names something.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Mention {
    /// Its sequence number.
    pub sequence: u64,
    /// Its kind.
    pub kind: String,
}

/// The records that name an id, oldest first.
///
/// # Errors
/// When the journal cannot be read or is damaged.
pub fn find(dir: &Path, id: &str) -> Result<Vec<Mention>, JournalError> {
    let quoted = format!("\"{id}\"").into_bytes();
    let mut found = Vec::new();
    segment::walk(&segment::list(dir)?, &mut |_, item| {
        if let Item::Record(frame, _) = item
            && frame.payload.windows(quoted.len()).any(|window| window == quoted)
        {
            found.push(Mention { sequence: frame.sequence, kind: kind_of(frame.payload) });
        }
        Ok(())
    })?;
    Ok(found)
}

fn kind_of(payload: &[u8]) -> String {
    let record: Map<String, Value> = serde_json::from_slice(payload).unwrap_or_default();
    record.get("kind").and_then(Value::as_str).unwrap_or_default().to_owned()
}

/// Proves that record `sequence` is in the tree of the latest checkpoint in the files.
///
/// # Errors
/// [`JournalError::Unproven`] when the record is not there, or no checkpoint signs it yet; others as of reading.
pub fn prove(dir: &Path, sequence: u64) -> Result<Proof, JournalError> {
    let segments = segment::list(dir)?;
    let gone = segments
        .first()
        .map(Segment::header)
        .transpose()?
        .is_some_and(|header| (1..header.first()).contains(&sequence));
    if gone {
        return Err(unproven(
            format!("record {sequence} has left the journal"),
            "it was retired; a copy of its segment and a proof made in time still check",
        ));
    }
    let start = first_needed(&segments, sequence.saturating_sub(1))?;
    let (known, record) = gather(&segments[start..], sequence)?;
    let record = record.ok_or_else(|| {
        unproven(format!("there is no record {sequence}"), "\"cloakroom journal show\" lists them")
    })?;
    let signed = known.latest.filter(|(size, _)| *size >= sequence);
    let unsigned = || {
        let hint = "the next checkpoint comes within a minute of the record, or with \"cloakroom journal checkpoint\"";
        unproven(format!("no checkpoint signs record {sequence} yet"), hint)
    };
    let (size, note) = signed.ok_or_else(unsigned)?;
    let path = known.tree.inclusion(sequence - 1, size).ok_or_else(unsigned)?;
    Ok(Proof { record, index: sequence - 1, path, note })
}

/// What the files say of the tree.
struct Known {
    tree: Tree,
    /// The last checkpoint: of how many records, and its note.
    latest: Option<(u64, String)>,
}

/// The root of the tree of the first `size` records, from the files in `dir`.
///
/// # Errors
/// [`JournalError::Unproven`] when they are not all there, or no longer; others as of reading.
pub fn root(dir: &Path, size: u64) -> Result<Hash, JournalError> {
    let segments = segment::list(dir)?;
    let start = first_needed(&segments, size)?;
    let (known, _) = gather(&segments[start..], 0)?;
    let root = (size <= known.tree.size()).then(|| known.tree.root(size)).flatten();
    root.ok_or_else(|| unproven(format!("the first {size} records are not in the journal any more"), KEEP))
}

/// Walks the segments; keeps their leaves, the last checkpoint, and the record that is wanted.
fn gather(segments: &[Segment], wanted: u64) -> Result<(Known, Option<Vec<u8>>), JournalError> {
    let (mut tree, mut latest, mut record): (Option<Tree>, _, _) = (None, None, None);
    segment::walk(segments, &mut |_, item| {
        match item {
            Item::Header(header) => {
                tree.get_or_insert_with(|| Tree::after(header.before.clone()));
                latest = Some((header.before.size(), header.note.clone()));
            }
            Item::Record(frame, before) => {
                if let Some(tree) = &mut tree {
                    tree.push(frame.hash);
                }
                if frame.sequence == wanted {
                    record = Some(frame.record.to_vec());
                }
                if Signed::recognises(frame.payload) {
                    latest = Some((before.size(), signed(frame.payload)?.note));
                }
            }
        }
        Ok(())
    })?;
    Ok((Known { tree: tree.unwrap_or_default(), latest }, record))
}

fn signed(payload: &[u8]) -> Result<Signed, String> {
    serde_json::from_slice(payload).map_err(|_| "the checkpoint cannot be read".into())
}

fn unproven(why: String, hint: &'static str) -> JournalError {
    JournalError::Unproven { why, hint }
}

/// The latest signed checkpoint in the files, as a note.
///
/// # Errors
/// When there is no journal, or it cannot be read.
pub fn latest_checkpoint(dir: &Path) -> Result<String, JournalError> {
    let segments = segment::list(dir)?;
    let (known, _) = gather(&segments[segments.len().saturating_sub(1)..], 0)?;
    known
        .latest
        .map(|(_, note)| note)
        .ok_or_else(|| unproven("there is no checkpoint".into(), "start a broker"))
}

/// That one checkpoint continues another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Consistency {
    /// Of how many records the older one is.
    old: u64,
    path: Vec<Hash>,
    /// The newer one, signed.
    note: String,
}

impl Consistency {
    /// Reads what [`fmt::Display`] writes; the error says what is wrong with the text.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        const OTHER: &str = "it is not a proof that one checkpoint continues another";
        let (head, note) = text.split_once("\n\n").ok_or(OTHER)?;
        let mut lines = head.split('\n');
        let old = lines.next().and_then(|line| line.strip_prefix("old ")).and_then(decimal).ok_or(OTHER)?;
        let path = hashes(lines).ok_or(OTHER)?;
        Ok(Self { old, path, note: note.into() })
    }

    /// Checks that the newer checkpoint continues `old`, against the public key alone. Returns the newer one.
    ///
    /// # Errors
    /// What does not hold.
    pub fn check(&self, old: &Checkpoint, key: &PublicKey) -> Result<Checkpoint, &'static str> {
        let new = key.checkpoint(&self.note)?;
        if old.size != self.old {
            return Err("the proof is about an older checkpoint of another size");
        }
        match is_consistent((old.size, old.root), (new.size, new.root), &self.path) {
            true => Ok(new),
            false => Err(
                "the newer checkpoint does not continue the older one: records were changed, or are another journal's",
            ),
        }
    }
}

impl fmt::Display for Consistency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "old {}", self.old)?;
        self.path.iter().try_for_each(|step| writeln!(f, "{step}"))?;
        write!(f, "\n{}", self.note)
    }
}

/// Proves from the files in `dir` that `new` (a signed checkpoint; the latest one where it is `None`) continues the checkpoint of the first
/// `old` records. Whether it does, [`Consistency::check`] says.
///
/// # Errors
/// [`JournalError::Unproven`] when the journal does not reach to either, or no longer; [`JournalError::Key`] when `new` is not signed by the
/// journal's key; others as of reading.
pub fn consistency(dir: &Path, old: u64, new: Option<&str>) -> Result<Consistency, JournalError> {
    let segments = segment::list(dir)?;
    let start = first_needed(&segments, old)?;
    let (known, _) = gather(&segments[start..], 0)?;
    let note = match (new, known.latest) {
        (Some(note), _) => note.to_owned(),
        (None, Some((_, note))) => note,
        (None, None) => return Err(unproven("there is no checkpoint".into(), "start a broker")),
    };
    let key = PublicKey::open_file(&dir.join(PUBLIC_KEY))?;
    let size = key
        .checkpoint(&note)
        .map_err(|why| unproven(format!("the newer checkpoint: {why}"), NAME_ANOTHER))?
        .size;
    if old > size {
        return Err(unproven(
            format!("the older checkpoint has {old} records, the newer one {size}"),
            NAME_ANOTHER,
        ));
    }
    if size > known.tree.size() {
        let has = known.tree.size();
        return Err(unproven(
            format!("the checkpoint has {size} records, the journal {has}: records are missing"),
            KEEP,
        ));
    }
    let path = known.tree.consistency(old, size);
    let path = path
        .ok_or_else(|| unproven(format!("the records around {old} have left the journal"), NAME_ANOTHER))?;
    Ok(Consistency { old, path, note })
}

const KEEP: &str = "keep the files as they are, and find out who cut them";
const NAME_ANOTHER: &str = "name two checkpoints of this journal, the older one first";

fn decimal(text: &str) -> Option<u64> {
    text.parse::<u64>().ok().filter(|number| number.to_string() == text)
}

/// At most as many hashes as a path in any tree can have.
fn hashes<'t>(lines: impl Iterator<Item = &'t str>) -> Option<Vec<Hash>> {
    let path: Option<Vec<Hash>> = lines.take(2 * 64 + 1).map(Hash::parse).collect();
    path.filter(|path| path.len() <= 2 * 64)
}

impl<'a> Frame<'a> {
    /// Sequence number and payload of a record as it is in the tree.
    fn parts(record: &'a [u8]) -> Option<(u64, &'a [u8])> {
        // With any hash behind it, it is a frame: what it says of its own length has to hold.
        let head = record.get(4..12)?.first_chunk()?;
        let sequence = u64::from_le_bytes(*head);
        let whole = [record, &Hash::leaf(record).0].concat();
        let fits =
            matches!(Frame::read(&whole, 0, sequence), Ok(Some(frame)) if frame.end() == record.len() + HASH);
        fits.then(|| (sequence, &record[HEAD..]))
    }
}
