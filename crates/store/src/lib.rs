//! Rows and journal. Sees ids, hashes and ciphertext only.

#![allow(clippy::todo, missing_docs)]
mod contract;
mod error;
mod sqlite;

pub use contract::{BoxFuture, Decision, Store};
pub use error::StoreError;
pub use sqlite::SqliteStore;

use cloakroom_model::*;
use std::path::Path as FilePath;

pub mod journal {
    use super::*;
    use std::sync::Arc;

    /// One thing that happened. Serialised as JSON with a `kind` tag.
    #[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
    #[serde(tag = "kind", rename_all = "kebab-case")]
    pub enum Entry {
        /// The broker started / stopped.
        Start { at: Timestamp, version: String },
        Stop { at: Timestamp },
        /// Before a secret is opened.
        Intent(Intent),
        /// After a reply ended.
        Outcome { request: RequestId, at: Timestamp, status: u16, bytes: u64, replaced: u64, complete: bool },
        /// After an authorized call failed on its way (upstream unreachable, response not scrubbable ...).
        Failure { request: RequestId, at: Timestamp, code: Code },
        /// A call that was refused. `event` marks a security event.
        Refusal { request: RequestId, at: Timestamp, code: Code, event: Option<Severity>, workload: Option<WorkloadId>, way: Option<Way>, destination: Option<Destination>, placeholder: Option<PlaceholderId>, peer: Option<String> },
        /// An operator or approver did something: `act` is a fixed word such as "credential added"; `subject` an id; `name` a Name.
        Act { at: Timestamp, act: String, subject: String, name: Option<Name>, by: String },
        /// A stored permit that does not count.
        Ignored { at: Timestamp, placeholder: PlaceholderId, why: String },
    }

    /// A position in the journal: the sequence number of a record, from 1.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
    pub struct Position(pub u64);

    #[derive(Debug, Clone, thiserror::Error)]
    pub enum JournalError { #[error("{0}")] Failed(String) }

    /// What opening found.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct Recovery { pub records: u64, pub truncated_bytes: u64 }

    #[derive(Clone, Debug)]
    pub struct JournalSettings { pub segment_bytes: u64, pub flush_every: std::time::Duration, pub checkpoint_every: u64 }

    pub struct Journal {}
    impl Journal {
        /// Opens or creates `dir`; signing key at `key_file` (created 0600), public key beside the segments.
        pub fn open(_dir: &FilePath, _key_file: &FilePath, _settings: JournalSettings) -> Result<(Arc<Self>, Recovery), JournalError> { todo!() }
        /// Writes the record to the operating system (survives a crash of the process) before returning.
        pub fn append(&self, _entry: &Entry) -> Result<Position, JournalError> { todo!() }
        /// Waits until `position` is on the disk (survives a power cut). Grouped.
        pub async fn durable(&self, _position: Position) -> Result<(), JournalError> { todo!() }
        /// Flush, signed checkpoint, stop.
        pub fn close(&self) -> Result<(), JournalError> { todo!() }
    }

    /// One record as read back.
    #[derive(Clone, Debug, serde::Serialize)]
    pub struct Record { pub sequence: u64, pub segment: String, pub offset: u64, pub entry: Entry }

    /// Reads the records of a journal directory without changing it, `since` a sequence number (0: all).
    pub fn read(_dir: &FilePath, _since: u64) -> Result<Vec<Record>, JournalError> { todo!() }

    /// What `verify` found.
    #[derive(Clone, Debug, serde::Serialize)]
    pub struct Verdict { pub ok: bool, pub records: u64, pub segments: u64, pub checkpoints: u64, pub unfinished_bytes: u64, pub first_bad: Option<Bad> }
    #[derive(Clone, Debug, serde::Serialize)]
    pub struct Bad { pub segment: String, pub offset: u64, pub sequence: u64, pub why: String }
    pub fn verify(_dir: &FilePath) -> Result<Verdict, JournalError> { todo!() }
}
