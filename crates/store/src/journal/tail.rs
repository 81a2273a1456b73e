//! The writing end: one record at a time behind the last good one, repaired when a write fails.

use super::error::JournalError;
use super::frame::{ChainHash, FRAME, HEAD, Header, LONGEST, seal};
use super::json;
use super::key::SigningKey;
use super::segment::{End, Segment};
use cloakroom_model::Timestamp;
use serde::Serialize;
use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::Path;
use std::sync::Arc;

/// Unflushed bytes kept in memory at most; more makes the writer flush by itself.
const RETAINED: usize = 4 << 20;

/// The end of the journal. Everything in here changes only after the write it describes has succeeded.
pub(super) struct Tail {
    pub(super) file: Arc<File>,
    pub(super) segment: Segment,
    pub(super) offset: u64,
    pub(super) next: u64,
    pub(super) closed: bool,
    /// A flush failed: nothing is written until the unflushed bytes were written again and flushed.
    pub(super) unflushed: Option<String>,
    hash: ChainHash,
    since_checkpoint: u64,
    /// Bytes of a failed write may lie beyond `offset`.
    torn: bool,
    /// What was written since the last flush, and where it begins. A failed fsync lets Linux forget dirty pages: only
    /// these bytes can be trusted to be written again.
    retained: Vec<u8>,
    retained_from: u64,
    buffer: Vec<u8>,
}

/// What a flush covers.
pub(super) struct Snapshot {
    pub(super) file: Arc<File>,
    pub(super) segment: Segment,
    pub(super) offset: u64,
    pub(super) last: u64,
}

impl Tail {
    /// The end of an existing last segment.
    pub(super) fn resume(segment: Segment, end: End, since_checkpoint: u64) -> Result<Self, JournalError> {
        let failed = |error| JournalError::at("open", &segment.path, &error);
        let file = OpenOptions::new().read(true).write(true).open(&segment.path).map_err(failed)?;
        if end.unfinished > 0 {
            file.set_len(end.offset as u64).map_err(failed)?;
        }
        // What a crashed broker wrote may not be on the disk yet; from here on it counts as durable.
        file.sync_all().map_err(failed)?;
        Ok(Self::at(file, segment, end, since_checkpoint))
    }

    /// A new segment after `end`.
    pub(super) fn create(dir: &Path, number: u32, end: End) -> Result<Self, JournalError> {
        let segment = Segment::new(dir, number);
        let header = Header { number, first: end.next, previous: end.hash };
        let file = create_segment(dir, &segment, &header)?;
        let offset = header.encode().len();
        Ok(Self::at(file, segment, End { next: end.next, hash: header.link(), offset, unfinished: 0 }, 0))
    }

    fn at(file: File, segment: Segment, end: End, since_checkpoint: u64) -> Self {
        let offset = end.offset as u64;
        Self {
            file: Arc::new(file),
            segment,
            offset,
            next: end.next,
            closed: false,
            unflushed: None,
            hash: end.hash,
            since_checkpoint,
            torn: false,
            retained: Vec::new(),
            retained_from: offset,
            buffer: Vec::with_capacity(1024),
        }
    }

    /// The sequence number and chain hash of the last record.
    pub(super) fn head(&self) -> (u64, ChainHash) {
        (self.next - 1, self.hash)
    }

    /// Serialises `entry` and writes it, rotating first where the segment is full. Returns its sequence number.
    pub(super) fn append(
        &mut self,
        entry: &impl Serialize,
        segment_bytes: u64,
        key: &SigningKey,
    ) -> Result<u64, JournalError> {
        self.usable()?;
        let mut buffer = std::mem::take(&mut self.buffer);
        let outcome = self.append_in(&mut buffer, entry, segment_bytes, key);
        self.buffer = buffer;
        outcome
    }

