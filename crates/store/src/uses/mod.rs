//! How often each counted placeholder was used.
//!
//! The journal is the truth: a use is a recorded intent. What the intents add up to is kept here, in memory, where one lock
//! decides who gets the last use; the rows hold a copy that is brought up to date now and then. `docs/decisions/0031`
//! says why.

mod recount;
mod tally;

#[cfg(test)]
mod tests;

pub use recount::{Disagreement, Recounted, recount};
pub use tally::{Tallied, TallyError};

use crate::epoch::Epoch;
use crate::fault;
use crate::journal::{Entry, Journal, JournalError, Position};
use cloakroom_model::{Intent, PlaceholderId, PlaceholderRecord, RequestId, Timestamp};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard};

/// The uses of all counted placeholders of one broker.
pub struct Uses {
    journal: Arc<Journal>,
    epoch: Option<Epoch>,
    book: Mutex<Book>,
}

/// What the journal adds up to. It is changed together with what is appended, under one lock, so that each tally counts
/// exactly the records in front of it.
struct Book {
    used: HashMap<PlaceholderId, u32>,
    /// How many uses each has. One that is not here is not counted, or not known: its uses cannot be taken.
    limits: HashMap<PlaceholderId, u32>,
    /// The number of the last tally.
    tally: u64,
    /// Counted records since then.
    since: u64,
    /// Returned while the journal took no records: written down before the next use is taken.
    owed: Vec<Spent>,
}

/// Why a use could not be taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotSpent {
    /// This placeholder has not so many uses left.
    #[error("placeholder {0} has no use left")]
    Gone(PlaceholderId),
    /// The record could not be written.
    #[error(transparent)]
    Journal(#[from] JournalError),
}

/// Uses that one call took. Whoever holds it may give them back; who drops it does not.
#[derive(Debug)]
pub struct Spent {
    request: RequestId,
    placeholders: Vec<PlaceholderId>,
    /// The last tally before the intent.
    tally: u64,
    position: Position,
}

impl Spent {
    /// How many uses were taken.
    pub fn count(&self) -> usize {
        self.placeholders.len()
    }
}

impl Uses {
    /// Begins with what was counted anew from the journal.
    pub fn new(journal: Arc<Journal>, recounted: Recounted, epoch: Option<Epoch>) -> Arc<Self> {
        let Recounted { used, tally, .. } = recounted;
        let book = Book { used, limits: HashMap::new(), tally, since: 0, owed: Vec::new() };
        Arc::new(Self { journal, epoch, book: Mutex::new(book) })
    }

    /// Takes note of how many uses the placeholders have. One that is new begins with what its row says.
    ///
    /// # Errors
    /// When the book was left in the middle of a change.
    pub fn hold(&self, rows: &[PlaceholderRecord]) -> Result<(), JournalError> {
        let mut book = self.book()?;
        for row in rows {
            let Some(uses) = row.uses else { continue };
            book.limits.insert(row.id, uses);
            if row.used > 0 {
                book.used.entry(row.id).or_insert(row.used);
            }
        }
        Ok(())
    }

    /// Writes how often they were used into the rows, which may be behind.
    pub fn show(&self, rows: &mut [PlaceholderRecord]) {
        let Ok(book) = self.book() else { return };
        for row in rows.iter_mut().filter(|row| row.uses.is_some()) {
            row.used = book.used.get(&row.id).copied().unwrap_or(row.used);
        }
    }

    /// Whether it could be used once more; always, where its uses are not counted.
    pub fn has_left(&self, placeholder: PlaceholderId) -> bool {
        self.book().is_ok_and(|book| {
            let (used, _) = book.of(placeholder);
            book.limits.get(&placeholder).is_none_or(|limit| used < *limit)
        })
    }

    /// How often it can be used; `None` where its uses are not counted.
    pub fn left(&self, placeholder: PlaceholderId) -> Option<u32> {
        let book = self.book().ok()?;
        let limit = book.limits.get(&placeholder)?;
        Some(limit.saturating_sub(book.of(placeholder).0))
    }

    /// Takes the counted uses of an intent, all or none, and appends it. Nothing may be opened or sent before
    /// [`Self::durable`] has returned.
    ///
    /// An intent that repeats an earlier one takes none.
    ///
    /// # Errors
    /// [`NotSpent::Gone`] when one has no use left.
    pub fn spend(&self, intent: &Intent) -> Result<Spent, NotSpent> {
        fault::point("before-append");
        let counted = intent.uses.iter().filter(|used| used.counted && intent.repeats.is_none());
        let placeholders: Vec<_> = counted.map(|used| used.placeholder).collect();
        let mut book = self.book()?;
        book.settle(&self.journal);
        book.take(&placeholders)?;
        let position = match self.journal.append_intent(intent) {
            Ok(position) => position,
            Err(error) => {
                book.put_back(&placeholders);
                return Err(error.into());
            }
        };
        book.since += u64::from(!placeholders.is_empty());
        fault::point("appended");
        Ok(Spent { request: intent.request, placeholders, tally: book.tally, position })
    }

