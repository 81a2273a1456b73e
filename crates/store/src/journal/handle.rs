//! The journal that a broker holds open: append, wait, close.

use super::disk::{Disk, Plain};
use super::entry::IntentEntry;
use super::key::{Signed, SigningKey};
use super::queue::Happened;
use super::retire::{self, Keep};
use super::running::{OneRunning, Running};
use super::segment::{self, Item, Segment};
use super::shared::Shared;
use super::tail::{LastCheckpoint, Tail};
use super::tree::{Frontier, Head};
use super::verify::{signed_by_record, signed_for};
use super::writer::Wanted;
use super::{Entry, JournalError, Position};
use cloakroom_model::{Intent, Spread};
use std::convert::Infallible;
use std::fs::{DirBuilder, File, TryLockError};
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

/// What opening found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recovery {
    /// How many records there are, checkpoints included.
    pub records: u64,
    /// Bytes of a record cut short that were removed: it was never acknowledged.
    pub truncated_bytes: u64,
}

/// How the journal is kept.
#[derive(Clone, Debug)]
pub struct JournalSettings {
    /// A segment that has grown to this size is finished and a new one begun.
    pub segment_bytes: u64,
    /// How long a record nobody waits for may stay unflushed.
    pub flush_every: Duration,
    /// After how many records a signed checkpoint is written.
    pub checkpoint_every: u64,
    /// How long a record waits for a checkpoint at most.
    pub checkpoint_within: Duration,
    /// How long the disk may take: after that, what waits for it is refused.
    pub write_timeout: Duration,
    /// Which finished segments stay.
    pub keep: Keep,
}

impl Default for JournalSettings {
    fn default() -> Self {
        Self {
            segment_bytes: 64 << 20,
            flush_every: Duration::from_millis(100),
            checkpoint_every: 1000,
            checkpoint_within: Duration::from_mins(1),
            write_timeout: Duration::from_secs(5),
            keep: Keep::default(),
        }
    }
}

/// The journal, open for writing by this process alone.
pub struct Journal {
    shared: Arc<Shared>,
    threads: Mutex<Vec<JoinHandle<()>>>,
    running: Running,
}

/// What a thread of the journal holds. Its share of the journal, the lock included, goes before it counts as ended.
struct Held {
    shared: Arc<Shared>,
    _running: OneRunning,
}

impl Journal {
    /// Opens or creates `dir`; signing key at `key_file` (created 0600), public key beside the segments.
    ///
    /// A record cut short at the very end is removed. The last two segments are verified, and that none is missing;
    /// [`verify`](super::verify) checks everything.
    ///
    /// # Errors
    /// [`JournalError::Busy`] when another broker has it open, [`JournalError::Damaged`] when a complete record does not
    /// verify, [`JournalError::Key`] when the signing key is missing or another one.
    pub fn open(
        dir: &Path,
        key_file: &Path,
        settings: JournalSettings,
    ) -> Result<(Arc<Self>, Recovery), JournalError> {
        Self::open_on(Arc::new(Plain), dir, key_file, settings)
    }

    pub(super) fn open_on(
        disk: Arc<dyn Disk>,
        dir: &Path,
        key_file: &Path,
        settings: JournalSettings,
    ) -> Result<(Arc<Self>, Recovery), JournalError> {
        create_private(dir)?;
        let lock = lock(dir)?;
        let key = SigningKey::open(key_file, &dir.join(super::PUBLIC_KEY))?;
        let (tail, recovery) = resume(disk, dir, &key)?;
        key.publish(&dir.join(super::PUBLIC_KEY))?;
        let shared = Arc::new(Shared::new(tail, key, settings, lock));
        let journal = Arc::new(Self { shared, threads: Mutex::default(), running: Running::default() });
        journal.start("journal-write", Shared::write_until_stopped)?;
        journal.start("journal-flush", Shared::flush_until_stopped)?;
        journal.start("journal-watch", Shared::watch_until_stopped)?;
        Ok((journal, recovery))
    }

