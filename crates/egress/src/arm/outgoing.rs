//! The call as it goes out: canonical head and body with every secret in its place.

use super::edit::{Edit, Splice, splice};
use super::fields::forwarded;
use super::header::{only_value, sensitive};
use super::{Placing, misplaced, unwritable};
use crate::stage::OutBody;
use bytes::Bytes;
use cloakroom_model::{Call, Payload, Refusal, ends_here, overrides_method};
use http::{HeaderMap, Uri, header, request};
use zeroize::Zeroizing;

/// Head and body for the upstream. The target is in origin form, and `Host` holds the authority; whoever speaks HTTP/2 makes
/// `:scheme` and `:authority` of the destination instead.
pub(crate) struct Outgoing {
    /// Method, target and fields. No framing fields: the body knows its length.
    pub(crate) head: request::Parts,
    /// The body.
    pub(crate) body: OutBody,
}

/// Writes the call with every secret in its place.
///
/// # Errors
/// `place-not-permitted` where a secret cannot be written safely at its place.
pub(crate) fn write(call: Call, placings: &[Placing], range_allowed: bool) -> Result<Outgoing, Refusal> {
    let edits = placings.iter().map(|placing| placing.edit(&call)).collect::<Result<Vec<_>, _>>()?;
    let uri = target(&call, &edits)?;
    let (mut written, mut cookies, mut splices) = (Vec::new(), Vec::new(), Vec::new());
    for edit in edits {
        match edit {
            Edit::Header(name, value) => written.push((name, value)),
            Edit::Cookie(splice) => cookies.push(splice),
            Edit::Body(splice) => splices.push(splice),
            Edit::Query(..) | Edit::Path(..) => {}
        }
    }
    if !cookies.is_empty() {
        let value = splice(only_value(&call, &header::COOKIE)?, cookies)?;
        written.push((header::COOKIE, sensitive(value)?));
    }
    let mut fields = forwarded(call.headers, &call.destination, range_allowed);
    for (name, value) in written {
        set(&mut fields, name, value)?;
    }
    let (mut head, ()) = http::Request::new(()).into_parts();
    head.method = call.method;
    head.uri = uri;
    head.headers = fields;
    Ok(Outgoing { head, body: body(call.body, splices)? })
}

fn set(fields: &mut HeaderMap, name: http::HeaderName, value: http::HeaderValue) -> Result<(), Refusal> {
    // A field that is not forwarded cannot carry a credential.
    if ends_here(name.as_str()) || overrides_method(name.as_str()) || name == header::ACCEPT_ENCODING {
        return Err(unwritable());
    }
    // Two secrets in one field would each overwrite the other.
    match fields.insert(name, value) {
        Some(before) if before.is_sensitive() => Err(misplaced()),
        _ => Ok(()),
    }
}

fn target(call: &Call, edits: &[Edit]) -> Result<Uri, Refusal> {
    let path = Zeroizing::new(call.path.encoded_with(|index| {
        edits.iter().find_map(|edit| match edit {
            Edit::Path(at, text) if *at == index => Some(text.to_string()),
            _ => None,
        })
    }));
    let query = Zeroizing::new(call.query.encoded_with(|index| {
        edits.iter().find_map(|edit| match edit {
            Edit::Query(at, text) if *at == index => Some(text.to_string()),
            _ => None,
        })
    }));
    let mark: &[u8] = if query.is_empty() { b"" } else { b"?" };
    let target = Zeroizing::new([path.as_bytes(), mark, query.as_bytes()].concat());
    Uri::from_maybe_shared(Bytes::from_owner(target)).map_err(|_| unwritable())
}

pub(super) fn body(payload: Payload, splices: Vec<Splice>) -> Result<OutBody, Refusal> {
    let Payload { head, rest, length, trailers: _ } = payload;
    let before = head.len() as u64;
    let head = if splices.is_empty() { head } else { Bytes::from_owner(splice(&head, splices)?) };
    Ok(match rest {
        None => OutBody::whole(head),
        Some(rest) => {
            let length = length.map(|length| length.saturating_sub(before) + head.len() as u64);
            OutBody::streaming(head, rest, length)
        }
    })
}
