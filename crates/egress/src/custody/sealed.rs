//! The sealed secret at rest: a fresh key for each secret, itself wrapped by a root key.
//!
//! ```text
//!  0         1            5            7
//! +---------+------------+------------+---------------------+-----------------------------------------+
//! | 2       | version,   | length, BE | wrapped key         | nonce 12 | ciphertext … | tag 16        |
//! | format  | BE, of the | of wrapped | AES-256-GCM-SIV     | AES-256-GCM-SIV under the wrapped key   |
//! |         | root key   |            | under the root key  |                                         |
//! +---------+------------+------------+---------------------+-----------------------------------------+
//!                                       bound to id,           bound to id, kind, destinations,
//!                                       generation             generation
//! ```
//!
//! Format 1 has no version in it: it is written and read where the root key has version 0, the only one before there were versions.

use super::aead;
use super::binding::Bound;
use super::error::CustodyError;
use super::keyring::{Keyring, Shut, Wrapped, Writing};
use crate::secret::Secret;
use cloakroom_model::SealedSecret;
use std::sync::Arc;

const FIRST: u8 = 1;
const VERSIONED: u8 = 2;

/// The parts of a sealed secret. A body for fuzzing: any bytes in, no panic out.
#[derive(Debug, PartialEq, Eq)]
pub struct SealedParts<'a> {
    /// The version of the root key that wrapped the key.
    pub root: u32,
    /// The wrapped key.
    pub wrapped: &'a [u8],
    /// Nonce, ciphertext and tag.
    pub ciphertext: &'a [u8],
}

impl<'a> SealedParts<'a> {
    /// Splits a sealed secret. `None` for another format or a truncated one.
    pub fn parse(bytes: &'a [u8]) -> Option<Self> {
        let (format, rest) = bytes.split_first()?;
        let (root, rest) = match *format {
            FIRST => (0, rest),
            VERSIONED => {
                let (root, rest) = rest.split_first_chunk::<4>()?;
                (u32::from_be_bytes(*root), rest)
            }
            _ => return None,
        };
        let (length, rest) = rest.split_first_chunk::<2>()?;
        let (wrapped, ciphertext) = rest.split_at_checked(usize::from(u16::from_be_bytes(*length)))?;
        Some(Self { root, wrapped, ciphertext })
    }
}

/// Why a sealed secret does not open.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Closed {
    #[error("it is truncated or of another format")]
    Format,
    #[error("the broker is sealed")]
    Sealed,
    #[error("the version of the root key that it was sealed under is not held, or counts no more")]
    Version,
    #[error("its key was wrapped by another key, for another credential or another generation")]
    Key,
    #[error("it was sealed for another credential, kind, destination or generation, or was changed")]
    Secret,
}

impl From<Shut> for Closed {
    fn from(shut: Shut) -> Self {
        match shut {
            Shut::Sealed => Self::Sealed,
            Shut::NotHeld => Self::Version,
            Shut::NotAuthentic => Self::Key,
        }
    }
}

/// Seals `secret`, bound to `bound`.
///
/// # Errors
/// When the broker is sealed; when random bytes or the cryptography library fail.
pub(super) fn seal(keys: &Keyring, bound: &Bound, secret: &Secret) -> Result<SealedSecret, CustodyError> {
    let (key, wrapped) = fresh(keys, bound)?;
    written(&wrapped, &encrypted(&key, bound, secret)?)
}

/// Opens what [`seal`] made.
///
/// # Errors
/// When the broker is sealed; when it was sealed under another key, for another binding, or was changed.
pub(super) fn open(keys: &Keyring, bound: &Bound, sealed: &[u8]) -> Result<Secret, Closed> {
    let parts = SealedParts::parse(sealed).ok_or(Closed::Format)?;
    let key = keys.unwrap(parts.root, &bound.key, parts.wrapped)?;
    aead::decrypt(&key, &bound.secret, parts.ciphertext).map_err(|_| Closed::Secret)
}

/// The same secret under the current root key; `None` where it is already. Its key is unwrapped and wrapped; the secret stays as it is.
///
/// # Errors
/// As [`open`], but for what only the secret's own binding shows.
pub(super) fn rewrap(keys: &Keyring, bound: &Bound, sealed: &[u8]) -> Result<Option<SealedSecret>, Closed> {
    let parts = SealedParts::parse(sealed).ok_or(Closed::Format)?;
    let (current, _) = keys.versions().ok_or(Closed::Sealed)?;
    if parts.root == current {
        return Ok(None);
    }
    let key = keys.unwrap(parts.root, &bound.key, parts.wrapped)?;
    let wrapped = keys.wrap(&bound.key, &key).map_err(|_| Closed::Sealed)?;
    written(&wrapped, parts.ciphertext).map(Some).map_err(|_| Closed::Format)
}

/// A key that is wrapped already, for what comes later and must be sealed whatever happened to the root key meanwhile: a refresh token that
/// is on its way exists nowhere else.
pub(crate) struct Envelope {
    key: Secret,
    wrapped: Wrapped,
    bound: Arc<Bound>,
    _writing: Writing,
}

impl Envelope {
    /// # Errors
    /// When the broker is sealed; when random bytes or the cryptography library fail.
    pub(super) fn prepare(keys: &Keyring, bound: Arc<Bound>) -> Result<Self, CustodyError> {
        let writing = keys.writing();
        let (key, wrapped) = fresh(keys, &bound)?;
        Ok(Self { key, wrapped, bound, _writing: writing })
    }

    /// What it is bound to.
    pub(super) fn bound(&self) -> Arc<Bound> {
        Arc::clone(&self.bound)
    }

    /// Seals, with a nonce of its own. `None` where random bytes or the cryptography library fail.
    pub(crate) fn seal(&self, secret: &Secret) -> Option<SealedSecret> {
        written(&self.wrapped, &encrypted(&self.key, &self.bound, secret).ok()?).ok()
    }
}

fn fresh(keys: &Keyring, bound: &Bound) -> Result<(Secret, Wrapped), CustodyError> {
    let key = aead::fresh_key().map_err(|_| CustodyError::Cryptography("make a key"))?;
    let wrapped = keys.wrap(&bound.key, &key)?;
    Ok((key, wrapped))
}

fn encrypted(key: &Secret, bound: &Bound, secret: &Secret) -> Result<Vec<u8>, CustodyError> {
    aead::encrypt(key, &bound.secret, secret).map_err(|_| CustodyError::Cryptography("seal the secret"))
}

fn written(wrapped: &Wrapped, ciphertext: &[u8]) -> Result<SealedSecret, CustodyError> {
    let length =
        u16::try_from(wrapped.bytes.len()).map_err(|_| CustodyError::Cryptography("wrap a key in 64 KiB"))?;
    let mut bytes = Vec::with_capacity(7 + wrapped.bytes.len() + ciphertext.len());
    match wrapped.root {
        0 => bytes.push(FIRST),
        root => {
            bytes.push(VERSIONED);
            bytes.extend_from_slice(&root.to_be_bytes());
        }
    }
    bytes.extend_from_slice(&length.to_be_bytes());
    bytes.extend_from_slice(&wrapped.bytes);
    bytes.extend_from_slice(ciphertext);
    Ok(SealedSecret(bytes))
}
