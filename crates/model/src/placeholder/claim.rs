//! A placeholder that waits to be fetched: its text, sealed under a code that nobody keeps.
//!
//! ```text
//! code    cwc_ and 43 symbols of base62: 256 random bits, shown once to whoever issued
//! index   HMAC-SHA-256 of the code under the lookup key: what the row is found by
//! sealed  AES-256-GCM of the text under HMAC-SHA-256(code, label), bound to the placeholder's id
//! ```
//!
//! Neither the database nor the broker's keys open it: that takes the code. The key seals one text, once, so the nonce is
//! constant.

use super::mint::random_symbols;
use super::{Alphabet, KeyedHash, LookupKey, PlaceholderText};
use crate::PlaceholderId;
use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::hmac;
use std::fmt;

const PREFIX: &str = "cwc_";
const SYMBOLS: usize = 43;
const LABEL: &[u8] = b"cloakroom claim v1";

/// Fetches one placeholder, once. `Debug` does not show it.
pub struct ClaimCode(String);

impl ClaimCode {
    /// The code, for the one who asked for it.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for ClaimCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ClaimCode(…)")
    }
}

/// A code, and what the store keeps of what it opens.
#[derive(Debug)]
pub struct Wrapped {
    /// The code, to be shown once.
    pub code: ClaimCode,
    /// What the row is found by.
    pub index: KeyedHash,
    /// The text, sealed.
    pub sealed: Vec<u8>,
}

impl LookupKey {
    /// Seals a placeholder's text under a fresh code. `None` where the operating system gives no random bytes.
    pub fn wrap(&self, text: &PlaceholderText, placeholder: PlaceholderId) -> Option<Wrapped> {
        let code = format!("{PREFIX}{}", random_symbols(Alphabet::Base62, SYMBOLS).ok()?);
        let mut sealed = text.reveal().as_bytes().to_vec();
        let key = key(&code)?;
        key.seal_in_place_append_tag(nonce(), bound_to(placeholder), &mut sealed).ok()?;
        Some(Wrapped { index: self.claim_index(&code), code: ClaimCode(code), sealed })
    }

    /// What the row of this code is found by.
    pub fn claim_index(&self, code: &str) -> KeyedHash {
        self.hash("claim code", code.as_bytes())
    }
}

/// The text that was sealed for this placeholder under this code; `None` where it was not.
pub fn unwrap(code: &str, placeholder: PlaceholderId, sealed: &[u8]) -> Option<PlaceholderText> {
    let mut opened = sealed.to_vec();
    let text = key(code)?.open_in_place(nonce(), bound_to(placeholder), &mut opened).ok()?;
    String::from_utf8(text.to_vec()).ok().map(PlaceholderText::of)
}

fn key(code: &str) -> Option<LessSafeKey> {
    let derived = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, code.as_bytes()), LABEL);
    UnboundKey::new(&AES_256_GCM, derived.as_ref()).ok().map(LessSafeKey::new)
}

/// INVARIANT: a key seals once, for its code is fresh.
fn nonce() -> Nonce {
    Nonce::assume_unique_for_key([0; 12])
}

fn bound_to(placeholder: PlaceholderId) -> Aad<Vec<u8>> {
    Aad::from(placeholder.to_string().into_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Shape, Timestamp};

    fn id(number: u64) -> PlaceholderId {
        PlaceholderId::new(Timestamp::from_millis(number), [0; 10])
    }

    #[test]
    fn a_code_opens_its_own_placeholder_and_nothing_else_opens_it() {
        let key = LookupKey::from_bytes(&[3; 32]);
        let minted = key.mint(&Shape::prefixed("sk_live_", Alphabet::Base62, 40)).unwrap();
        let wrapped = key.wrap(&minted.text, id(1)).unwrap();
        let code = wrapped.code.reveal();
        assert!(code.starts_with("cwc_") && code.len() == 47, "{code}");
        let opened = unwrap(code, id(1), &wrapped.sealed);
        assert_eq!(opened.as_ref().map(PlaceholderText::reveal), Some(minted.text.reveal()));
        assert_eq!(key.claim_index(code), wrapped.index);
        let other = key.wrap(&minted.text, id(1)).unwrap();
        let mut flipped = wrapped.sealed.clone();
        flipped[0] ^= 1;
        assert!(unwrap(other.code.reveal(), id(1), &wrapped.sealed).is_none());
        assert!(unwrap(code, id(2), &wrapped.sealed).is_none());
        assert!(unwrap(code, id(1), &flipped).is_none());
        assert!(unwrap(code, id(1), &[]).is_none());
    }

    #[test]
    fn neither_code_nor_text_stands_in_what_is_kept() {
        let key = LookupKey::from_bytes(&[3; 32]);
        let minted = key.mint(&Shape::prefixed("sk_live_", Alphabet::Base62, 40)).unwrap();
        let wrapped = key.wrap(&minted.text, id(1)).unwrap();
        let kept = format!("{wrapped:?} {}", String::from_utf8_lossy(&wrapped.sealed));
        assert!(!kept.contains(minted.text.reveal()) && !kept.contains(wrapped.code.reveal()), "{kept}");
    }
}
