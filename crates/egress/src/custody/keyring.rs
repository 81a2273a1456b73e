//! The root keys while the broker is unsealed: in locked memory, one of them current. No root key held is what *sealed* means.

use super::aead;
use super::error::CustodyError;
use crate::secret::Secret;
use arc_swap::ArcSwapOption;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Wraps and unwraps the keys that encrypt secrets. Shared by everything that seals or opens.
pub(crate) struct Keyring {
    roots: ArcSwapOption<Roots>,
    writing: Arc<()>,
}

/// The root keys, by version.
pub(super) struct Roots {
    /// The version that is sealed under.
    pub(super) current: u32,
    /// What was sealed under an older one does not open.
    pub(super) minimum: u32,
    pub(super) keys: BTreeMap<u32, Arc<Secret>>,
}

/// A wrapped key, and the version of the root key that wrapped it.
pub(super) struct Wrapped {
    pub(super) root: u32,
    pub(super) bytes: Vec<u8>,
}

/// Why a wrapped key does not open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shut {
    /// No root key is held.
    Sealed,
    /// Its version of the root key is not held, or must not be used any more.
    NotHeld,
    /// It was wrapped by another key, or for another context.
    NotAuthentic,
}

/// Something sealed is on its way into the store: until it is dropped, no root key is destroyed.
pub(crate) struct Writing(#[expect(dead_code, reason = "it is counted")] Arc<()>);

impl Keyring {
    pub(super) fn empty() -> Arc<Self> {
        Arc::new(Self { roots: ArcSwapOption::empty(), writing: Arc::new(()) })
    }

    pub(super) fn fill(&self, roots: Roots) {
        self.roots.store(Some(Arc::new(roots)));
    }

    /// Changes what is held; nothing where nothing is.
    pub(super) fn change(&self, change: impl FnOnce(&mut Roots)) {
        if let Some(roots) = &*self.roots.load() {
            let mut changed = Roots { keys: roots.keys.clone(), ..**roots };
            change(&mut changed);
            self.roots.store(Some(Arc::new(changed)));
        }
    }

    /// Wipes the root keys. A wrap or unwrap that runs at this moment, of one key each, still ends.
    pub(super) fn wipe(&self) {
        self.roots.store(None);
    }

    pub(crate) fn is_sealed(&self) -> bool {
        self.roots.load().is_none()
    }

    /// The current version, and the least that opens.
    pub(super) fn versions(&self) -> Option<(u32, u32)> {
        self.roots.load().as_ref().map(|roots| (roots.current, roots.minimum))
    }

    /// Every version that is held.
    pub(super) fn held(&self) -> Vec<u32> {
        self.roots.load().as_ref().map(|roots| roots.keys.keys().copied().collect()).unwrap_or_default()
    }

    /// The root key of this version.
    pub(super) fn root(&self, version: u32) -> Option<Arc<Secret>> {
        self.roots.load().as_ref()?.keys.get(&version).cloned()
    }

    /// To be held from before something is sealed, or read in order to be written again, until it is stored.
    pub(crate) fn writing(&self) -> Writing {
        Writing(Arc::clone(&self.writing))
    }

    /// Whether nothing sealed is on its way into the store.
    pub(super) fn is_quiet(&self) -> bool {
        Arc::strong_count(&self.writing) == 1
    }

    /// Encrypts a key under the current root key. `context` is authenticated.
    ///
    /// # Errors
    /// [`CustodyError::Sealed`]; when the cryptography library fails.
    pub(super) fn wrap(&self, context: &[u8], key: &Secret) -> Result<Wrapped, CustodyError> {
        let roots = self.roots.load();
        let roots = roots.as_ref().ok_or(CustodyError::Sealed)?;
        let root = roots.keys.get(&roots.current).ok_or(CustodyError::Sealed)?;
        let bytes =
            aead::encrypt(root, context, key).map_err(|_| CustodyError::Cryptography("wrap a key"))?;
        Ok(Wrapped { root: roots.current, bytes })
    }

    /// Decrypts a key that this version of the root key has wrapped.
    ///
    /// # Errors
    /// As [`Shut`] says.
    pub(super) fn unwrap(&self, root: u32, context: &[u8], wrapped: &[u8]) -> Result<Secret, Shut> {
        let roots = self.roots.load();
        let roots = roots.as_ref().ok_or(Shut::Sealed)?;
        let key = roots.keys.get(&root).filter(|_| root >= roots.minimum).ok_or(Shut::NotHeld)?;
        aead::decrypt(key, context, wrapped).map_err(|_| Shut::NotAuthentic)
    }
}