    fn append_in(
        &mut self,
        buffer: &mut Vec<u8>,
        entry: &impl Serialize,
        segment_bytes: u64,
        key: &SigningKey,
    ) -> Result<u64, JournalError> {
        serialise(buffer, entry)?;
        let size = (buffer.len() - HEAD + FRAME) as u64;
        if self.offset + size > segment_bytes && self.offset > super::frame::HEADER as u64 {
            self.rotate(key)?;
        }
        if self.retained.len() > RETAINED {
            self.flush_here()?;
        }
        self.write(buffer)
    }

    /// Signs all that is written so far.
    pub(super) fn checkpoint(&mut self, key: &SigningKey) -> Result<(), JournalError> {
        self.usable()?;
        let mut buffer = Vec::with_capacity(256);
        serialise(&mut buffer, &key.sign(Timestamp::now(), self.next, self.hash))?;
        self.write(&mut buffer)?;
        self.since_checkpoint = 0;
        Ok(())
    }

    /// A checkpoint is due after `every` records. Should it fail, the record before it stands, and the next one tries again.
    pub(super) fn checkpoint_if_due(&mut self, every: u64, key: &SigningKey) {
        if self.since_checkpoint >= every
            && let Err(error) = self.checkpoint(key)
        {
            tracing::warn!(%error, "no checkpoint could be written");
        }
    }

    /// How many records no checkpoint covers.
    pub(super) fn unsigned(&self) -> u64 {
        self.since_checkpoint
    }

    fn usable(&self) -> Result<(), JournalError> {
        match &self.unflushed {
            _ if self.closed => Err(JournalError::Failed("the journal is closed".into())),
            Some(why) => Err(JournalError::Failed(format!("the journal could not be flushed: {why}"))),
            None => Ok(()),
        }
    }

    /// Writes one frame with one system call; on failure cuts the file back to the last good record.
    fn write(&mut self, buffer: &mut Vec<u8>) -> Result<u64, JournalError> {
        let too_long = || JournalError::Failed(format!("a journal record has at most {LONGEST} bytes"));
        let hash = seal(buffer, self.next, self.hash).ok_or_else(too_long)?;
        self.mend()?;
        self.intact()?;
        if let Err(error) = write_once(&self.file, buffer, self.offset) {
            self.torn = self.file.set_len(self.offset).is_err();
            return Err(JournalError::at("write", &self.segment.path, &error));
        }
        let sequence = self.next;
        self.retained.extend_from_slice(buffer);
        self.offset += buffer.len() as u64;
        self.next += 1;
        self.hash = hash;
        self.since_checkpoint += 1;
        Ok(sequence)
    }

    fn mend(&mut self) -> Result<(), JournalError> {
        if self.torn {
            let failed = |error| JournalError::at("cut back", &self.segment.path, &error);
            self.file.set_len(self.offset).map_err(failed)?;
            self.torn = false;
        }
        Ok(())
    }

    /// One `fstat` per record: a deleted file would take our records with it, and a length that is not ours means that
    /// someone else wrote or cut.
    fn intact(&self) -> Result<(), JournalError> {
        let found =
            self.file.metadata().map_err(|error| JournalError::at("read", &self.segment.path, &error))?;
        let name = &self.segment.name;
        if found.nlink() == 0 {
            return Err(JournalError::Failed(format!("the segment {name} was deleted while in use")));
        }
        if found.len() != self.offset {
            let (is, was) = (found.len(), self.offset);
            return Err(JournalError::Failed(format!(
                "the segment {name} has {is} bytes and should have {was}: another program changed it"
            )));
        }
        Ok(())
    }

    fn rotate(&mut self, key: &SigningKey) -> Result<(), JournalError> {
        if self.since_checkpoint > 0 {
            self.checkpoint(key)?;
        }
        self.flush_here()?;
        let dir = self.segment.path.parent().unwrap_or(Path::new("."));
        let number = self.segment.number.checked_add(1);
        let number =
            number.ok_or_else(|| JournalError::Failed("the journal has no segment numbers left".into()))?;
        let end = End { next: self.next, hash: self.hash, offset: 0, unfinished: 0 };
        *self = Self::create(dir, number, end)?;
        Ok(())
    }

