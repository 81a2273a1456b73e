//! Connections kept for reuse, one set for the same credentials at the same destination: never shared across credentials.
//!
//! Each thread looks on its own shelf first, behind a lock that nobody else wants. What is not there is taken from another
//! thread's shelf before it is made anew.

use super::connect::{Connect, Fresh, Offer};
use super::http2::is_open;
use super::identity::Identity;
use super::line::{Line, here};
use super::settings::UpstreamSettings;
use bytes::Bytes;
use cloakroom_model::{Code, CredentialId, Destination, Refusal};
use h2::client::SendRequest;
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::thread;
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
    Http1 { line: Box<Line>, reused: bool },
    Http2 { sender: SendRequest<Bytes>, stream: Stream, reused: bool },
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
    /// One for each thread that the machine can run at once.
    shelves: Box<[Mutex<Shelves>]>,
    places: Mutex<HashMap<Arc<PoolKey>, Place>>,
    reaping: AtomicBool,
    timeout: Duration,
    keep: Duration,
    most: usize,
}

/// The idle connections of one thread.
type Shelves = HashMap<Arc<PoolKey>, Shelf>;

/// The idle connections of one key on one thread, the most recently used last.
struct Shelf {
    idle: Vec<(Box<Line>, Instant)>,
    /// How many there are on the shelves of all threads.
    count: Arc<AtomicUsize>,
}

/// What is known of one key on all threads.
#[derive(Default)]
struct Place {
    shared: Vec<Shared>,
    /// Held while the first connection is made, so that a burst does not open one HTTP/2 connection per request.
    gate: Arc<tokio::sync::Mutex<()>>,
    /// HTTP/1.1 was seen here: connections are made side by side.
    side_by_side: bool,
    idle: Arc<AtomicUsize>,
}

/// An HTTP/2 connection.
struct Shared {
    sender: SendRequest<Bytes>,
    streams: Arc<AtomicUsize>,
    used: Instant,
}

impl Pool {
    pub(super) fn new(connect: Connect, settings: &UpstreamSettings) -> Arc<Self> {
        let threads = thread::available_parallelism().map_or(1, usize::from);
        Arc::new(Self {
            connect,
            shelves: (0..threads).map(|_| Mutex::default()).collect(),
            places: Mutex::default(),
            reaping: AtomicBool::new(false),
            timeout: settings.connect_timeout,
            keep: settings.pool_idle,
            most: settings.pool_per_destination,
        })
    }

    /// What makes its connections.
    pub(super) fn connect(&self) -> &Connect {
        &self.connect
    }

    /// How many connections were made.
    pub(super) fn made(&self) -> u64 {
        self.connect.made()
    }

    /// How many connections are kept: idle ones, and shared ones that streams may be open on.
    pub(super) fn kept(&self) -> usize {
        let places = lock(&self.places);
        let kept = |place: &Place| place.idle.load(Ordering::Relaxed) + place.shared.len();
        places.values().map(kept).sum()
    }

    /// A connection for this key: one that is idle, a stream of a shared one, or a new one.
    ///
    /// # Errors
    /// As [`Connect::to`], and `upstream-timeout`.
    pub(super) async fn take(
        self: &Arc<Self>,
        key: &Arc<PoolKey>,
        identity: Option<&Identity>,
    ) -> Result<Taken, Refusal> {
        match self.reuse(key) {
            Some(taken) => Ok(taken),
            // Connecting needs much room, and almost no call connects: the room is made only then.
            None => Box::pin(self.in_time(self.first(key, identity))).await,
        }
    }

    /// A connection that no request has used.
    ///
    /// # Errors
    /// As [`Pool::take`].
    pub(super) async fn take_fresh(
        self: &Arc<Self>,
        key: &Arc<PoolKey>,
        identity: Option<&Identity>,
    ) -> Result<Taken, Refusal> {
        Box::pin(self.in_time(self.make(key, identity))).await
    }

    /// A connection for HTTP/1.1 that this pool will never see again.
    ///
    /// # Errors
    /// As [`Pool::take`].
    pub(super) async fn take_apart(
        &self,
        destination: &Destination,
        identity: Option<&Identity>,
    ) -> Result<Box<Line>, Refusal> {
        let connecting = self.connect.to(destination, self.timeout, Offer::Http1, identity);
        match Box::pin(self.in_time(connecting)).await? {
            Fresh::Http1(line) => Ok(line),
            Fresh::Http2(_) => {
                Err(super::unreachable("the destination agreed to a protocol that was not offered"))
            }
        }
    }

    async fn in_time<T>(&self, taking: impl Future<Output = Result<T, Refusal>>) -> Result<T, Refusal> {
        tokio::time::timeout(self.timeout, taking).await.unwrap_or_else(|_| {
            Err(Refusal::new(Code::UpstreamTimeout, "the connection to the destination took too long"))
        })
    }

    async fn first(
        self: &Arc<Self>,
        key: &Arc<PoolKey>,
        identity: Option<&Identity>,
    ) -> Result<Taken, Refusal> {
        let gate = {
            let mut places = lock(&self.places);
            let place = places.entry(Arc::clone(key)).or_default();
            (!place.side_by_side).then(|| Arc::clone(&place.gate))
        };
        self.reap_later();
        let Some(gate) = gate else { return self.make(key, identity).await };
        let held = gate.lock().await;
        if let Some(taken) = self.reuse(key) {
            return Ok(taken);
        }
        if lock(&self.places).get(key).is_some_and(|place| place.side_by_side) {
            drop(held);
        }
        self.make(key, identity).await
    }

