//! The bytes: segment header, record frame, hash chain. `docs/journal.md` draws them.

use aws_lc_rs::digest::{Context, SHA256, digest};
use std::fmt;

/// First bytes of every segment.
pub(super) const MAGIC: &[u8; 8] = b"cloakjrn";
/// The format this program writes and reads.
pub(super) const VERSION: u32 = 1;
/// Magic, version, segment number, first sequence, previous hash, own hash.
pub(super) const HEADER: usize = 8 + 4 + 4 + 8 + 32 + 32;
/// Length, sequence, checksum of both.
pub(super) const HEAD: usize = 4 + 8 + 4;
/// A link of the chain.
pub(super) const HASH: usize = 32;
/// What a frame has beyond its payload.
pub(super) const FRAME: usize = HEAD + HASH;
/// The longest payload: a length beyond it is damage, not a record cut short.
pub(super) const LONGEST: usize = 1 << 20;

/// A link of the SHA-256 chain.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct ChainHash(pub(super) [u8; HASH]);

impl ChainHash {
    /// Before the first segment there is nothing.
    pub(super) const ORIGIN: Self = Self([0; 32]);

    /// The link after `self` for one record.
    fn next(self, head: &[u8], payload: &[u8]) -> Self {
        let mut context = Context::new(&SHA256);
        context.update(&self.0);
        context.update(head);
        context.update(payload);
        let mut hash = [0; HASH];
        hash.copy_from_slice(context.finish().as_ref());
        Self(hash)
    }

    fn of(bytes: &[u8]) -> Self {
        let mut hash = [0; HASH];
        hash.copy_from_slice(digest(&SHA256, bytes).as_ref());
        Self(hash)
    }
}

impl fmt::Display for ChainHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for ChainHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The header of one segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) number: u32,
    pub(super) first: u64,
    /// The chain hash of the last record before this segment.
    pub(super) previous: ChainHash,
}

impl Header {
    pub(super) fn encode(&self) -> [u8; HEADER] {
        let mut bytes = [0; HEADER];
        bytes[..8].copy_from_slice(MAGIC);
        bytes[8..12].copy_from_slice(&VERSION.to_le_bytes());
        bytes[12..16].copy_from_slice(&self.number.to_le_bytes());
        bytes[16..24].copy_from_slice(&self.first.to_le_bytes());
        bytes[24..56].copy_from_slice(&self.previous.0);
        let own = ChainHash::of(&bytes[..56]);
        bytes[56..].copy_from_slice(&own.0);
        bytes
    }

    /// Reads a header; the error says what does not hold.
    pub(super) fn decode(bytes: &[u8]) -> Result<Self, &'static str> {
        let bytes: &[u8; HEADER] = bytes.first_chunk().ok_or("the file is shorter than a segment header")?;
        if &bytes[..8] != MAGIC {
            return Err("this is not a journal segment");
        }
        if number32(&bytes[8..12]) != VERSION {
            return Err("the segment has a format version that this program does not know");
        }
        if ChainHash::of(&bytes[..56]).0 != bytes[56..] {
            return Err("the segment header does not match its hash");
        }
        let mut previous = [0; 32];
        previous.copy_from_slice(&bytes[24..56]);
        let (number, first) = (number32(&bytes[12..16]), number64(&bytes[16..24]));
        Ok(Self { number, first, previous: ChainHash(previous) })
    }

    /// What the segment's first record is chained to: the header, and through it all that came before.
    pub(super) fn link(&self) -> ChainHash {
        let mut own = [0; 32];
        own.copy_from_slice(&self.encode()[56..]);
        ChainHash(own)
    }
}

/// Completes one frame in place: `bytes` is the chain hash before it, then the frame with its length set.
pub(super) fn seal(bytes: &mut [u8], sequence: u64) {
    let end = bytes.len() - HASH;
    let length = number32(&bytes[HASH..]);
    bytes[HASH..HASH + HEAD].copy_from_slice(&head(length, sequence));
    let hash = ChainHash::of(&bytes[..end]);
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
    pub(super) before: ChainHash,
    pub(super) hash: ChainHash,
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
    /// The frame at `offset`, which must carry `sequence` and continue the chain from `before`. `None` at the end.
    pub(super) fn read(
        bytes: &'a [u8],
        offset: usize,
        sequence: u64,
        before: ChainHash,
    ) -> Result<Option<Self>, Flaw> {
        let rest = bytes.get(offset..).unwrap_or_default();
        if rest.is_empty() {
            return Ok(None);
        }
        Self::complete(rest, offset, sequence, before).map(Some).map_err(|flaw| match flaw {
            Flaw::Bad(_) if is_unwritten(rest) => Flaw::Unfinished,
            flaw => flaw,
        })
    }

    fn complete(rest: &'a [u8], offset: usize, sequence: u64, before: ChainHash) -> Result<Self, Flaw> {
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
        let (payload, stored) = (&rest[HEAD..HEAD + length], &rest[HEAD + length..]);
        let hash = before.next(head, payload);
        if hash.0 != stored {
            return Err(Flaw::Bad(
                "the record does not match its chain hash: it, or one before it, was changed",
            ));
        }
        Ok(Self { offset, sequence, payload, before, hash })
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
