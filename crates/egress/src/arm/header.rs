//! A secret as a header's value, alone or after its scheme.

use super::edit::Edit;
use super::{Placing, misplaced, unwritable};
use bytes::Bytes;
use cloakroom_model::{Call, Refusal};
use http::{HeaderName, HeaderValue};
use zeroize::Zeroizing;

/// The whole value.
pub(super) fn raw(placing: &Placing, call: &Call, name: &HeaderName) -> Result<Edit, Refusal> {
    let value = only_value(call, name)?;
    let secret = placing.secret.expose();
    if value != placing.text.as_bytes() {
        return Err(misplaced());
    }
    // A space at an end would be trimmed on the way, and with it the secret would change.
    let trimmed = secret.first() == Some(&b' ') || secret.last() == Some(&b' ');
    if trimmed || !secret.iter().all(|b| matches!(b, b' '..=b'~')) {
        return Err(unwritable());
    }
    Ok(Edit::Header(name.clone(), sensitive(Zeroizing::new(secret.to_vec()))?))
}

/// What follows the scheme, which stays as the workload wrote it.
pub(super) fn bearer(placing: &Placing, call: &Call, name: &HeaderName) -> Result<Edit, Refusal> {
    let value = only_value(call, name)?;
    let scheme = value.strip_suffix(placing.text.as_bytes()).ok_or_else(misplaced)?;
    let secret = placing.secret.expose();
    if !secret.iter().all(u8::is_ascii_graphic) {
        return Err(unwritable());
    }
    Ok(Edit::Header(name.clone(), sensitive(Zeroizing::new([scheme, secret].concat()))?))
}

/// The only value of a field.
pub(super) fn only_value<'a>(call: &'a Call, name: &HeaderName) -> Result<&'a [u8], Refusal> {
    let mut values = call.headers.get_all(name).into_iter();
    match (values.next(), values.next()) {
        (Some(value), None) => Ok(value.as_bytes()),
        _ => Err(misplaced()),
    }
}

/// A value that does not print, over memory that is wiped.
pub(super) fn sensitive(bytes: Zeroizing<Vec<u8>>) -> Result<HeaderValue, Refusal> {
    let mut value = HeaderValue::from_maybe_shared(Bytes::from_owner(bytes)).map_err(|_| unwritable())?;
    value.set_sensitive(true);
    Ok(value)
}
