//! The writing end: a batch of records behind the last good one, cut back when a write fails.

use super::JournalSettings;
use super::disk::Disk;
use super::drafts::Drafts;
use super::error::JournalError;
use super::file::{Inode, Snapshot, create_segment, intact, is_gone, put_back, write_once};
use super::frame::Header;
use super::key::{Signed, SigningKey};
use super::queue::FULL;
use super::segment::{End, Segment};
use super::tree::{Frontier, Head};
use cloakroom_model::Timestamp;
use serde::Serialize;
use std::fs::{File, OpenOptions};
use std::path::Path;
use std::sync::Arc;

/// Unflushed bytes kept in memory at most; more makes the writer flush by itself.
const RETAINED: usize = 4 << 20;

/// The end of the journal. What stands in here of the tree changes only after the write it describes has succeeded.
pub(super) struct Tail {
    pub(super) disk: Arc<dyn Disk>,
    pub(super) file: Arc<File>,
    inode: Inode,
    pub(super) segment: Segment,
    pub(super) offset: u64,
    /// Where the first record of the segment stands.
    start: u64,
    tree: Frontier,
    pub(super) closed: bool,
    /// A flush failed: nothing is written until the unflushed bytes were written again and flushed.
    pub(super) unflushed: Option<String>,
    /// Every record up to this position was written or lost.
    pub(super) settled: u64,
    /// Records lost since writing began to fail; 0 while it works.
    pub(super) lost: u64,
    /// The records being written; empty in between.
    pub(super) drafts: Drafts,
    checkpoint: LastCheckpoint,
    /// Bytes of a failed write may lie beyond `offset`.
    torn: bool,
    /// What was written since the last flush, and where it begins. A failed fsync lets Linux forget dirty pages: only
    /// these bytes can be trusted to be written again.
    retained: Vec<u8>,
    retained_from: u64,
    /// How often the disk was waited for, and did as it should.
    pub(super) flushes: u64,
}

/// What was signed last.
pub(super) struct LastCheckpoint {
    /// The signed note.
    pub(super) note: String,
    /// How many records were written since.
    pub(super) since: u64,
}

impl Tail {
    /// The end of an existing last segment.
    pub(super) fn resume(
        disk: Arc<dyn Disk>,
        segment: Segment,
        end: End,
        checkpoint: LastCheckpoint,
    ) -> Result<Self, JournalError> {
        let failed = |error| JournalError::at("open", &segment.path, &error);
        let file = OpenOptions::new().read(true).write(true).open(&segment.path).map_err(failed)?;
        if end.unfinished > 0 {
            file.set_len(end.offset as u64).map_err(failed)?;
        }
        // What a crashed broker wrote may not be on the disk yet; from here on it counts as durable.
        file.sync_all().map_err(failed)?;
        let start = segment.header()?.encode().len() as u64;
        Self::at(disk, file, segment, end, start, checkpoint)
    }

    /// A new segment behind the records of `tree`, which its header signs.
    pub(super) fn create(
        disk: Arc<dyn Disk>,
        dir: &Path,
        number: u32,
        tree: Frontier,
        key: &SigningKey,
    ) -> Result<Self, JournalError> {
        let segment = Segment::new(dir, number);
        let checkpoint = LastCheckpoint { note: key.sign(&tree, ""), since: 0 };
        let header = Header { number, note: checkpoint.note.clone(), before: tree.clone() }.encode();
        let file = create_segment(&*disk, dir, &segment, &header)?;
        let end = End { tree, offset: header.len(), unfinished: 0 };
        Self::at(disk, file, segment, end, header.len() as u64, checkpoint)
    }

    fn at(
        disk: Arc<dyn Disk>,
        file: File,
        segment: Segment,
        end: End,
        start: u64,
        checkpoint: LastCheckpoint,
    ) -> Result<Self, JournalError> {
        let offset = end.offset as u64;
        let found = file.metadata().map_err(|error| JournalError::at("read", &segment.path, &error))?;
        Ok(Self {
            disk,
            inode: Inode::of(&found),
            file: Arc::new(file),
            segment,
            offset,
            start,
            tree: end.tree,
            closed: false,
            unflushed: None,
            settled: 0,
            lost: 0,
            drafts: Drafts::default(),
            checkpoint,
            torn: false,
            retained: Vec::new(),
            retained_from: offset,
            flushes: 0,
        })
    }