    fn flush_here(&mut self) -> Result<(), JournalError> {
        let snapshot = self.snapshot();
        let outcome = snapshot.sync();
        self.flushed(&snapshot, outcome)
    }

    pub(super) fn snapshot(&self) -> Snapshot {
        let (file, segment) = (Arc::clone(&self.file), self.segment.clone());
        Snapshot { file, segment, offset: self.offset, last: self.next - 1 }
    }

    /// Takes note of how a flush went.
    pub(super) fn flushed(
        &mut self,
        covered: &Snapshot,
        outcome: Result<(), JournalError>,
    ) -> Result<(), JournalError> {
        match &outcome {
            Err(error) => self.unflushed = Some(error.to_string()),
            Ok(()) if covered.segment.number == self.segment.number => {
                let done =
                    usize::try_from(covered.offset.saturating_sub(self.retained_from)).unwrap_or(usize::MAX);
                self.retained.drain(..done.min(self.retained.len()));
                self.retained_from = self.retained_from.max(covered.offset);
            }
            // The segment was finished, and flushed, in the meantime.
            Ok(()) => {}
        }
        outcome
    }

    /// After a failed flush: writes again what may have been forgotten. The flush that follows decides.
    pub(super) fn rewrite(&mut self) -> Result<(), JournalError> {
        let failed = |error| JournalError::at("write", &self.segment.path, &error);
        self.file.write_all_at(&self.retained, self.retained_from).map_err(failed)?;
        self.file.set_len(self.offset).map_err(failed)?;
        self.torn = false;
        Ok(())
    }
}

impl Snapshot {
    /// Checks that the file still stands under its name, then flushes it.
    pub(super) fn sync(&self) -> Result<(), JournalError> {
        let failed = |error| JournalError::at("flush", &self.segment.path, &error);
        let open = self.file.metadata().map_err(failed)?;
        let named = std::fs::metadata(&self.segment.path).map_err(failed)?;
        if (open.dev(), open.ino()) != (named.dev(), named.ino()) {
            let name = &self.segment.name;
            return Err(JournalError::Failed(format!("the segment {name} was replaced while in use")));
        }
        self.file.sync_data().map_err(failed)
    }
}

fn serialise(buffer: &mut Vec<u8>, value: &impl Serialize) -> Result<(), JournalError> {
    buffer.clear();
    buffer.resize(HEAD, 0);
    json::write(&mut *buffer, value)
        .map_err(|error| JournalError::Failed(format!("cannot be written as JSON: {error}")))
}

/// One `pwrite`. A short one is an error: on a regular file it means that no more fits.
fn write_once(file: &File, bytes: &[u8], offset: u64) -> std::io::Result<()> {
    loop {
        match file.write_at(bytes, offset) {
            Ok(written) if written == bytes.len() => return Ok(()),
            Ok(written) => {
                let text =
                    format!("only {written} of {} bytes could be written; is the disk full?", bytes.len());
                return Err(std::io::Error::new(ErrorKind::StorageFull, text));
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// The header is on the disk before the file gets its name: a segment with half a header is never left by a crash.
fn create_segment(dir: &Path, segment: &Segment, header: &Header) -> Result<File, JournalError> {
    let failed = |error| JournalError::at("create", &segment.path, &error);
    let fresh = segment.path.with_extension("new");
    let mut options = OpenOptions::new();
    let mut file = options
        .read(true)
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&fresh)
        .map_err(failed)?;
    file.write_all(&header.encode()).and_then(|()| file.sync_all()).map_err(failed)?;
    std::fs::rename(&fresh, &segment.path).map_err(failed)?;
    File::open(dir).and_then(|dir| dir.sync_all()).map_err(failed)?;
    Ok(file)
}
