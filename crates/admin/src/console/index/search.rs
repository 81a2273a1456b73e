//! Finds records, newest first, a page at a time. A page looks at a bounded number of records, so it costs the same in a journal of any
//! size; where that was too few, it says how far it looked.

use super::Known;
use super::chunk::{Chunk, Fact, Kind, facts, kind, when};
use cloakroom_model::{
    Code, Destination, EventKind, Intent, PlaceholderId, RequestId, Timestamp, WorkloadId,
};
use cloakroom_store::journal::{Entry, Follower, JournalError, Mark, Record, Seen};
use std::collections::HashMap;
use std::path::Path;

/// Lines of one page.
const LINES: usize = 50;
/// Chunks that are read for one page.
const CHUNKS: usize = 16;
/// Bytes that are read at once.
const PIECE: usize = 64 << 10;
/// How far behind a call its end is looked for, where one call is asked for.
const FURTHER: usize = 8;

/// Which kind of records.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum What {
    #[default]
    All,
    Calls,
    Refusals,
    Events,
    Acts,
}

/// What is looked for: all of it has to hold.
#[derive(Clone, Debug, Default)]
pub(crate) struct Query {
    pub(crate) what: What,
    pub(crate) workload: Option<WorkloadId>,
    pub(crate) destination: Option<Destination>,
    pub(crate) placeholder: Option<PlaceholderId>,
    pub(crate) code: Option<Code>,
    pub(crate) event: Option<EventKind>,
    /// Only what stands before this sequence number.
    pub(crate) before: Option<u64>,
}

/// How a call ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ended {
    Answered { at: Timestamp, status: u16, bytes: u64, replaced: u64, complete: bool },
    Failed { at: Timestamp, code: Code },
}

/// One record as it is shown; a call together with its end.
#[derive(Clone, Debug)]
pub(crate) struct Line {
    pub(crate) sequence: u64,
    pub(crate) at: Timestamp,
    pub(crate) entry: Entry,
    pub(crate) ended: Option<Ended>,
}

/// What was found.
#[derive(Debug, Default)]
pub(crate) struct Page {
    pub(crate) lines: Vec<Line>,
    /// Where older records are looked for, if there are any.
    pub(crate) older: Option<u64>,
    /// How many records were looked at.
    pub(crate) looked_at: u64,
}

/// Where to read: taken out of the index, so that nobody waits for the disk with it.
pub(crate) struct Plan {
    chunks: Vec<(Mark, u32)>,
    /// The oldest of them is the oldest there is.
    to_the_end: bool,
    query: Query,
}

impl Known {
    /// What has to be read for a page.
    pub(crate) fn plan(&self, query: Query) -> Plan {
        let before = query.before.unwrap_or(u64::MAX);
        let newest = self.chunks.partition_point(|chunk| chunk.mark.next < before);
        // One newer chunk is read too, for the ends of calls that are wanted.
        let with_ends = newest.saturating_add(1).min(self.chunks.len());
        let mut chunks: Vec<(Mark, u32)> =
            self.chunks[newest..with_ends].iter().map(|chunk| (chunk.mark, chunk.records)).collect();
        let wanted = query.facts();
        let promising = |chunk: &&Chunk| wanted.iter().all(|fact| chunk.may_hold(fact));
        let mut older = self.chunks[..newest].iter().rev().filter(promising);
        chunks.extend(older.by_ref().take(CHUNKS).map(|chunk| (chunk.mark, chunk.records)));
        let to_the_end = older.next().is_none();
        Plan { chunks, to_the_end, query }
    }

    /// What has to be read for one call: from when it was made on.
    pub(crate) fn plan_of_call(&self, made: Timestamp) -> Vec<Mark> {
        let after = self.chunks.partition_point(|chunk| chunk.begins <= made);
        let first = after.saturating_sub(2);
        self.chunks[first..].iter().take(FURTHER).map(|chunk| chunk.mark).collect()
    }
}

impl Plan {
    /// Reads it.
    ///
    /// # Errors
    /// When the journal cannot be read.
    pub(crate) fn read(self, dir: &Path) -> Result<Page, JournalError> {
        let mut page = Page::default();
        let mut ends: HashMap<RequestId, Ended> = HashMap::new();
        let before = self.query.before.unwrap_or(u64::MAX);
        let mut oldest = None;
        for (mark, records) in &self.chunks {
            let chunk = records_at(dir, *mark, *records)?;
            for record in chunk.into_iter().rev() {
                note_end(&record.entry, &mut ends);
                if record.sequence >= before {
                    continue;
                }
                if page.lines.len() == LINES {
                    page.older = page.lines.last().map(|line| line.sequence);
                    return Ok(page);
                }
                page.looked_at += 1;
                oldest = Some(record.sequence);
                if self.query.wants(&record.entry) {
                    page.lines.push(line(record, &ends));
                }
            }
        }
        page.older = oldest.filter(|_| !self.to_the_end);
        Ok(page)
    }
}

fn line(record: Record, ends: &HashMap<RequestId, Ended>) -> Line {
    let ended = match &record.entry {
        Entry::Intent(Intent { request, .. }) => ends.get(request).copied(),
        _ => None,
    };
    Line { sequence: record.sequence, at: when(&record.entry), entry: record.entry, ended }
}

fn note_end(entry: &Entry, ends: &mut HashMap<RequestId, Ended>) {
    match entry {
        Entry::Outcome { request, at, status, bytes, replaced, complete } => {
            let (at, status, bytes, replaced, complete) = (*at, *status, *bytes, *replaced, *complete);
            ends.insert(*request, Ended::Answered { at, status, bytes, replaced, complete });
        }
        Entry::Failure { request, at, code } => {
            ends.insert(*request, Ended::Failed { at: *at, code: *code });
        }
        _ => {}
    }
}

