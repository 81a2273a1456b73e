//! The default store: SQLite in write-ahead mode, one thread that writes and one that reads.

mod captured;
mod claim;
mod copy;
mod lease;
mod life;
mod migrate;
mod open;
mod people;
mod read;
mod worker;
mod write;

pub use copy::copy_database;

use crate::{Books, BoxFuture, Decision, SealedRow, Store, StoreError};
use cloakroom_model::{
    ApprovalId, ApprovalRecord, ApproverChange, CapturedRecord, Change, ClaimRecord, Claimed, CoreId,
    CredentialId, CredentialRecord, KeyedHash, LeaseId, LeaseRecord, PlaceholderId, PlaceholderRecord, Rows,
    SealedSecret, Shape, Timestamp, WorkloadId, WorkloadRecord,
};
use std::path::Path;
use worker::{After, Worker};

/// SQLite, WAL, one writer thread. Queued changes share one transaction and one flush (group commit); each runs in a
/// savepoint of its own, and replies go out after the commit.
pub struct SqliteStore {
    writer: Worker,
    reader: Worker,
}

impl SqliteStore {
    /// Opens the database at `path`, creating it (0600) and applying migrations where needed.
    ///
    /// # Errors
    /// [`StoreError::Unusable`] when the file is damaged, belongs to another program or to a newer Cloakroom;
    /// [`StoreError::Failed`] when it cannot be opened or written.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        let writer = open::writer(path)?;
        let reader = open::reader(path)?;
        Ok(Self {
            writer: Worker::start("store-writer", worker::group_commit, writer)?,
            reader: Worker::start("store-reader", worker::snapshot, reader)?,
        })
    }
}

