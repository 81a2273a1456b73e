//! The append-only, tamper-evident record: hash-chained segment files with signed checkpoints.
//!
//! `docs/journal.md` draws the format; `docs/decisions/0003-journal-files.md` says why it is so.

mod drafts;
mod entry;
mod error;
mod file;
mod flush;
mod frame;
mod handle;
mod json;
mod key;
mod queue;
mod read;
mod segment;
mod shared;
mod tail;
mod verify;

#[cfg(test)]
mod tests;

pub use entry::{Entry, Position, Record};
pub use error::JournalError;
pub use frame::ChainHash;
pub use handle::{Journal, JournalSettings, Recovery};
pub use key::PublicKey;
pub use read::{export, read};
pub use segment::parse;
pub use verify::{Bad, Verdict, Witness, verify, verify_against};

/// The public half of the signing key, beside the segments.
const PUBLIC_KEY: &str = "key.pub";
