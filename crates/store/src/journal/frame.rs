//! The bytes: segment header and record frame. `docs/journal.md` draws them.

use super::hash::{HASH, Hash, LEAF};
use super::tree::Frontier;

/// First bytes of every segment.
pub(super) const MAGIC: &[u8; 8] = b"cloakjrn";
/// The format this program writes and reads.
pub(super) const VERSION: u32 = 2;
/// Magic, version, segment number, first sequence, length of the note.
const FIXED: usize = 8 + 4 + 4 + 8 + 4;
/// No note of ours is longer.
const LONGEST_NOTE: usize = 4096;
/// A header that names every peak a tree can have, and the longest note.
pub(super) const LONGEST_HEADER: usize = FIXED + 64 * HASH + LONGEST_NOTE + HASH;
/// No journal has more records.
const MOST: u64 = 1 << 62;
/// Length, sequence, checksum of both.
pub(super) const HEAD: usize = 4 + 8 + 4;
/// What a frame has beyond its payload.
pub(super) const FRAME: usize = HEAD + HASH;
/// The longest payload: a length beyond it is damage, not a record cut short.
pub(super) const LONGEST: usize = 1 << 20;

/// The header of one segment: what all the records before it come to, so that the segment can be checked without them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) number: u32,
    /// The tree of the records before this segment.
    pub(super) before: Frontier,
    /// The checkpoint that signs that tree.
    pub(super) note: String,
}

impl Header {
    /// The sequence number of the segment's first record.
    pub(super) fn first(&self) -> u64 {
        self.before.size() + 1
    }

    pub(super) fn encode(&self) -> Vec<u8> {
        let length = u32::try_from(self.note.len()).unwrap_or(u32::MAX).to_le_bytes();
        let (version, number) = (VERSION.to_le_bytes(), self.number.to_le_bytes());
        let mut bytes = [&MAGIC[..], &version, &number, &self.first().to_le_bytes(), &length].concat();
        self.before.peaks().iter().for_each(|peak| bytes.extend_from_slice(&peak.0));
        bytes.extend_from_slice(self.note.as_bytes());
        let own = Hash::of(&bytes);
        bytes.extend_from_slice(&own.0);
        bytes
    }

    /// Reads a header, and how long it is; the error says what does not hold.
    pub(super) fn decode(bytes: &[u8]) -> Result<(Self, usize), &'static str> {
        const SHORT: &str = "the file is shorter than a segment header";
        let fixed: &[u8; FIXED] = bytes.first_chunk().ok_or(SHORT)?;
        if &fixed[..8] != MAGIC {
            return Err("this is not a journal segment");
        }
        match number32(&fixed[8..12]) {
            VERSION => {}
            1 => return Err(OLD),
            _ => return Err("the segment has a format version that this program does not know"),
        }
        let (number, first) = (number32(&fixed[12..16]), number64(&fixed[16..24]));
        let (note, count) = (number32(&fixed[24..]) as usize, first.wrapping_sub(1).count_ones() as usize);
        let end = FIXED + count * HASH + note;
        if note > LONGEST_NOTE {
            return Err("the segment header is longer than any header can be");
        }
        if !(1..=MOST).contains(&first) {
            return Err("the segment header names a sequence number that no record can have");
        }
        let own = bytes.get(end..end + HASH).ok_or(SHORT)?;
        if Hash::of(&bytes[..end]).0 != own {
            return Err("the segment header does not match its hash");
        }
        let (peaks, _) = bytes[FIXED..end - note].as_chunks::<HASH>();
        let before = Frontier::from_parts(first.wrapping_sub(1), peaks.iter().copied().map(Hash).collect());
        let note = str::from_utf8(&bytes[end - note..end]).map(str::to_owned);
        match (before, note) {
            (Some(before), Ok(note)) => Ok((Self { number, before, note }, end + HASH)),
            _ => Err("the segment header cannot be read"),
        }
    }
}

/// What is said of the format before this one.
pub(super) const OLD: &str =
    "the segment has format version 1, which only the program that wrote it can read";

