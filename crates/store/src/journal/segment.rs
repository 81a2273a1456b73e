//! Segment files: listing them, and walking their records in order.

use super::JournalError;
use super::frame::{Flaw, Frame, Header, LONGEST_HEADER, OLD};
use super::tree::Frontier;
use std::io::Read;
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

    /// Reads the header alone.
    pub(super) fn header(&self) -> Result<Header, JournalError> {
        self.beginning().map(|(header, _)| header)
    }

    /// The header, and where the first record begins.
    pub(super) fn beginning(&self) -> Result<(Header, usize), JournalError> {
        let mut bytes = Vec::with_capacity(LONGEST_HEADER);
        let read = |file: std::fs::File| file.take(LONGEST_HEADER as u64).read_to_end(&mut bytes);
        std::fs::File::open(&self.path).and_then(read).map_err(|error| self.unread(&error))?;
        self.decode(&bytes, 0)
    }

    fn decode(&self, bytes: &[u8], expected: u64) -> Result<(Header, usize), JournalError> {
        Header::decode(bytes).map_err(|why| match why {
            OLD => JournalError::Old { file: self.path.display().to_string() },
            why => self.damaged(0, expected, why),
        })
    }

    fn unread(&self, error: &std::io::Error) -> JournalError {
        JournalError::at("read", &self.path, error)
    }
}

/// The segments of a journal, without gaps from the first one that is there. Other files are none of ours.
pub(super) fn list(dir: &Path) -> Result<Vec<Segment>, JournalError> {
    let failed = |error| JournalError::at("read", dir, &error);
    let mut segments = Vec::new();
    for file in std::fs::read_dir(dir).map_err(failed)? {
        let file = file.map_err(failed)?;
        let name = file.file_name();
        let number =
            name.to_str().and_then(|name| name.strip_suffix(".seg")).and_then(|stem| stem.parse().ok());
        let segment = number.map(|number| Segment::new(dir, number)).filter(|segment| *segment.name == *name);
        // A pipe or a device would be read for ever.
        if let Some(segment) = &segment
            && !file.file_type().map_err(failed)?.is_file()
        {
            return Err(segment.damaged(0, 0, "the segment is no regular file"));
        }
        segments.extend(segment);
    }
    segments.sort_by_key(|segment| segment.number);
    let first = segments.first().map_or(1, |segment| segment.number);
    for (number, segment) in (first..).zip(&segments) {
        if segment.number != number {
            return Err(Segment::new(dir, number).damaged(0, 0, MISSING));
        }
    }
    Ok(segments)
}

pub(super) const MISSING: &str = "the segment file is missing";

/// Where a walk stands, or ended: what the next record continues.
#[derive(Clone, Debug, Default)]
pub(super) struct End {
    /// All records until here.
    pub(super) tree: Frontier,
    /// The end of the last complete record in the last segment.
    pub(super) offset: usize,
    /// Bytes after that, of a record cut short.
    pub(super) unfinished: usize,
}

impl End {
    /// The sequence number the next record gets.
    pub(super) fn next(&self) -> u64 {
        self.tree.size() + 1
    }
}

/// What a walk comes by. Its own checks hold already: hashes, sequence, and that a segment continues the one before.
#[derive(Clone, Copy)]
pub(super) enum Item<'a> {
    /// A segment begins.
    Header(&'a Header),
    /// A record, and the tree of those before it.
    Record(&'a Frame<'a>, &'a Frontier),
}

impl Item<'_> {
    /// How many bytes of the file it takes; nothing of a header, which is small.
    pub(super) fn bytes(&self) -> u64 {
        match self {
            Item::Header(_) => 0,
            Item::Record(frame, _) => (frame.end() - frame.offset) as u64,
        }
    }
}

/// How many bytes the segments in `dir` have.
///
/// # Errors
/// When the directory cannot be read.
pub fn size(dir: &Path) -> Result<u64, JournalError> {
    let size = |segment: &Segment| segment.path.metadata().map(|found| found.len());
    list(dir)?.iter().map(|segment| size(segment).map_err(|error| segment.unread(&error))).sum()
}

/// Called with each item; an error text makes it damage.
pub(super) type Visit<'v> = dyn FnMut(&Segment, Item<'_>) -> Result<(), String> + 'v;

/// Walks the records of consecutive segments. What the first header says of the records before it is taken at its word. A record cut
/// short is accepted only at the end of the last segment.
pub(super) fn walk(segments: &[Segment], visit: &mut Visit<'_>) -> Result<End, JournalError> {
    let mut end: Option<End> = None;
    for (index, segment) in segments.iter().enumerate() {
        let bytes = std::fs::read(&segment.path).map_err(|error| segment.unread(&error))?;
        let here = walk_one(segment, &bytes, end.as_ref(), visit)?;
        if here.unfinished > 0 && index + 1 < segments.len() {
            return Err(segment.damaged(
                here.offset,
                here.next(),
                "the record is cut short, and more segments follow",
            ));
        }
        end = Some(here);
    }
    Ok(end.unwrap_or_default())
}

fn walk_one(
    segment: &Segment,
    bytes: &[u8],
    from: Option<&End>,
    visit: &mut Visit<'_>,
) -> Result<End, JournalError> {
    let expected = from.map_or(0, End::next);
    let (header, offset) = segment.decode(bytes, expected)?;
    if header.number != segment.number {
        return Err(segment.damaged(
            0,
            header.first(),
            "the header names another segment: files were renamed",
        ));
    }
    if from.is_some_and(|end| end.tree != header.before) {
        return Err(segment.damaged(0, expected, "the segment does not continue the one before it"));
    }
    visit(segment, Item::Header(&header)).map_err(|why| segment.damaged(0, header.first(), why))?;
    let mut end = End { tree: header.before, offset, unfinished: 0 };
    loop {
        match Frame::read(bytes, end.offset, end.next()) {
            Ok(None) => return Ok(end),
            Ok(Some(frame)) => {
                let seen = visit(segment, Item::Record(&frame, &end.tree));
                seen.map_err(|why| segment.damaged(frame.offset, frame.sequence, why))?;
                end.offset = frame.end();
                end.tree.push(frame.hash);
            }
            Err(Flaw::Unfinished) => return Ok(End { unfinished: bytes.len() - end.offset, ..end }),
            Err(Flaw::Bad(why)) => return Err(segment.damaged(end.offset, end.next(), why)),
        }
    }
}

/// How many records a segment's bytes hold, and where the first bad one begins. For fuzzing: any bytes at all may come.
pub fn parse(bytes: &[u8]) -> (u64, Option<u64>) {
    let number = Header::decode(bytes).map_or(0, |(header, _)| header.number);
    let mut records = 0;
    let mut count = |_: &Segment, item: Item<'_>| {
        records += u64::from(matches!(item, Item::Record(..)));
        Ok(())
    };
    let outcome = walk_one(&Segment::new(Path::new(""), number), bytes, None, &mut count);
    let bad = match outcome {
        Err(JournalError::Damaged { offset, .. }) => Some(offset),
        _ => None,
    };
    (records, bad)
}
