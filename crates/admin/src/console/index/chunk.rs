//! A few hundred records in a row: where they begin, and what may be among them.

use super::bloom::Bloom;
use cloakroom_model::{Code, Destination, EventKind, PlaceholderId, Timestamp, WorkloadId};
use cloakroom_store::journal::{Entry, Mark, Record};

/// Records of one chunk.
const RECORDS: u32 = 256;

/// What can be asked of a chunk: whether a record may be there that says so.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Fact<'a> {
    Kind(Kind),
    Workload(WorkloadId),
    Destination(&'a Destination),
    Placeholder(PlaceholderId),
    Code(Code),
    Event(EventKind),
}

/// What a record is about, for those who look for some.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Kind {
    Call,
    Refusal,
    Event,
    Act,
    Other,
}

/// One chunk.
#[derive(Debug)]
pub(super) struct Chunk {
    /// Where it begins.
    pub(super) mark: Mark,
    /// How many records it has.
    pub(super) records: u32,
    /// The time of its first record.
    pub(super) begins: Timestamp,
    facts: Bloom,
}

impl Chunk {
    pub(super) fn new(mark: Mark) -> Self {
        Self { mark, records: 0, begins: Timestamp::from_millis(0), facts: Bloom::default() }
    }

    pub(super) fn is_full(&self) -> bool {
        self.records >= RECORDS
    }

    pub(super) fn add(&mut self, record: &Record) {
        if self.records == 0 {
            self.begins = when(&record.entry);
        }
        self.records += 1;
        facts(&record.entry, &mut |fact| self.facts.add(&fact));
    }

    pub(super) fn may_hold(&self, fact: &Fact<'_>) -> bool {
        self.facts.may_hold(fact)
    }
}

/// What a record says that can be asked for.
pub(super) fn facts(entry: &Entry, say: &mut dyn FnMut(Fact<'_>)) {
    say(Fact::Kind(kind(entry)));
    match entry {
        Entry::Intent(intent) => {
            say(Fact::Workload(intent.workload));
            say(Fact::Destination(&intent.destination));
            intent.uses.iter().for_each(|one| say(Fact::Placeholder(one.placeholder)));
        }
        Entry::Refusal { code, workload, destination, placeholder, .. } => {
            say(Fact::Code(*code));
            workload.iter().for_each(|id| say(Fact::Workload(*id)));
            destination.iter().for_each(|to| say(Fact::Destination(to)));
            placeholder.iter().for_each(|id| say(Fact::Placeholder(*id)));
        }
        Entry::Event(event) => {
            say(Fact::Event(event.event));
            event.workload.iter().for_each(|id| say(Fact::Workload(*id)));
            event.destination.iter().for_each(|to| say(Fact::Destination(to)));
            event.placeholder.iter().for_each(|id| say(Fact::Placeholder(*id)));
        }
        Entry::Replayed { workload, placeholders, .. } => {
            say(Fact::Workload(*workload));
            placeholders.iter().for_each(|id| say(Fact::Placeholder(*id)));
        }
        Entry::Endowed { placeholder, .. } | Entry::Ignored { placeholder, .. } => {
            say(Fact::Placeholder(*placeholder));
        }
        Entry::Act { subject, .. } => {
            subject.parse().iter().for_each(|id| say(Fact::Placeholder(*id)));
        }
        _ => {}
    }
}

pub(super) fn kind(entry: &Entry) -> Kind {
    match entry {
        Entry::Intent(_) | Entry::Replayed { .. } => Kind::Call,
        Entry::Refusal { .. } => Kind::Refusal,
        Entry::Event(_) | Entry::Ignored { .. } => Kind::Event,
        Entry::Act { .. }
        | Entry::Start { .. }
        | Entry::Stop { .. }
        | Entry::Retired { .. }
        | Entry::Endowed { .. } => Kind::Act,
        Entry::Outcome { .. } | Entry::Failure { .. } | Entry::Returned { .. } | Entry::Tally { .. } => {
            Kind::Other
        }
    }
}

/// When it happened.
pub(super) fn when(entry: &Entry) -> Timestamp {
    match entry {
        Entry::Intent(intent) => intent.at,
        Entry::Event(event) => event.at,
        Entry::Start { at, .. }
        | Entry::Stop { at }
        | Entry::Outcome { at, .. }
        | Entry::Failure { at, .. }
        | Entry::Refusal { at, .. }
        | Entry::Act { at, .. }
        | Entry::Returned { at, .. }
        | Entry::Replayed { at, .. }
        | Entry::Endowed { at, .. }
        | Entry::Tally { at, .. }
        | Entry::Retired { at, .. }
        | Entry::Ignored { at, .. } => *at,
    }
}
