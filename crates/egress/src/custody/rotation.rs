//! Another root key, and everything that is sealed brought under it: row by row, while calls go on.
//!
//! ```text
//!  rotate: a new version is wrapped, kept, current ─► rewrap: each row's key is unwrapped and wrapped anew ─► the older versions are destroyed
//!                                                     secrets themselves are not opened                      once nothing needs them
//! ```
//!
//! INVARIANT: an older version is destroyed only after, in this order, what is held in memory was rewrapped, nothing sealed was on its way into
//! the store at some moment, and a look at every row after that moment found none under it. What is sealed later is under the current one.

use super::binding::Binding;
use super::guard::{fresh_root, in_time};
use super::roots::RootFile;
use super::sealed::{self, SealedParts};
use super::{Custody, CustodyError, captured, drop_box, lease_seal};
use crate::issuer;
use cloakroom_model::{CapturedRecord, CredentialRecord, LeaseRecord, SealedSecret};
use std::path::PathBuf;
use std::sync::Arc;
use subtle::ConstantTimeEq;

/// The version of the root key that something is sealed under, by its bytes alone; `None` where they are none.
pub fn root_of(sealed: &[u8]) -> Option<u32> {
    SealedParts::parse(sealed).map(|parts| parts.root)
}

impl Custody {
    /// Makes another root key, has it wrapped, and seals under it from now on. What was sealed before opens still.
    ///
    /// # Errors
    /// When the broker is sealed, the provider does not wrap, or it cannot be kept. Then nothing has changed.
    pub async fn rotate_root(&self) -> Result<u32, CustodyError> {
        let _turn = self.guard.turn.lock().await;
        if self.keys.is_sealed() {
            return Err(CustodyError::Sealed);
        }
        let (path, provider) = (&self.guard.file, &self.guard.provider);
        let file = match RootFile::read(path)? {
            Some(file) => file,
            None => RootFile::fresh(provider.name())?,
        };
        let version = file.current.checked_add(1).ok_or(CustodyError::Cryptography("count root keys"))?;
        let (root, context) = (fresh_root()?, file.context(version));
        let wrapped = in_time(provider.wrap(&context, &root)).await?;
        // What does not unwrap would be lost with this process.
        let again = in_time(provider.unwrap(&context, &wrapped)).await?;
        if !bool::from(again.expose().ct_eq(root.expose())) {
            return Err(CustodyError::Refused("the provider unwraps to another root key"));
        }
        file.with(version, &wrapped).keep(path)?;
        self.guard.add(version, Arc::new(root));
        Ok(version)
    }

    /// Notes that everything is to be brought under the current root key: a start goes on with it.
    ///
    /// # Errors
    /// When the broker is sealed, or it cannot be noted.
    pub async fn begin_rewrap(&self) -> Result<(), CustodyError> {
        let _turn = self.guard.turn.lock().await;
        if self.keys.is_sealed() {
            return Err(CustodyError::Sealed);
        }
        if let Some(mut file) = RootFile::read(&self.guard.file)? {
            file.rewrapping = true;
            file.keep(&self.guard.file)?;
        }
        self.guard.note_rewrapping(true);
        Ok(())
    }

    /// The same secret under the current root key; `None` where it is already.
    ///
    /// # Errors
    /// When the broker is sealed, or the row does not open.
    pub fn rewrapped(&self, row: &CredentialRecord) -> Result<Option<SealedSecret>, CustodyError> {
        sealed::rewrap(&self.keys, &Binding::of(row).bound(), &row.sealed.0).map_err(Into::into)
    }

    /// As [`Self::rewrapped`], of a captured token.
    ///
    /// # Errors
    /// As [`Self::rewrapped`].
    pub fn rewrapped_captured(&self, row: &CapturedRecord) -> Result<Option<SealedSecret>, CustodyError> {
        let Some(sealed) = &row.sealed else { return Ok(None) };
        let bound = captured::bound(row.core, row.placeholder, row.token);
        sealed::rewrap(&self.keys, &bound, &sealed.0).map_err(Into::into)
    }

    /// As [`Self::rewrapped`], of what ends a lease.
    ///
    /// # Errors
    /// As [`Self::rewrapped`].
    pub fn rewrapped_lease(&self, row: &LeaseRecord) -> Result<Option<SealedSecret>, CustodyError> {
        let bound = lease_seal::bound(row.id, row.credential);
        sealed::rewrap(&self.keys, &bound, &row.sealed.0).map_err(Into::into)
    }

    /// Brings what stands sealed in files under the current root key, and what is held in memory of rows.
    ///
    /// # Errors
    /// When the broker is sealed, or something does not open or cannot be written.
    pub fn rewrap_files_and_memory(&self) -> Result<(), CustodyError> {
        match self.means.get().and_then(|means| means.issuer.as_ref()) {
            Some(issuer) => issuer.rewrap()?,
            None => issuer::rewrap_file(&self.issuer_file(), &self.safe())?,
        }
        drop_box::rewrap_file(&self.drop_off_file(), &self.safe())?;
        self.captures.rewrap()?;
        for held in self.held.load().values() {
            if let Some(mint) = &held.mint {
                mint.rewrap(|sealed| sealed::rewrap(&self.keys, &held.bound, &sealed.0))?;
            }
        }
        if let Some(leases) = self.means.get().and_then(|means| means.sources.leases().ok()) {
            leases.rewrap()?;
        }
        Ok(())
    }

    /// The version of each thing that stands sealed in a file.
    ///
    /// # Errors
    /// When a file cannot be read.
    pub fn roots_of_files(&self) -> Result<Vec<u32>, CustodyError> {
        let mut roots = issuer::roots_of(&self.issuer_file())?;
        roots.extend(drop_box::root_of_file(&self.drop_off_file())?);
        Ok(roots)
    }

    /// Whether nothing sealed is on its way into the store.
    pub fn is_quiet(&self) -> bool {
        self.keys.is_quiet()
    }

    /// Destroys every root key but the current one. The caller has seen that nothing needs them.
    ///
    /// # Errors
    /// When the broker is sealed, or it cannot be kept. Then they are there still.
    pub async fn destroy_older(&self) -> Result<(), CustodyError> {
        let _turn = self.guard.turn.lock().await;
        let (current, _) = self.keys.versions().ok_or(CustodyError::Sealed)?;
        if let Some(file) = RootFile::read(&self.guard.file)? {
            file.starting_at(current).keep(&self.guard.file)?;
        }
        self.guard.keep_only(current);
        self.guard.note_rewrapping(false);
        Ok(())
    }

    /// Beside the root keys.
    fn drop_off_file(&self) -> PathBuf {
        self.guard.file.with_file_name("drop-off")
    }

    /// The same.
    fn issuer_file(&self) -> PathBuf {
        self.guard.file.with_file_name("issuer.json")
    }
}

impl From<sealed::Closed> for CustodyError {
    fn from(closed: sealed::Closed) -> Self {
        match closed {
            sealed::Closed::Sealed => Self::Sealed,
            closed => {
                tracing::error!(%closed, "something sealed cannot be brought under another root key");
                Self::DoesNotOpen
            }
        }
    }
}
