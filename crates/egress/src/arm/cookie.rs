//! A secret as a cookie's value (RFC 6265, section 4.2.1).

use super::edit::{Edit, Splice};
use super::header::only_value;
use super::{Placing, misplaced, unwritable};
use cloakroom_model::{Call, Refusal};
use http::header::COOKIE;
use std::ops::Range;
use zeroize::Zeroizing;

/// The value of the cookie called `name`.
pub(super) fn edit(placing: &Placing, call: &Call, name: &str) -> Result<Edit, Refusal> {
    let value = only_value(call, &COOKIE)?;
    let range = find(value, name, placing.text.as_bytes()).ok_or_else(misplaced)?;
    let secret = placing.secret.expose();
    if !secret.iter().all(|b| is_cookie_octet(*b)) {
        return Err(unwritable());
    }
    Ok(Edit::Cookie(Splice { range, with: Zeroizing::new(secret.to_vec()) }))
}

/// Where `text` is the value of the cookie called `name`; quotes around it stay.
fn find(field: &[u8], name: &str, text: &[u8]) -> Option<Range<usize>> {
    let mut start = 0;
    for pair in field.split(|b| *b == b';') {
        let indent = pair.len() - pair.trim_ascii_start().len();
        let rest = pair[indent..].strip_prefix(name.as_bytes()).and_then(|rest| rest.strip_prefix(b"="));
        let value = rest.map(|rest| rest.trim_ascii_end());
        let value_start = start + indent + name.len() + 1;
        if value == Some(text) {
            return Some(value_start..value_start + text.len());
        }
        let unquoted = value.and_then(|value| value.strip_prefix(b"\"")?.strip_suffix(b"\""));
        if unquoted == Some(text) {
            return Some(value_start + 1..value_start + 1 + text.len());
        }
        start += pair.len() + 1;
    }
    None
}

fn is_cookie_octet(byte: u8) -> bool {
    byte.is_ascii_graphic() && !matches!(byte, b'"' | b',' | b';' | b'\\')
}
