//! Who asks: the workload key, in the fields where unmodified programs can put it, and what the connection says.

use crate::peer::Peer;
use crate::wire::{ambiguous, single};
use base64::Engine;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use cloakroom_model::{Code, EventKind, Principal, Refusal, Source};
use cloakroom_policy::{PolicySet, Recognised, Showing};
use http::header::PROXY_AUTHORIZATION;
use http::{HeaderMap, HeaderName, HeaderValue};

/// Base64 with or without padding: programs differ.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// Where the key stands in base-URL mode.
const CLOAKROOM_WORKLOAD: HeaderName = HeaderName::from_static("cloakroom-workload");

/// The workload that proves itself in these fields, or on the connection that they came by.
///
/// # Errors
/// `unknown-workload`, in the same words whether the key is missing, unreadable, wrong or another workload's;
/// `ambiguous-call` when there are two keys.
pub(crate) fn authenticate(
    fields: &HeaderMap,
    peer: Peer,
    policies: &PolicySet,
) -> Result<Principal, Refusal> {
    let shown = match Shown::find(fields)? {
        Found::Nothing => return verify(None, peer, policies),
        // SECURITY: what was meant as a key and is none is a wrong key; the connection does not make it good.
        Found::Unreadable => return Err(unknown()),
        Found::Key(shown) => shown,
    };
    verify(Some((shown.name.as_deref(), &shown.key)), peer, policies)
}

/// The workload of this name (where one was shown) and key, or without a key the one whose certificate, user or guest is at the
/// other end of the connection.
///
/// # Errors
/// `unknown-workload`, as [`authenticate`].
pub(crate) fn verify(
    shown: Option<(Option<&str>, &str)>,
    peer: Peer,
    policies: &PolicySet,
) -> Result<Principal, Refusal> {
    let (certificate, boot) = (peer.certificate(), peer.boot());
    let showing = Showing { key: shown.map(|(_, key)| key), certificate, boot, source: peer.source };
    let known = policies.recognise(&showing).ok_or_else(|| nobody(showing, policies))?;
    let name = shown.and_then(|(name, _)| name);
    if name.is_some_and(|name| name != known.name.as_str()) {
        return Err(unknown());
    }
    Ok(proven(known, peer.source))
}

/// The workload whose networks alone have this address: on the listeners that only a lock leads to, where it sends from is
/// all that a program can show that knows of no broker.
///
/// # Errors
/// `unknown-workload`.
pub(crate) fn resident(source: Source, policies: &PolicySet) -> Result<Principal, Refusal> {
    let known = source.address().and_then(|address| policies.resident(address));
    known.map(|known| proven(known, source)).ok_or_else(unknown)
}

fn proven(known: Recognised, source: Source) -> Principal {
    Principal::assert_verified(known.workload, known.name, known.proofs, source)
}

/// Whoever shows a nonce that its number does not have: a machine that the number was lent to later, and the operator should know (T93).
fn nobody(showing: Showing<'_>, policies: &PolicySet) -> Refusal {
    let alone = Showing { key: None, ..showing };
    match showing.boot.is_some() && policies.recognise(&alone).is_none() {
        true => unknown().as_event(EventKind::OtherBoot),
        false => unknown(),
    }
}

/// The refusal of whoever is nobody.
pub(crate) fn unknown() -> Refusal {
    Refusal::new(Code::UnknownWorkload, "the call shows no workload key that this broker knows")
}

/// What the fields hold.
enum Found {
    Nothing,
    Unreadable,
    Key(Shown),
}

/// What was shown: a key, and the name that goes with it if one was given.
#[derive(Clone, PartialEq, Eq)]
struct Shown {
    name: Option<String>,
    key: String,
}

