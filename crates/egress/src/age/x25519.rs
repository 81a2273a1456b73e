//! Recipients and identities, and the stanza that wraps a file key to one recipient.

use super::{AgeError, bech32};
use aws_lc_rs::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::agreement::{PrivateKey, UnparsedPublicKey, X25519, agree};
use aws_lc_rs::hkdf::{HKDF_SHA256, KeyType, Salt};
use std::str::FromStr;
use zeroize::Zeroizing;

const INFO: &[u8] = b"age-encryption.org/v1/X25519";
/// Bytes of a file key, and of one that is wrapped.
pub(super) const FILE_KEY: usize = 16;
pub(super) const WRAPPED: usize = 32;

/// Whom a file is encrypted to: public.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recipient([u8; 32]);

/// Who opens files that are encrypted to its recipient. SECURITY: neither `Debug` nor `Clone`.
pub struct Identity {
    secret: Zeroizing<[u8; 32]>,
    public: [u8; 32],
}

/// A key that is 32 bytes long.
pub(super) struct Long;

impl KeyType for Long {
    fn len(&self) -> usize {
        32
    }
}

impl FromStr for Recipient {
    type Err = AgeError;

    fn from_str(text: &str) -> Result<Self, AgeError> {
        bech32::decode("age", text).map(|bytes| Self(*bytes)).ok_or(AgeError::Recipient)
    }
}

impl Identity {
    /// Every identity of a file as `age-keygen` writes it: one a line, other lines empty or comments.
    ///
    /// # Errors
    /// [`AgeError::Identity`] when there is none, or a line is none.
    pub fn all(text: &[u8]) -> Result<Vec<Self>, AgeError> {
        let text = std::str::from_utf8(text).map_err(|_| AgeError::Identity)?;
        let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
        let all: Vec<Self> = lines.map(Self::parse).collect::<Result<_, _>>()?;
        if all.is_empty() { Err(AgeError::Identity) } else { Ok(all) }
    }

    fn parse(line: &str) -> Result<Self, AgeError> {
        // It is written in upper case; mixed case is none.
        if line.bytes().any(|byte| byte.is_ascii_lowercase()) {
            return Err(AgeError::Identity);
        }
        let lower = Zeroizing::new(line.to_ascii_lowercase());
        let secret = bech32::decode("age-secret-key-", &lower).ok_or(AgeError::Identity)?;
        let private = private(&secret)?;
        let public = private.compute_public_key().map_err(|_| AgeError::Cryptography)?;
        let public = public.as_ref().try_into().map_err(|_| AgeError::Cryptography)?;
        Ok(Self { secret, public })
    }

    /// The file key in a stanza that was made by [`wrap`]; `None` where it was made for another.
    pub(super) fn unwrap(
        &self,
        ephemeral: &[u8; 32],
        wrapped: &[u8; WRAPPED],
    ) -> Option<Zeroizing<[u8; FILE_KEY]>> {
        let key = shared(&private(&self.secret).ok()?, ephemeral, ephemeral, &self.public).ok()?;
        let mut room = Zeroizing::new(*wrapped);
        let opened = key.open_in_place(zero(), Aad::empty(), &mut *room).ok()?;
        <[u8; FILE_KEY]>::try_from(&*opened).ok().map(Zeroizing::new)
    }
}

/// The ephemeral key and the wrapped file key of a stanza for this recipient.
pub(super) fn wrap(
    Recipient(to): &Recipient,
    file_key: &[u8; FILE_KEY],
) -> Result<([u8; 32], Vec<u8>), AgeError> {
    let mut secret = Zeroizing::new([0; 32]);
    getrandom::fill(&mut *secret).map_err(|_| AgeError::Cryptography)?;
    let private = private(&secret)?;
    let public = private.compute_public_key().map_err(|_| AgeError::Cryptography)?;
    let ephemeral: [u8; 32] = public.as_ref().try_into().map_err(|_| AgeError::Cryptography)?;
    let key = shared(&private, to, &ephemeral, to)?;
    let mut wrapped = file_key.to_vec();
    key.seal_in_place_append_tag(zero(), Aad::empty(), &mut wrapped).map_err(|_| AgeError::Cryptography)?;
    Ok((ephemeral, wrapped))
}

fn private(secret: &[u8; 32]) -> Result<PrivateKey, AgeError> {
    PrivateKey::from_private_key(&X25519, secret).map_err(|_| AgeError::Cryptography)
}

/// The key that wraps file keys between these two. A peer that makes the shared secret zero is refused by the library.
fn shared(
    private: &PrivateKey,
    peer: &[u8; 32],
    ephemeral: &[u8; 32],
    recipient: &[u8; 32],
) -> Result<LessSafeKey, AgeError> {
    let salt = Salt::new(HKDF_SHA256, &[ephemeral.as_slice(), recipient].concat());
    let peer = UnparsedPublicKey::new(&X25519, peer);
    agree(private, peer, AgeError::Cryptography, |shared| chacha(&salt, shared, INFO))
}

/// A ChaCha20-Poly1305 key that is derived by HKDF-SHA-256.
pub(super) fn chacha(salt: &Salt, secret: &[u8], info: &[u8]) -> Result<LessSafeKey, AgeError> {
    let mut key = Zeroizing::new([0; 32]);
    derive(salt, secret, info, &mut key)?;
    let key = UnboundKey::new(&CHACHA20_POLY1305, &*key).map_err(|_| AgeError::Cryptography)?;
    Ok(LessSafeKey::new(key))
}

pub(super) fn derive(salt: &Salt, secret: &[u8], info: &[u8], key: &mut [u8; 32]) -> Result<(), AgeError> {
    let extracted = salt.extract(secret);
    let info = [info];
    let expanded = extracted.expand(&info, Long).map_err(|_| AgeError::Cryptography)?;
    expanded.fill(key).map_err(|_| AgeError::Cryptography)
}

fn zero() -> Nonce {
    Nonce::assume_unique_for_key([0; 12])
}
