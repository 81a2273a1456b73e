//! How many threads of the journal run: whoever ends them waits for that, and not for ever.

use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

#[derive(Clone, Default)]
pub(super) struct Running(Arc<(Mutex<usize>, Condvar)>);

impl Running {
    pub(super) fn one_more(&self) -> OneRunning {
        *self.0.0.lock().unwrap_or_else(PoisonError::into_inner) += 1;
        OneRunning(self.clone())
    }

    /// Waits until no more than `most` run, or no longer than `patience`.
    pub(super) fn wait_for(&self, most: usize, patience: Duration) {
        let running = self.0.0.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self.0.1.wait_timeout_while(running, patience, |running| *running > most);
        drop(waited);
    }
}

/// Counts as one while it lives.
pub(super) struct OneRunning(Running);

impl Drop for OneRunning {
    fn drop(&mut self) {
        let (running, ended) = &*self.0.0;
        *running.lock().unwrap_or_else(PoisonError::into_inner) -= 1;
        ended.notify_all();
    }
}
