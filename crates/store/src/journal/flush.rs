//! Grouped flushing: one thread calls `fdatasync` for all who wait.

use super::JournalError;
use super::key::SigningKey;
use super::tail::Tail;
use super::{JournalSettings, Position};
use std::fs::File;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use tokio::sync::watch;

/// What those who wait look at.
#[derive(Clone, Debug, Default)]
pub(super) struct Flushed {
    /// Every record up to here is on the disk.
    pub(super) durable: u64,
    /// The last flush failed, and would have covered records up to here.
    pub(super) failed: Option<(u64, JournalError)>,
}

#[derive(Default)]
struct Demand {
    wanted: bool,
    stop: bool,
}

/// Whether somebody answers a demand.
#[derive(PartialEq, Eq)]
enum Thread {
    Running,
    Stopped,
}

/// What the journal's handle and its flushing thread share.
pub(super) struct Shared {
    pub(super) tail: Mutex<Tail>,
    pub(super) key: SigningKey,
    pub(super) settings: JournalSettings,
    flushed: watch::Sender<Flushed>,
    demand: Mutex<Demand>,
    wake: Condvar,
    /// Held as long as anything can write.
    _lock: File,
    #[cfg(test)]
    pub(super) failing_flushes: std::sync::atomic::AtomicU32,
}

impl Shared {
    pub(super) fn new(tail: Tail, key: SigningKey, settings: JournalSettings, lock: File) -> Self {
        let (durable, _) = tail.head();
        Self {
            tail: Mutex::new(tail),
            key,
            settings,
            flushed: watch::Sender::new(Flushed { durable, failed: None }),
            demand: Mutex::default(),
            wake: Condvar::new(),
            _lock: lock,
            #[cfg(test)]
            failing_flushes: std::sync::atomic::AtomicU32::new(0),
        }
    }

    /// The tail. A panic while it was changed leaves it unknown: from then on nothing is written.
    pub(super) fn tail(&self) -> Result<MutexGuard<'_, Tail>, JournalError> {
        self.tail
            .lock()
            .map_err(|_| JournalError::Failed("the journal failed in mid-write: restart the broker".into()))
    }

    pub(super) async fn durable(&self, position: Position) -> Result<(), JournalError> {
        let mut flushed = self.flushed.subscribe();
        if flushed.borrow_and_update().durable >= position.0 {
            return Ok(());
        }
        let (last, _) = self.tail()?.head();
        if position.0 > last {
            return Err(JournalError::Failed(format!("there is no record {} yet", position.0)));
        }
        if self.demand() == Thread::Stopped {
            return self.flush();
        }
        loop {
            let stopped = || JournalError::Failed("the journal was closed".into());
            flushed.changed().await.map_err(|_| stopped())?;
            let now = flushed.borrow_and_update();
            match &now.failed {
                _ if now.durable >= position.0 => return Ok(()),
                Some((upto, error)) if *upto >= position.0 => return Err(error.clone()),
                _ => {}
            }
        }
    }

    /// Asks for a flush. A thread that runs now will begin one after this; a stopped one never will.
    fn demand(&self) -> Thread {
        let mut demand = self.demand.lock().unwrap_or_else(PoisonError::into_inner);
        demand.wanted = true;
        self.wake.notify_one();
        if demand.stop { Thread::Stopped } else { Thread::Running }
    }

    pub(super) fn stop(&self) {
        self.demand.lock().unwrap_or_else(PoisonError::into_inner).stop = true;
        self.wake.notify_one();
    }

    /// The flushing thread: flushes when someone waits, and every `flush_every` if something was written.
    pub(super) fn flush_until_stopped(&self) {
        let mut failing = false;
        loop {
            let stop = self.wait();
            let outcome = self.flush();
            // Say it once per outage; those who wait are told each time.
            match &outcome {
                Err(error) if !failing => {
                    tracing::error!(%error, "the journal cannot be flushed; calls are refused")
                }
                Ok(()) if failing => tracing::info!("the journal can be flushed again"),
                _ => {}
            }
            failing = outcome.is_err();
            if stop {
                return;
            }
        }
    }

    fn wait(&self) -> bool {
        let demand = self.demand.lock().unwrap_or_else(PoisonError::into_inner);
        let idle = |demand: &mut Demand| !demand.wanted && !demand.stop;
        let (mut demand, _) = self
            .wake
            .wait_timeout_while(demand, self.settings.flush_every, idle)
            .unwrap_or_else(PoisonError::into_inner);
        demand.wanted = false;
        demand.stop
    }

    /// Flushes all that is written now, and tells those who wait.
    pub(super) fn flush(&self) -> Result<(), JournalError> {
        let unknown = self.tail.is_poisoned().then(|| self.tail().err()).flatten();
        if let Some(error) = unknown {
            self.announce(u64::MAX, Some(&error));
            return Err(error);
        }
        self.flush_tail()
    }

    fn flush_tail(&self) -> Result<(), JournalError> {
        let mut rewritten = false;
        let snapshot = {
            let mut tail = self.tail()?;
            if tail.unflushed.is_none() && tail.head().0 == self.flushed.borrow().durable {
                return Ok(());
            }
            if tail.unflushed.is_some() {
                tail.rewrite().inspect_err(|error| self.announce(tail.head().0, Some(error)))?;
                rewritten = true;
            }
            tail.snapshot()
        };
        // Without the lock: records are written while the disk works, and the next flush takes them together.
        let outcome = self.sync(&snapshot);
        let mut tail = self.tail()?;
        let outcome = tail.flushed(&snapshot, outcome);
        // Only a flush that began with writing everything again makes up for one that failed.
        if outcome.is_ok() && rewritten {
            tail.unflushed = None;
        }
        self.announce(snapshot.last, outcome.as_ref().err());
        outcome
    }

    fn announce(&self, upto: u64, error: Option<&JournalError>) {
        self.flushed.send_modify(|flushed| match error {
            Some(error) => flushed.failed = Some((upto, error.clone())),
            None => *flushed = Flushed { durable: flushed.durable.max(upto), failed: None },
        });
    }

    #[cfg(not(test))]
    fn sync(&self, snapshot: &super::tail::Snapshot) -> Result<(), JournalError> {
        snapshot.sync()
    }

    /// The one fault that no ordinary file system shows on request: `fdatasync` says EIO.
    #[cfg(test)]
    fn sync(&self, snapshot: &super::tail::Snapshot) -> Result<(), JournalError> {
        use std::sync::atomic::Ordering::SeqCst;
        match self.failing_flushes.fetch_update(SeqCst, SeqCst, |left| left.checked_sub(1)) {
            Ok(_) => {
                Err(JournalError::at("flush", &snapshot.segment.path, &std::io::ErrorKind::Other.into()))
            }
            Err(_) => snapshot.sync(),
        }
    }
}
