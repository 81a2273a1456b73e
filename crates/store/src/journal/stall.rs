//! A disk that does not answer: noticed by a thread that never touches it.

use super::error::JournalError;
use super::shared::Shared;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Since when each of the two threads that touch the disk has been at it.
pub(super) struct Busy {
    began: Instant,
    writing: AtomicU64,
    flushing: AtomicU64,
}

/// Ends with what it stands for.
pub(super) struct At<'b>(&'b AtomicU64);

impl Drop for At<'_> {
    fn drop(&mut self) {
        self.0.store(0, Ordering::Release);
    }
}

impl Busy {
    pub(super) fn new() -> Self {
        Self { began: Instant::now(), writing: AtomicU64::new(0), flushing: AtomicU64::new(0) }
    }

    pub(super) fn writing(&self) -> At<'_> {
        self.at(&self.writing)
    }

    pub(super) fn flushing(&self) -> At<'_> {
        self.at(&self.flushing)
    }

    fn at<'b>(&self, slot: &'b AtomicU64) -> At<'b> {
        slot.store(self.now(), Ordering::Release);
        At(slot)
    }

    /// Milliseconds since the journal was opened, and never 0.
    fn now(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX).saturating_add(1)
    }

    /// Whether one of them has been at it for longer than `bound`.
    fn is_overdue(&self, bound: Duration) -> bool {
        let now = self.now();
        let since = |slot: &AtomicU64| match slot.load(Ordering::Acquire) {
            0 => 0,
            began => now.saturating_sub(began),
        };
        u128::from(since(&self.writing).max(since(&self.flushing))) > bound.as_millis()
    }
}

impl Shared {
    /// Looks every now and then whether the disk still answers. While it does not, whoever waits or comes is told so.
    pub(super) fn watch_until_stopped(&self) {
        let bound = self.settings.write_timeout;
        let often = (bound / 8).clamp(Duration::from_millis(5), Duration::from_millis(250));
        while !self.is_stopping() {
            std::thread::park_timeout(often);
            let Ok(mut queue) = self.queue() else { return };
            match (self.busy.is_overdue(bound), queue.stalled.is_some()) {
                (true, false) => {
                    let error = JournalError::Failed(format!(
                        "the disk with the journal has not answered for {} ms",
                        bound.as_millis()
                    ));
                    tracing::error!(%error, "the journal cannot be written; calls are refused");
                    queue.stalled = Some(error.clone());
                    drop(queue);
                    self.tell_of_stall(&error);
                }
                (false, true) => {
                    queue.stalled = None;
                    tracing::warn!("the disk with the journal answers again");
                }
                _ => {}
            }
        }
    }

    fn tell_of_stall(&self, error: &JournalError) {
        self.call_all();
        self.announce_failure(u64::MAX, error);
        // One that is under way tells its own outcome later; nobody waits for it any more.
        let _ = self.signed.send_replace(Err(error.clone()));
    }
}
