//! Rows and journal. Sees ids, hashes and ciphertext only.

mod contract;
mod epoch;
mod error;
mod events;
mod parking;
mod people;
mod proposals;
mod sqlite;
mod uses;

pub mod fault;
pub mod journal;

pub use contract::{Books, BoxFuture, Decision, SealedRow, Store};
pub use epoch::{Epoch, EpochError, Found};
pub use error::StoreError;
pub use events::{Events, Warden};
pub use parking::{Full, Gone, Parked, Parking, ParkingBounds, Told, Verdict};
pub use people::People;
pub use proposals::{Proposal, Proposals, Ruling, Standing, TooMany, TooOften};
pub use sqlite::{SqliteStore, copy_database};
pub use uses::{Disagreement, NotSpent, Recounted, Spent, Tallied, TallyError, Uses, recount};
