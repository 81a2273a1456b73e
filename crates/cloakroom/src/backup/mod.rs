//! `cloakroom backup` and `cloakroom restore`: a data directory as one archive that is encrypted to age recipients.
//!
//! ```text
//! age ( tar ( backup.json · keys and other small files · cloakroom.db, a snapshot · journal/ ) )
//! ```
//!
//! Taken in this order, so that nothing in it needs what is not: rows may be older than the journal (a start counts anew), never newer than the root
//! keys that they are sealed under.

mod make;
mod restore;

pub(crate) use make::make;
pub(crate) use restore::restore;

use serde::{Deserialize, Serialize};

/// The first file of the archive.
const MANIFEST: &str = "backup.json";
const FORMAT: u32 = 1;

/// What the archive says of itself.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Manifest {
    format: u32,
    /// The program's version.
    version: String,
    /// When it was made (RFC 3339).
    made: String,
    /// The head of the journal then: a signed checkpoint. The journal in the archive has that much, at least.
    checkpoint: Option<String>,
}
