//! The sealed secret at rest: a fresh key for each secret, itself wrapped by the key-encryption key.
//!
//! ```text
//!  0        1            3
//! +---------+------------+---------------------+-----------------------------------------+
//! | 1       | length, BE | wrapped key         | nonce 12 | ciphertext … | tag 16        |
//! | version | of wrapped | (provider's format) | AES-256-GCM-SIV under the wrapped key   |
//! +---------+------------+---------------------+-----------------------------------------+
//!                         bound to id,           bound to id, kind, destinations,
//!                         generation             generation
//! ```

use super::aead;
use super::binding::Bound;
use super::error::CustodyError;
use super::kek::KeyEncryption;
use crate::secret::Secret;
use cloakroom_model::SealedSecret;

const VERSION: u8 = 1;

/// The parts of a sealed secret. A body for fuzzing: any bytes in, no panic out.
#[derive(Debug, PartialEq, Eq)]
pub struct SealedParts<'a> {
    /// The wrapped key, in its provider's format.
    pub wrapped: &'a [u8],
    /// Nonce, ciphertext and tag.
    pub ciphertext: &'a [u8],
}

impl<'a> SealedParts<'a> {
    /// Splits a sealed secret. `None` for another version or a truncated one.
    pub fn parse(bytes: &'a [u8]) -> Option<Self> {
        let (version, rest) = bytes.split_first()?;
        let (length, rest) = rest.split_first_chunk::<2>()?;
        let (wrapped, ciphertext) = rest.split_at_checked(usize::from(u16::from_be_bytes(*length)))?;
        (*version == VERSION).then_some(Self { wrapped, ciphertext })
    }
}

/// Why a sealed secret does not open.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Closed {
    #[error("it is truncated or of another version")]
    Format,
    #[error("its key was wrapped by another key, for another credential or another generation")]
    Key,
    #[error("it was sealed for another credential, kind, destination or generation, or was changed")]
    Secret,
}

/// Seals `secret`, bound to `bound`.
///
/// # Errors
/// When random bytes or the cryptography library fail.
pub(super) fn seal(
    keys: &dyn KeyEncryption,
    bound: &Bound,
    secret: &Secret,
) -> Result<SealedSecret, CustodyError> {
    let key = aead::fresh_key().map_err(|_| CustodyError::Cryptography("make a key"))?;
    let wrapped = keys.wrap(&bound.key, &key)?;
    let ciphertext = aead::encrypt(&key, &bound.secret, secret)
        .map_err(|_| CustodyError::Cryptography("seal the secret"))?;
    let length =
        u16::try_from(wrapped.len()).map_err(|_| CustodyError::Cryptography("wrap a key in 64 KiB"))?;
    let mut bytes = vec![VERSION];
    bytes.extend_from_slice(&length.to_be_bytes());
    bytes.extend_from_slice(&wrapped);
    bytes.extend_from_slice(&ciphertext);
    Ok(SealedSecret(bytes))
}

/// Opens what [`seal`] made.
///
/// # Errors
/// When it was sealed under another key, for another binding, or was changed.
pub(super) fn open(keys: &dyn KeyEncryption, bound: &Bound, sealed: &[u8]) -> Result<Secret, Closed> {
    let parts = SealedParts::parse(sealed).ok_or(Closed::Format)?;
    let key = keys.unwrap(&bound.key, parts.wrapped).map_err(|_| Closed::Key)?;
    aead::decrypt(&key, &bound.secret, parts.ciphertext).map_err(|_| Closed::Secret)
}
