//! A passkey is made: what the browser is asked, and what comes of its answer. Whether the passkey counts is left to the
//! approvers there are.

use super::cbor::Cbor;
use super::cose::CoseKey;
use super::data::{self, Ceremony, Head};
use super::{Passkey, RelyingParty, Unreadable, bytes};
use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// Separates the challenge from every text that is signed.
const DOMAIN: &[u8] = b"cloakroom passkey enrolment v1\n";
/// The authenticator's model (16) and the length of the credential id (2) stand in front of it.
const MODEL: usize = 16;

/// What a browser gives for a new passkey, in base64url.
#[derive(Clone, Debug)]
pub struct Attestation {
    /// `attestationObject`.
    pub object: String,
    /// `clientDataJSON`.
    pub client: String,
}

/// One enrolment: a secret that only the link holds.
#[derive(Clone, Debug)]
pub struct PasskeyTicket<'t> {
    /// The link's secret.
    pub code: &'t str,
    /// Where the passkey will be good.
    pub party: &'t RelyingParty,
}

impl PasskeyTicket<'_> {
    /// What the new passkey's browser has to repeat.
    pub fn challenge(&self) -> [u8; 32] {
        challenge(self.code)
    }

    /// The passkey's words, as they stand in a line of `approver.pub`.
    ///
    /// The attestation's statement is not looked at: it says what made the key, and whose key it is stands in no
    /// certificate. The approvers who sign the enrolment say that.
    pub fn redeem(&self, said: &Attestation) -> Option<String> {
        redeem(&self.challenge(), self.party, said).ok().map(|passkey| passkey.to_string())
    }
}

fn challenge(code: &str) -> [u8; 32] {
    let mut bytes = [0; 32];
    bytes.copy_from_slice(digest(&SHA256, &[DOMAIN, code.as_bytes()].concat()).as_ref());
    bytes
}

pub(super) fn redeem(
    challenge: &[u8],
    party: &RelyingParty,
    said: &Attestation,
) -> Result<Passkey, Unreadable> {
    let (object, client) = (bytes(&said.object).ok_or(Unreadable)?, bytes(&said.client).ok_or(Unreadable)?);
    data::require_client(&client, challenge, party, Ceremony::Create)?;
    let (head, rest) = Head::read(authenticator_data(&object)?, party, Ceremony::Create)?;
    let (_, rest) = rest.split_at_checked(MODEL).ok_or(Unreadable)?;
    let (length, rest) = rest.split_first_chunk().ok_or(Unreadable)?;
    let (credential, key) = rest.split_at_checked(u16::from_be_bytes(*length).into()).ok_or(Unreadable)?;
    let passkey = Passkey {
        party: party.clone(),
        credential: credential.to_vec(),
        key: CoseKey::parse(key)?,
        counter: head.counter,
    };
    // What is written is what will be read.
    let words = passkey.to_string();
    let read = Passkey::parse(&mut words.split(' ').skip(1)).map_err(|_| Unreadable)?;
    if read == passkey { Ok(passkey) } else { Err(Unreadable) }
}

/// SPEC: Web Authentication Level 3, section 6.5.4.
fn authenticator_data(object: &[u8]) -> Result<&[u8], Unreadable> {
    let mut cbor = Cbor::new(object);
    let pairs = cbor.map()?;
    let mut found = None;
    for _ in 0..pairs {
        match cbor.text()? {
            b"authData" if found.is_none() => found = Some(cbor.bytes()?),
            b"fmt" | b"attStmt" => cbor.skip()?,
            _ => return Err(Unreadable),
        }
    }
    cbor.end()?;
    found.ok_or(Unreadable)
}

/// Bytes as browsers and pages write them.
pub fn base64url(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}
