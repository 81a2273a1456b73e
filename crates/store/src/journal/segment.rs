//! Segment files: listing them, and walking their records in order.

use super::JournalError;
use super::frame::{ChainHash, Flaw, Frame, HEADER, Header};
use std::path::{Path, PathBuf};

/// One segment file.
#[derive(Clone, Debug)]
pub(super) struct Segment {
    pub(super) number: u32,
    pub(super) name: String,
    pub(super) path: PathBuf,
}

impl Segment {
    pub(super) fn new(dir: &Path, number: u32) -> Self {
        let name = format!("{number:08}.seg");
        Self { number, path: dir.join(&name), name }
    }

    pub(super) fn damaged(&self, offset: usize, sequence: u64, why: impl Into<String>) -> JournalError {
        JournalError::Damaged { segment: self.name.clone(), offset: offset as u64, sequence, why: why.into() }
    }

    /// The first sequence number that the header names, without reading the rest.
    pub(super) fn first(&self) -> Result<u64, JournalError> {
        use std::io::Read;
        let mut bytes = Vec::with_capacity(HEADER);
        let read = |file: std::fs::File| file.take(HEADER as u64).read_to_end(&mut bytes);
        std::fs::File::open(&self.path).and_then(read).map_err(|error| self.unread(&error))?;
        Header::decode(&bytes).map(|header| header.first).map_err(|why| self.damaged(0, 0, why))
    }

    fn unread(&self, error: &std::io::Error) -> JournalError {
        JournalError::at("read", &self.path, error)
    }
}

/// The segments of a journal, without gaps from the first. Other files are none of ours.
pub(super) fn list(dir: &Path) -> Result<Vec<Segment>, JournalError> {
    let failed = |error| JournalError::at("read", dir, &error);
    let mut segments = Vec::new();
    for file in std::fs::read_dir(dir).map_err(failed)? {
        let name = file.map_err(failed)?.file_name();
        let number =
            name.to_str().and_then(|name| name.strip_suffix(".seg")).and_then(|stem| stem.parse().ok());
        segments
            .extend(number.map(|number| Segment::new(dir, number)).filter(|segment| *segment.name == *name));
    }
    segments.sort_by_key(|segment| segment.number);
    for (number, segment) in (1..).zip(&segments) {
        if segment.number != number {
            return Err(Segment::new(dir, number).damaged(0, 0, "the segment file is missing"));
        }
    }
    Ok(segments)
}

/// Where a walk ended: what the next record continues.
#[derive(Clone, Copy, Debug)]
pub(super) struct End {
    /// The sequence number the next record gets.
    pub(super) next: u64,
    pub(super) hash: ChainHash,
    /// The end of the last complete record in the last segment.
    pub(super) offset: usize,
    /// Bytes after that, of a record cut short.
    pub(super) unfinished: usize,
}

impl End {
    /// Before the first segment.
    pub(super) const ORIGIN: Self = Self { next: 1, hash: ChainHash::ORIGIN, offset: 0, unfinished: 0 };
}

/// Called with each verified record; an error text makes the record damage.
pub(super) type Visit<'v> = dyn FnMut(&Segment, &Frame<'_>) -> Result<(), String> + 'v;

/// Walks the records of consecutive segments. `from` is where the segment before ended; without it the first header is
/// taken at its word. A record cut short is accepted only at the end of the last segment.
pub(super) fn walk(
    segments: &[Segment],
    from: Option<End>,
    visit: &mut Visit<'_>,
) -> Result<End, JournalError> {
    let mut end = from;
    for (index, segment) in segments.iter().enumerate() {
        let bytes = std::fs::read(&segment.path).map_err(|error| segment.unread(&error))?;
        let here = walk_one(segment, &bytes, end, visit)?;
        if here.unfinished > 0 && index + 1 < segments.len() {
            return Err(segment.damaged(
                here.offset,
                here.next,
                "the record is cut short, and more segments follow",
            ));
        }
        end = Some(here);
    }
    Ok(end.unwrap_or(End::ORIGIN))
}

fn walk_one(
    segment: &Segment,
    bytes: &[u8],
    from: Option<End>,
    visit: &mut Visit<'_>,
) -> Result<End, JournalError> {
    let expected = from.map_or(0, |end| end.next);
    let header = Header::decode(bytes).map_err(|why| segment.damaged(0, expected, why))?;
    if header.number != segment.number {
        return Err(segment.damaged(0, header.first, "the header names another segment: files were renamed"));
    }
    if from.is_some_and(|end| end.next != header.first || end.hash != header.previous) {
        return Err(segment.damaged(0, expected, "the segment does not continue the one before it"));
    }
    let mut end = End { next: header.first, hash: header.link(), offset: HEADER, unfinished: 0 };
    loop {
        match Frame::read(bytes, end.offset, end.next, end.hash) {
            Ok(None) => return Ok(end),
            Ok(Some(frame)) => {
                visit(segment, &frame).map_err(|why| segment.damaged(frame.offset, frame.sequence, why))?;
                end = End { next: end.next + 1, hash: frame.hash, offset: frame.end(), unfinished: 0 };
            }
            Err(Flaw::Unfinished) => return Ok(End { unfinished: bytes.len() - end.offset, ..end }),
            Err(Flaw::Bad(why)) => return Err(segment.damaged(end.offset, end.next, why)),
        }
    }
}

/// How many records a segment's bytes hold, and where the first bad one begins. For fuzzing: any bytes at all may come.
pub fn parse(bytes: &[u8]) -> (u64, Option<u64>) {
    let number = Header::decode(bytes).map_or(0, |header| header.number);
    let mut records = 0;
    let mut count = |_: &Segment, _: &Frame<'_>| {
        records += 1;
        Ok(())
    };
    let outcome = walk_one(&Segment::new(Path::new(""), number), bytes, None, &mut count);
    let bad = match outcome {
        Err(JournalError::Damaged { offset, .. }) => Some(offset),
        _ => None,
    };
    (records, bad)
}