/// The records of one chunk. None where its segment has left the journal.
pub(crate) fn records_at(dir: &Path, mark: Mark, count: u32) -> Result<Vec<Record>, JournalError> {
    let mut records: Vec<Record> = Vec::new();
    let mut follower = Follower::new(dir);
    follower.go_to(mark);
    let enough = usize::try_from(count).unwrap_or(usize::MAX);
    let mut more = true;
    while more && records.len() < enough {
        more = follower.read_on(PIECE, &mut |_, record| {
            records.push(record);
            if records.len() >= enough { Seen::Enough } else { Seen::More }
        })?;
    }
    // What was retired is not there: reading went on with what is.
    records.retain(|record| record.sequence >= mark.next);
    Ok(records)
}

impl Query {
    /// What a chunk has to hold.
    fn facts(&self) -> Vec<Fact<'_>> {
        let kinds = match self.what {
            What::All => None,
            What::Calls => Some(Kind::Call),
            What::Refusals => Some(Kind::Refusal),
            What::Events => Some(Kind::Event),
            What::Acts => Some(Kind::Act),
        };
        let mut facts: Vec<Fact<'_>> = kinds.map(Fact::Kind).into_iter().collect();
        facts.extend(self.workload.map(Fact::Workload));
        facts.extend(self.destination.as_ref().map(Fact::Destination));
        facts.extend(self.placeholder.map(Fact::Placeholder));
        facts.extend(self.code.map(Fact::Code));
        facts.extend(self.event.map(Fact::Event));
        facts
    }

    /// Whether a record is wanted. The end of a call stands in the call's line.
    fn wants(&self, entry: &Entry) -> bool {
        if kind(entry) == Kind::Other {
            return false;
        }
        let wanted = self.facts();
        let mut found = vec![false; wanted.len()];
        facts(entry, &mut |fact| {
            wanted
                .iter()
                .zip(&mut found)
                .filter(|(one, _)| **one == fact)
                .for_each(|(_, found)| *found = true);
        });
        found.into_iter().all(|found| found)
    }
}

#[cfg(test)]
mod tests {
    use super::super::Index;
    use super::*;
    use cloakroom_store::journal::{Journal, JournalSettings};
    use std::sync::Arc;

    struct Desk {
        dir: tempfile::TempDir,
        journal: Arc<Journal>,
        index: Index,
    }

    impl Desk {
        fn new() -> Self {
            let dir = tempfile::tempdir().unwrap();
            let settings = JournalSettings { segment_bytes: 100_000, ..JournalSettings::default() };
            let (journal, _) =
                Journal::open(&dir.path().join("journal"), &dir.path().join("key"), settings).unwrap();
            Self { dir, journal, index: Index::default() }
        }

        fn refuse(&self, number: u64, to: &str) {
            let entry = Entry::Refusal {
                request: RequestId::new(Timestamp::from_millis(number), [1; 10]),
                at: Timestamp::from_millis(number),
                code: Code::CallNotPermitted,
                event: None,
                workload: None,
                way: None,
                destination: Some(to.parse().unwrap()),
                placeholder: None,
                peer: None,
            };
            self.journal.append(&entry).unwrap();
        }

        async fn page(&self, query: Query) -> Page {
            loop {
                let progress = self.index.look(&self.journal, self.dir.path()).await;
                assert_eq!(progress.trouble, None);
                if progress.is_complete() {
                    break;
                }
            }
            let plan = self.index.known().plan(query);
            plan.read(&self.dir.path().join("journal")).unwrap()
        }
    }

    fn times(page: &Page) -> Vec<u64> {
        page.lines.iter().map(|line| line.at.millis()).collect()
    }

    #[tokio::test]
    async fn pages_follow_each_other_to_the_oldest_record_and_miss_none() {
        let desk = Desk::new();
        (1..=1000).for_each(|number| desk.refuse(number, "https://a.example"));
        let (mut query, mut all) = (Query::default(), Vec::new());
        loop {
            let page = desk.page(query.clone()).await;
            assert!(page.lines.len() <= LINES);
            all.extend(times(&page));
            query.before = page.older;
            if query.before.is_none() {
                break;
            }
        }
        assert_eq!(all, (1..=1000).rev().collect::<Vec<_>>());
    }

    #[tokio::test]
    async fn what_is_rare_is_found_without_reading_what_it_cannot_be_in() {
        let desk = Desk::new();
        desk.refuse(1, "https://rare.example");
        (2..=9000).for_each(|number| desk.refuse(number, "https://a.example"));
        let rare = Query { destination: Some("https://rare.example".parse().unwrap()), ..Query::default() };
        let page = desk.page(rare.clone()).await;
        assert_eq!((times(&page), page.older), (vec![1], None));
        assert!(page.looked_at < 3000, "{}", page.looked_at);
        let wrong = Query { what: What::Acts, ..rare };
        assert!(desk.page(wrong).await.lines.is_empty());
        desk.refuse(9001, "https://rare.example");
        assert_eq!(
            times(
                &desk
                    .page(Query {
                        destination: Some("https://rare.example".parse().unwrap()),
                        ..Query::default()
                    })
                    .await
            ),
            [9001, 1]
        );
    }

    #[tokio::test]
    async fn a_page_looks_at_a_bounded_number_of_records_and_says_where_to_go_on() {
        let desk = Desk::new();
        (1..=9000).for_each(|number| desk.refuse(number, "https://a.example"));
        assert_eq!(desk.page(Query::default()).await.lines.len(), LINES);
        let plan = desk.index.known().plan(Query::default());
        assert_eq!(plan.chunks.len(), CHUNKS, "newest first, and no more");
        assert!(!plan.to_the_end);
    }
}
