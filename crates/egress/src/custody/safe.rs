//! What the broker keeps for itself, sealed under the same key-encryption key as credentials are.

use super::binding::Bound;
use super::error::CustodyError;
use super::kek::{create_private, read_private};
use super::keyring::Keyring;
use super::sealed;
use crate::secret::Secret;
use std::path::Path;
use std::sync::Arc;

/// Seals and opens what is no credential: what it is for is said each time, and is part of what is sealed.
#[derive(Clone)]
pub(crate) struct Safe {
    pub(super) keys: Arc<Keyring>,
}

impl Safe {
    /// Whether nothing opens now.
    pub(crate) fn is_sealed(&self) -> bool {
        self.keys.is_sealed()
    }

    /// Seals, bound to `purpose`.
    ///
    /// # Errors
    /// When random bytes or the cryptography library fail.
    pub(crate) fn seal(&self, purpose: &[u8], secret: &Secret) -> Result<Vec<u8>, CustodyError> {
        sealed::seal(self.keys.as_ref(), &bound(purpose), secret).map(|sealed| sealed.0)
    }

    /// The same under the current root key; `None` where it is already.
    ///
    /// # Errors
    /// When it does not open.
    pub(crate) fn rewrap(&self, purpose: &[u8], sealed: &[u8]) -> Result<Option<Vec<u8>>, CustodyError> {
        let rewrapped = sealed::rewrap(&self.keys, &bound(purpose), sealed)?;
        Ok(rewrapped.map(|sealed| sealed.0))
    }

    /// Opens what was sealed for the same purpose; `None` for anything else.
    pub(crate) fn open(&self, purpose: &[u8], sealed: &[u8]) -> Option<Secret> {
        sealed::open(self.keys.as_ref(), &bound(purpose), sealed).ok()
    }
}

/// No credential's binding begins like this.
fn bound(purpose: &[u8]) -> Bound {
    Bound {
        key: [b"cloakroom own key v1 ", purpose].concat(),
        secret: [b"cloakroom own secret v1 ", purpose].concat(),
    }
}

/// Reads a small private file. `None` when there is none.
///
/// # Errors
/// When it is not a plain file, or group or others have any access to it.
pub(crate) fn read_file(path: &Path) -> Result<Option<Vec<u8>>, CustodyError> {
    read_private(path)
}

/// Writes a private file anew: afterwards it is the former one or this, whole.
///
/// # Errors
/// When it cannot be written durably.
pub(crate) fn replace_file(path: &Path, bytes: &[u8]) -> Result<(), CustodyError> {
    let fault = |doing| move |source| CustodyError::File { doing, path: path.into(), source };
    let fresh = path.with_extension("fresh");
    if let Err(error) = std::fs::remove_file(&fresh)
        && error.kind() != std::io::ErrorKind::NotFound
    {
        return Err(fault("replace a file beside")(error));
    }
    create_private(&fresh, bytes)?;
    std::fs::rename(&fresh, path).map_err(fault("replace"))?;
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    std::fs::File::open(directory)
        .and_then(|directory| directory.sync_all())
        .map_err(fault("sync the directory of"))
}