    /// Waits until the intent is with the operating system (survives a crash of the process).
    ///
    /// # Errors
    /// When it could not be written. Its uses are not spent then.
    pub async fn written(&self, spent: Spent) -> Result<Spent, JournalError> {
        match self.journal.written(spent.position).await {
            Ok(()) => {
                fault::point("written");
                Ok(spent)
            }
            Err(error) => {
                // Nothing of it is on record, and nothing was sent: it needs no record that it was returned.
                self.book()?.put_back(&spent.placeholders);
                Err(error)
            }
        }
    }

    /// Waits until the intent is on the disk (survives a power cut).
    ///
    /// # Errors
    /// When it could not be written or flushed. Its uses are given back.
    pub async fn durable(&self, spent: Spent) -> Result<Spent, JournalError> {
        let spent = self.written(spent).await?;
        match self.settled(&spent).await {
            Ok(()) => Ok(spent),
            Err(error) => {
                // It may be on the disk or not; nothing was sent.
                self.give_back(spent);
                Err(error)
            }
        }
    }

    async fn settled(&self, spent: &Spent) -> Result<(), JournalError> {
        self.journal.durable(spent.position).await?;
        fault::point("durable");
        if spent.count() > 0 { self.keep_epoch().await } else { Ok(()) }
    }

    /// Tells the epoch file how far the journal has come on the disk.
    async fn keep_epoch(&self) -> Result<(), JournalError> {
        let Some(epoch) = &self.epoch else { return Ok(()) };
        let reached = epoch.reach(self.journal.on_disk().records, || self.journal.on_disk());
        match tokio::time::timeout(self.journal.write_timeout(), reached).await {
            Ok(reached) => reached.map_err(|error| JournalError::Failed(error.to_string())),
            Err(_) => Err(JournalError::Failed("the disk of the epoch file has not answered in time".into())),
        }
    }

    /// Gives the uses back, with a record. Only for whoever can prove that no byte of the call reached its destination.
    ///
    /// A crash before the record is written leaves them spent.
    pub fn give_back(&self, spent: Spent) {
        let Ok(mut book) = self.book() else { return };
        if !spent.placeholders.is_empty() {
            book.owed.push(spent);
            book.settle(&self.journal);
            fault::point("returned");
        }
    }

    /// Takes uses of a placeholder for one that descends from it. They do not come back.
    ///
    /// # Errors
    /// [`NotSpent::Gone`] when it has not so many left.
    pub fn endow(&self, child: PlaceholderId, parent: PlaceholderId, uses: u32) -> Result<(), NotSpent> {
        let mut book = self.book()?;
        book.settle(&self.journal);
        let (used, limit) = book.of(parent);
        let used = used.checked_add(uses).filter(|used| *used <= limit).ok_or(NotSpent::Gone(parent))?;
        self.journal.append(&Entry::Endowed { at: Timestamp::now(), placeholder: child, parent, uses })?;
        book.used.insert(parent, used);
        book.since += 1;
        Ok(())
    }

    fn book(&self) -> Result<MutexGuard<'_, Book>, JournalError> {
        // What was half changed may hold too few uses.
        let broken =
            |_| JournalError::Failed("the count of uses failed in the middle: restart the broker".into());
        self.book.lock().map_err(broken)
    }
}

impl Book {
    /// How many uses were taken, and how many there are.
    fn of(&self, placeholder: PlaceholderId) -> (u32, u32) {
        let look = |map: &HashMap<_, _>| map.get(&placeholder).copied().unwrap_or(0);
        (look(&self.used), look(&self.limits))
    }

    /// All or none; one that is listed twice needs two.
    fn take(&mut self, placeholders: &[PlaceholderId]) -> Result<(), NotSpent> {
        for (index, placeholder) in placeholders.iter().enumerate() {
            let (used, limit) = self.of(*placeholder);
            if used >= limit {
                self.put_back(&placeholders[..index]);
                return Err(NotSpent::Gone(*placeholder));
            }
            self.used.insert(*placeholder, used + 1);
        }
        Ok(())
    }

    fn put_back(&mut self, placeholders: &[PlaceholderId]) {
        for placeholder in placeholders {
            let used = self.used.entry(*placeholder).or_default();
            *used = used.saturating_sub(1);
        }
    }

    /// Records what is to be returned, and returns what is recorded.
    fn settle(&mut self, journal: &Journal) {
        while let Some(spent) = self.owed.pop() {
            let Spent { request, ref placeholders, tally, .. } = spent;
            let at = Timestamp::now();
            let entry = Entry::Returned { request, at, placeholders: placeholders.clone(), tally };
            if journal.append(&entry).is_err() {
                // The journal itself says what is wrong with it.
                self.owed.push(spent);
                return;
            }
            self.since += 1;
            self.put_back(placeholders);
        }
    }
}
