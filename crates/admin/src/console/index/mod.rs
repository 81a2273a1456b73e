//! What the journal came to, for eyes: where its records are, what was used when, how calls went over time. Read once, followed from
//! then on, and only where somebody looks: a broker whose console nobody opens does nothing of this.
//!
//! It decides nothing. What a page shows of a record is read from the files again.

mod bloom;
mod chunk;
mod search;
mod seen;
mod series;

pub(crate) use search::{Ended, Line, Page, Query, What, records_at};
pub(crate) use seen::Seen;
pub(crate) use series::{Cell, Pair, Series};

use chunk::Chunk;
use cloakroom_model::{Destination, RequestId, Timestamp, WorkloadId};
use cloakroom_store::journal::{self, Entry, Follower, Journal, Mark, Record};
use seen::Sightings;
use series::Fact;
use std::collections::{HashMap, VecDeque};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// How much one look reads before it shows what there is, and how much is read between two of those who look.
const LOOK: usize = 1 << 20;
/// How long whoever looks is let in between two pieces.
const TURN: Duration = Duration::from_millis(1);
/// Calls whose end is waited for.
const UNDER_WAY: usize = 8192;

/// The index of one journal.
#[derive(Default)]
pub(crate) struct Index {
    known: Arc<Mutex<Known>>,
    reading: Arc<AtomicBool>,
}

/// What was read so far.
#[derive(Default)]
pub(crate) struct Known {
    follower: Option<Follower>,
    chunks: Vec<Chunk>,
    pub(crate) seen: Sightings,
    pub(crate) series: Series,
    under_way: UnderWay,
    trouble: Option<String>,
}

/// How far it has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Progress {
    /// Records read.
    pub(crate) read: u64,
    /// Records there are.
    pub(crate) all: u64,
    /// Why it goes no further.
    pub(crate) trouble: Option<String>,
}

impl Progress {
    /// Whether what is shown is all there is.
    pub(crate) fn is_complete(&self) -> bool {
        self.trouble.is_none() && self.read >= self.all
    }
}

impl Index {
    /// Reads on as far as one look goes; the rest is read meanwhile.
    pub(crate) async fn look(&self, journal: &Journal, data: &Path) -> Progress {
        let written = journal.all_written().await;
        let all = journal.records();
        let dir = data.join("journal");
        let known = Arc::clone(&self.known);
        let look = tokio::task::spawn_blocking(move || {
            let mut known = lock(&known);
            let more = known.read_on(&dir);
            (more, known.progress(all), dir)
        });
        let Ok((more, mut progress, dir)) = look.await else {
            return Progress { read: 0, all, trouble: Some("the journal could not be read".into()) };
        };
        if more && !self.reading.swap(true, Ordering::AcqRel) {
            let (known, reading) = (Arc::clone(&self.known), Arc::clone(&self.reading));
            tokio::task::spawn_blocking(move || {
                while lock(&known).read_on(&dir) {
                    // Whoever looks meanwhile has its turn.
                    std::thread::sleep(TURN);
                }
                reading.store(false, Ordering::Release);
            });
        }
        if let Err(error) = written {
            progress.trouble = Some(error.to_string());
        }
        progress
    }

    /// What is known now.
    pub(crate) fn known(&self) -> MutexGuard<'_, Known> {
        lock(&self.known)
    }
}

fn lock(known: &Mutex<Known>) -> MutexGuard<'_, Known> {
    known.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Known {
    fn progress(&self, all: u64) -> Progress {
        let read = self.follower.as_ref().and_then(Follower::mark).map_or(0, |mark| mark.next - 1);
        Progress { read, all: all.max(read), trouble: self.trouble.clone() }
    }

    /// Reads on for one look. False where there is nothing more, or it cannot be read.
    fn read_on(&mut self, dir: &Path) -> bool {
        let mut follower = self.follower.take().unwrap_or_else(|| Follower::new(dir));
        let read = follower.read_on(LOOK, &mut |mark, record| {
            self.take(mark, &record);
            journal::Seen::More
        });
        self.follower = Some(follower);
        match read {
            Ok(more) => more,
            Err(error) => {
                let trouble = Some(error.to_string());
                if self.trouble != trouble {
                    tracing::error!(%error, "the console cannot read the journal");
                    self.trouble = trouble;
                }
                false
            }
        }
    }

    fn take(&mut self, mark: Mark, record: &Record) {
        if self.chunks.last().is_none_or(Chunk::is_full) {
            self.chunks.push(Chunk::new(mark));
        }
        if let Some(chunk) = self.chunks.last_mut() {
            chunk.add(record);
        }
        self.seen.see(&record.entry);
        self.count(&record.entry);
    }

    fn count(&mut self, entry: &Entry) {
        match entry {
            Entry::Intent(intent) => {
                let pair = (Some(intent.workload), self.series.number(&intent.destination));
                self.series.count(intent.at, pair, Fact::Call);
                self.under_way.begin(intent.request, intent.at, pair);
            }
            Entry::Outcome { request, at, .. } => {
                if let Some((begun, pair)) = self.under_way.end(*request) {
                    let took = at.millis().saturating_sub(begun.millis());
                    self.series.count(*at, pair, Fact::Took(took));
                }
            }
            Entry::Failure { request, at, .. } => {
                let pair = self.under_way.end(*request).map_or((None, None), |(_, pair)| pair);
                self.series.count(*at, pair, Fact::Failed);
            }
            Entry::Refusal { at, workload, destination, .. } => {
                let pair = self.pair(*workload, destination.as_ref());
                self.series.count(*at, pair, Fact::Refused);
            }
            Entry::Replayed { at, workload, .. } => {
                self.series.count(*at, (Some(*workload), None), Fact::Call);
            }
            _ => {}
        }
    }

    fn pair(&mut self, workload: Option<WorkloadId>, destination: Option<&Destination>) -> Pair {
        (workload, destination.and_then(|destination| self.series.number(destination)))
    }
}

/// Calls that have begun and not ended: the oldest are forgotten where there are too many.
#[derive(Default)]
struct UnderWay {
    calls: HashMap<RequestId, (Timestamp, Pair)>,
    order: VecDeque<RequestId>,
}

impl UnderWay {
    fn begin(&mut self, request: RequestId, at: Timestamp, pair: Pair) {
        self.calls.insert(request, (at, pair));
        self.order.push_back(request);
        // What has ended stands in the order still.
        while self.order.len() > UNDER_WAY {
            if let Some(oldest) = self.order.pop_front() {
                self.calls.remove(&oldest);
            }
        }
    }

    fn end(&mut self, request: RequestId) -> Option<(Timestamp, Pair)> {
        self.calls.remove(&request)
    }
}
