//! `DIR/keys/approvers`: how far the approvers' changes had come when this broker last looked. It lies outside the database, so
//! that rows that are gone are missed, and beside `approver.pub`, so that an edit of that file alone is found.

use cloakroom_policy::Head;
use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Result, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// What is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pin {
    /// How many changes there were when `approver.pub` was trusted.
    pub base: u32,
    /// The approvers as they were trusted then, and every change since.
    pub head: Head,
}

impl Pin {
    /// Of this data directory; none where there never was one.
    ///
    /// # Errors
    /// Where it is there and cannot be read; [`ErrorKind::InvalidData`] where it says something else.
    pub fn read(data: &Path) -> Result<Option<Self>> {
        let text = match std::fs::read_to_string(path(data)) {
            Ok(text) => text,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let parsed = text.strip_prefix("base ").and_then(|rest| rest.strip_suffix('\n')).and_then(|rest| {
            let (base, head) = rest.split_once("\nhead ")?;
            Some(Self { base: base.parse().ok()?, head: head.parse().ok()? })
        });
        parsed.map(Some).ok_or_else(|| ErrorKind::InvalidData.into())
    }

    /// Keeps it: all of it or nothing, on the disk when this returns.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub fn write(&self, data: &Path) -> Result<()> {
        let (path, unfinished) = (path(data), path(data).with_extension("new"));
        let mut options = OpenOptions::new();
        let mut file = options.create(true).truncate(true).write(true).mode(0o600).open(&unfinished)?;
        file.write_all(format!("base {}\nhead {}\n", self.base, self.head).as_bytes())?;
        file.sync_all()?;
        std::fs::rename(&unfinished, &path)?;
        path.parent().map_or(Ok(()), |directory| File::open(directory)?.sync_all())
    }
}

/// Where it lies.
fn path(data: &Path) -> PathBuf {
    data.join("keys").join("approvers")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_and_nothing_else_is() {
        let data = tempfile::tempdir().unwrap();
        std::fs::create_dir(data.path().join("keys")).unwrap();
        assert_eq!(Pin::read(data.path()).unwrap(), None);
        let pin = Pin { base: 2, head: Head { sequence: 7, digest: [0xab; 32] } };
        pin.write(data.path()).unwrap();
        assert_eq!(Pin::read(data.path()).unwrap(), Some(pin));
        let text = std::fs::read_to_string(path(data.path())).unwrap();
        for edited in [
            text.replace("base 2", "base x"),
            text.replace("sha256:ab", "sha256:AB"),
            format!("{text} "),
            String::new(),
        ] {
            std::fs::write(path(data.path()), edited).unwrap();
            assert_eq!(Pin::read(data.path()).unwrap_err().kind(), ErrorKind::InvalidData);
        }
    }
}
