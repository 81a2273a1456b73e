//! What reading secrets needs from one reading to the next: how the broker is logged in, in memory only, and what it was lent.

use super::Leases;
use super::vault::Sessions;
use crate::mint::Failure;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

/// Shared by all readings.
#[derive(Default)]
pub(crate) struct Desk {
    pub(super) sessions: Sessions,
    leases: OnceLock<Leases>,
    directories: OnceLock<Vec<PathBuf>>,
}

impl Desk {
    /// Lets go of every login.
    pub(crate) fn log_out(&self) {
        self.sessions.let_go();
    }

    /// Lets leases be taken from now on. Once.
    pub(crate) fn lease_through(&self, leases: Leases) {
        // A second call can only be a mistake of ours; the first holds.
        let _ = self.leases.set(leases);
    }

    /// Lets files be read below these directories. Once.
    pub(crate) fn read_below(&self, directories: Vec<PathBuf>) {
        let _ = self.directories.set(directories);
    }

    /// The directory that a file is read below, where there is one; and the file's path from there.
    pub(super) fn below<'p>(&self, file: &'p Path) -> Option<(&Path, &'p Path)> {
        let mut directories = self.directories.get()?.iter().map(PathBuf::as_path);
        directories.find_map(|directory| Some((directory, file.strip_prefix(directory).ok()?)))
    }

    /// The leases.
    ///
    /// # Errors
    /// [`Failure::Unavailable`] in a process that keeps none.
    pub(crate) fn leases(&self) -> Result<&Leases, Failure> {
        self.leases.get().ok_or(Failure::Unavailable("no leases are kept in this process", None))
    }
}
