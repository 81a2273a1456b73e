//! What the journal's handle and its threads share: records go into a queue, and from there in batches to the operating system, by a
//! thread that may be held up by the disk so that nobody else is.

use super::bells::Bells;
use super::error::JournalError;
use super::flush::{Demand, Flushed};
use super::key::SigningKey;
use super::queue::{Happened, Queue};
use super::stall::Busy;
use super::tail::Tail;
use super::writer::{Signature, Wanted, Writer};
use super::{JournalSettings, Position};
use cloakroom_model::Histogram;
use serde::Serialize;
use std::fs::File;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::task::Poll;
use tokio::sync::watch;

/// Whoever locks two of them locks the tail first. Only the journal's own threads lock the tail: it is held while the disk works.
pub(super) struct Shared {
    queue: Mutex<Queue>,
    /// Something was settled, or the disk has stalled: for those who cannot await.
    settled: Condvar,
    tail: Mutex<Tail>,
    pub(super) key: SigningKey,
    pub(super) settings: JournalSettings,
    pub(super) writer: Writer,
    pub(super) signed: watch::Sender<Signature>,
    /// How closing went.
    pub(super) closed: OnceLock<Result<(), JournalError>>,
    pub(super) busy: Busy,
    /// How long flushes took.
    pub(super) flush_times: Histogram,
    /// How many records are written.
    pub(super) records: AtomicU64,
    pub(super) flushed: Mutex<Flushed>,
    pub(super) bells: Arc<Bells>,
    pub(super) demand: Mutex<Demand>,
    pub(super) wake: Condvar,
    /// Held as long as anything can write.
    _lock: File,
}

impl Shared {
    pub(super) fn new(tail: Tail, key: SigningKey, settings: JournalSettings, lock: File) -> Self {
        Self {
            queue: Mutex::default(),
            settled: Condvar::new(),
            records: AtomicU64::new(tail.head().records),
            signed: watch::Sender::new(Ok((tail.note().to_owned(), Position(0)))),
            closed: OnceLock::new(),
            tail: Mutex::new(tail),
            key,
            settings,
            writer: Writer::default(),
            busy: Busy::new(),
            flush_times: Histogram::default(),
            flushed: Mutex::default(),
            bells: Arc::default(),
            demand: Mutex::default(),
            wake: Condvar::new(),
            _lock: lock,
        }
    }