impl Shown {
    fn find(fields: &HeaderMap) -> Result<Found, Refusal> {
        const TWICE: &str = "the workload key is shown twice";
        let proxy = single(fields, &PROXY_AUTHORIZATION, TWICE)?;
        let own = single(fields, &CLOAKROOM_WORKLOAD, TWICE)?;
        let shown = match (proxy, own) {
            (Some(_), Some(_)) => return Err(ambiguous(TWICE)),
            (None, None) => return Ok(Found::Nothing),
            (Some(value), None) => Self::in_scheme(value),
            (None, Some(value)) => Self::in_scheme(value).or_else(|| Self::plain(value)),
        };
        Ok(shown.map_or(Found::Unreadable, Found::Key))
    }

    /// `Basic …` or `Bearer …`. Scheme names have no case (RFC 9110, section 11.1).
    fn in_scheme(value: &HeaderValue) -> Option<Self> {
        let (scheme, rest) = value.to_str().ok()?.split_once(' ')?;
        let rest = rest.trim_matches(' ');
        if scheme.eq_ignore_ascii_case("bearer") {
            return Some(Self { name: None, key: rest.to_owned() });
        }
        if !scheme.eq_ignore_ascii_case("basic") {
            return None;
        }
        let pair = String::from_utf8(BASE64.decode(rest).ok()?).ok()?;
        Self::pair(&pair)
    }

    /// `name:key`, or the key alone.
    fn plain(value: &HeaderValue) -> Option<Self> {
        let text = value.to_str().ok()?;
        Self::pair(text).or_else(|| Some(Self { name: None, key: text.to_owned() }))
    }

    fn pair(text: &str) -> Option<Self> {
        let (name, key) = text.split_once(':')?;
        Some(Self { name: Some(name.to_owned()), key: key.to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderName;

    fn find(fields: &[(&'static str, &str)]) -> Result<Option<(Option<String>, String)>, Code> {
        let mut map = HeaderMap::new();
        for (name, value) in fields {
            map.append(HeaderName::from_static(name), HeaderValue::from_str(value).unwrap());
        }
        let shown = Shown::find(&map).map_err(|r| r.code())?;
        Ok(match shown {
            Found::Key(shown) => Some((shown.name, shown.key)),
            Found::Nothing | Found::Unreadable => None,
        })
    }

    #[test]
    fn a_key_is_found_wherever_programs_put_it() {
        let named = Ok(Some((Some("robot".to_owned()), "KEY".to_owned())));
        let bare = Ok(Some((None, "KEY".to_owned())));
        for (field, expected) in [
            (("proxy-authorization", "Basic cm9ib3Q6S0VZ"), &named),
            (("proxy-authorization", "basic cm9ib3Q6S0VZ"), &named),
            (("proxy-authorization", "Bearer KEY"), &bare),
            (("cloakroom-workload", "robot:KEY"), &named),
            (("cloakroom-workload", "KEY"), &bare),
            (("cloakroom-workload", "Bearer KEY"), &bare),
            (("cloakroom-workload", "Basic cm9ib3Q6S0VZ"), &named),
        ] {
            assert_eq!(&find(&[field]), expected, "{field:?}");
        }
    }

    #[test]
    fn a_key_one_step_wrong_is_none() {
        for field in [
            ("proxy-authorization", "KEY"),
            ("proxy-authorization", "robot:KEY"),
            ("proxy-authorization", "Basic !"),
            ("proxy-authorization", "Basic S0VZ"),
            ("proxy-authorization", "Digest KEY"),
            ("authorization", "Bearer KEY"),
        ] {
            assert_eq!(find(&[field]), Ok(None), "{field:?}");
        }
    }

    #[test]
    fn two_keys_are_ambiguous() {
        let (one, two) = (("proxy-authorization", "Bearer A"), ("cloakroom-workload", "A"));
        assert_eq!(find(&[one, two]), Err(Code::AmbiguousCall));
        assert_eq!(find(&[one, one]), Err(Code::AmbiguousCall));
        assert_eq!(find(&[two, two]), Err(Code::AmbiguousCall));
    }
}
