//! What is recorded: the entries, and where one stands.

use super::queue::Happened;
use cloakroom_model::{
    Code, Destination, Intent, Name, PlaceholderId, RequestId, SecurityEvent, Severity, Timestamp, Way,
    WorkloadId,
};
use serde::{Deserialize, Serialize};

/// One thing that happened. Serialised as JSON with a `kind` tag.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Entry {
    /// The broker started.
    Start {
        /// When.
        at: Timestamp,
        /// Its version.
        version: String,
    },
    /// The broker stopped in order.
    Stop {
        /// When.
        at: Timestamp,
    },
    /// Before a secret is opened.
    Intent(Intent),
    /// After a reply ended.
    Outcome {
        /// The call.
        request: RequestId,
        /// When the reply ended.
        at: Timestamp,
        /// The upstream's status.
        status: u16,
        /// Body bytes sent to the workload.
        bytes: u64,
        /// How often the secret was found in the reply and replaced.
        replaced: u64,
        /// Whether the reply reached its end.
        complete: bool,
    },
    /// After an authorized call failed on its way (upstream unreachable, response not scrubbable ...).
    Failure {
        /// The call.
        request: RequestId,
        /// When.
        at: Timestamp,
        /// Why.
        code: Code,
    },
    /// A call that was refused. `event` marks a security event.
    Refusal {
        /// The call.
        request: RequestId,
        /// When.
        at: Timestamp,
        /// Why.
        code: Code,
        /// How grave, if it is a security event.
        event: Option<Severity>,
        /// Who asked, if known.
        workload: Option<WorkloadId>,
        /// How the call came, if it came that far.
        way: Option<Way>,
        /// Where it wanted to go, if it could be read.
        destination: Option<Destination>,
        /// The placeholder it carried, if one was recognised.
        placeholder: Option<PlaceholderId>,
        /// The peer's address.
        peer: Option<String>,
    },
    /// An operator or approver did something: `act` is a fixed word such as "credential added"; `subject` an id; `name` a Name.
    Act {
        /// When.
        at: Timestamp,
        /// What was done.
        act: String,
        /// To which id.
        subject: String,
        /// Its name, if it has one.
        name: Option<Name>,
        /// Who did it.
        by: String,
    },
    /// Uses of this call were given back: no byte of it reached its destination.
    Returned {
        /// The call.
        request: RequestId,
        /// When.
        at: Timestamp,
        /// The placeholders, one use of each; one that is listed twice, two.
        placeholders: Vec<PlaceholderId>,
        /// The number of the last tally before the call's intent.
        tally: u64,
    },
    /// A call was answered with the reply to an earlier one, and did not go out.
    Replayed {
        /// The call.
        request: RequestId,
        /// When.
        at: Timestamp,
        /// The earlier call.
        first: RequestId,
        /// Who asked.
        workload: WorkloadId,
        /// The placeholders it carried.
        placeholders: Vec<PlaceholderId>,
        /// The status of the reply.
        status: u16,
        /// The length of its body.
        bytes: u64,
    },
    /// Uses of a placeholder went to one that descends from it.
    Endowed {
        /// When.
        at: Timestamp,
        /// Who got them.
        placeholder: PlaceholderId,
        /// Whose they were.
        parent: PlaceholderId,
        /// How many.
        uses: u32,
    },
    /// How often each counted placeholder was used, by all records before this one. Those that no record is about are left out.
    Tally {
        /// When.
        at: Timestamp,
        /// Counts tallies, from 1.
        number: u64,
        /// Which part of it, from 1.
        part: u32,
        /// How many parts it has.
        parts: u32,
        /// Whether an epoch file was kept.
        #[serde(default)]
        epoch: bool,
        /// The placeholders, each with its uses.
        used: Vec<(PlaceholderId, u32)>,
    },
    /// The oldest segments left the journal, as the settings want it.
    Retired {
        /// When.
        at: Timestamp,
        /// The last one of them.
        segment: String,
        /// How many records there were in all that left.
        records: u64,
        /// The root of their tree.
        root: String,
    },
    /// A security event.
    Event(SecurityEvent),
    /// A stored permit that does not count.
    Ignored {
        /// When it was found.
        at: Timestamp,
        /// Its placeholder.
        placeholder: PlaceholderId,
        /// Why it does not count.
        why: String,
    },
}

impl Entry {
    /// Whether it tells of what nobody can be kept from any more.
    pub(super) fn happened(&self) -> Happened {
        match self {
            Self::Outcome { .. } | Self::Failure { .. } | Self::Refusal { .. } | Self::Event(_) => {
                Happened::Already
            }
            _ => Happened::NotYet,
        }
    }
}

/// [`Entry::Intent`], borrowed.
#[derive(Serialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub(super) enum IntentEntry<'a> {
    Intent(&'a Intent),
}

/// The place of a record among all that were appended since the journal was opened, from 1. (Its sequence number is given
/// when it is written: a record that cannot be written has none, and leaves no gap.)
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position(pub u64);

/// One record as read back.
#[derive(Clone, Debug, Serialize)]
pub struct Record {
    /// Its sequence number.
    pub sequence: u64,
    /// The segment file that holds it.
    pub segment: String,
    /// Where it begins in the file.
    pub offset: u64,
    /// What happened.
    pub entry: Entry,
}
