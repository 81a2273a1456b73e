//! The threads that serve connections. Each has a runtime of its own, so that a call wakes no thread but its own: on a
//! shared runtime every second event wakes a sleeping one to look for work, which costs more than the call.

use crate::ProxyError;
use cloakroom_store::journal::Journal;
use std::sync::Arc;
use std::thread;
use tokio::runtime::{Builder, Handle};
use tokio::sync::oneshot;

/// One thread. It ends when this is dropped, and what it still serves ends with it.
pub(crate) struct Worker {
    handle: Handle,
    /// Held once by each connection that this worker serves.
    load: Arc<()>,
    _alive: oneshot::Sender<()>,
}

/// As many threads as the machine can run at once.
pub(crate) struct Workers(Vec<Worker>);

impl Workers {
    /// Starts them. Calls that wait for the journal are woken together on each.
    pub(crate) fn start(journal: &Journal) -> Result<Self, ProxyError> {
        let count = thread::available_parallelism().map_or(1, usize::from);
        let start = |number| {
            let worker = Worker::start(number)?;
            worker.handle.spawn(journal.bell());
            Ok(worker)
        };
        (0..count).map(start).collect::<Result<_, _>>().map(Self)
    }

    /// The one with the fewest connections, and what a connection holds to be counted there.
    pub(crate) fn idlest(&self) -> Option<(&Handle, Arc<()>)> {
        let idlest = self.0.iter().min_by_key(|worker| Arc::strong_count(&worker.load))?;
        Some((&idlest.handle, Arc::clone(&idlest.load)))
    }
}

impl Worker {
    fn start(number: usize) -> Result<Self, ProxyError> {
        let runtime = Builder::new_current_thread().enable_all().build().map_err(ProxyError::Worker)?;
        let handle = runtime.handle().clone();
        let (alive, ended) = oneshot::channel();
        let run = move || {
            let _ = runtime.block_on(ended);
        };
        let thread = thread::Builder::new().name(format!("worker-{number}"));
        thread.spawn(run).map_err(ProxyError::Worker)?;
        Ok(Self { handle, load: Arc::default(), _alive: alive })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn connections_are_spread_and_what_is_spawned_runs_on_the_worker() {
        let workers = Workers(vec![Worker::start(0).unwrap(), Worker::start(1).unwrap()]);
        let name = async || {
            let (handle, load) = workers.idlest().unwrap();
            let name = handle.spawn(async { thread::current().name().map(str::to_owned) }).await.unwrap();
            (name.unwrap(), load)
        };
        let (first, _held) = name().await;
        let (second, _held_too) = name().await;
        assert_eq!([first.as_str(), second.as_str()], ["worker-0", "worker-1"]);
    }

    #[tokio::test]
    async fn a_worker_that_is_dropped_ends_what_it_served() {
        let worker = Worker::start(0).unwrap();
        let served = worker.handle.spawn(std::future::pending::<()>());
        drop(worker);
        assert!(served.await.unwrap_err().is_cancelled());
    }
}
