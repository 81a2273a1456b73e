//! What the journal asks of a file system while it is open: one place, so that tests can put one there that fails, fills up or stalls.

use std::fs::{File, Metadata, OpenOptions};
use std::io::Result;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;

/// The operating system's file system, unless a test says otherwise.
pub(super) trait Disk: Send + Sync {
    /// What stands under this name.
    fn stat(&self, path: &Path) -> Result<Metadata> {
        std::fs::metadata(path)
    }

    /// One `pwrite`; it may be short.
    fn write_at(&self, file: &File, bytes: &[u8], offset: u64) -> Result<usize> {
        file.write_at(bytes, offset)
    }

    /// Cuts the file to this length.
    fn cut(&self, file: &File, length: u64) -> Result<()> {
        file.set_len(length)
    }

    /// `fdatasync`.
    fn sync(&self, file: &File) -> Result<()> {
        file.sync_data()
    }

    /// A new file of the broker's alone.
    fn create(&self, path: &Path) -> Result<File> {
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(true).mode(0o600).open(path)
    }
}

/// The operating system's own.
pub(super) struct Plain;

impl Disk for Plain {}
