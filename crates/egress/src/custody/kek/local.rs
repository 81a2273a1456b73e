//! A key that is read on this machine as provider: file, passphrase, or handed over by whoever starts the broker.

use super::provider::{Answer, Provider, ProviderError, Wants};
use super::{LocalKey, handed, key_file, passphrase};
use crate::custody::aead;
use crate::custody::error::{CustodyError, UnsealError};
use crate::secret::Secret;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Where the key is read.
pub(in crate::custody) enum Place {
    /// A file of 32 bytes.
    KeyFile(PathBuf),
    /// A file that whoever starts the broker shows it; and where its verifier is kept.
    Handed(PathBuf, PathBuf),
    /// A passphrase; the file with its salt. SECURITY: the passphrase itself is not kept.
    Passphrase(PathBuf),
}

/// A key of this machine. Held while the broker is unsealed, read again where it was sealed.
pub(in crate::custody) struct Local {
    place: Place,
    held: Mutex<Option<Arc<Secret>>>,
}

impl Local {
    pub(in crate::custody) fn new(place: Place, LocalKey(key): LocalKey) -> Self {
        Self { place, held: Mutex::new(Some(Arc::new(key))) }
    }

    fn key(&self) -> Result<Arc<Secret>, ProviderError> {
        let mut held = self.held();
        if let Some(key) = &*held {
            return Ok(Arc::clone(key));
        }
        let loaded = match &self.place {
            Place::KeyFile(path) => key_file::read(path)
                .and_then(|key| key.ok_or_else(|| CustodyError::NotHanded { path: path.clone() })),
            Place::Handed(file, mark) => handed::load(file, mark),
            Place::Passphrase(_) => return Err(ProviderError::Unavailable("it waits for the passphrase")),
        };
        let LocalKey(key) = loaded.map_err(|error| {
            tracing::error!(%error, "the key-encryption key cannot be read");
            ProviderError::Refused("the key-encryption key cannot be read: see the log")
        })?;
        Ok(Arc::clone(held.insert(Arc::new(key))))
    }

    fn held(&self) -> MutexGuard<'_, Option<Arc<Secret>>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Provider for Local {
    fn name(&self) -> &'static str {
        match self.place {
            Place::KeyFile(_) => "file",
            Place::Handed(..) => "systemd",
            Place::Passphrase(_) => "passphrase",
        }
    }

    fn wrap<'a>(&'a self, context: &'a [u8], root: &'a Secret) -> Answer<'a, Vec<u8>> {
        let failed = |_| ProviderError::Refused("the cryptography library failed");
        let wrapped = self.key().and_then(|key| aead::encrypt(&key, context, root).map_err(failed));
        Box::pin(std::future::ready(wrapped))
    }

    fn unwrap<'a>(&'a self, context: &'a [u8], wrapped: &'a [u8]) -> Answer<'a, Secret> {
        let other = |_| ProviderError::Refused("another key-encryption key wrapped the root key");
        let root = self.key().and_then(|key| aead::decrypt(&key, context, wrapped).map_err(other));
        Box::pin(std::future::ready(root))
    }

    fn can_go(&self) -> bool {
        false
    }

    fn own_root(&self) -> Option<Arc<Secret>> {
        self.key().ok()
    }

    fn wants(&self) -> Wants {
        match self.place {
            Place::Passphrase(_) if self.held().is_none() => Wants::Passphrase,
            _ => Wants::Nothing,
        }
    }

    fn take(&self, part: &Secret, _by: &str) -> Result<(), UnsealError> {
        let Place::Passphrase(salt) = &self.place else { return Err(UnsealError::NothingWanted) };
        let loaded = passphrase::load(salt, part.expose());
        let LocalKey(key) = loaded.map_err(|error| match error {
            CustodyError::WrongPassphrase => UnsealError::WrongPassphrase,
            error => {
                tracing::error!(%error, "the passphrase cannot be tried");
                UnsealError::Provider("the passphrase cannot be tried: see the log")
            }
        })?;
        *self.held() = Some(Arc::new(key));
        Ok(())
    }

    fn forget(&self) {
        *self.held() = None;
    }
}
