//! The broker's lookup key and what is derived from it: keyed hashes and placeholder tags.

use super::Alphabet;
use aws_lc_rs::hmac;
use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use serde::{Deserialize, Serialize};
use siphasher::sip::SipHasher24;
use siphasher::sip128::{Hasher128, SipHasher24 as SipHasher24Wide};
use std::fmt;
use std::hash::Hasher;
use subtle::ConstantTimeEq;

/// Key for lookups: it protects no secret, but whoever has it can recognise placeholders and test guesses offline.
pub struct LookupKey {
    mac: hmac::Key,
    tag: SipHasher24,
    core: SipHasher24Wide,
}

impl LookupKey {
    /// From 32 random bytes kept in the data directory.
    pub fn from_bytes(bytes: &[u8; 32]) -> Self {
        let root = hmac::Key::new(hmac::HMAC_SHA256, bytes);
        let derive = |label: &[u8]| -> [u8; 32] {
            let mut key = [0u8; 32];
            key.copy_from_slice(hmac::sign(&root, label).as_ref());
            key
        };
        let half = |key: [u8; 32]| -> [u8; 16] {
            let mut half = [0u8; 16];
            half.copy_from_slice(&key[..16]);
            half
        };
        Self {
            mac: hmac::Key::new(hmac::HMAC_SHA256, &derive(b"cloakroom keyed hash v1")),
            tag: SipHasher24::new_with_key(&half(derive(b"cloakroom placeholder tag v1"))),
            core: SipHasher24Wide::new_with_key(&half(derive(b"cloakroom placeholder core v1"))),
        }
    }

    /// Keyed hash of `text` under `domain` (HMAC-SHA-256). Different domains never collide.
    pub fn hash(&self, domain: &'static str, text: &[u8]) -> KeyedHash {
        let mut context = hmac::Context::with_key(&self.mac);
        context.update(domain.as_bytes());
        context.update(&[0]);
        context.update(text);
        let mut hash = [0u8; 32];
        hash.copy_from_slice(context.sign().as_ref());
        KeyedHash(hash)
    }

    /// Keyed hash of a whole placeholder text, as the store keeps it.
    pub fn placeholder_hash(&self, text: &str) -> KeyedHash {
        self.hash("placeholder", text.as_bytes())
    }

    /// Keyed hash of a workload key, as the store keeps it.
    pub fn workload_hash(&self, key: &str) -> KeyedHash {
        self.hash("workload key", key.as_bytes())
    }

    /// Keyed hash of the nonce of a guest's boot, as the store keeps it.
    pub fn boot_hash(&self, nonce: &str) -> KeyedHash {
        self.hash("boot nonce", nonce.as_bytes())
    }

    /// 64 tag bits of a core.
    pub(super) fn tag(&self, alphabet: Alphabet, core: &[u8]) -> u64 {
        let mut hasher = self.tag;
        hasher.write_u8(alphabet as u8);
        hasher.write(core);
        hasher.finish()
    }

    /// The index of a core.
    pub(super) fn core_id(&self, alphabet: Alphabet, core: &[u8]) -> CoreId {
        let mut hasher = self.core;
        hasher.write_u8(alphabet as u8);
        hasher.write(core);
        CoreId(hasher.finish128().as_u128())
    }
}

impl fmt::Debug for LookupKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LookupKey")
    }
}

/// HMAC-SHA-256 under the lookup key. Equality is constant-time.
#[derive(Clone, Copy, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct KeyedHash([u8; 32]);

impl PartialEq for KeyedHash {
    fn eq(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

impl Eq for KeyedHash {}

impl std::hash::Hash for KeyedHash {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.hash(state);
    }
}

impl fmt::Display for KeyedHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&STANDARD_NO_PAD.encode(self.0))
    }
}

impl fmt::Debug for KeyedHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl From<KeyedHash> for String {
    fn from(hash: KeyedHash) -> String {
        hash.to_string()
    }
}

impl TryFrom<String> for KeyedHash {
    type Error = &'static str;
    fn try_from(text: String) -> Result<Self, Self::Error> {
        let bytes = STANDARD_NO_PAD.decode(text).map_err(|_| "a keyed hash is base64")?;
        bytes.try_into().map(Self).map_err(|_| "a keyed hash has 32 bytes")
    }
}

/// Keyed index of a placeholder's core: what a row is found by.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct CoreId(u128);

impl fmt::Display for CoreId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl fmt::Debug for CoreId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl From<CoreId> for String {
    fn from(id: CoreId) -> String {
        id.to_string()
    }
}

impl TryFrom<String> for CoreId {
    type Error = &'static str;
    fn try_from(text: String) -> Result<Self, Self::Error> {
        let well_formed = text.len() == 32 && text.bytes().all(|b| b.is_ascii_hexdigit());
        let value = u128::from_str_radix(&text, 16).map_err(|_| "a core id is hexadecimal")?;
        if well_formed { Ok(Self(value)) } else { Err("a core id has 32 hexadecimal digits") }
    }
}
