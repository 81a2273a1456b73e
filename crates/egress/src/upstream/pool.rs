//! Connections kept for reuse, one set for the same credentials at the same destination: never shared across credentials.

use super::connect::{Connect, Fresh};
use super::sending::Watched;
use super::settings::UpstreamSettings;
use cloakroom_model::{Code, CredentialId, Destination, Refusal};
use hyper::client::conn::{http1, http2};
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::thread::{self, ThreadId};
use std::time::Duration;
use tokio::time::Instant;

/// What a pooled connection may be reused for: the same credentials (each with its generation) at the same destination.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct PoolKey {
    pub(crate) credentials: Vec<(CredentialId, u32)>,
    pub(crate) destination: Destination,
}

/// A connection taken for one request.
pub(super) enum Taken {
    Http1 { sender: Homed, reused: bool },
    Http2 { sender: http2::SendRequest<Watched>, stream: Stream, reused: bool },
}

/// A connection, and the thread that drives it: another one's calls pay a wake-up for each of its reads.
pub(super) struct Homed {
    pub(super) sender: http1::SendRequest<Watched>,
    home: ThreadId,
}

/// One open stream of a shared connection; counted until dropped.
pub(super) struct Stream(Arc<AtomicUsize>);

impl Drop for Stream {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Streams on one shared connection before another is made. Most servers allow 100 or 128; the rest makes calls wait.
const STREAMS: usize = 100;

/// The pool.
pub(super) struct Pool {
    connect: Connect,
    shelves: Mutex<HashMap<Arc<PoolKey>, Shelf>>,
    reaping: AtomicBool,
    timeout: Duration,
    keep: Duration,
    most: usize,
}

/// The connections of one key.
#[derive(Default)]
struct Shelf {
    idle: Vec<(Homed, Instant)>,
    shared: Vec<Shared>,
    /// Held while the first connection is made, so that a burst does not open one HTTP/2 connection per request.
    gate: Arc<tokio::sync::Mutex<()>>,
    /// HTTP/1.1 was seen here: connections are made side by side.
    side_by_side: bool,
}

struct Shared {
    sender: http2::SendRequest<Watched>,
    streams: Arc<AtomicUsize>,
    used: Instant,
}

impl Pool {
    pub(super) fn new(connect: Connect, settings: &UpstreamSettings) -> Arc<Self> {
        Arc::new(Self {
            connect,
            shelves: Mutex::default(),
            reaping: AtomicBool::new(false),
            timeout: settings.connect_timeout,
            keep: settings.pool_idle,
            most: settings.pool_per_destination,
        })
    }

    /// How many connections were made.
    pub(super) fn made(&self) -> u64 {
        self.connect.made()
    }

    /// A connection for this key: one that is idle, a stream of a shared one, or a new one.
    ///
    /// # Errors
    /// As [`Connect::to`], and `upstream-timeout`.
    pub(super) async fn take(self: &Arc<Self>, key: &Arc<PoolKey>) -> Result<Taken, Refusal> {
        match self.reuse(key) {
            Some(taken) => Ok(taken),
            None => self.in_time(self.first(key)).await,
        }
    }

    /// A connection that no request has used.
    ///
    /// # Errors
    /// As [`Pool::take`].
    pub(super) async fn take_fresh(self: &Arc<Self>, key: &Arc<PoolKey>) -> Result<Taken, Refusal> {
        self.in_time(self.make(key)).await
    }

    async fn in_time(&self, taking: impl Future<Output = Result<Taken, Refusal>>) -> Result<Taken, Refusal> {
        tokio::time::timeout(self.timeout, taking).await.unwrap_or_else(|_| {
            Err(Refusal::new(Code::UpstreamTimeout, "the connection to the destination took too long"))
        })
    }

    async fn first(self: &Arc<Self>, key: &Arc<PoolKey>) -> Result<Taken, Refusal> {
        let gate = {
            let mut shelves = self.shelves();
            let shelf = shelves.entry(Arc::clone(key)).or_default();
            (!shelf.side_by_side).then(|| Arc::clone(&shelf.gate))
        };
        self.reap_later();
        let Some(gate) = gate else { return self.make(key).await };
        let held = gate.lock().await;
        if let Some(taken) = self.reuse(key) {
            return Ok(taken);
        }
        if self.shelves().get(key).is_some_and(|shelf| shelf.side_by_side) {
            drop(held);
        }
        self.make(key).await
    }

