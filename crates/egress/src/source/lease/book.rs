//! Where leases are kept durably. Implemented over the store; sees ciphertext only.

use cloakroom_model::LeaseRecord;
use std::future::Future;
use std::pin::Pin;

/// What a row is kept for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LeaseStep {
    /// The source is asked next.
    Asked,
    /// The source lent it.
    Taken,
    /// The source lends it for longer.
    Renewed,
    /// It is to be gone.
    Ending,
    /// The source was asked to end it, and has not.
    Lingers,
}

type Kept<'a, T> = Pin<Box<dyn Future<Output = Result<T, String>> + Send + 'a>>;

/// Keeps leases.
pub trait LeaseBook: Send + Sync {
    /// Keeps the row, in place of the one with its id. Durable when it is done.
    fn keep(&self, row: LeaseRecord, step: LeaseStep) -> Kept<'_, ()>;

    /// Forgets the row: nothing was lent, or the source says that it is gone.
    fn forget(&self, row: LeaseRecord, was_lent: bool) -> Kept<'_, ()>;

    /// Every row that is kept.
    fn all(&self) -> Kept<'_, Vec<LeaseRecord>>;
}
