//! Where the key-encryption key comes from: one file per provider.

mod aws_kms;
mod bound;
pub(super) mod handed;
pub(super) mod key_file;
mod local;
pub(super) mod passphrase;
mod pkcs11;
mod provider;
mod service;
pub(super) mod shares;
mod source;
mod tpm;
mod transit;

pub use aws_kms::AwsKmsSettings;
pub(super) use local::{Local, Place};
#[cfg(test)]
pub(super) use provider::Answer;
pub use provider::Wants;
pub(super) use provider::{Provider, ProviderError};
pub(super) use source::ROOTS;
pub use source::{KekSource, made_with};
pub use transit::{TransitLogin, TransitSettings};

use super::error::CustodyError;
use crate::secret::Secret;
use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::Path;

/// More than any file of keys has, in bytes.
const LONGEST: u64 = 64 * 1024;

/// A key-encryption key that was read on this machine.
pub(super) struct LocalKey(Secret);

/// Reads a small private file. `None` when there is none.
///
/// # Errors
/// When it is not a plain file, or group or others have any access to it.
pub(super) fn read_private(path: &Path) -> Result<Option<Vec<u8>>, CustodyError> {
    let fault = |doing| move |source| CustodyError::File { doing, path: path.into(), source };
    let mut file = match File::open(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        opened => opened.map_err(fault("open"))?,
    };
    // SECURITY: asked of the open file, not of the path, which could change in between.
    let metadata = file.metadata().map_err(fault("inspect"))?;
    if !metadata.is_file() {
        return Err(CustodyError::Damaged { path: path.into(), what: "it is not a plain file" });
    }
    if metadata.mode() & 0o077 != 0 {
        return Err(CustodyError::Exposed { path: path.into(), mode: metadata.mode() & 0o777 });
    }
    let mut bytes = Vec::with_capacity(4096);
    (&mut file).take(LONGEST).read_to_end(&mut bytes).map_err(fault("read"))?;
    Ok(Some(bytes))
}

/// Creates a private file, complete or not at all; never replaces one.
///
/// # Errors
/// When the file exists already or cannot be written durably.
pub(super) fn create_private(path: &Path, bytes: &[u8]) -> Result<(), CustodyError> {
    let fault = |doing| move |source| CustodyError::File { doing, path: path.into(), source };
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(directory)
        .map_err(fault("create the directory of"))?;
    let half = path.with_extension(format!("{}.new", std::process::id()));
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&half)
        .map_err(fault("create a file beside"))?;
    let written = file.write_all(bytes).and_then(|()| file.sync_all());
    // A link fails where the name is taken: another process that starts at the same time cannot lose its key to us.
    let placed = written.and_then(|()| std::fs::hard_link(&half, path));
    let removed = std::fs::remove_file(&half);
    placed.and(removed).map_err(fault("create"))?;
    File::open(directory).and_then(|directory| directory.sync_all()).map_err(fault("sync the directory of"))
}
