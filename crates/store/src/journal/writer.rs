//! The writing thread: all that touches the segment files for a record happens here, so that a disk which holds it up holds up nobody else.

use super::Position;
use super::error::JournalError;
use super::shared::{Shared, broken};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU8, Ordering};
use std::thread::Thread;
use std::time::{Duration, Instant};

/// How long a record that nobody waits for stays in memory.
pub(super) const SOON: Duration = Duration::from_millis(5);

/// How often somebody who writes looks whether segments have become too old.
const OFTEN: Duration = Duration::from_mins(1);

/// What the writing thread is asked for, as bits.
pub(super) struct Wanted;

impl Wanted {
    /// Something was appended while it slept.
    pub(super) const SOON: u8 = 1;
    /// Somebody waits for what was appended.
    pub(super) const NOW: u8 = 2;
    /// Somebody waits for a checkpoint.
    pub(super) const SIGN: u8 = 4;
    /// Write what waits, sign it, take no more.
    pub(super) const CLOSE: u8 = 8;
    /// Write what waits, and end.
    pub(super) const STOP: u8 = 16;
    /// It has ended.
    const ENDED: u8 = 32;
}

/// How the writing thread is spoken to.
#[derive(Default)]
pub(super) struct Writer {
    wanted: AtomicU8,
    thread: OnceLock<Thread>,
}

impl Writer {
    /// Asks for something. False where nobody is there to do it. Costs a system call only if the thread sleeps.
    pub(super) fn demand(&self, wanted: u8) -> bool {
        let before = self.wanted.fetch_or(wanted, Ordering::AcqRel);
        if before & Wanted::ENDED != 0 {
            return false;
        }
        if before & wanted != wanted
            && let Some(thread) = self.thread.get()
        {
            thread.unpark();
        }
        true
    }

    /// Waits until something is wanted, or no longer than `patience`.
    fn wait(&self, patience: Option<Duration>) -> u8 {
        let until = patience.map(|patience| Instant::now() + patience);
        loop {
            let wanted = self.wanted.swap(0, Ordering::AcqRel);
            let left = until.map(|until| until.saturating_duration_since(Instant::now()));
            match left {
                _ if wanted != 0 => return wanted,
                Some(Duration::ZERO) => return 0,
                Some(left) => std::thread::park_timeout(left),
                None => std::thread::park(),
            }
        }
    }
}

/// The last checkpoint, for those who asked for one, and a position that it covers.
pub(super) type Signature = Result<(String, Position), JournalError>;

impl Shared {
    pub(super) fn write_until_stopped(&self) {
        let _ = self.writer.thread.set(std::thread::current());
        let ended = Ended(self);
        let (mut patience, mut unsigned_since) = (None, None);
        self.retire();
        let mut retired = Instant::now();
        let mut segment = self.segment();
        loop {
            let wanted = self.writer.wait(patience);
            if wanted == Wanted::SOON {
                // What comes within the next milliseconds goes with it.
                patience = Some(SOON.min(self.settings.flush_every));
                continue;
            }
            let busy = self.busy.writing();
            let more = self.write_now().and_then(|()| Ok(self.queue()?.look())).unwrap_or_default();
            if wanted & Wanted::SIGN != 0 {
                let _ = self.signed.send_replace(self.sign_now());
            }
            if wanted & Wanted::CLOSE != 0 && self.closed.get().is_none() {
                self.close();
            }
            let next_checkpoint = self.sign_in_time(&mut unsigned_since);
            if segment != self.segment() || retired.elapsed() > OFTEN {
                self.retire();
                (retired, segment) = (Instant::now(), self.segment());
            }
            drop(busy);
            self.say_that_something_is_written();
            if wanted & Wanted::STOP != 0 {
                break;
            }
            patience = if more { Some(SOON.min(self.settings.flush_every)) } else { next_checkpoint };
        }
        drop(ended);
    }

    fn segment(&self) -> Option<u32> {
        self.tail().ok().map(|tail| tail.segment.number)
    }

    /// Should it fail, the segments stay a while longer.
    fn retire(&self) {
        let retired = self.tail().and_then(|mut tail| {
            let outcome = if tail.closed { Ok(()) } else { tail.retire(&self.settings, &self.key) };
            self.records.store(tail.size(), Ordering::Relaxed);
            outcome
        });
        if let Err(error) = retired {
            tracing::warn!(%error, "no journal segment could be retired");
        }
    }

    /// A checkpoint of all that was appended until now.
    pub(super) async fn sign_all(&self) -> Signature {
        let last = {
            let queue = self.queue()?;
            if let Some(error) = &queue.stalled {
                return Err(error.clone());
            }
            queue.last()
        };
        let mut signed = self.signed.subscribe();
        signed.mark_unchanged();
        if !self.writer.demand(Wanted::SIGN) {
            return self.sign_now();
        }
        loop {
            let closed = || JournalError::Failed("the journal was closed".into());
            signed.changed().await.map_err(|_| closed())?;
            // One that was under way when it was asked for may cover less.
            match &*signed.borrow_and_update() {
                Ok((_, covers)) if *covers < last => {}
                outcome => return outcome.clone(),
            }
        }
    }

    /// Writes a checkpoint when records have waited for one long enough. Returns how long to wait for the next one.
    fn sign_in_time(&self, unsigned_since: &mut Option<Instant>) -> Option<Duration> {
        let within = self.settings.checkpoint_within;
        let unsigned = self.tail().is_ok_and(|tail| tail.unsigned() > 0);
        if !unsigned {
            *unsigned_since = None;
            return None;
        }
        let since = *unsigned_since.get_or_insert_with(Instant::now);
        if since.elapsed() < within {
            return Some(within.saturating_sub(since.elapsed()));
        }
        *unsigned_since = None;
        if let Err(error) = self.sign_now() {
            tracing::warn!(%error, "no checkpoint could be written");
        }
        Some(within)
    }

    /// Takes no more records, and signs what there is.
    fn close(&self) {
        let outcome = self.refuse_and_sign();
        // Under the lock of those who wait for it.
        let queue = self.queue();
        let _ = self.closed.set(outcome);
        drop(queue);
        self.call_all();
    }

    fn refuse_and_sign(&self) -> Result<(), JournalError> {
        let mut tail = self.tail()?;
        tail.closed = true;
        let last = self.queue()?.refuse(tail.refusing());
        self.write_out_by(&mut tail)?;
        let fate = self.queue()?.fate(last).unwrap_or(Ok(()));
        let signed = if tail.unsigned() > 0 { tail.checkpoint(&self.key) } else { Ok(()) };
        self.records.store(tail.size(), Ordering::Relaxed);
        fate.and(signed)
    }
}

/// However the thread ends, those who wait for it hear of it.
struct Ended<'s>(&'s Shared);

impl Drop for Ended<'_> {
    fn drop(&mut self) {
        self.0.writer.wanted.fetch_or(Wanted::ENDED, Ordering::AcqRel);
        if std::thread::panicking() {
            let _ = self.0.signed.send_replace(Err(broken()));
        }
        self.0.call_all();
    }
}
