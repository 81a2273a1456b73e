//! Which fields of the workload go on: the last gate before the upstream.

use crate::scrub::Coding;
use cloakroom_model::{Destination, ends_here, overrides_method};
use http::header::{self, HeaderMap, HeaderName, HeaderValue};

/// The fields that go on as they are, and those that are set from the canonical call.
pub(super) fn forwarded(mut fields: HeaderMap, destination: &Destination, range_allowed: bool) -> HeaderMap {
    let accepted = HeaderValue::from_static(Coding::acceptable(&fields));
    // A reply in parts would let the secret through in parts (T06).
    let is_range = |name: &HeaderName| *name == header::RANGE || *name == header::IF_RANGE;
    let ends = |name: &&HeaderName| {
        ends_here(name.as_str()) || overrides_method(name.as_str()) || !range_allowed && is_range(name)
    };
    let dropped: Vec<HeaderName> = fields.keys().filter(ends).cloned().collect();
    dropped.iter().for_each(|name| drop(fields.remove(name)));
    // The authority that policy checked is the one that is sent (invariant 5).
    if let Ok(host) = HeaderValue::try_from(destination.authority()) {
        fields.insert(header::HOST, host);
    }
    fields.insert(header::ACCEPT_ENCODING, accepted);
    for name in MESSAGE_ENCODINGS {
        if fields.contains_key(&name) {
            fields.insert(name, HeaderValue::from_static("identity"));
        }
    }
    fields
}

/// SECURITY: messages that are compressed one by one cannot be searched (gRPC and Connect), so none is asked for.
const MESSAGE_ENCODINGS: [HeaderName; 2] =
    [HeaderName::from_static("grpc-accept-encoding"), HeaderName::from_static("connect-accept-encoding")];
