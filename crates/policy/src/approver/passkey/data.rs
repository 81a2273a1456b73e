//! What the authenticator and the browser say in a ceremony (SPEC: Web Authentication Level 3, sections 5.8.1 and 6.1).

use super::{RelyingParty, Unreadable};
use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;
use serde::de::IgnoredAny;

/// Somebody touched it.
const USER_PRESENT: u8 = 0x01;
/// It knew who: by PIN, finger or face.
const USER_VERIFIED: u8 = 0x04;
const BACKUP_ELIGIBLE: u8 = 0x08;
const BACKED_UP: u8 = 0x10;
/// A new key follows.
const ATTESTED: u8 = 0x40;
const EXTENSIONS: u8 = 0x80;
/// Hash of the relying party's id, flags, counter.
const HEAD: usize = 37;

/// Which ceremony.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ceremony {
    /// A key is made.
    Create,
    /// A key signs.
    Get,
}

/// What an authenticator says in front of everything else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) counter: u32,
}

impl Head {
    /// The head, and what follows: a new key where one is made, nothing where one signs.
    pub(super) fn read<'b>(
        bytes: &'b [u8],
        party: &RelyingParty,
        ceremony: Ceremony,
    ) -> Result<(Self, &'b [u8]), Unreadable> {
        let (head, rest) = bytes.split_at_checked(HEAD).ok_or(Unreadable)?;
        let (flags, counter) = (head[32], head[33..].try_into().map_err(|_| Unreadable)?);
        let set = |flag: u8| flags & flag != 0;
        let expected = ceremony == Ceremony::Create;
        // SECURITY: a person, and that person; touch alone could be anybody's.
        let human = set(USER_PRESENT) && set(USER_VERIFIED);
        let consistent = set(BACKUP_ELIGIBLE) || !set(BACKED_UP);
        // No extension is ever asked for, so none is understood.
        let shape = set(ATTESTED) == expected && rest.is_empty() != expected && !set(EXTENSIONS);
        if head[..32] != *digest(&SHA256, party.id().as_bytes()).as_ref() || !human || !consistent || !shape {
            return Err(Unreadable);
        }
        Ok((Self { counter: u32::from_be_bytes(counter) }, rest))
    }

    /// The counter as it stands in the data of a signature, whatever else stands there.
    pub(super) fn counter_of(bytes: &[u8]) -> Option<u32> {
        Some(u32::from_be_bytes(bytes.get(33..HEAD)?.try_into().ok()?))
    }
}

/// What the browser says. Members that it adds in the future are passed over; one that stands there twice is an error.
#[derive(Deserialize)]
struct ClientData {
    r#type: String,
    challenge: String,
    origin: String,
    #[serde(default, rename = "crossOrigin")]
    cross_origin: bool,
    #[serde(default, rename = "topOrigin")]
    top_origin: Option<IgnoredAny>,
}

/// Whether the browser says that this was asked, there, and by nobody in between.
pub(super) fn require_client(
    json: &[u8],
    challenge: &[u8],
    party: &RelyingParty,
    ceremony: Ceremony,
) -> Result<(), Unreadable> {
    let said: ClientData = serde_json::from_slice(json).map_err(|_| Unreadable)?;
    let kind = match ceremony {
        Ceremony::Create => "webauthn.create",
        Ceremony::Get => "webauthn.get",
    };
    let asked = said.r#type == kind && said.challenge == URL_SAFE_NO_PAD.encode(challenge);
    let there = said.origin == party.origin() && !said.cross_origin && said.top_origin.is_none();
    if asked && there { Ok(()) } else { Err(Unreadable) }
}