    fn start(&self, name: &str, work: fn(&Shared)) -> Result<(), JournalError> {
        let held = Held { shared: Arc::clone(&self.shared), _running: self.running.one_more() };
        let started = std::thread::Builder::new().name(name.into()).spawn(move || {
            let held = held;
            work(&held.shared);
        });
        let started =
            started.map_err(|error| JournalError::Failed(format!("no thread for the journal: {error}")))?;
        self.threads.lock().unwrap_or_else(PoisonError::into_inner).push(started);
        Ok(())
    }

    /// Puts the record behind all that were appended before, in memory. It is handed to the operating system with the next
    /// batch, within a few milliseconds: wait for [`Self::written`] before doing what must not happen without a record.
    ///
    /// # Errors
    /// When it can never be written: it is too long, the journal is closed, or could not be flushed. While the disk does not answer, only
    /// outcomes, failures, refusals and events are taken, as many as fit: they are written when it does.
    pub fn append(&self, entry: &Entry) -> Result<Position, JournalError> {
        self.shared.append(entry, entry.happened())
    }

    /// As [`Self::append`], for an intent that the caller keeps.
    ///
    /// # Errors
    /// As [`Self::append`].
    pub fn append_intent(&self, intent: &Intent) -> Result<Position, JournalError> {
        self.shared.append(&IntentEntry::Intent(intent), Happened::NotYet)
    }

    /// Waits until `position` is with the operating system (survives a crash of the process). Those who wait share a write.
    ///
    /// # Errors
    /// When it could not be written: it is not on record then; later records may be. Or when the disk has not answered for
    /// `write_timeout`: it may come on record when the disk answers again.
    pub async fn written(&self, position: Position) -> Result<(), JournalError> {
        self.shared.written(position).await
    }

    /// Waits until all that was appended is with the operating system, for somebody who reads the files next.
    ///
    /// # Errors
    /// When the journal failed in mid-write, or the disk does not answer.
    pub async fn all_written(&self) -> Result<(), JournalError> {
        self.shared.all_written().await
    }

    /// As [`Self::all_written`], on a thread that may be held up.
    ///
    /// # Errors
    /// When the journal failed in mid-write, or the disk does not answer.
    pub fn write_out(&self) -> Result<(), JournalError> {
        self.shared.write_out()
    }

    /// Waits until `position` is on the disk (survives a power cut). Grouped: those who wait share a flush.
    ///
    /// # Errors
    /// When the flush failed; the record may or may not be on the disk.
    pub async fn durable(&self, position: Position) -> Result<(), JournalError> {
        self.shared.durable(position).await
    }

    /// For a thread that serves calls, to run there for ever: those who wait there are woken together from then on, with one system call.
    pub fn bell(&self) -> impl Future<Output = Infallible> + Send + 'static {
        self.shared.bells.answer()
    }

    /// How long a disk may take to answer.
    pub(crate) fn write_timeout(&self) -> Duration {
        self.shared.settings.write_timeout
    }

    /// How far it has come on the disk, as far as somebody waited for that.
    pub fn on_disk(&self) -> Head {
        self.shared.flushed().head
    }

    /// How many records are written.
    pub fn records(&self) -> u64 {
        self.shared.records.load(std::sync::atomic::Ordering::Relaxed)
    }

    /// Whether a call could be recorded now, as far as is known: the disk answers, and took the last flush.
    pub fn is_writable(&self) -> bool {
        let open = self.shared.queue().is_ok_and(|queue| queue.is_open());
        open && !self.shared.flushed().has_failed()
    }

    /// How long flushes took.
    pub fn flush_times(&self) -> Spread {
        self.shared.flush_times.read()
    }

    /// How often the records were flushed to the disk since the journal was opened. Waits for the disk while it works.
    ///
    /// # Errors
    /// When the journal failed in mid-write.
    pub fn flushes(&self) -> Result<u64, JournalError> {
        Ok(self.shared.tail()?.flushes)
    }

    /// How far it has come. Waits for the disk while it works.
    ///
    /// # Errors
    /// When the journal failed in mid-write.
    pub fn head(&self) -> Result<Head, JournalError> {
        Ok(self.shared.tail()?.head())
    }

    /// A signed checkpoint (c2sp.org/tlog-checkpoint) of all that was appended until now: a new one, unless nothing came since the last.
    /// What it signs is on the disk.
    ///
    /// # Errors
    /// When the journal cannot be written or flushed.
    pub async fn checkpoint(&self) -> Result<String, JournalError> {
        let (note, last) = self.shared.sign_all().await?;
        self.shared.durable(last).await?;
        Ok(note)
    }

    /// Signed checkpoint, flush, stop. Later appends are refused.
    ///
    /// # Errors
    /// When what still waits, or the checkpoint, cannot be written or flushed.
    pub fn close(&self) -> Result<(), JournalError> {
        let outcome = self.finish();
        self.stop_threads();
        outcome
    }

    fn finish(&self) -> Result<(), JournalError> {
        self.shared.close_by_the_thread()?;
        self.shared.flush()
    }

    /// Ends the threads, the writing one first: what it still has is flushed then. One that a stalled disk holds up is left behind.
    pub(super) fn stop_threads(&self) {
        let threads = std::mem::take(&mut *self.threads.lock().unwrap_or_else(PoisonError::into_inner));
        if threads.is_empty() {
            return;
        }
        let patience = self.shared.settings.write_timeout;
        self.shared.writer.demand(Wanted::STOP);
        self.running.wait_for(threads.len() - 1, patience);
        self.shared.stop();
        threads.iter().for_each(|thread| thread.thread().unpark());
        self.running.wait_for(0, patience);
    }

    #[cfg(test)]
    pub(super) fn is_watched(&self) -> bool {
        self.shared.queue().is_ok_and(|queue| queue.watched)
    }

    #[cfg(test)]
    pub(super) fn waiting_bytes(&self) -> usize {
        self.shared.queue().map_or(0, |queue| queue.bytes())
    }
}