/// Completes one frame in place: `bytes` is one byte that is lent, then the frame with its length set.
pub(super) fn seal(bytes: &mut [u8], sequence: u64) {
    let end = bytes.len() - HASH;
    let length = number32(&bytes[1..]);
    bytes[1..=HEAD].copy_from_slice(&head(length, sequence));
    // What is hashed for the tree is one piece of memory: the leaf's prefix stands for a moment where another frame ends.
    let lent = std::mem::replace(&mut bytes[0], LEAF);
    let hash = Hash::of(&bytes[..end]);
    bytes[0] = lent;
    bytes[end..].copy_from_slice(&hash.0);
}

fn head(length: u32, sequence: u64) -> [u8; HEAD] {
    let mut head = [0; HEAD];
    head[..4].copy_from_slice(&length.to_le_bytes());
    head[4..12].copy_from_slice(&sequence.to_le_bytes());
    let checksum = crc32fast::hash(&head[..12]);
    head[12..].copy_from_slice(&checksum.to_le_bytes());
    head
}

/// One record in place.
#[derive(Clone, Copy, Debug)]
pub(super) struct Frame<'a> {
    pub(super) offset: usize,
    pub(super) sequence: u64,
    pub(super) payload: &'a [u8],
    /// What is in the tree: the frame without its hash.
    pub(super) record: &'a [u8],
    /// Its leaf.
    pub(super) hash: Hash,
}

/// Why no frame begins here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Flaw {
    /// The bytes end before the record does: what a crash in mid-write leaves behind.
    Unfinished,
    /// All bytes are there and do not verify.
    Bad(&'static str),
}

impl<'a> Frame<'a> {
    /// The frame at `offset`, which must carry `sequence`. `None` at the end.
    pub(super) fn read(bytes: &'a [u8], offset: usize, sequence: u64) -> Result<Option<Self>, Flaw> {
        let rest = bytes.get(offset..).unwrap_or_default();
        if rest.is_empty() {
            return Ok(None);
        }
        Self::complete(rest, offset, sequence).map(Some).map_err(|flaw| match flaw {
            Flaw::Bad(_) if is_unwritten(rest) => Flaw::Unfinished,
            flaw => flaw,
        })
    }

    fn complete(rest: &'a [u8], offset: usize, sequence: u64) -> Result<Self, Flaw> {
        let head: &[u8; HEAD] = rest.first_chunk().ok_or(Flaw::Unfinished)?;
        // SECURITY: the checksum keeps a changed length from passing for a record cut short.
        if crc32fast::hash(&head[..12]) != number32(&head[12..]) {
            return Err(Flaw::Bad("the record's head does not match its checksum"));
        }
        let length = number32(&head[..4]) as usize;
        if length > LONGEST {
            return Err(Flaw::Bad("the record is longer than any record can be"));
        }
        if number64(&head[4..12]) != sequence {
            return Err(Flaw::Bad(
                "the record carries another sequence number: records are missing, repeated or out of order",
            ));
        }
        let rest = rest.get(..FRAME + length).ok_or(Flaw::Unfinished)?;
        let (record, stored) = rest.split_at(HEAD + length);
        let hash = Hash::leaf(record);
        if hash.0 != stored {
            return Err(Flaw::Bad("the record does not match its hash: it was changed"));
        }
        Ok(Self { offset, sequence, payload: &record[HEAD..], record, hash })
    }

    /// Where the next frame begins.
    pub(super) fn end(&self) -> usize {
        self.offset + FRAME + self.payload.len()
    }
}

/// Some file systems lengthen a file before its data arrives: after a power cut the unflushed end reads as zeros.
/// True for a tail of nothing but zeros, and for one that ends in at least a sector of them and is too short without.
/// (Zeroing records to the end of the file is no more than cutting them off, which leaves no trace either.)
fn is_unwritten(rest: &[u8]) -> bool {
    const SECTOR: usize = 512;
    let written = rest.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
    if written == 0 {
        return true;
    }
    let length = rest.first_chunk::<4>().map_or(0, |length| u32::from_le_bytes(*length) as usize);
    rest.len() - written >= SECTOR && (written < HEAD || written < FRAME + length.min(LONGEST))
}

fn number32(bytes: &[u8]) -> u32 {
    bytes.first_chunk().map_or(0, |bytes| u32::from_le_bytes(*bytes))
}

fn number64(bytes: &[u8]) -> u64 {
    bytes.first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes))
}
