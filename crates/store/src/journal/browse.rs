//! Reading the journal a piece at a time, for eyes: from a place that was seen before, no further than asked. Each record's own hash
//! is checked; that the records belong together is left to [`verify`](super::verify).

use super::frame::{FRAME, Flaw, Frame, LONGEST};
use super::key::Signed;
use super::read::record;
use super::segment::{self, Segment};
use super::{JournalError, Record};
use std::fs::File;
use std::io::ErrorKind;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

/// How much is read at once, and how much where a record is longer than that.
const BLOCK: usize = 64 << 10;
const LONGEST_BLOCK: usize = LONGEST + FRAME;

/// A place between two records, from which reading can begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark {
    segment: u32,
    offset: u64,
    /// The sequence number of the record there.
    pub next: u64,
}

/// Reads on from where it stopped, while the journal grows.
#[derive(Debug)]
pub struct Follower {
    dir: PathBuf,
    at: Option<Mark>,
}

impl Follower {
    /// From the oldest record that is there.
    pub fn new(dir: &Path) -> Self {
        Self { dir: dir.into(), at: None }
    }

    /// Where it stands, once it has begun.
    pub fn mark(&self) -> Option<Mark> {
        self.at
    }

    /// Goes on elsewhere.
    pub fn go_to(&mut self, mark: Mark) {
        self.at = Some(mark);
    }

    /// Reads on, about `most` bytes, and shows each record with the place before it. Checkpoints are left out. False where there is
    /// nothing more at present.
    ///
    /// # Errors
    /// When a record does not verify, or the journal cannot be read.
    pub fn read_on(
        &mut self,
        most: usize,
        see: &mut dyn FnMut(Mark, Record) -> Seen,
    ) -> Result<bool, JournalError> {
        let (mut left, mut size) = (most, most.clamp(BLOCK, LONGEST_BLOCK));
        loop {
            let Some(mark) = self.at.map_or_else(|| first(&self.dir), |mark| Ok(Some(mark)))? else {
                return Ok(false);
            };
            self.at = Some(mark);
            let segment = Segment::new(&self.dir, mark.segment);
            let Some(block) = block(&segment, mark.offset, size)? else {
                // Its segment has left the journal meanwhile.
                match after(&self.dir, mark.segment)? {
                    Some(next) => self.at = Some(next),
                    None => return Ok(false),
                }
                continue;
            };
            let (end, enough) = walk(&segment, mark, &block, see)?;
            self.at = Some(end);
            let read = usize::try_from(end.offset - mark.offset).unwrap_or(usize::MAX);
            left = left.saturating_sub(read);
            if enough || left == 0 {
                return Ok(true);
            }
            if read == 0 && block.len() == size && size < LONGEST_BLOCK {
                size = LONGEST_BLOCK;
            } else if read == 0 {
                match after(&self.dir, mark.segment)? {
                    Some(next) => self.at = Some(next),
                    None => return Ok(false),
                }
            }
        }
    }
}

/// Whether whoever looks at records wants another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seen {
    /// The next one too.
    More,
    /// No other.
    Enough,
}

/// Shows the complete records of a block. Gives where they end, and whether it was enough.
fn walk(
    segment: &Segment,
    begin: Mark,
    block: &[u8],
    see: &mut dyn FnMut(Mark, Record) -> Seen,
) -> Result<(Mark, bool), JournalError> {
    let mut at = begin;
    let mut here = 0;
    loop {
        let frame = match Frame::read(block, here, at.next) {
            Ok(Some(frame)) => frame,
            // Cut short by the block's end, or by that of what is written.
            Ok(None) | Err(Flaw::Unfinished) => return Ok((at, false)),
            Err(Flaw::Bad(why)) => {
                let offset = usize::try_from(at.offset).unwrap_or(usize::MAX);
                return Err(segment.damaged(offset, at.next, why));
            }
        };
        let before = at;
        here = frame.end();
        at = Mark { offset: begin.offset + here as u64, next: at.next + 1, ..at };
        if Signed::recognises(frame.payload) {
            continue;
        }
        let seen = record(segment, &frame)
            .map_err(|why| segment.damaged(frame.offset, frame.sequence, why))
            .map(|record| see(before, Record { offset: before.offset, ..record }))?;
        if seen == Seen::Enough {
            return Ok((at, true));
        }
    }
}

/// At most `size` bytes; `None` where the segment is not there.
fn block(segment: &Segment, offset: u64, size: usize) -> Result<Option<Vec<u8>>, JournalError> {
    let failed = |error| JournalError::at("read", &segment.path, &error);
    let file = match File::open(&segment.path) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed(error)),
    };
    let mut bytes = vec![0; size];
    let mut read = 0;
    while read < size {
        match file.read_at(&mut bytes[read..], offset + read as u64) {
            Ok(0) => break,
            Ok(more) => read += more,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(failed(error)),
        }
    }
    bytes.truncate(read);
    Ok(Some(bytes))
}

fn first(dir: &Path) -> Result<Option<Mark>, JournalError> {
    segment::list(dir)?.first().map(begin).transpose()
}

/// The beginning of the next segment that is there.
fn after(dir: &Path, number: u32) -> Result<Option<Mark>, JournalError> {
    segment::list(dir)?.iter().find(|segment| segment.number > number).map(begin).transpose()
}

fn begin(segment: &Segment) -> Result<Mark, JournalError> {
    let (header, length) = segment.beginning()?;
    Ok(Mark { segment: segment.number, offset: length as u64, next: header.first() })
}
