//! What a store must do, whatever database is behind it.

use crate::{People, StoreError};
use cloakroom_model::{
    ApprovalId, ApprovalRecord, ApproverChange, CapturedRecord, Change, ClaimRecord, Claimed, CoreId,
    CredentialId, CredentialRecord, KeyedHash, LeaseId, LeaseRecord, PlaceholderId, PlaceholderRecord, Rows,
    SealedSecret, Shape, Signature, Timestamp, WorkloadId, WorkloadRecord,
};
use std::future::Future;
use std::pin::Pin;

/// A future that a trait object can return.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// How an approval was decided.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Enough approvers signed; these are all signatures.
    Granted(Vec<Signature>),
    /// These signed so far, and it takes more: not decided yet.
    Signed(Vec<Signature>),
    /// The approver said no.
    Denied,
}

/// A row with something sealed in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SealedRow {
    /// A credential's secret.
    Credential(CredentialId),
    /// A token that a reply brought.
    Captured(CoreId),
    /// What ends a lease.
    Lease(LeaseId),
}

/// What a store knows about the journal beside it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Books {
    /// The number of the last tally that was copied into the rows; 0: none.
    pub tally: u64,
    /// When a start found the data directory to be an older copy, the last time that one did.
    pub rolled_back: Option<Timestamp>,
}

/// What a store must do. A PostgreSQL store implements this and nothing else changes.
///
/// Every implementation guarantees, and `tests/conformance` checks what can be checked from outside:
///
/// 1. *Durable*: when a change returns `Ok`, it survives a power cut (`synchronous_commit = on`; on a fleet, quorum
///    commit). An error means: not changed, or the connection broke and it is unknown.
/// 2. *Atomic*: each call is one transaction of its own outcome. Calls may share a database transaction
///    (group commit), but one that fails leaves no trace and does not fail its neighbours.
/// 3. *Linear*: after a change has returned, every later `load`, from any node, sees it.
/// 4. *Consistent reads*: `load` is one snapshot (`REPEATABLE READ`), and returns every row ever stored, in id order: a
///    retired placeholder must be recognised for ever.
/// 5. *Names* are unique among rows that are not removed, enforced by a partial unique index, so that two nodes cannot
///    both win.
/// 6. *Cancel-safe*: a future dropped half-way either did all or nothing; the work is not bound to the future.
pub trait Store: People {
    /// Every row, in one snapshot. `used` is what [`Self::note_uses`] wrote last; [`Uses`](crate::Uses) knows better.
    fn load(&self) -> BoxFuture<'_, Result<Rows, StoreError>>;

    /// Adds a credential. [`StoreError::Exists`] when the name is taken.
    fn add_credential(&self, row: CredentialRecord) -> BoxFuture<'_, Result<(), StoreError>>;

    /// New ciphertext and generation; fails with Conflict unless the stored generation is `generation - 1`.
    fn rotate_credential(
        &self,
        id: CredentialId,
        generation: u32,
        sealed: SealedSecret,
        shape: Shape,
        at: Timestamp,
    ) -> BoxFuture<'_, Result<(), StoreError>>;

    /// New ciphertext of the same generation: a grant whose refresh token was replaced. Conflict unless the stored generation is this one.
    fn reseal_credential(
        &self,
        id: CredentialId,
        generation: u32,
        sealed: SealedSecret,
    ) -> BoxFuture<'_, Result<(), StoreError>>;

    /// Puts `new` in the place of `old`, where exactly that is still sealed there; whether it was. The same secret under another root key.
    fn rewrap(
        &self,
        row: SealedRow,
        old: SealedSecret,
        new: SealedSecret,
    ) -> BoxFuture<'_, Result<bool, StoreError>>;

    /// Marks removed and erases the ciphertext.
    fn remove_credential(&self, id: CredentialId, at: Timestamp) -> BoxFuture<'_, Result<(), StoreError>>;

    /// Adds a workload. [`StoreError::Exists`] when the name is taken.
    fn add_workload(&self, row: WorkloadRecord) -> BoxFuture<'_, Result<(), StoreError>>;

    /// The workload's guest has started anew: the former nonce counts no more. Missing where the workload is in no guest.
    fn begin_boot(&self, id: WorkloadId, boot: KeyedHash) -> BoxFuture<'_, Result<(), StoreError>>;

    /// Marks removed.
    fn remove_workload(&self, id: WorkloadId, at: Timestamp) -> BoxFuture<'_, Result<(), StoreError>>;