    /// How many records there are.
    pub(super) fn size(&self) -> u64 {
        self.tree.size()
    }

    /// How many records there are, and the root of their tree.
    pub(super) fn head(&self) -> Head {
        self.tree.head()
    }

    /// Writes the drafts and forgets them: with one system call, but where a segment ends or a checkpoint is due. An
    /// error comes with how many of them are on record.
    pub(super) fn write_drafts(
        &mut self,
        settings: &JournalSettings,
        key: &SigningKey,
    ) -> Result<(), (u64, JournalError)> {
        let mut drafts = std::mem::take(&mut self.drafts);
        let mut written = 0;
        let outcome = self.write_each(&mut drafts, settings, key, &mut written);
        drafts.clear(FULL);
        self.drafts = drafts;
        outcome.map_err(|error| (written, error))
    }

    fn write_each(
        &mut self,
        drafts: &mut Drafts,
        settings: &JournalSettings,
        key: &SigningKey,
        written: &mut u64,
    ) -> Result<(), JournalError> {
        let mut at = Drafts::START;
        while at < drafts.end() {
            self.usable()?;
            if self.is_full(0, drafts.size(at), settings) {
                self.rotate(key)?;
            }
            if self.retained.len() > RETAINED {
                self.flush_here()?;
            }
            let (end, count) = self.write_run(drafts, at, settings)?;
            *written += count;
            at = end;
            self.checkpoint_if_due(settings, key);
        }
        Ok(())
    }

    /// Writes the drafts from `at` on that fit in front of the next checkpoint or segment. Returns where it stopped and
    /// how many they were.
    fn write_run(
        &mut self,
        drafts: &mut Drafts,
        at: usize,
        settings: &JournalSettings,
    ) -> Result<(usize, u64), JournalError> {
        let (mut end, mut count) = (at, 0);
        loop {
            count += 1;
            end = drafts.seal(end, self.tree.size() + count);
            let signed = self.checkpoint.since + count >= settings.checkpoint_every.max(1);
            if signed || end == drafts.end() || self.is_full(end - at, drafts.size(end), settings) {
                break;
            }
        }
        self.write(drafts.frames(at, end))?;
        self.checkpoint.since += count;
        drafts.leaves(at, end).for_each(|leaf| self.tree.push(leaf));
        Ok((end, count))
    }

    /// Whether `more` bytes behind `pending` ones belong into the next segment.
    fn is_full(&self, pending: usize, more: usize, settings: &JournalSettings) -> bool {
        let end = self.offset + pending as u64;
        end > self.start && end + more as u64 > settings.segment_bytes
    }

    /// Signs all that is written so far.
    pub(super) fn checkpoint(&mut self, key: &SigningKey) -> Result<(), JournalError> {
        let note = key.sign(&self.tree, "");
        self.write_one(&Signed { at: Timestamp::now(), note: note.clone() })?;
        self.checkpoint = LastCheckpoint { note, since: 0 };
        Ok(())
    }

    /// Writes a record of the journal's own.
    pub(super) fn write_one(&mut self, entry: &impl Serialize) -> Result<(), JournalError> {
        self.usable()?;
        let mut drafts = Drafts::default();
        drafts.push(entry)?;
        let end = drafts.seal(Drafts::START, self.tree.size() + 1);
        self.write(drafts.frames(Drafts::START, end))?;
        drafts.leaves(Drafts::START, end).for_each(|leaf| self.tree.push(leaf));
        self.checkpoint.since += 1;
        Ok(())
    }

    /// Should a checkpoint fail, the record before it stands, and the next one tries again.
    fn checkpoint_if_due(&mut self, settings: &JournalSettings, key: &SigningKey) {
        if self.checkpoint.since >= settings.checkpoint_every.max(1)
            && let Err(error) = self.checkpoint(key)
        {
            tracing::warn!(%error, "no checkpoint could be written");
        }
    }

    /// How many records no checkpoint covers.
    pub(super) fn unsigned(&self) -> u64 {
        self.checkpoint.since
    }

