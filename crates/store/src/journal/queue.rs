//! Records between `append` and the operating system, and what became of those that went before.

use super::Position;
use super::bells::{Bed, Sleeper, Sleepers};
use super::drafts::Drafts;
use super::error::JournalError;
use serde::Serialize;
use std::task::Context;

/// So many bytes wait at most, but for one record that may be longer. Whoever appends to a full queue writes it out first.
pub(super) const FULL: usize = 256 << 10;

/// What waits, in order.
#[derive(Default)]
pub(super) struct Queue {
    drafts: Drafts,
    /// The last record that was appended.
    last: u64,
    /// Every record up to here was written or lost.
    settled: u64,
    /// The latest records that were lost.
    lost: Option<Lost>,
    /// What became of the records before this one is not known any more.
    known_from: u64,
    /// Why no more records are taken.
    refusing: Option<JournalError>,
    /// The disk has not answered for too long.
    pub(super) stalled: Option<JournalError>,
    /// Those who wait until something is settled.
    waiters: Sleepers,
    /// Threads wait too, which a condition variable wakes.
    pub(super) blocks: bool,
    /// The writing thread looks here every few milliseconds, until it finds nothing new.
    pub(super) watched: bool,
    /// What it saw as last when it looked.
    seen: u64,
}

/// Whether what a record tells of has happened.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Happened {
    /// It has; nobody can be kept from it any more.
    Already,
    /// It must not happen without the record.
    NotYet,
}

/// Records that could not be written.
struct Lost {
    from: u64,
    upto: u64,
    error: JournalError,
}

impl Queue {
    pub(super) fn is_full(&self) -> bool {
        self.bytes() >= FULL
    }

    pub(super) fn bytes(&self) -> usize {
        self.drafts.end()
    }

    /// Takes a record. Of what a stalled disk is sure to hold up, only records of what has happened already are taken.
    pub(super) fn push(&mut self, entry: &impl Serialize, of: Happened) -> Result<Position, JournalError> {
        let stalled = self.stalled.as_ref().filter(|_| of == Happened::NotYet || self.is_full());
        if let Some(why) = self.refusing.as_ref().or(stalled) {
            return Err(why.clone());
        }
        self.drafts.push(entry)?;
        self.last += 1;
        Ok(Position(self.last))
    }

    /// From now on takes no records, or takes them again. Returns the position of the last one that was taken.
    pub(super) fn refuse(&mut self, why: Option<JournalError>) -> Position {
        self.refusing = why;
        Position(self.last)
    }

    /// Whether a call could be recorded now, as far as is known: what came last was written.
    pub(super) fn is_open(&self) -> bool {
        let is_lost = self.lost.as_ref().is_some_and(|lost| lost.upto >= self.settled);
        self.refusing.is_none() && self.stalled.is_none() && !is_lost
    }

    /// The position of the last record that was taken.
    pub(super) fn last(&self) -> Position {
        Position(self.last)
    }

    /// Wakes whoever polls with the next call; `bed` is what was returned last time.
    pub(super) fn wait(&mut self, context: &Context<'_>, bed: Option<Bed>) -> Bed {
        self.waiters.lay_down(context, bed)
    }

    /// Hands out those who wait, to be woken outside of the lock.
    pub(super) fn waiters(&mut self) -> Vec<Sleeper> {
        self.waiters.call()
    }

    /// Exchanges what waits for `empty`. Returns the position of the last record taken.
    pub(super) fn take(&mut self, empty: &mut Drafts) -> u64 {
        std::mem::swap(&mut self.drafts, empty);
        self.last
    }

    /// Takes note of what became of the records up to `upto`: of those beyond the error's position nothing is on record.
    pub(super) fn settle(&mut self, upto: u64, outcome: Result<(), (u64, JournalError)>) {
        if let Err((written, error)) = outcome {
            let from = match &self.lost {
                Some(before) if before.upto == written => before.from,
                Some(before) => {
                    self.known_from = before.upto + 1;
                    written + 1
                }
                None => written + 1,
            };
            self.lost = Some(Lost { from, upto, error });
        }
        self.settled = upto;
    }

    /// Whether `position` was written; `None` while it waits.
    pub(super) fn fate(&self, position: Position) -> Option<Result<(), JournalError>> {
        let Position(position) = position;
        match &self.lost {
            _ if position > self.settled => None,
            Some(lost) if (lost.from..=lost.upto).contains(&position) => Some(Err(lost.error.clone())),
            // INVARIANT: a record is called written only where that is known.
            _ if position < self.known_from => {
                Some(Err(JournalError::Failed("whether the record was written is not known any more".into())))
            }
            _ => Some(Ok(())),
        }
    }

    /// Whether anything was appended since the last look. If not, the next append says so to the writing thread.
    pub(super) fn look(&mut self) -> bool {
        self.watched = self.last != self.seen;
        self.seen = self.last;
        self.watched
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failed(why: &str) -> JournalError {
        JournalError::Failed(why.into())
    }

    #[test]
    fn a_record_is_written_or_lost_and_one_long_past_is_not_guessed() {
        let mut queue = Queue::default();
        let fate = |queue: &Queue, position| queue.fate(Position(position)).map(|fate| fate.is_ok());
        queue.last = 20;
        queue.settle(2, Ok(()));
        assert_eq!((fate(&queue, 2), fate(&queue, 3)), (Some(true), None));
        queue.settle(5, Err((3, failed("one"))));
        let fates: Vec<_> = (1..=6).map(|position| fate(&queue, position)).collect();
        assert_eq!(fates, [Some(true), Some(true), Some(true), Some(false), Some(false), None]);
        queue.settle(7, Err((5, failed("two"))));
        let fates: Vec<_> = (3..=7).map(|position| fate(&queue, position)).collect();
        assert_eq!(fates, [Some(true), Some(false), Some(false), Some(false), Some(false)]);
        queue.settle(9, Ok(()));
        assert_eq!(
            (fate(&queue, 7), fate(&queue, 8), fate(&queue, 3)),
            (Some(false), Some(true), Some(true))
        );
        queue.settle(11, Err((10, failed("three"))));
        let fates: Vec<_> = [3, 4, 7, 8, 10, 11].map(|position| fate(&queue, position)).into();
        assert_eq!(fates, [Some(false), Some(false), Some(false), Some(true), Some(true), Some(false)]);
    }
}
