//! The head of a reply: what may go on, and with which values.

use super::finder::Finder;
use http::header::{self, HeaderMap, HeaderName, HeaderValue};

/// Fields that end here: hop-by-hop (RFC 9110, section 7.6.1), and fields with which an upstream could speak for us or
/// move the workload off this path (T27).
const DROPPED: &[&str] = &[
    "connection",
    "keep-alive",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "http2-settings",
    "alt-svc",
    "alt-used",
    "authentication-info",
    // Digests of the body as the upstream sent it: wrong after decoding, and an oracle on the secret (T10).
    "content-md5",
    "digest",
    "content-digest",
    "repr-digest",
    "unencoded-digest",
];

/// A reply's header or trailer fields without secrets, and how many values were changed.
pub(crate) fn scrub_fields(fields: &HeaderMap, finder: &Finder) -> (HeaderMap, u64) {
    let listed = connection_listed(fields);
    let mut clean = HeaderMap::with_capacity(fields.len());
    let mut replaced = 0;
    for (name, value) in fields {
        if is_dropped(name) || listed.contains(name) {
            continue;
        }
        // A needle in a name cannot be replaced: the field would mean something else.
        if finder.is_in_name(name.as_str()) {
            replaced += 1;
            continue;
        }
        match finder.replace_whole(value.as_bytes()) {
            None => {
                clean.append(name, value.clone());
            }
            Some(scrubbed) => {
                replaced += 1;
                if let Ok(value) = HeaderValue::from_bytes(&scrubbed) {
                    clean.append(name, value);
                }
            }
        }
    }
    (clean, replaced)
}

fn is_dropped(name: &HeaderName) -> bool {
    let name = name.as_str();
    DROPPED.contains(&name) || name.starts_with("proxy-") || name.starts_with("cloakroom-")
}

/// The fields that `Connection` says are for this connection only.
fn connection_listed(fields: &HeaderMap) -> Vec<HeaderName> {
    let values = fields.get_all(header::CONNECTION).into_iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).filter_map(|name| name.trim().parse().ok()).collect()
}