    /// The last checkpoint, signed.
    pub(super) fn note(&self) -> &str {
        &self.checkpoint.note
    }

    fn usable(&self) -> Result<(), JournalError> {
        match &self.unflushed {
            Some(why) => Err(unflushed(why)),
            None => Ok(()),
        }
    }

    /// Why no more records are taken.
    pub(super) fn refusing(&self) -> Option<JournalError> {
        match &self.unflushed {
            _ if self.closed => Some(JournalError::Failed("the journal is closed".into())),
            why => why.as_deref().map(unflushed),
        }
    }

    /// Writes frames with one system call; on failure cuts the file back to the last good record.
    fn write(&mut self, frames: &[u8]) -> Result<(), JournalError> {
        self.mend()?;
        if let Err(error) = intact(&*self.disk, &self.inode, &self.segment, self.offset) {
            // Whoever asked is refused; the next one finds it back.
            self.put_back_if_gone()?;
            return Err(error);
        }
        if let Err(error) = write_once(&*self.disk, &self.file, frames, self.offset) {
            self.torn = self.disk.cut(&self.file, self.offset).is_err();
            return Err(JournalError::at("write", &self.segment.path, &error));
        }
        self.retained.extend_from_slice(frames);
        self.offset += frames.len() as u64;
        Ok(())
    }

    /// A file that was deleted or moved away comes back, with all that is on record; the old one is ours no more.
    fn put_back_if_gone(&mut self) -> Result<(), JournalError> {
        if !is_gone(&*self.disk, &self.segment) {
            return Ok(());
        }
        let file = put_back(&*self.disk, &self.file, &self.segment, self.offset)?;
        let found = file.metadata().map_err(|error| JournalError::at("read", &self.segment.path, &error))?;
        (self.inode, self.file) = (Inode::of(&found), Arc::new(file));
        tracing::warn!(segment = self.segment.name, "a journal segment had gone and was put back");
        Ok(())
    }

    fn mend(&mut self) -> Result<(), JournalError> {
        if self.torn {
            let failed = |error| JournalError::at("cut back", &self.segment.path, &error);
            self.disk.cut(&self.file, self.offset).map_err(failed)?;
            self.torn = false;
        }
        Ok(())
    }

    fn rotate(&mut self, key: &SigningKey) -> Result<(), JournalError> {
        self.flush_here()?;
        let dir = self.segment.path.parent().unwrap_or(Path::new("."));
        let number = self.segment.number.checked_add(1);
        let number =
            number.ok_or_else(|| JournalError::Failed("the journal has no segment numbers left".into()))?;
        let Self { settled, lost, flushes, .. } = *self;
        *self = Self {
            settled,
            lost,
            flushes,
            ..Self::create(Arc::clone(&self.disk), dir, number, self.tree.clone(), key)?
        };
        Ok(())
    }

    pub(super) fn flush_here(&mut self) -> Result<(), JournalError> {
        let snapshot = self.snapshot();
        let outcome = snapshot.sync();
        self.flushed(&snapshot, outcome)
    }

    /// Whether anything is written and not flushed.
    pub(super) fn is_dirty(&self) -> bool {
        self.unflushed.is_some() || !self.retained.is_empty()
    }

    pub(super) fn snapshot(&self) -> Snapshot {
        let (disk, file, segment) = (Arc::clone(&self.disk), Arc::clone(&self.file), self.segment.clone());
        Snapshot { disk, file, segment, offset: self.offset, last: self.settled, head: self.head() }
    }

    /// Takes note of how a flush went.
    pub(super) fn flushed(
        &mut self,
        covered: &Snapshot,
        outcome: Result<(), JournalError>,
    ) -> Result<(), JournalError> {
        self.flushes += u64::from(outcome.is_ok());
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
        write_once(&*self.disk, &self.file, &self.retained, self.retained_from).map_err(failed)?;
        self.disk.cut(&self.file, self.offset).map_err(failed)?;
        self.torn = false;
        self.put_back_if_gone()
    }
}

fn unflushed(why: &str) -> JournalError {
    JournalError::Failed(format!("the journal could not be flushed: {why}"))
}
