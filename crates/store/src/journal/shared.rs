//! What the journal's handle and its flushing thread share: records go into a queue, and from there in batches to the
//! operating system, by whoever waits for one.

use super::error::JournalError;
use super::flush::{Demand, Flushed};
use super::key::SigningKey;
use super::queue::Queue;
use super::tail::Tail;
use super::{JournalSettings, Position};
use serde::Serialize;
use std::fs::File;
use std::sync::{Condvar, Mutex, MutexGuard};
use std::task::Poll;
use tokio::sync::watch;

/// Whoever locks two of them locks the tail first.
pub(super) struct Shared {
    queue: Mutex<Queue>,
    tail: Mutex<Tail>,
    pub(super) key: SigningKey,
    pub(super) settings: JournalSettings,
    pub(super) flushed: watch::Sender<Flushed>,
    pub(super) demand: Mutex<Demand>,
    pub(super) wake: Condvar,
    /// Held as long as anything can write.
    _lock: File,
    #[cfg(test)]
    pub(super) failing_flushes: std::sync::atomic::AtomicU32,
}

impl Shared {
    pub(super) fn new(tail: Tail, key: SigningKey, settings: JournalSettings, lock: File) -> Self {
        Self {
            queue: Mutex::default(),
            tail: Mutex::new(tail),
            key,
            settings,
            flushed: watch::Sender::default(),
            demand: Mutex::default(),
            wake: Condvar::new(),
            _lock: lock,
            #[cfg(test)]
            failing_flushes: std::sync::atomic::AtomicU32::new(0),
        }
    }

    /// The tail. A panic while it was changed leaves it unknown: from then on nothing is written.
    pub(super) fn tail(&self) -> Result<MutexGuard<'_, Tail>, JournalError> {
        self.tail.lock().map_err(|_| broken())
    }

    pub(super) fn queue(&self) -> Result<MutexGuard<'_, Queue>, JournalError> {
        self.queue.lock().map_err(|_| broken())
    }

    pub(super) fn append(&self, entry: &impl Serialize) -> Result<Position, JournalError> {
        if self.tail.is_poisoned() {
            return Err(broken());
        }
        loop {
            let mut queue = self.queue()?;
            if !queue.is_full() {
                let position = queue.push(entry)?;
                let unwatched = !std::mem::replace(&mut queue.watched, true);
                drop(queue);
                if unwatched {
                    self.say_that_something_waits();
                }
                return Ok(position);
            }
            drop(queue);
            self.write_out()?;
        }
    }

    /// Waits until the record is with the operating system. The first of those who wait writes for all: for each that is
    /// ready to run on its thread, and for what other threads appended until then.
    pub(super) async fn written(&self, position: Position) -> Result<(), JournalError> {
        if let Some(fate) = self.queue()?.fate(position) {
            return fate;
        }
        let_others_append().await;
        if let Some(fate) = self.queue()?.fate(position) {
            return fate;
        }
        self.write_out()?;
        let fate = self.queue()?.fate(position);
        fate.unwrap_or_else(|| Err(JournalError::Failed(format!("there is no record {} yet", position.0))))
    }

    /// Hands all that waits to the operating system. What cannot be written is lost, and told to those who ask for it.
    ///
    /// # Errors
    /// When the journal failed in mid-write.
    pub(super) fn write_out(&self) -> Result<(), JournalError> {
        self.write_out_by(&mut *self.tail()?)
    }

    pub(super) fn write_out_by(&self, tail: &mut Tail) -> Result<(), JournalError> {
        let upto = self.queue()?.take(&mut tail.drafts);
        if upto == tail.settled {
            return Ok(());
        }
        let outcome = tail.write_drafts(&self.settings, &self.key);
        let outcome = outcome.map_err(|(written, error)| (tail.settled + written, error));
        self.tell(tail, upto, outcome.as_ref().err());
        tail.settled = upto;
        let mut queue = self.queue()?;
        queue.settle(upto, outcome);
        queue.refuse(tail.refusing());
        Ok(())
    }

    /// Signs all that was appended until now, where that is not signed yet. Returns the checkpoint, and a position that it covers.
    pub(super) fn sign(&self) -> Result<(String, Position), JournalError> {
        let mut tail = self.tail()?;
        self.write_out_by(&mut tail)?;
        if tail.unsigned() > 0 {
            tail.checkpoint(&self.key)?;
        }
        Ok((tail.note().to_owned(), Position(tail.settled)))
    }

    /// Says it once per outage, and how much it cost when it is over: not all who appended wait and hear of it.
    fn tell(&self, tail: &mut Tail, upto: u64, failure: Option<&(u64, JournalError)>) {
        match failure {
            Some((written, error)) => {
                if tail.lost == 0 {
                    tracing::error!(%error, "the journal cannot be written; calls are refused");
                }
                tail.lost += upto - written;
            }
            None if tail.lost > 0 => {
                let records = std::mem::take(&mut tail.lost);
                tracing::warn!(records, "the journal can be written again; records were lost in between");
            }
            None => {}
        }
    }
}

pub(super) fn broken() -> JournalError {
    JournalError::Failed("the journal failed in mid-write: restart the broker".into())
}

/// Lets the other tasks that are ready on this thread run once. (Tokio's `yield_now` would ask the operating system for
/// news in between, which costs as much as it saves.)
async fn let_others_append() {
    let mut waited = false;
    std::future::poll_fn(|context| {
        if std::mem::replace(&mut waited, true) {
            return Poll::Ready(());
        }
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}
