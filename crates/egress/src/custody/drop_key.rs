//! The public key that parcels are sealed to, as people pass it on.
//!
//! ```text
//!  cwd_ base64url( 1 | X25519 public key, 32 | first 4 bytes of SHA-256("cloakroom drop-off key v1" | public key) )
//! ```

use super::hpke::KEY;
use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use cloakroom_model::hexadecimal;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

const PREFIX: &str = "cwd_";
const VERSION: u8 = 1;
const CHECKSUM: usize = 4;

/// A drop-off key: the public half, which anybody may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct DropKey([u8; KEY]);

impl DropKey {
    /// Of these bytes; `None` where they are no public key.
    pub(super) fn of(public: &[u8]) -> Option<Self> {
        public.try_into().ok().map(Self)
    }

    /// The X25519 public key.
    pub fn public(&self) -> &[u8] {
        &self.0
    }

    /// What parcels call it: 16 hexadecimal digits. It finds the key, and proves nothing.
    pub fn id(&self) -> String {
        hexadecimal(&self.hash()[..8])
    }

    /// SHA-256, for what vouches for this key, such as a quote of a TPM.
    pub fn hash(&self) -> [u8; 32] {
        let labelled = [b"cloakroom drop-off key v1".as_slice(), &self.0].concat();
        let mut hash = [0; 32];
        hash.copy_from_slice(digest(&SHA256, &labelled).as_ref());
        hash
    }
}

impl fmt::Display for DropKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes = [&[VERSION][..], &self.0, &self.hash()[..CHECKSUM]].concat();
        write!(f, "{PREFIX}{}", URL_SAFE_NO_PAD.encode(bytes))
    }
}

impl FromStr for DropKey {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let encoded = text.strip_prefix(PREFIX).ok_or("a drop-off key begins with cwd_")?;
        let bytes = URL_SAFE_NO_PAD.decode(encoded).map_err(|_| "the drop-off key is incomplete")?;
        let (version, rest) = bytes.split_first().ok_or("the drop-off key is incomplete")?;
        if *version != VERSION {
            return Err("the drop-off key is of another version");
        }
        let (public, checksum) = rest.split_at_checked(KEY).ok_or("the drop-off key is incomplete")?;
        let key = Self::of(public).ok_or("the drop-off key is incomplete")?;
        (checksum == &key.hash()[..CHECKSUM]).then_some(key).ok_or("the drop-off key was mistyped or cut")
    }
}

impl From<DropKey> for String {
    fn from(key: DropKey) -> Self {
        key.to_string()
    }
}

impl TryFrom<String> for DropKey {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_read_as_it_was_written_and_no_symbol_of_it_can_change() {
        let key = DropKey([7; KEY]);
        let text = key.to_string();
        assert_eq!(text.parse(), Ok(key));
        for at in 0..text.len() {
            let mut changed = text.clone().into_bytes();
            changed[at] = if changed[at] == b'A' { b'B' } else { b'A' };
            let changed = String::from_utf8(changed).unwrap();
            assert!(changed.parse::<DropKey>().is_err(), "{changed}");
        }
        assert!(text[..text.len() - 1].parse::<DropKey>().is_err());
        assert!(format!("{text}A").parse::<DropKey>().is_err());
        assert!("".parse::<DropKey>().is_err() && "cwd_".parse::<DropKey>().is_err());
    }
}
