//! A secret as the user name or the password of `Basic` credentials (RFC 7617).

use super::edit::Edit;
use super::header::{only_value, sensitive};
use super::{Placing, misplaced, unwritable};
use crate::scrub::BasicHalf;
use crate::secret::Secret;
use base64::Engine;
use base64::alphabet::STANDARD as ALPHABET;
use base64::engine::general_purpose::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use cloakroom_model::{Call, HeaderForm, Refusal};
use cloakroom_policy::Spot;
use http::HeaderName;
use zeroize::Zeroizing;

/// Some workloads leave the padding out.
const LENIENT: GeneralPurpose = GeneralPurpose::new(
    &ALPHABET,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// What stands around the placeholder inside the workload's credentials.
pub(crate) struct Half {
    before: Vec<u8>,
    after: Vec<u8>,
}

impl Half {
    /// Borrowed, for scrubbing.
    pub(crate) fn as_basic(&self) -> BasicHalf<'_> {
        BasicHalf { before: &self.before, after: &self.after }
    }
}

/// The workload's half of the credentials, where the spot is in such.
pub(crate) fn half_of(call: &Call, spot: &Spot) -> Option<Half> {
    let Spot::Header(name, form) = spot else { return None };
    if !matches!(form, HeaderForm::BasicUser | HeaderForm::BasicPassword) {
        return None;
    }
    let (user, password) = parts(call, name).ok()?.1;
    match form {
        HeaderForm::BasicUser => {
            Some(Half { before: Vec::new(), after: [b":", password.as_slice()].concat() })
        }
        HeaderForm::BasicPassword => {
            Some(Half { before: [user.as_slice(), b":"].concat(), after: Vec::new() })
        }
        HeaderForm::Raw | HeaderForm::Bearer => None,
    }
}

/// The user name.
pub(super) fn user(placing: &Placing, call: &Call, name: &HeaderName) -> Result<Edit, Refusal> {
    let (scheme, (user, password)) = parts(call, name)?;
    let secret = placing.secret.expose();
    if user != placing.text.as_bytes() {
        return Err(misplaced());
    }
    // The password of a login is no user name.
    if placing.user.is_some() {
        return Err(unwritable());
    }
    // The first colon ends the user name: one inside it would move the rest into the password.
    if secret.contains(&b':') || secret.iter().any(u8::is_ascii_control) {
        return Err(unwritable());
    }
    write(name, scheme, &[secret, b":", &password])
}

/// The password.
pub(super) fn password(placing: &Placing, call: &Call, name: &HeaderName) -> Result<Edit, Refusal> {
    let (scheme, (user, password)) = parts(call, name)?;
    let secret = placing.secret.expose();
    if password != placing.text.as_bytes() {
        return Err(misplaced());
    }
    if secret.iter().any(u8::is_ascii_control) {
        return Err(unwritable());
    }
    // A login goes whole: the user name that the workload wrote has no meaning.
    let user = placing.user.as_ref().map_or(user.as_slice(), Secret::expose);
    write(name, scheme, &[user, b":", secret])
}

fn write(name: &HeaderName, scheme: &[u8], credentials: &[&[u8]]) -> Result<Edit, Refusal> {
    let credentials = Zeroizing::new(credentials.concat());
    let encoded = Zeroizing::new(STANDARD.encode(&*credentials));
    let value = Zeroizing::new([scheme, encoded.as_bytes()].concat());
    Ok(Edit::Header(name.clone(), sensitive(value)?))
}

/// The scheme with its space, and the user name and password after it.
#[expect(clippy::type_complexity, reason = "one caller's worth of pairs")]
fn parts<'a>(call: &'a Call, name: &HeaderName) -> Result<(&'a [u8], (Vec<u8>, Vec<u8>)), Refusal> {
    let value = only_value(call, name)?;
    let start = value.iter().rposition(|b| *b == b' ').ok_or_else(misplaced)? + 1;
    let (scheme, encoded) = value.split_at(start);
    if !scheme.trim_ascii().eq_ignore_ascii_case(b"basic") {
        return Err(misplaced());
    }
    let credentials = LENIENT.decode(encoded).map_err(|_| misplaced())?;
    let colon = credentials.iter().position(|b| *b == b':').ok_or_else(misplaced)?;
    Ok((scheme, (credentials[..colon].to_vec(), credentials[colon + 1..].to_vec())))
}
