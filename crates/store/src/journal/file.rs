//! What is done to a segment file: made, checked, written to, flushed.

use super::disk::Disk;
use super::error::JournalError;
use super::segment::Segment;
use super::tree::Head;
use std::fs::{File, Metadata};
use std::io::ErrorKind;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::Path;
use std::sync::Arc;

/// What a flush covers.
pub(super) struct Snapshot {
    pub(super) disk: Arc<dyn Disk>,
    pub(super) file: Arc<File>,
    pub(super) segment: Segment,
    pub(super) offset: u64,
    /// The position of the last record that it covers.
    pub(super) last: u64,
    /// How far the journal has come there.
    pub(super) head: Head,
}

impl Snapshot {
    /// Checks that the file still stands under its name, then flushes it.
    pub(super) fn sync(&self) -> Result<(), JournalError> {
        let failed = |error| JournalError::at("flush", &self.segment.path, &error);
        let open = self.file.metadata().map_err(failed)?;
        let named = self.disk.stat(&self.segment.path).map_err(failed)?;
        if Inode::of(&open) != Inode::of(&named) {
            let name = &self.segment.name;
            return Err(JournalError::Failed(format!("the segment {name} was replaced while in use")));
        }
        self.disk.sync(&self.file).map_err(failed)
    }
}

/// Which file it is. Nothing else can be the same one while it is open.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Inode {
    device: u64,
    number: u64,
}

impl Inode {
    pub(super) fn of(found: &Metadata) -> Self {
        Self { device: found.dev(), number: found.ino() }
    }
}

/// One `stat` by name per batch: a file that was deleted, moved or replaced would take our records with it, and a length that
/// is not ours means that someone else wrote or cut.
pub(super) fn intact(
    disk: &dyn Disk,
    file: &Inode,
    segment: &Segment,
    length: u64,
) -> Result<(), JournalError> {
    let name = &segment.name;
    let changed = |how: String| Err(JournalError::Failed(format!("the segment {name} {how}")));
    let found = match disk.stat(&segment.path) {
        Ok(found) => found,
        Err(error) if error.kind() == ErrorKind::NotFound => {
            return changed("was deleted or moved away while in use".into());
        }
        Err(error) => return Err(JournalError::at("read", &segment.path, &error)),
    };
    if Inode::of(&found) != *file {
        return changed("was replaced while in use".into());
    }
    if found.len() != length {
        let is = found.len();
        return changed(format!("has {is} bytes and should have {length}: another program changed it"));
    }
    Ok(())
}

/// Whether nothing stands under the segment's name.
pub(super) fn is_gone(disk: &dyn Disk, segment: &Segment) -> bool {
    disk.stat(&segment.path).is_err_and(|error| error.kind() == ErrorKind::NotFound)
}

/// Puts a segment back under its name that was deleted or moved away: what is open here still has all of it. Never over something
/// that stands there.
pub(super) fn put_back(
    disk: &dyn Disk,
    file: &File,
    segment: &Segment,
    length: u64,
) -> Result<File, JournalError> {
    let failed = |error| JournalError::at("put back", &segment.path, &error);
    let fresh = segment.path.with_extension("new");
    let copied = copy(disk, file, &fresh, length).and_then(|copied| {
        std::fs::hard_link(&fresh, &segment.path)?;
        Ok(copied)
    });
    let _ = std::fs::remove_file(&fresh);
    let copied = copied.map_err(failed)?;
    let dir = segment.path.parent().unwrap_or(Path::new("."));
    File::open(dir).and_then(|dir| dir.sync_all()).map_err(failed)?;
    Ok(copied)
}

fn copy(disk: &dyn Disk, from: &File, to: &Path, length: u64) -> std::io::Result<File> {
    let copied = disk.create(to)?;
    let mut piece = vec![0; 1 << 20];
    let mut at = 0;
    while at < length {
        let most = usize::try_from(length - at).unwrap_or(usize::MAX).min(piece.len());
        from.read_exact_at(&mut piece[..most], at)?;
        write_once(disk, &copied, &piece[..most], at)?;
        at += most as u64;
    }
    copied.sync_all()?;
    Ok(copied)
}

/// One `pwrite`. A short one is an error: on a regular file it means that no more fits.
pub(super) fn write_once(disk: &dyn Disk, file: &File, bytes: &[u8], offset: u64) -> std::io::Result<()> {
    loop {
        match disk.write_at(file, bytes, offset) {
            Ok(written) if written == bytes.len() => return Ok(()),
            Ok(written) => {
                let text =
                    format!("only {written} of {} bytes could be written; is the disk full?", bytes.len());
                return Err(std::io::Error::new(ErrorKind::StorageFull, text));
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// The header is on the disk before the file gets its name: a segment with half a header is never left by a crash.
pub(super) fn create_segment(
    disk: &dyn Disk,
    dir: &Path,
    segment: &Segment,
    header: &[u8],
) -> Result<File, JournalError> {
    let failed = |error| JournalError::at("create", &segment.path, &error);
    let fresh = segment.path.with_extension("new");
    let file = disk.create(&fresh).map_err(failed)?;
    write_once(disk, &file, header, 0).map_err(failed)?;
    file.sync_all().map_err(failed)?;
    std::fs::rename(&fresh, &segment.path).map_err(failed)?;
    File::open(dir).and_then(|dir| dir.sync_all()).map_err(failed)?;
    Ok(file)
}