impl Store for SqliteStore {
    fn load(&self) -> BoxFuture<'_, Result<Rows, StoreError>> {
        self.reader.submit(After::Nothing, read::rows)
    }

    fn add_credential(&self, row: CredentialRecord) -> BoxFuture<'_, Result<(), StoreError>> {
        self.writer.submit(After::Nothing, move |db| write::add_credential(db, &row))
    }

    fn rotate_credential(
        &self,
        id: CredentialId,
        generation: u32,
        sealed: SealedSecret,
        shape: Shape,
        at: Timestamp,
    ) -> BoxFuture<'_, Result<(), StoreError>> {
        let work = move |db: &_| write::rotate_credential(db, id, generation, &sealed, &shape, at);
        self.writer.submit(After::EraseLog, work)
    }

    fn reseal_credential(
        &self,
        id: CredentialId,
        generation: u32,
        sealed: SealedSecret,
    ) -> BoxFuture<'_, Result<(), StoreError>> {
        self.writer.submit(After::EraseLog, move |db| write::reseal_credential(db, id, generation, &sealed))
    }

    fn rewrap(
        &self,
        row: SealedRow,
        old: SealedSecret,
        new: SealedSecret,
    ) -> BoxFuture<'_, Result<bool, StoreError>> {
        self.writer.submit(After::EraseLog, move |db| write::rewrap(db, row, &old, &new))
    }

    fn remove_credential(&self, id: CredentialId, at: Timestamp) -> BoxFuture<'_, Result<(), StoreError>> {
        self.writer.submit(After::EraseLog, move |db| write::remove_credential(db, id, at))
    }

    fn captured(&self) -> BoxFuture<'_, Result<Vec<CapturedRecord>, StoreError>> {
        self.reader.submit(After::Nothing, captured::all)
    }

    fn keep_captured(&self, row: CapturedRecord) -> BoxFuture<'_, Result<(), StoreError>> {
        self.writer.submit(After::EraseLog, move |db| captured::keep(db, &row))
    }

    fn forget_captured(&self, cores: Vec<CoreId>) -> BoxFuture<'_, Result<(), StoreError>> {
        self.writer.submit(After::EraseLog, move |db| captured::forget(db, &cores))
    }

    fn add_workload(&self, row: WorkloadRecord) -> BoxFuture<'_, Result<(), StoreError>> {
        self.writer.submit(After::Nothing, move |db| write::add_workload(db, &row))
    }

    fn begin_boot(&self, id: WorkloadId, boot: KeyedHash) -> BoxFuture<'_, Result<(), StoreError>> {
        self.writer.submit(After::Nothing, move |db| write::begin_boot(db, id, boot))
    }

    fn remove_workload(&self, id: WorkloadId, at: Timestamp) -> BoxFuture<'_, Result<(), StoreError>> {
        self.writer.submit(After::Nothing, move |db| write::remove_workload(db, id, at))
    }

    fn add_placeholder(
        &self,
        row: PlaceholderRecord,
        approval: ApprovalRecord,
    ) -> BoxFuture<'_, Result<(), StoreError>> {
        self.writer.submit(After::Nothing, move |db| write::add_placeholder(db, &row, &approval))
    }

    fn add_placeholder_to_claim(
        &self,
        row: PlaceholderRecord,
        approval: ApprovalRecord,
        claim: ClaimRecord,
    ) -> BoxFuture<'_, Result<(), StoreError>> {
        self.writer.submit(After::Nothing, move |db| claim::add(db, &row, &approval, &claim))
    }

    fn claim(&self, code: KeyedHash) -> BoxFuture<'_, Result<Option<ClaimRecord>, StoreError>> {
        self.reader.submit(After::Nothing, move |db| claim::by_code(db, code))
    }

    fn claim_of(&self, placeholder: PlaceholderId) -> BoxFuture<'_, Result<Option<ClaimRecord>, StoreError>> {
        self.reader.submit(After::Nothing, move |db| claim::of(db, placeholder))
    }

    fn take_claim(
        &self,
        code: KeyedHash,
        claimed: Claimed,
    ) -> BoxFuture<'_, Result<Option<Vec<u8>>, StoreError>> {
        self.writer.submit(After::EraseLog, move |db| claim::take(db, code, &claimed))
    }

    fn change_placeholders(
        &self,
        ids: Vec<PlaceholderId>,
        change: Change,
        at: Timestamp,
    ) -> BoxFuture<'_, Result<(), StoreError>> {
        self.writer.submit(After::Nothing, move |db| life::change_each(db, &ids, change, at))
    }

    fn decide_approval(
        &self,
        id: ApprovalId,
        decision: Decision,
        at: Timestamp,
    ) -> BoxFuture<'_, Result<(), StoreError>> {
        self.writer.submit(After::Nothing, move |db| write::decide_approval(db, id, &decision, at))
    }

    fn withdraw_approval(&self, id: ApprovalId, at: Timestamp) -> BoxFuture<'_, Result<(), StoreError>> {
        self.writer.submit(After::Nothing, move |db| write::withdraw_approval(db, id, at))
    }

    fn leases(&self) -> BoxFuture<'_, Result<Vec<LeaseRecord>, StoreError>> {
        self.reader.submit(After::Nothing, lease::all)
    }

    fn keep_lease(&self, row: LeaseRecord) -> BoxFuture<'_, Result<(), StoreError>> {
        self.writer.submit(After::Nothing, move |db| lease::keep(db, &row))
    }

    fn end_lease(&self, id: LeaseId) -> BoxFuture<'_, Result<(), StoreError>> {
        self.writer.submit(After::EraseLog, move |db| lease::end(db, id))
    }

    fn books(&self) -> BoxFuture<'_, Result<Books, StoreError>> {
        self.reader.submit(After::Nothing, read::books)
    }

    fn note_rollback(&self, at: Timestamp) -> BoxFuture<'_, Result<(), StoreError>> {
        self.writer.submit(After::Nothing, move |db| write::note_rollback(db, at))
    }

    fn note_uses(
        &self,
        tally: u64,
        used: Vec<(PlaceholderId, u32)>,
    ) -> BoxFuture<'_, Result<(), StoreError>> {
        self.writer.submit(After::Nothing, move |db| write::note_uses(db, tally, &used))
    }

    fn change_approvers(
        &self,
        change: ApproverChange,
        at: Timestamp,
    ) -> BoxFuture<'_, Result<(), StoreError>> {
        self.writer.submit(After::Nothing, move |db| write::change_approvers(db, &change, at))
    }
}