    /// The tail. A panic while it was changed leaves it unknown: from then on nothing is written.
    pub(super) fn tail(&self) -> Result<MutexGuard<'_, Tail>, JournalError> {
        self.tail.lock().map_err(|_| broken())
    }

    pub(super) fn queue(&self) -> Result<MutexGuard<'_, Queue>, JournalError> {
        self.queue.lock().map_err(|_| broken())
    }

    pub(super) fn append(&self, entry: &impl Serialize, of: Happened) -> Result<Position, JournalError> {
        if self.tail.is_poisoned() {
            return Err(broken());
        }
        loop {
            let mut queue = self.queue()?;
            if !queue.is_full() || queue.stalled.is_some() {
                let position = queue.push(entry, of)?;
                let unwatched = !std::mem::replace(&mut queue.watched, true);
                drop(queue);
                if unwatched {
                    self.writer.demand(Wanted::SOON);
                }
                return Ok(position);
            }
            drop(queue);
            self.write_out()?;
        }
    }

    /// Waits until the record is with the operating system, or the disk has not answered for too long.
    ///
    /// The thread is asked for it a turn later: what else is ready on this one comes first, and shares the write.
    pub(super) async fn written(&self, position: Position) -> Result<(), JournalError> {
        let mut bed = None;
        std::future::poll_fn(|context| {
            let mut queue = match self.queue() {
                Ok(queue) => queue,
                Err(error) => return Poll::Ready(Err(error)),
            };
            if let Some(known) = self.known(&queue, position) {
                return Poll::Ready(known);
            }
            let before = bed.replace(queue.wait(context, bed));
            drop(queue);
            if before.is_none() {
                context.waker().wake_by_ref();
                return Poll::Pending;
            }
            match self.writer.demand(Wanted::NOW) {
                true => Poll::Pending,
                false => Poll::Ready(self.without_the_thread(position)),
            }
        })
        .await
    }

    /// Waits until all that was appended is settled. What was lost is told to those who ask for it.
    pub(super) async fn all_written(&self) -> Result<(), JournalError> {
        let last = self.queue()?.last();
        let outcome = self.written(last).await;
        match self.queue()?.fate(last) {
            Some(_) => Ok(()),
            None => outcome,
        }
    }

    /// What became of a record, if that is known or will not be soon.
    fn known(&self, queue: &Queue, position: Position) -> Option<Result<(), JournalError>> {
        if let Some(fate) = queue.fate(position) {
            return Some(fate);
        }
        if position > queue.last() {
            return Some(Err(JournalError::Failed(format!("there is no record {} yet", position.0))));
        }
        if self.tail.is_poisoned() {
            return Some(Err(broken()));
        }
        queue.stalled.clone().map(Err)
    }

    /// After the end of the writing thread, whoever waits writes.
    fn without_the_thread(&self, position: Position) -> Result<(), JournalError> {
        self.write_now()?;
        self.queue()?.fate(position).unwrap_or_else(|| Err(broken()))
    }

    /// Has all that was appended handed to the operating system, and waits for it: no longer than the disk may take.
    pub(super) fn write_out(&self) -> Result<(), JournalError> {
        let mut queue = self.queue()?;
        let last = queue.last();
        loop {
            // What was lost is told to those who ask for it.
            match self.known(&queue, last) {
                Some(_) if queue.fate(last).is_some() => return Ok(()),
                Some(outcome) => return outcome,
                None => {}
            }
            if !self.writer.demand(Wanted::NOW) {
                drop(queue);
                return self.write_now();
            }
            queue.blocks = true;
            queue = self.settled.wait(queue).map_err(|_| broken())?;
        }
    }

    /// Has the writing thread close the journal, and waits for it: no longer than the disk may take.
    pub(super) fn close_by_the_thread(&self) -> Result<(), JournalError> {
        let mut queue = self.queue()?;
        while self.writer.demand(Wanted::CLOSE) {
            if let Some(outcome) = self.closed.get().or(queue.stalled.clone().map(Err).as_ref()) {
                return outcome.clone();
            }
            queue.blocks = true;
            queue = self.settled.wait(queue).map_err(|_| broken())?;
        }
        self.closed.get().cloned().unwrap_or(Ok(()))
    }

    /// Hands all that waits to the operating system, on this thread.
    ///
    /// # Errors
    /// When the journal failed in mid-write. What cannot be written is lost, and told to those who ask for it.
    pub(super) fn write_now(&self) -> Result<(), JournalError> {
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
        self.records.store(tail.size(), Ordering::Relaxed);
        let mut queue = self.queue()?;
        queue.settle(upto, outcome);
        queue.refuse(tail.refusing());
        self.call(queue);
        Ok(())
    }

    /// Calls all who wait: what they wait for has changed, and not for the better.
    pub(super) fn call_all(&self) {
        self.call(self.queue.lock().unwrap_or_else(PoisonError::into_inner));
    }

    fn call(&self, mut queue: MutexGuard<'_, Queue>) {
        let (waiters, blocks) = (queue.waiters(), std::mem::take(&mut queue.blocks));
        drop(queue);
        if blocks {
            self.settled.notify_all();
        }
        self.bells.wake(waiters);
    }

    /// Signs all that was appended until now, where that is not signed yet. Returns the checkpoint, and a position that it covers.
    pub(super) fn sign_now(&self) -> Result<(String, Position), JournalError> {
        let mut tail = self.tail()?;
        self.write_out_by(&mut tail)?;
        if tail.unsigned() > 0 && !tail.closed {
            tail.checkpoint(&self.key)?;
            self.records.store(tail.size(), Ordering::Relaxed);
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
