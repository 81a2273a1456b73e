//! The append-only, tamper-evident record: segment files whose records are the leaves of a Merkle tree, and signed checkpoints of it.
//!
//! `docs/journal.md` draws the format; `docs/decisions/0030-a-log-that-proves.md` says why it is so.

mod bells;
mod browse;
mod disk;
mod drafts;
mod entry;
mod error;
mod export;
mod file;
mod flush;
mod frame;
mod handle;
mod hash;
mod json;
mod key;
mod note;
mod proof;
mod queue;
mod read;
mod retire;
mod running;
mod segment;
mod shared;
mod stall;
mod tail;
mod tree;
mod verify;
mod witness;
mod writer;

#[cfg(test)]
mod tests;

pub use browse::{Follower, Mark, Seen};
pub use entry::{Entry, Position, Record};
pub use error::JournalError;
pub use export::{ExportFormat, export};
pub use handle::{Journal, JournalSettings, Recovery};
pub use hash::Hash;
pub use note::{Checkpoint, PublicKey};
pub use proof::{Checked, Consistency, Mention, Proof, consistency, find, latest_checkpoint, prove, root};
pub use read::read;
pub use retire::Keep;
pub use segment::{parse, size};
pub use tree::Head;
pub use verify::{Bad, Verdict, Witness, verify, verify_against};
pub use witness::checkpoints_in;

/// The public half of the signing key, beside the segments.
const PUBLIC_KEY: &str = "key.pub";
