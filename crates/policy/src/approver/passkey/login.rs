//! Somebody logs in with a passkey: what it signs is the digest of a secret that is good once, and of no text that anybody approves.

use super::data::{self, Ceremony, Head};
use super::{Assertion, Passkey, RelyingParty, WORD};
use aws_lc_rs::digest::{SHA256, digest};

/// Separates the challenge from every text that is signed, and from enrolments.
const DOMAIN: &[u8] = b"cloakroom log-in v1\n";

/// One attempt to log in: a secret that only the browser which asked for it was told.
#[derive(Clone, Debug)]
pub struct LoginTicket<'t> {
    /// The attempt's secret.
    pub code: &'t str,
    /// Where the passkey is good.
    pub party: &'t RelyingParty,
}

impl LoginTicket<'_> {
    /// What the passkey signs.
    pub fn challenge(&self) -> [u8; 32] {
        let mut bytes = [0; 32];
        bytes.copy_from_slice(digest(&SHA256, &[DOMAIN, self.code.as_bytes()].concat()).as_ref());
        bytes
    }

    /// How often the passkey had signed, where it signed this attempt, here. `key` are its words; `said` is what the browser gives:
    /// authenticatorData, clientDataJSON and signature in base64url, with points between.
    pub fn signed_by(&self, key: &str, said: &str) -> Option<u32> {
        let passkey = passkey(key, self.party)?;
        let said = Assertion::parse(said)?;
        let (head, _) = Head::read(&said.authenticator, self.party, Ceremony::Get).ok()?;
        data::require_client(&said.client, &self.challenge(), self.party, Ceremony::Get).ok()?;
        said.require_signed(&passkey.key).ok()?;
        let counts = head.counter > passkey.counter || (head.counter == 0 && passkey.counter == 0);
        counts.then_some(head.counter)
    }
}

/// The id at its authenticator of the passkey with these words, where it is good at this relying party.
pub fn passkey_id(key: &str, party: &RelyingParty) -> Option<String> {
    passkey(key, party).map(|passkey| passkey.id())
}

fn passkey(key: &str, party: &RelyingParty) -> Option<Passkey> {
    let mut words = key.split(' ');
    let parsed = words.next().filter(|word| *word == WORD).and_then(|_| Passkey::parse(&mut words).ok())?;
    (words.next().is_none() && parsed.party() == party).then_some(parsed)
}
