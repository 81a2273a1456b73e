//! Which fields of the workload go on: the last gate before the upstream.

use crate::scrub::Coding;
use cloakroom_model::{Call, ends_here, overrides_method};
use http::header::{self, HeaderMap, HeaderName, HeaderValue};

/// The fields that go on as they are, and those that are set from the canonical call.
pub(super) fn forwarded(call: &Call, range_allowed: bool) -> HeaderMap {
    let is_range = |name: &HeaderName| *name == header::RANGE || *name == header::IF_RANGE;
    let mut fields = HeaderMap::with_capacity(call.headers.len() + 2);
    // The authority that policy checked is the one that is sent (invariant 5).
    if let Ok(host) = HeaderValue::try_from(call.destination.authority()) {
        fields.insert(header::HOST, host);
    }
    for (name, value) in call.headers.iter().filter(|(name, _)| !says_what_messages_may_be(name)) {
        // A reply in parts would let the secret through in parts (T06).
        if !ends_here(name.as_str())
            && !overrides_method(name.as_str())
            && (range_allowed || !is_range(name))
            && name != header::ACCEPT_ENCODING
        {
            fields.append(name, value.clone());
        }
    }
    fields.insert(header::ACCEPT_ENCODING, HeaderValue::from_static(Coding::acceptable(&call.headers)));
    for name in MESSAGE_ENCODINGS.iter().filter(|name| call.headers.contains_key(*name)) {
        fields.insert(name, HeaderValue::from_static("identity"));
    }
    fields
}

/// SECURITY: messages that are compressed one by one cannot be searched (gRPC and Connect), so none is asked for.
const MESSAGE_ENCODINGS: [HeaderName; 2] =
    [HeaderName::from_static("grpc-accept-encoding"), HeaderName::from_static("connect-accept-encoding")];

fn says_what_messages_may_be(name: &HeaderName) -> bool {
    MESSAGE_ENCODINGS.contains(name)
}
