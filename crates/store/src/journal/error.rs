//! Why the journal cannot be opened, written or read.

use std::path::Path;

/// Why the journal cannot be opened, written or read. To a workload each of them is `journal-unavailable`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum JournalError {
    /// The operating system said no, or the journal is closed. Later attempts may succeed.
    #[error("{0}")]
    Failed(String),
    /// Another broker has the journal open.
    #[error("the journal {dir} is in use by another broker")]
    Busy {
        /// The journal's directory.
        dir: String,
    },
    /// The journal's signing key is not the one whose public half stands beside the segments, or cannot be used.
    #[error("{what}")]
    Key {
        /// What was found.
        what: String,
        /// What the operator can do.
        hint: String,
    },
    /// The journal was written in the format before this one, with a hash chain and without a tree.
    #[error("{file} belongs to a journal of format version 1, which this program does not read")]
    Old {
        /// What was found.
        file: String,
    },
    /// What is asked for cannot be proved from these files.
    #[error("{why}")]
    Unproven {
        /// Why not.
        why: String,
        /// What the operator can do.
        hint: &'static str,
    },
    /// A complete record, or a header, does not verify.
    #[error("the journal is damaged in {segment} at offset {offset}, sequence {sequence}: {why}")]
    Damaged {
        /// The segment file.
        segment: String,
        /// Where the bad record begins.
        offset: u64,
        /// The sequence number expected there.
        sequence: u64,
        /// What does not hold.
        why: String,
    },
}

impl JournalError {
    /// What the operator can do next, where there is something.
    pub fn hint(&self) -> Option<&str> {
        match self {
            Self::Failed(_) => None,
            Self::Busy { .. } => Some("stop the other broker, or use another --data directory"),
            Self::Key { hint, .. } => Some(hint),
            Self::Unproven { hint, .. } => Some(hint),
            Self::Old { .. } => Some(
                "nothing was changed: move the journal directory away to begin a new journal, and keep it, for the version that wrote it still verifies it",
            ),
            Self::Damaged { .. } => Some(
                "run \"cloakroom journal verify\"; keep a copy of the journal directory, then restore it, or move it away to begin a new journal",
            ),
        }
    }

    pub(super) fn at(doing: &str, path: &Path, error: &std::io::Error) -> Self {
        Self::Failed(format!("cannot {doing} {}: {error}", path.display()))
    }
}