    async fn make(self: &Arc<Self>, key: &Arc<PoolKey>) -> Result<Taken, Refusal> {
        let fresh = self.connect.to(&key.destination, self.timeout).await?;
        let mut shelves = self.shelves();
        let shelf = shelves.entry(Arc::clone(key)).or_default();
        Ok(match fresh {
            Fresh::Http1(sender) => {
                shelf.side_by_side = true;
                let sender = Homed { sender, home: thread::current().id() };
                Taken::Http1 { sender, reused: false }
            }
            Fresh::Http2(sender) => {
                shelf.side_by_side = false;
                let shared = Shared { sender, streams: Arc::default(), used: Instant::now() };
                let (sender, stream) = shared.open();
                shelf.shared.push(shared);
                Taken::Http2 { sender, stream, reused: false }
            }
        })
    }

    fn reuse(&self, key: &Arc<PoolKey>) -> Option<Taken> {
        let mut shelves = self.shelves();
        let shelf = shelves.get_mut(key)?;
        shelf.sweep(self.keep);
        if let Some(sender) = shelf.take_idle() {
            return Some(Taken::Http1 { sender, reused: true });
        }
        let shared = shelf.shared.iter_mut().find(|shared| shared.has_room())?;
        shared.used = Instant::now();
        let (sender, stream) = shared.open();
        Some(Taken::Http2 { sender, stream, reused: true })
    }

    /// Keeps a connection whose exchange is complete, once it says that it is ready for another.
    pub(super) fn put_back(self: &Arc<Self>, key: Arc<PoolKey>, mut sender: Homed) {
        if sender.sender.is_ready() {
            self.shelve(key, sender);
        } else if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            let pool = Arc::clone(self);
            runtime.spawn(async move {
                // SECURITY: bytes after the message make hyper close the connection instead (T43).
                if sender.sender.ready().await.is_ok() {
                    pool.shelve(key, sender);
                }
            });
        }
    }

    fn shelve(self: &Arc<Self>, key: Arc<PoolKey>, sender: Homed) {
        let mut shelves = self.shelves();
        let shelf = shelves.entry(key).or_default();
        if shelf.idle.len() < self.most {
            shelf.idle.push((sender, Instant::now()));
        }
    }

    /// Starts the task that drops what is too old; it ends when nothing is left.
    fn reap_later(self: &Arc<Self>) {
        if self.reaping.swap(true, Ordering::Relaxed) {
            return;
        }
        let (pool, keep) = (Arc::downgrade(self), self.keep);
        tokio::spawn(async move {
            loop {
                // Not more often than once a second, however short connections are kept.
                tokio::time::sleep(keep.max(Duration::from_secs(1))).await;
                let Some(pool) = Weak::upgrade(&pool) else { return };
                let mut shelves = pool.shelves();
                shelves.retain(|_, shelf| !shelf.sweep(keep));
                if shelves.is_empty() {
                    pool.reaping.store(false, Ordering::Relaxed);
                    return;
                }
            }
        });
    }

    fn shelves(&self) -> MutexGuard<'_, HashMap<Arc<PoolKey>, Shelf>> {
        self.shelves.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Shelf {
    /// An idle connection: of this thread before others, and of those the most recently used, so that the rest can grow
    /// old and go. A new one would cost more than another thread's.
    fn take_idle(&mut self) -> Option<Homed> {
        let here = thread::current().id();
        while let Some(last) = self.idle.len().checked_sub(1) {
            let at = self.idle.iter().rposition(|(homed, _)| homed.home == here).unwrap_or(last);
            let (homed, _) = self.idle.remove(at);
            if homed.sender.is_ready() {
                return Some(homed);
            }
        }
        None
    }

    /// Drops what is closed or too old. `true` when nothing is left.
    fn sweep(&mut self, keep: Duration) -> bool {
        let now = Instant::now();
        let young = |since: Instant| now.saturating_duration_since(since) < keep;
        self.idle.retain(|(homed, since)| !homed.sender.is_closed() && young(*since));
        self.shared.retain(|shared| {
            let busy = shared.streams.load(Ordering::Relaxed) > 0;
            !shared.sender.is_closed() && (busy || young(shared.used))
        });
        self.idle.is_empty() && self.shared.is_empty() && Arc::strong_count(&self.gate) == 1
    }
}

impl Shared {
    fn has_room(&self) -> bool {
        self.sender.is_ready() && self.streams.load(Ordering::Relaxed) < STREAMS
    }

    fn open(&self) -> (http2::SendRequest<Watched>, Stream) {
        self.streams.fetch_add(1, Ordering::Relaxed);
        (self.sender.clone(), Stream(Arc::clone(&self.streams)))
    }
}