impl Drop for Journal {
    /// Without [`Journal::close`] there is no last checkpoint, as after a crash; what was written is flushed.
    fn drop(&mut self) {
        self.stop_threads();
    }
}

fn create_private(dir: &Path) -> Result<(), JournalError> {
    let created = DirBuilder::new().recursive(true).mode(0o700).create(dir);
    created.map_err(|error| JournalError::at("create", dir, &error))
}

/// Locks the directory itself: unlike a lock file it cannot be deleted from under its holder.
fn lock(dir: &Path) -> Result<File, JournalError> {
    let handle = File::open(dir).map_err(|error| JournalError::at("open", dir, &error))?;
    match handle.try_lock() {
        Ok(()) => Ok(handle),
        Err(TryLockError::WouldBlock) => Err(JournalError::Busy { dir: dir.display().to_string() }),
        Err(TryLockError::Error(error)) => Err(JournalError::at("lock", dir, &error)),
    }
}

/// Verifies the last two segments; what is before them, their headers sum up and sign.
fn resume(disk: Arc<dyn Disk>, dir: &Path, key: &SigningKey) -> Result<(Tail, Recovery), JournalError> {
    let segments = segment::list(dir)?;
    let (Some(first), Some(last)) = (segments.first(), segments.last()) else {
        if dir.join(super::PUBLIC_KEY).exists() {
            return Err(Segment::new(dir, 1).damaged(0, 1, segment::MISSING));
        }
        let tail = Tail::create(disk, dir, 1, Frontier::default(), key)?;
        return Ok((tail, Recovery { records: 0, truncated_bytes: 0 }));
    };
    retire::require_beginning(dir, first, key.public())?;
    let mut checkpoint = LastCheckpoint { note: String::new(), since: 0 };
    let mut examine = |_: &Segment, item: Item<'_>| {
        match item {
            Item::Header(header) => {
                signed_for(&header.note, &header.before, key.public())?;
                checkpoint = LastCheckpoint { note: header.note.clone(), since: 0 };
            }
            Item::Record(frame, before) if Signed::recognises(frame.payload) => {
                let (note, _) = signed_by_record(frame.payload, before, key.public())?;
                checkpoint = LastCheckpoint { note, since: 0 };
            }
            Item::Record(..) => checkpoint.since += 1,
        }
        Ok(())
    };
    let end = segment::walk(&segments[segments.len().saturating_sub(2)..], &mut examine)?;
    let recovery = Recovery { records: end.tree.size(), truncated_bytes: end.unfinished as u64 };
    Ok((Tail::resume(disk, last.clone(), end, checkpoint)?, recovery))
}
