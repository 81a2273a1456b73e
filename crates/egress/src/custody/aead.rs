//! AES-256-GCM-SIV (RFC 8452) with random nonces, decrypting straight into locked pages.
//!
//! GCM-SIV rather than GCM: a nonce that repeats by bad luck or a restored snapshot reveals equality, not the key.
//!
//! ```text
//! | nonce 12 | ciphertext … | tag 16 |
//! ```

use crate::secret::Secret;
use aws_lc_rs::aead::{AES_256_GCM_SIV, Aad, LessSafeKey, Nonce, UnboundKey};

/// Bytes of a key.
pub(super) const KEY: usize = 32;
const NONCE: usize = 12;
const TAG: usize = 16;

/// The bytes are not what was encrypted under this key with this associated data.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct NotAuthentic;

/// Encrypts `plaintext` under `key`, bound to `context`.
///
/// # Errors
/// When the operating system gives no random bytes, or `key` is not 32 bytes.
pub(super) fn encrypt(key: &Secret, context: &[u8], plaintext: &Secret) -> Result<Vec<u8>, NotAuthentic> {
    let mut nonce = [0u8; NONCE];
    getrandom::fill(&mut nonce).map_err(|_| NotAuthentic)?;
    // Reserved whole: growing would leave a copy of the plaintext behind.
    let mut bytes = Vec::with_capacity(NONCE + plaintext.expose().len() + TAG);
    bytes.extend_from_slice(&nonce);
    bytes.extend_from_slice(plaintext.expose());
    let tag = schedule(key)?
        .seal_in_place_separate_tag(
            Nonce::assume_unique_for_key(nonce),
            Aad::from(context),
            &mut bytes[NONCE..],
        )
        .map_err(|_| NotAuthentic)?;
    bytes.extend_from_slice(tag.as_ref());
    Ok(bytes)
}

/// Decrypts what [`encrypt`] made.
///
/// # Errors
/// When key, context or bytes are not the ones that were used.
pub(super) fn decrypt(key: &Secret, context: &[u8], sealed: &[u8]) -> Result<Secret, NotAuthentic> {
    let (nonce, ciphertext) = sealed.split_at_checked(NONCE).ok_or(NotAuthentic)?;
    let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| NotAuthentic)?;
    let key = schedule(key)?;
    Secret::filled(ciphertext.len(), |room| {
        room.copy_from_slice(ciphertext);
        let plaintext = key.open_in_place(nonce, Aad::from(context), room).map_err(|_| NotAuthentic)?;
        Ok(plaintext.len())
    })
}

/// A fresh random key.
///
/// # Errors
/// When the operating system gives no random bytes.
pub(super) fn fresh_key() -> Result<Secret, getrandom::Error> {
    Secret::filled(KEY, |room| getrandom::fill(room).map(|()| KEY))
}

fn schedule(key: &Secret) -> Result<LessSafeKey, NotAuthentic> {
    UnboundKey::new(&AES_256_GCM_SIV, key.expose()).map(LessSafeKey::new).map_err(|_| NotAuthentic)
}
