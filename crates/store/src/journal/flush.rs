//! Grouped flushing: one thread calls `fdatasync` for all who wait, and every now and then for those who do not.

use super::Position;
use super::bells::{Bed, Sleepers};
use super::error::JournalError;
use super::shared::{Shared, broken};
use super::tree::Head;
use std::sync::{MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

/// What those who wait look at.
#[derive(Default)]
pub(super) struct Flushed {
    /// Every record up to this position is on the disk, but for those that were lost.
    pub(super) durable: u64,
    /// How far the journal has come on the disk.
    pub(super) head: Head,
    /// The last flush failed, and would have covered records up to here.
    failed: Option<(u64, JournalError)>,
    /// They are called with each announcement.
    sleepers: Sleepers,
}

impl Flushed {
    /// Whether the last flush failed.
    pub(super) fn has_failed(&self) -> bool {
        self.failed.is_some()
    }

    /// What became of a flush that covers `position` and was announced after whoever polls lay down in `bed`; `None` while that is open, and
    /// whoever polls is woken by the next announcement then.
    fn outcome(
        &mut self,
        position: Position,
        bed: &mut Option<Bed>,
        context: &Context<'_>,
    ) -> Option<Result<(), JournalError>> {
        if self.durable >= position.0 {
            return Some(Ok(()));
        }
        let announced = bed.is_some_and(|bed| self.sleepers.were_called_since(bed));
        match &self.failed {
            Some((upto, error)) if announced && *upto >= position.0 => Some(Err(error.clone())),
            _ => {
                *bed = Some(self.sleepers.lay_down(context, *bed));
                None
            }
        }
    }
}

/// What the flushing thread is asked for.
#[derive(Default)]
pub(super) struct Demand {
    flush: bool,
    /// Something was written while it slept.
    written: bool,
    /// It sleeps until somebody calls.
    asleep: bool,
    stop: bool,
}

/// Whether somebody answers a demand.
#[derive(PartialEq, Eq)]
enum Thread {
    Running,
    Stopped,
}

impl Shared {
    pub(super) async fn durable(&self, position: Position) -> Result<(), JournalError> {
        self.written(position).await?;
        let mut bed = None;
        std::future::poll_fn(|context| {
            let first = bed.is_none();
            if let Some(outcome) = self.flushed().outcome(position, &mut bed, context) {
                return Poll::Ready(outcome);
            }
            match first && self.demand_flush() == Thread::Stopped {
                true => Poll::Ready(self.flush()),
                false => Poll::Pending,
            }
        })
        .await
    }

    pub(super) fn flushed(&self) -> MutexGuard<'_, Flushed> {
        self.flushed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks for a flush. A thread that runs now will begin one after this; a stopped one never will. Costs a system call only where nobody
    /// has asked before.
    fn demand_flush(&self) -> Thread {
        let mut demand = self.demand.lock().unwrap_or_else(PoisonError::into_inner);
        if !std::mem::replace(&mut demand.flush, true) {
            self.wake.notify_one();
        }
        if demand.stop { Thread::Stopped } else { Thread::Running }
    }

    /// Says it to a thread that sleeps.
    pub(super) fn say_that_something_is_written(&self) {
        let mut demand = self.demand.lock().unwrap_or_else(PoisonError::into_inner);
        if demand.asleep {
            demand.written = true;
            self.wake.notify_one();
        }
    }

    pub(super) fn stop(&self) {
        self.demand.lock().unwrap_or_else(PoisonError::into_inner).stop = true;
        self.wake.notify_one();
    }

    pub(super) fn is_stopping(&self) -> bool {
        self.demand.lock().unwrap_or_else(PoisonError::into_inner).stop
    }

    /// The flushing thread: flushes when someone waits, and every `flush_every` if something was written.
    pub(super) fn flush_until_stopped(&self) {
        let (mut failing, mut last) = (false, Instant::now());
        let mut patience = None;
        loop {
            let Demand { flush, stop, .. } = self.wait(patience);
            if flush || stop || last.elapsed() >= self.settings.flush_every {
                let busy = self.busy.flushing();
                let began = Instant::now();
                let outcome = self.flush();
                self.flush_times.observe(began.elapsed());
                drop(busy);
                tell(&outcome, failing);
                (failing, last) = (outcome.is_err(), Instant::now());
            }
            if stop {
                return;
            }
            let next_flush = self.settings.flush_every.saturating_sub(last.elapsed());
            patience = (failing || self.is_dirty()).then_some(next_flush);
        }
    }

    fn is_dirty(&self) -> bool {
        self.tail().is_ok_and(|tail| tail.is_dirty())
    }

    /// Waits until something is demanded, or no longer than `patience`.
    fn wait(&self, patience: Option<Duration>) -> Demand {
        let mut demand = self.demand.lock().unwrap_or_else(PoisonError::into_inner);
        let idle = |demand: &mut Demand| !demand.flush && !demand.written && !demand.stop;
        demand.asleep = patience.is_none();
        let mut demand = match patience {
            Some(patience) => {
                let waited = self.wake.wait_timeout_while(demand, patience, idle);
                waited.unwrap_or_else(PoisonError::into_inner).0
            }
            None => self.wake.wait_while(demand, idle).unwrap_or_else(PoisonError::into_inner),
        };
        let stop = demand.stop;
        std::mem::replace(&mut *demand, Demand { stop, ..Demand::default() })
    }

    /// Flushes all that is written, and tells those who wait.
    pub(super) fn flush(&self) -> Result<(), JournalError> {
        if self.tail().is_err() {
            self.announce_failure(u64::MAX, &broken());
            return Err(broken());
        }
        self.flush_tail()
    }

    fn flush_tail(&self) -> Result<(), JournalError> {
        let mut rewritten = false;
        let snapshot = {
            let mut tail = self.tail()?;
            if !tail.is_dirty() {
                self.announce(tail.settled, tail.head());
                return Ok(());
            }
            if tail.unflushed.is_some() {
                tail.rewrite().inspect_err(|error| self.announce_failure(tail.settled, error))?;
                rewritten = true;
            }
            tail.snapshot()
        };
        // Without the lock: records are written while the disk works, and the next flush takes them together.
        let outcome = snapshot.sync();
        let mut tail = self.tail()?;
        let outcome = tail.flushed(&snapshot, outcome);
        // Only a flush that began with writing everything again makes up for one that failed.
        if outcome.is_ok() && rewritten {
            tail.unflushed = None;
        }
        self.queue()?.refuse(tail.refusing());
        match &outcome {
            Ok(()) => self.announce(snapshot.last, snapshot.head),
            Err(error) => self.announce_failure(snapshot.last, error),
        }
        outcome
    }

    fn announce(&self, upto: u64, head: Head) {
        self.tell_all(|flushed| {
            flushed.durable = flushed.durable.max(upto);
            if head.records > flushed.head.records {
                flushed.head = head;
            }
            flushed.failed = None;
        });
    }

    pub(super) fn announce_failure(&self, upto: u64, error: &JournalError) {
        self.tell_all(|flushed| flushed.failed = Some((upto, error.clone())));
    }

    fn tell_all(&self, change: impl FnOnce(&mut Flushed)) {
        let mut flushed = self.flushed();
        change(&mut flushed);
        let sleepers = flushed.sleepers.call();
        drop(flushed);
        self.bells.wake(sleepers);
    }
}

/// Says it once per outage; those who wait are told each time.
fn tell(outcome: &Result<(), JournalError>, failing: bool) {
    match outcome {
        Err(error) if !failing => tracing::error!(%error, "the journal cannot be flushed; calls are refused"),
        Ok(()) if failing => tracing::info!("the journal can be flushed again"),
        _ => {}
    }
}
