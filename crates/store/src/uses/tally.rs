//! Tallies: what the intents add up to, written into the journal now and then, and copied from there into the rows. A start
//! reads the journal from the last two tallies on, not from its beginning.

use super::Uses;
use crate::fault;
use crate::journal::{Entry, JournalError, Position};
use crate::{Store, StoreError};
use cloakroom_model::{PlaceholderId, Timestamp};
use std::time::{Duration, Instant};

/// Placeholders in one record, so that it stays far below the longest that the journal takes.
const PART: usize = 10_000;
/// Counted records after which a tally is due at once.
const COUNTED: u64 = 5_000;
/// How long fewer may wait for one.
const AGE: Duration = Duration::from_secs(60);
/// Records of any kind after which there is a tally again: no start reads many more.
pub(super) const RECORDS: u64 = 20_000;
/// How often it is looked whether one is due.
const LOOK: Duration = Duration::from_secs(1);

/// One tally, appended.
#[derive(Debug)]
pub struct Tallied {
    number: u64,
    used: Vec<(PlaceholderId, u32)>,
    last: Position,
}

/// Why a tally was not completed.
#[derive(Debug, thiserror::Error)]
pub enum TallyError {
    /// It could not be recorded.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// It is recorded, and the rows could not be brought up to date.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Uses {
    /// Appends a tally of all that was appended before.
    ///
    /// # Errors
    /// When the journal takes no records.
    pub fn tally(&self) -> Result<Tallied, JournalError> {
        let mut book = self.book()?;
        let mut used: Vec<_> = book.used.iter().map(|(id, used)| (*id, *used)).collect();
        used.sort_unstable();
        let (at, number) = (Timestamp::now(), book.tally + 1);
        let parts = u32::try_from(used.len().div_ceil(PART).max(1)).unwrap_or(u32::MAX);
        let mut pieces = used.chunks(PART);
        let mut last = Position(0);
        for part in 1..=parts {
            let used = pieces.next().unwrap_or_default().to_vec();
            last = self.journal.append(&Entry::Tally {
                at,
                number,
                part,
                parts,
                epoch: self.epoch.is_some(),
                used,
            })?;
        }
        (book.tally, book.since) = (number, 0);
        fault::point("tally-appended");
        Ok(Tallied { number, used, last })
    }

    /// Makes a tally durable and copies it into the rows.
    ///
    /// # Errors
    /// When it could not be recorded or the rows not be changed. The count itself does not suffer: the journal has it.
    pub async fn copy_to(&self, store: &dyn Store) -> Result<(), TallyError> {
        let Tallied { number, used, last } = self.tally()?;
        self.journal.durable(last).await?;
        self.keep_epoch().await?;
        fault::point("tally-durable");
        store.note_uses(number, used).await?;
        fault::point("tally-noted");
        Ok(())
    }

    /// Keeps the tallies coming for as long as it is run.
    pub async fn keep(&self, store: &dyn Store) {
        let mut last = (Instant::now(), self.journal.records());
        loop {
            tokio::time::sleep(LOOK).await;
            if let Err(error) = self.keep_epoch().await {
                tracing::error!(%error, "counted calls are refused until it can be");
            }
            let records = self.journal.records();
            let counted = self.book().map_or(0, |book| book.since);
            let is_due = counted >= COUNTED
                || (counted > 0 && last.0.elapsed() >= AGE)
                || records.saturating_sub(last.1) >= RECORDS;
            if !is_due {
                continue;
            }
            if let Err(error) = self.copy_to(store).await {
                tracing::warn!(%error, "the rows could not be told how often placeholders were used; the journal has it");
            }
            last = (Instant::now(), records);
        }
    }
}