    /// Both rows or none. Missing when the credential or workload is not there or was removed.
    fn add_placeholder(
        &self,
        row: PlaceholderRecord,
        approval: ApprovalRecord,
    ) -> BoxFuture<'_, Result<(), StoreError>>;

    /// As [`Self::add_placeholder`], with the claim that its workload fetches it by: all three rows or none.
    fn add_placeholder_to_claim(
        &self,
        row: PlaceholderRecord,
        approval: ApprovalRecord,
        claim: ClaimRecord,
    ) -> BoxFuture<'_, Result<(), StoreError>>;

    /// The claim with this hash of its code.
    fn claim(&self, code: KeyedHash) -> BoxFuture<'_, Result<Option<ClaimRecord>, StoreError>>;

    /// The claim of this placeholder, where it was issued to be fetched.
    fn claim_of(&self, placeholder: PlaceholderId) -> BoxFuture<'_, Result<Option<ClaimRecord>, StoreError>>;

    /// Takes what was sealed, erasing it, and notes who took it: once. `Ok(None)`: somebody came first.
    fn take_claim(
        &self,
        code: KeyedHash,
        claimed: Claimed,
    ) -> BoxFuture<'_, Result<Option<Vec<u8>>, StoreError>>;

    /// Makes this change to the life of each, all or none, as [`Life::after`](cloakroom_model::Life::after) says: there is no
    /// other way to change it but [`Self::decide_approval`] and [`Self::withdraw_approval`], which ask it too. Conflict where
    /// the change is not possible; one that was made before changes nothing again.
    fn change_placeholders(
        &self,
        ids: Vec<PlaceholderId>,
        change: Change,
        at: Timestamp,
    ) -> BoxFuture<'_, Result<(), StoreError>>;

    /// Decides once (Conflict if decided before), and sets the placeholder's state, both or none. Granting a
    /// placeholder that is not pending is a Conflict, and so is signing it; denying a revoked one leaves it revoked.
    fn decide_approval(
        &self,
        id: ApprovalId,
        decision: Decision,
        at: Timestamp,
    ) -> BoxFuture<'_, Result<(), StoreError>>;

    /// Withdraws what was granted, and revokes its placeholder, both or none. Conflict if it was not granted, or was
    /// withdrawn before.
    fn withdraw_approval(&self, id: ApprovalId, at: Timestamp) -> BoxFuture<'_, Result<(), StoreError>>;

    /// The placeholders of tokens that replies brought, oldest first.
    fn captured(&self) -> BoxFuture<'_, Result<Vec<CapturedRecord>, StoreError>>;

    /// Keeps the placeholder of a token that a reply brought; one of the same core gets another token. What has ended is erased,
    /// and forgotten long after. What was sealed is erased with the revocation of its placeholder and the removal of its credential; where
    /// these came before, nothing sealed is kept.
    fn keep_captured(&self, row: CapturedRecord) -> BoxFuture<'_, Result<(), StoreError>>;

    /// Forgets them, all or none. One that is not there is passed over.
    fn forget_captured(&self, cores: Vec<CoreId>) -> BoxFuture<'_, Result<(), StoreError>>;

    /// Every lease that is not known to be gone, in id order. They are no part of [`Self::load`]: no call depends on them.
    fn leases(&self) -> BoxFuture<'_, Result<Vec<LeaseRecord>, StoreError>>;

    /// Adds a lease, or puts it in place of the one with its id.
    fn keep_lease(&self, row: LeaseRecord) -> BoxFuture<'_, Result<(), StoreError>>;

    /// Erases a lease that is gone. Missing when there is none of this id.
    fn end_lease(&self, id: LeaseId) -> BoxFuture<'_, Result<(), StoreError>>;

    /// What the store knows about the journal beside it.
    fn books(&self) -> BoxFuture<'_, Result<Books, StoreError>>;

    /// Keeps when a start found the data directory to be an older copy.
    fn note_rollback(&self, at: Timestamp) -> BoxFuture<'_, Result<(), StoreError>>;

    /// Copies a tally into the rows, all or none. An id without a row is passed over.
    fn note_uses(&self, tally: u64, used: Vec<(PlaceholderId, u32)>)
    -> BoxFuture<'_, Result<(), StoreError>>;

    /// Keeps the next change of the approvers. Conflict unless its number is the one after the last.
    fn change_approvers(
        &self,
        change: ApproverChange,
        at: Timestamp,
    ) -> BoxFuture<'_, Result<(), StoreError>>;
}
