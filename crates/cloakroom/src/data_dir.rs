//! The data directory: where it is, what lies where, and who may look.

use crate::failure::Failure;
use std::fs::{DirBuilder, File, OpenOptions, Permissions};
use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

/// The layout of a data directory.
#[derive(Clone, Debug)]
pub(crate) struct DataDir(PathBuf);

impl DataDir {
    /// `--data` or `CLOAKROOM_DATA`, else the platform's data directory.
    pub(crate) fn find(given: Option<&Path>) -> Result<Self, Failure> {
        if let Some(given) = given {
            return absolute(given);
        }
        let from = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        let base = from("XDG_DATA_HOME")
            .filter(|path| path.is_absolute())
            .or_else(|| from("HOME").map(|home| home.join(".local/share")));
        let base = base.ok_or_else(|| {
            Failure::bad_input("neither XDG_DATA_HOME nor HOME is set")
                .hinting("name the data directory: --data DIR")
        })?;
        absolute(&base.join("cloakroom"))
    }

    /// Whether a broker keeps things in this directory.
    pub(crate) fn is_at(path: &Path) -> bool {
        let data = Self(path.to_path_buf());
        [data.database(), data.approver_key(), data.socket()].iter().any(|file| file.exists())
    }

    /// The directory itself.
    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    /// The database.
    pub(crate) fn database(&self) -> PathBuf {
        self.0.join("cloakroom.db")
    }

    /// The journal's directory.
    pub(crate) fn journal(&self) -> PathBuf {
        self.0.join("journal")
    }

    /// A file below `keys`.
    pub(crate) fn key(&self, name: &str) -> PathBuf {
        self.0.join("keys").join(name)
    }

    /// The certificate that workloads trust.
    pub(crate) fn ca(&self) -> PathBuf {
        self.0.join("ca.pem")
    }

    /// The approver's signing key.
    pub(crate) fn approver_key(&self) -> PathBuf {
        self.0.join("approver.key")
    }

    /// The approvers' public keys, one a line.
    pub(crate) fn approver_keys(&self) -> PathBuf {
        self.0.join("approver.pub")
    }

    /// The admin socket.
    pub(crate) fn socket(&self) -> PathBuf {
        self.0.join("admin.sock")
    }

    /// Creates directory and key directory (0700), where they do not exist.
    pub(crate) fn create(&self) -> Result<(), Failure> {
        for directory in [self.0.clone(), self.0.join("keys")] {
            DirBuilder::new()
                .recursive(true)
                .mode(0o700)
                .create(&directory)
                .map_err(|error| Failure::file("create", &directory, &error))?;
        }
        let mode = std::fs::metadata(&self.0).map_err(|error| Failure::file("read", &self.0, &error))?;
        if mode.permissions().mode() & 0o077 != 0 {
            std::fs::set_permissions(&self.0, Permissions::from_mode(0o700))
                .map_err(|error| Failure::file("close to others", &self.0, &error))?;
        }
        Ok(())
    }

    /// Refuses to make this file anew where there is a store that needs the one that was lost.
    pub(crate) fn require_first_start(&self, missing: &Path) -> Result<(), Failure> {
        if !self.database().exists() {
            return Ok(());
        }
        let text = format!("{} is missing, and there is a store that needs it", missing.display());
        Err(Failure::failed(text)
            .hinting("restore it from a backup; a new key would make everything stored unusable"))
    }

    /// Makes this process the only broker here, as long as the file is held.
    pub(crate) fn lock(&self) -> Result<File, Failure> {
        self.try_lock()?.ok_or_else(|| {
            Failure::failed(format!("another broker runs on {}", self.0.display())).hinting(
                "stop it first, take it over: --take-over, or give this one a directory of its own: --data DIR",
            )
        })
    }

    /// As [`Self::lock`]; `None` where another process has it.
    pub(crate) fn try_lock(&self) -> Result<Option<File>, Failure> {
        let path = self.0.join("lock");
        let mut options = OpenOptions::new();
        let file = options.create(true).truncate(false).write(true).mode(0o600).open(&path);
        let file = file.map_err(|error| Failure::file("open", &path, &error))?;
        match file.try_lock() {
            Ok(()) => Ok(Some(file)),
            Err(std::fs::TryLockError::WouldBlock) => Ok(None),
            Err(std::fs::TryLockError::Error(error)) => Err(Failure::file("lock", &path, &error)),
        }
    }
}

fn absolute(path: &Path) -> Result<DataDir, Failure> {
    std::path::absolute(path).map(DataDir).map_err(|error| Failure::file("find", path, &error))
}

/// Writes a new file that only its owner can read; all of it or nothing.
pub(crate) fn write_private(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    let failed = |error: &std::io::Error| Failure::file("write", path, error);
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".new");
    let unfinished = path.with_file_name(name);
    let mut options = OpenOptions::new();
    let mut file = options
        .create(true)
        .truncate(true)
        .write(true)
        .mode(0o600)
        .open(&unfinished)
        .map_err(|e| failed(&e))?;
    file.write_all(bytes).and_then(|()| file.sync_all()).map_err(|e| failed(&e))?;
    std::fs::rename(&unfinished, path).map_err(|e| failed(&e))?;
    // The name is durable only once the directory is.
    let directory = path.parent().map(File::open).transpose().map_err(|e| failed(&e))?;
    directory.map_or(Ok(()), |directory| directory.sync_all()).map_err(|e| failed(&e))
}

/// Reads a file, if it exists.
pub(crate) fn read_if_there(path: &Path) -> Result<Option<Zeroizing<Vec<u8>>>, Failure> {
    let mut file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(Failure::file("read", path, &error)),
    };
    let mut bytes = Zeroizing::new(Vec::new());
    file.read_to_end(&mut bytes).map_err(|error| Failure::file("read", path, &error))?;
    Ok(Some(bytes))
}
