//! Passkeys (SPEC: Web Authentication Level 3, section 7): what one signs is the digest of a text, at one origin, by a person
//! whom it knew. What the text means is left to others.
//!
//! ```text
//! key        "webauthn" COSE_Key credential-id origin relying-party-id counter      base64url, words
//! signature  accepted-at "." authenticatorData "." clientDataJSON "." signature     milliseconds, base64url
//! signed     authenticatorData SHA-256(clientDataJSON)
//! ```

mod cbor;
mod cose;
mod data;
mod enrolment;
mod login;
mod party;

pub use enrolment::{Attestation, PasskeyTicket, base64url};
pub use login::{LoginTicket, passkey_id};
pub use party::RelyingParty;

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use cloakroom_model::{Signature, Timestamp};
use cose::CoseKey;
use data::{Ceremony, Head};
use std::fmt;

/// The word that a passkey's line begins with.
pub(super) const WORD: &str = "webauthn";
/// No part of what browsers send is longer.
const LONGEST: usize = 8 << 10;

/// It cannot be read as what it should be, or does not hold.
#[derive(Debug)]
pub(super) struct Unreadable;

/// A passkey: where it is good, its id there, its public key, and how often it had signed when it was enrolled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Passkey {
    party: RelyingParty,
    credential: Vec<u8>,
    key: CoseKey,
    counter: u32,
}

impl Passkey {
    /// From the words after the first, and the words that are left: the name.
    pub(super) fn parse<'w>(words: &mut impl Iterator<Item = &'w str>) -> Result<Self, String> {
        let unreadable = || "the passkey cannot be read".to_owned();
        let mut word = || words.next().ok_or_else(unreadable);
        let (key, credential, origin, id, counter) = (word()?, word()?, word()?, word()?, word()?);
        let party = RelyingParty::new(origin, Some(id))?;
        let key = CoseKey::parse(&bytes(key).ok_or_else(unreadable)?).map_err(|Unreadable| unreadable())?;
        let credential =
            bytes(credential).filter(|id| (1..=1023).contains(&id.len())).ok_or_else(unreadable)?;
        let number: u32 = counter.parse().map_err(|_| unreadable())?;
        if number.to_string() != counter {
            return Err(unreadable());
        }
        Ok(Self { party, credential, key, counter: number })
    }

    /// Where it is good.
    pub(super) fn party(&self) -> &RelyingParty {
        &self.party
    }

    /// Its id at the authenticator, in base64url.
    pub(super) fn id(&self) -> String {
        URL_SAFE_NO_PAD.encode(&self.credential)
    }

    /// How it signs.
    pub(super) fn algorithm(&self) -> &'static str {
        self.key.algorithm()
    }

    /// Whether both are one key, whatever else is said of it.
    pub(super) fn is_same_key(&self, other: &Self) -> bool {
        self.key == other.key
    }

    /// Whether it signed this digest, in a form that was accepted at some time.
    pub(super) fn verifies(&self, challenge: &[u8; 32], signature: &str) -> bool {
        self.check(challenge, signature).is_ok()
    }

    fn check(&self, challenge: &[u8; 32], signature: &str) -> Result<(), Unreadable> {
        let (_, said) = accepted(signature).ok_or(Unreadable)?;
        let said = Assertion::parse(said).ok_or(Unreadable)?;
        let (head, _) = Head::read(&said.authenticator, &self.party, Ceremony::Get)?;
        data::require_client(&said.client, challenge, &self.party, Ceremony::Get)?;
        said.require_signed(&self.key)?;
        // A counter that stands still belongs to a copy; one that is never used is always zero.
        let counts = head.counter > self.counter || (head.counter == 0 && self.counter == 0);
        if counts { Ok(()) } else { Err(Unreadable) }
    }
}

impl fmt::Display for Passkey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let key = URL_SAFE_NO_PAD.encode(self.key.as_bytes());
        let Self { party, counter, .. } = self;
        write!(f, "{WORD} {key} {} {} {} {counter}", self.id(), party.origin(), party.id())
    }
}

/// What a browser gives for a passkey's signature.
struct Assertion {
    authenticator: Vec<u8>,
    client: Vec<u8>,
    signature: Vec<u8>,
}

impl Assertion {
    fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split('.').map(bytes);
        let said = Self { authenticator: parts.next()??, client: parts.next()??, signature: parts.next()?? };
        parts.next().is_none().then_some(said)
    }

    fn require_signed(&self, key: &CoseKey) -> Result<(), Unreadable> {
        let signed = [&self.authenticator[..], digest(&SHA256, &self.client).as_ref()].concat();
        key.verifies(&signed, &self.signature)
    }
}

/// Strict base64url: one spelling for one text, and bounded.
fn bytes(text: &str) -> Option<Vec<u8>> {
    (text.len() <= LONGEST).then(|| URL_SAFE_NO_PAD.decode(text).ok()).flatten()
}

/// When a signature was accepted, and what was said.
fn accepted(signature: &str) -> Option<(Timestamp, &str)> {
    let (at, said) = signature.split_once('.')?;
    let millis: u64 = at.parse().ok()?;
    (millis.to_string() == at).then_some((Timestamp::from_millis(millis), said))
}

/// Whether a signature's row names a passkey.
pub(super) fn is_named(signature: &Signature) -> bool {
    signature.key.split(' ').next() == Some(WORD)
}

/// The signature as it is kept: with the time at which it was accepted, by which counters are put in order.
pub(super) fn stamped(signature: Signature, now: Timestamp) -> Signature {
    if !is_named(&signature) {
        return signature;
    }
    let stamped = format!("{}.{}", now.millis(), signature.signature);
    Signature { signature: stamped, ..signature }
}

/// When a passkey's signature was accepted, and how often it had signed then.
pub(super) fn count(signature: &Signature) -> Option<(Timestamp, u32)> {
    let (at, said) = accepted(&signature.signature).filter(|_| is_named(signature))?;
    let data = bytes(said.split('.').next()?)?;
    Some((at, Head::counter_of(&data)?))
}

#[cfg(test)]
mod tests;
