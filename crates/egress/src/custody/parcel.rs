//! A parcel: a secret that is sealed on another machine, for a broker that need not be reachable from there, with a label that says what it
//! is to become. Whoever carries it can read the label, change nothing of it, and open nothing.
//!
//! ```text
//!  HPKE info: "cloakroom parcel v1"
//!  HPKE aad:  key id | parcel id | name | kind | count of destinations | destination … | expires
//!  text: length (4, big-endian), then UTF-8      count: 4, big-endian      expires: milliseconds, 8, big-endian
//! ```

use super::binding::{destinations, text};
use super::drop_key::DropKey;
use super::error::CustodyError;
use super::hpke::{self, Context, DropOff, Pair};
use crate::secret::Secret;
use cloakroom_model::{CredentialKind, Destination, Name, Timestamp, hexadecimal};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

const INFO: &[u8] = b"cloakroom parcel v1";
const VERSION: u32 = 1;

/// What a parcel is to become.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Label {
    /// The credential's name.
    pub name: Name,
    /// Its kind.
    pub kind: CredentialKind,
    /// Where it may go at all.
    pub destinations: Vec<Destination>,
    /// Until when the parcel is taken, in milliseconds since 1970.
    pub expires: Timestamp,
}

/// A sealed secret with its label: ciphertext, safe to pass on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Parcel {
    /// The version of this format: 1.
    pub parcel: u32,
    /// Chosen at random by who sealed it: the broker takes each once.
    pub id: String,
    /// The key that it is sealed to, by its id.
    pub key: String,
    /// What it is to become.
    pub label: Label,
    /// The secret, sealed.
    pub secret: DropOff,
}

impl Parcel {
    /// Seals `secret` under `label` to `key`. Needs no broker.
    ///
    /// # Errors
    /// When the key is no point that can be sealed to, or the operating system gives no random bytes.
    pub fn seal(key: &DropKey, label: Label, secret: &Zeroizing<Vec<u8>>) -> Result<Self, CustodyError> {
        let mut id = [0; 16];
        getrandom::fill(&mut id).map_err(|_| CustodyError::Cryptography("name the parcel"))?;
        Self::seal_as(key, hexadecimal(&id), label, secret)
    }

    /// The same under an id of the caller's: who seals can choose it.
    pub(super) fn seal_as(
        key: &DropKey,
        id: String,
        label: Label,
        secret: &Zeroizing<Vec<u8>>,
    ) -> Result<Self, CustodyError> {
        let key_id = key.id();
        let aad = bound(&key_id, &id, &label);
        let secret = hpke::seal(key.public(), Context { info: INFO, aad: &aad }, secret)?;
        Ok(Self { parcel: VERSION, id, key: key_id, label, secret })
    }

    /// Whether this is a version that is understood here. SECURITY: its id is remembered, and chosen by whoever sealed it.
    pub(super) fn is_known(&self) -> bool {
        let plain = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        self.parcel == VERSION && self.id.len() == 32 && self.id.bytes().all(plain)
    }

    /// Opens it with the private half of the key that it names.
    ///
    /// # Errors
    /// [`CustodyError::DropOff`], when anything of it was changed.
    pub(super) fn open(&self, pair: &Pair) -> Result<Secret, CustodyError> {
        let aad = bound(&self.key, &self.id, &self.label);
        pair.open(&self.secret, Context { info: INFO, aad: &aad })
    }
}

/// Everything that is in the open, as unambiguous bytes.
fn bound(key: &str, id: &str, label: &Label) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(256);
    for fact in [key, id, label.name.as_str(), label.kind.as_str()] {
        text(&mut bytes, fact);
    }
    destinations(&mut bytes, &label.destinations);
    bytes.extend_from_slice(&label.expires.millis().to_be_bytes());
    bytes
}