    async fn make(
        self: &Arc<Self>,
        key: &Arc<PoolKey>,
        identity: Option<&Identity>,
    ) -> Result<Taken, Refusal> {
        let fresh = self.connect.to(&key.destination, self.timeout, Offer::Any, identity).await?;
        let mut places = lock(&self.places);
        let place = places.entry(Arc::clone(key)).or_default();
        Ok(match fresh {
            Fresh::Http1(line) => {
                place.side_by_side = true;
                Taken::Http1 { line, reused: false }
            }
            Fresh::Http2(sender) => {
                place.side_by_side = false;
                let shared = Shared { sender, streams: Arc::default(), used: Instant::now() };
                let (sender, stream) = shared.open();
                place.shared.push(shared);
                Taken::Http2 { sender, stream, reused: false }
            }
        })
    }

    fn reuse(&self, key: &Arc<PoolKey>) -> Option<Taken> {
        let line = self.take_idle(key, here()).or_else(|| self.take_from_another(key));
        if let Some(line) = line {
            return Some(Taken::Http1 { line, reused: true });
        }
        let mut places = lock(&self.places);
        let shared = &mut places.get_mut(key)?.shared;
        shared.retain(|shared| is_open(&shared.sender));
        let shared = shared.iter_mut().find(|shared| shared.has_room())?;
        shared.used = Instant::now();
        let (sender, stream) = shared.open();
        Some(Taken::Http2 { sender, stream, reused: true })
    }

    /// An idle connection of this thread: the most recently used, so that the rest can grow old and go.
    fn take_idle(&self, key: &Arc<PoolKey>, thread: usize) -> Option<Box<Line>> {
        let mut shelf = self.shelf(thread);
        let shelf = shelf.get_mut(key)?;
        while let Some((mut line, since)) = shelf.idle.pop() {
            shelf.count.fetch_sub(1, Ordering::Relaxed);
            if since.elapsed() < self.keep && line.come_here().is_ok() && line.is_quiet() {
                return Some(line);
            }
        }
        None
    }

    /// One that another thread used: making a new one would cost more.
    fn take_from_another(&self, key: &Arc<PoolKey>) -> Option<Box<Line>> {
        let idle = Arc::clone(&lock(&self.places).get(key)?.idle);
        if idle.load(Ordering::Relaxed) == 0 {
            return None;
        }
        (1..self.shelves.len()).find_map(|further| self.take_idle(key, here() + further))
    }

    /// Keeps a connection whose exchange is complete.
    pub(super) fn put_back(&self, key: &Arc<PoolKey>, mut line: Box<Line>) {
        // SECURITY: bytes after the message are nobody's reply (T43).
        if !line.is_quiet() {
            return;
        }
        let mut shelves = self.shelf(here());
        let shelf = match shelves.get_mut(key) {
            Some(shelf) => shelf,
            None => {
                let count = Arc::clone(&lock(&self.places).entry(Arc::clone(key)).or_default().idle);
                shelves.entry(Arc::clone(key)).or_insert(Shelf { idle: Vec::new(), count })
            }
        };
        if shelf.count.fetch_add(1, Ordering::Relaxed) < self.most {
            shelf.idle.push((line, Instant::now()));
        } else {
            shelf.count.fetch_sub(1, Ordering::Relaxed);
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
                if pool.sweep() {
                    pool.reaping.store(false, Ordering::Relaxed);
                    return;
                }
            }
        });
    }

    /// Drops what is closed or too old. `true` when nothing is left.
    fn sweep(&self) -> bool {
        for shelf in &self.shelves {
            lock(shelf).retain(|_, shelf| {
                shelf.sweep(self.keep);
                !shelf.idle.is_empty()
            });
        }
        let mut places = lock(&self.places);
        places.retain(|_, place| !place.sweep(self.keep));
        places.is_empty()
    }

    /// Lets go of every connection that no call has: what was sent there may stand in its buffers, and what it shows of itself is a secret.
    pub(super) fn clear(&self) {
        for shelf in &self.shelves {
            for shelf in lock(shelf).values_mut() {
                shelf.sweep(Duration::ZERO);
            }
        }
        lock(&self.places).values_mut().for_each(|place| place.shared.clear());
        self.sweep();
    }

    fn shelf(&self, thread: usize) -> MutexGuard<'_, HashMap<Arc<PoolKey>, Shelf>> {
        lock(&self.shelves[thread % self.shelves.len()])
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Shelf {
    fn sweep(&mut self, keep: Duration) {
        let before = self.idle.len();
        self.idle.retain_mut(|(line, since)| since.elapsed() < keep && line.is_quiet());
        self.count.fetch_sub(before - self.idle.len(), Ordering::Relaxed);
    }
}

impl Place {
    /// Drops what is closed or too old. `true` when nothing is left.
    fn sweep(&mut self, keep: Duration) -> bool {
        self.shared.retain(|shared| {
            let busy = shared.streams.load(Ordering::Relaxed) > 0;
            is_open(&shared.sender) && (busy || shared.used.elapsed() < keep)
        });
        // Shelves count themselves here; where none does, and nobody waits at the gate, nothing is known any more.
        self.shared.is_empty() && Arc::strong_count(&self.idle) == 1 && Arc::strong_count(&self.gate) == 1
    }
}

impl Shared {
    fn has_room(&self) -> bool {
        let most = self.sender.current_max_send_streams().min(STREAMS);
        self.streams.load(Ordering::Relaxed) < most
    }

    fn open(&self) -> (SendRequest<Bytes>, Stream) {
        self.streams.fetch_add(1, Ordering::Relaxed);
        (self.sender.clone(), Stream(Arc::clone(&self.streams)))
    }
}
