//! What the journal's records add up to, and whether the rows agree.

use super::tally::RECORDS;
use crate::Books;
use crate::journal::{Entry, JournalError, Record, read};
use cloakroom_model::{PlaceholderId, PlaceholderRecord, RequestId};
use std::cmp::Ordering;
use std::collections::{HashMap, HashSet};
use std::fmt;
use std::path::Path;

type Counts = HashMap<PlaceholderId, u32>;

/// How often each placeholder was used, and what did not agree.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Recounted {
    pub(super) used: Counts,
    /// The last tally's number.
    pub(super) tally: u64,
    /// Whether an epoch file was kept when the last tally was made.
    pub had_epoch: bool,
    /// What a crash does not explain. The higher of two counts was taken in each case.
    pub disagreements: Vec<Disagreement>,
}

/// What the rows and the journal tell differently.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Disagreement {
    /// A row says fewer uses than were written into it.
    Row {
        /// Whose row.
        placeholder: PlaceholderId,
        /// What it says.
        row: u32,
        /// What the journal says.
        journal: u32,
    },
    /// A row says more uses than the journal.
    Journal {
        /// Whose row.
        placeholder: PlaceholderId,
        /// What it says.
        row: u32,
        /// What the journal says.
        journal: u32,
    },
    /// The database is an older or newer copy than the journal.
    Copy {
        /// The last tally that the database knows.
        rows: u64,
        /// The journal's last tally.
        journal: u64,
    },
}

impl Disagreement {
    /// The placeholder, where it is about one.
    pub fn placeholder(&self) -> Option<PlaceholderId> {
        match self {
            Self::Row { placeholder, .. } | Self::Journal { placeholder, .. } => Some(*placeholder),
            Self::Copy { .. } => None,
        }
    }
}

impl fmt::Display for Disagreement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Row { placeholder, row, journal } => {
                write!(f, "the row of {placeholder} says {row} uses, where the journal has {journal}")
            }
            Self::Journal { placeholder, row, journal } => {
                write!(f, "the journal has {journal} uses of {placeholder}, and its row says {row}")
            }
            Self::Copy { rows, journal } => {
                write!(
                    f,
                    "the database was last brought up to date by tally {rows}, and the journal is at {journal}"
                )
            }
        }
    }
}

/// Counts anew from the journal in `dir`, whose last record is `last`.
///
/// # Errors
/// When the journal cannot be read.
pub fn recount(
    dir: &Path,
    last: u64,
    books: Books,
    rows: &[PlaceholderRecord],
) -> Result<Recounted, JournalError> {
    let mut behind = 2 * RECORDS;
    loop {
        let since = last.saturating_sub(behind);
        let read = Reading::of(&read(dir, since)?);
        // Two tallies: a crash between the last one and the rows leaves the rows at the one before.
        if since == 0 || read.tallies.len() >= 2 {
            return Ok(read.compare(books, rows));
        }
        behind = behind.saturating_mul(2);
    }
}

/// What was read, up to its end.
#[derive(Default)]
struct Reading {
    used: Counts,
    /// The intents whose uses are in `used` one by one, and not in a tally.
    seen: HashSet<RequestId>,
    /// The last two tallies, each with its counts.
    tallies: Vec<(u64, Counts)>,
    unfinished: Option<(u64, u32, Counts)>,
    had_epoch: bool,
}

impl Reading {
    fn of(records: &[Record]) -> Self {
        let mut reading = Self::default();
        records.iter().for_each(|record| reading.add(&record.entry));
        reading
    }

    fn add(&mut self, entry: &Entry) {
        match entry {
            Entry::Intent(intent) if intent.repeats.is_none() => {
                let counted = intent.uses.iter().filter(|used| used.counted);
                let placeholders: Vec<_> = counted.map(|used| used.placeholder).collect();
                if !placeholders.is_empty() {
                    self.seen.insert(intent.request);
                }
                placeholders.iter().for_each(|placeholder| self.count(*placeholder, 1));
            }
            Entry::Endowed { parent, uses, .. } => self.count(*parent, *uses),
            Entry::Returned { request, placeholders, tally, .. } => {
                // An intent that is neither here nor in the tally was lost before it was written: it counts nowhere.
                let before = self.tallies.last().is_some_and(|(number, _)| tally < number);
                if self.seen.remove(request) || before {
                    for placeholder in placeholders {
                        let used = self.used.entry(*placeholder).or_default();
                        *used = used.saturating_sub(1);
                    }
                }
            }
            Entry::Tally { number, part, parts, epoch, used, .. } => {
                self.had_epoch = *epoch;
                self.tally(*number, *part, *parts, used);
            }
            _ => {}
        }
    }

    fn count(&mut self, placeholder: PlaceholderId, uses: u32) {
        let used = self.used.entry(placeholder).or_default();
        *used = used.saturating_add(uses);
    }

    /// A tally counts once its last part is there.
    fn tally(&mut self, number: u64, part: u32, parts: u32, used: &[(PlaceholderId, u32)]) {
        let (mut counts, follows) = match self.unfinished.take() {
            Some((of, before, counts)) if part > 1 => (counts, of == number && before + 1 == part),
            _ => (Counts::new(), part == 1),
        };
        if !follows {
            return;
        }
        counts.extend(used.iter().copied());
        if part < parts {
            self.unfinished = Some((number, part, counts));
            return;
        }
        self.used = counts.clone();
        self.seen.clear();
        self.tallies.push((number, counts));
        if self.tallies.len() > 2 {
            self.tallies.remove(0);
        }
    }

    fn compare(self, books: Books, rows: &[PlaceholderRecord]) -> Recounted {
        let Self { mut used, tallies, had_epoch, .. } = self;
        let last = tallies.last().map_or(0, |(number, _)| *number);
        let written = tallies.iter().find(|(number, _)| *number == books.tally).map(|(_, counts)| counts);
        let mut disagreements = Vec::new();
        if written.is_none() && books.tally != last {
            disagreements.push(Disagreement::Copy { rows: books.tally, journal: last });
        }
        for row in rows.iter().filter(|row| row.uses.is_some()) {
            let (placeholder, counted) = (row.id, used.get(&row.id).copied().unwrap_or(0));
            // Rows of a store that knows no tally were counted before there were any.
            let copied = written.map(|counts| counts.get(&row.id).copied().unwrap_or(0));
            match copied.map(|copied| (row.used.cmp(&copied), copied)) {
                // As the last tally that was copied left it: what came after is in the journal.
                Some((Ordering::Equal, _)) => continue,
                Some((Ordering::Less, journal)) => {
                    disagreements.push(Disagreement::Row { placeholder, row: row.used, journal });
                }
                Some((Ordering::Greater, journal)) => {
                    disagreements.push(Disagreement::Journal { placeholder, row: row.used, journal });
                }
                None => {}
            }
            if row.used > counted {
                used.insert(row.id, row.used);
            }
        }
        Recounted { used, tally: last.max(books.tally), had_epoch, disagreements }
    }
}
