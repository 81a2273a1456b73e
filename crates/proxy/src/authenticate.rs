//! Who asks: the workload key, in the fields where unmodified programs can put it.

use crate::wire::{ambiguous, single};
use base64::Engine;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use cloakroom_model::{Code, Evidence, Principal, Refusal};
use cloakroom_policy::PolicySet;
use http::{HeaderMap, HeaderValue};

/// Base64 with or without padding: programs differ.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// The workload that proves itself in these fields.
///
/// # Errors
/// `unknown-workload`, in the same words whether the key is missing, unreadable, wrong or another workload's;
/// `ambiguous-call` when there are two keys.
pub(crate) fn authenticate(fields: &HeaderMap, policies: &PolicySet) -> Result<Principal, Refusal> {
    let shown = Shown::find(fields)?.ok_or_else(unknown)?;
    verify(shown.name.as_deref(), &shown.key, policies)
}

/// The workload whose key this is; where a name was shown too, it must be its name.
///
/// # Errors
/// `unknown-workload`, as [`authenticate`].
pub(crate) fn verify(name: Option<&str>, key: &str, policies: &PolicySet) -> Result<Principal, Refusal> {
    let shown = name;
    let (workload, name) = policies.workload_by_key(key).ok_or_else(unknown)?;
    if shown.is_some_and(|shown| shown != name.as_str()) {
        return Err(unknown());
    }
    Ok(Principal::assert_verified(workload, name, Evidence::Key))
}

fn unknown() -> Refusal {
    Refusal::new(Code::UnknownWorkload, "the call shows no workload key that this broker knows")
}

/// What was shown: a key, and the name that goes with it if one was given.
#[derive(Clone, PartialEq, Eq)]
struct Shown {
    name: Option<String>,
    key: String,
}

impl Shown {
    fn find(fields: &HeaderMap) -> Result<Option<Self>, Refusal> {
        const TWICE: &str = "the workload key is shown twice";
        let proxy = single(fields, "proxy-authorization", TWICE)?;
        let own = single(fields, "cloakroom-workload", TWICE)?;
        match (proxy, own) {
            (Some(_), Some(_)) => Err(ambiguous(TWICE)),
            (Some(value), None) => Ok(Self::in_scheme(value)),
            (None, Some(value)) => Ok(Self::in_scheme(value).or_else(|| Self::plain(value))),
            (None, None) => Ok(None),
        }
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
        Ok(shown.map(|shown| (shown.name, shown.key)))
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
