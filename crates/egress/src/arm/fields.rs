//! Which fields of the workload go on: the last gate before the upstream.

use crate::scrub::Coding;
use cloakroom_model::Call;
use http::header::{self, HeaderMap, HeaderName, HeaderValue};

/// Fields that end here, beside the prefixes in [`ends_here`]: framing and hop-by-hop fields, which are made anew, and
/// fields that would change what the upstream takes for the authority, path or method of the call (T26, T33).
const DROPPED: &[&str] = &[
    "connection",
    "keep-alive",
    "te",
    "trailer",
    "transfer-encoding",
    "content-length",
    "upgrade",
    "http2-settings",
    "expect",
    "host",
    "forwarded",
    "via",
    "alt-used",
    "early-data",
    "max-forwards",
    "x-host",
    "x-real-ip",
    "x-client-ip",
    "x-cluster-client-ip",
    "true-client-ip",
    "cf-connecting-ip",
    "x-rewrite-url",
    "x-http-host-override",
    "x-http-method",
    "x-http-method-override",
    "x-method-override",
];

/// Whether a field of the workload is not forwarded.
pub(super) fn ends_here(name: &HeaderName) -> bool {
    let name = name.as_str();
    let prefixes = ["x-forwarded", "x-original-", "proxy-", "cloakroom-"];
    DROPPED.contains(&name) || prefixes.iter().any(|prefix| name.starts_with(prefix))
}

/// The fields that go on as they are, and those that are set from the canonical call.
pub(super) fn forwarded(call: &Call, range_allowed: bool) -> HeaderMap {
    let is_range = |name: &HeaderName| *name == header::RANGE || *name == header::IF_RANGE;
    let mut fields = HeaderMap::with_capacity(call.headers.len() + 2);
    // The authority that policy checked is the one that is sent (invariant 5).
    if let Ok(host) = HeaderValue::try_from(call.destination.authority()) {
        fields.insert(header::HOST, host);
    }
    for (name, value) in &call.headers {
        // A reply in parts would let the secret through in parts (T06).
        if !ends_here(name) && (range_allowed || !is_range(name)) && name != header::ACCEPT_ENCODING {
            fields.append(name, value.clone());
        }
    }
    fields.insert(header::ACCEPT_ENCODING, HeaderValue::from_static(Coding::acceptable(&call.headers)));
    fields
}
