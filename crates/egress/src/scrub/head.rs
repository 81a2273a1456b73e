//! The head of a reply: what may go on, and with which values. The only gate for fields on their way to the workload.

use super::Fit;
use super::finder::Finder;
use http::header::{self, HeaderMap, HeaderName, HeaderValue};

/// A reply's header or trailer fields without secrets, and how many fields were changed.
pub(crate) fn scrub_fields(mut fields: HeaderMap, finder: &Finder) -> (HeaderMap, u64) {
    let mut dropped = connection_listed(&fields);
    let mut replaced = 0;
    for (name, value) in &mut fields {
        if ends_here(name.as_str()) {
            dropped.push(name.clone());
        } else if finder.is_in_name(name.as_str()) {
            // A needle in a name cannot be replaced: the field would mean something else.
            replaced += 1;
            dropped.push(name.clone());
        } else if let Some((clean, _)) = finder.replace_whole(value.as_bytes(), Fit::Free) {
            replaced += 1;
            match HeaderValue::from_bytes(&clean) {
                Ok(clean) => *value = clean,
                Err(_) => dropped.push(name.clone()),
            }
        }
    }
    for name in dropped {
        fields.remove(name);
    }
    (fields, replaced)
}

/// Fields that end here: hop-by-hop (RFC 9110, section 7.6.1), and fields with which an upstream could speak for us or
/// move the workload off this path (T27).
fn ends_here(name: &str) -> bool {
    matches!(
        name,
        "connection"
            | "keep-alive"
            | "te"
            | "trailer"
            | "transfer-encoding"
            | "upgrade"
            | "http2-settings"
            | "alt-svc"
            | "alt-used"
            | "authentication-info"
            // Digests of the body as the upstream sent it: wrong after decoding, and an oracle on the secret (T10).
            | "content-md5"
            | "digest"
            | "content-digest"
            | "repr-digest"
            | "unencoded-digest"
    ) || name.starts_with("proxy-")
        || name.starts_with("cloakroom-")
}

/// The fields that `Connection` says are for this connection only. The length is not: we declare it ourselves.
fn connection_listed(fields: &HeaderMap) -> Vec<HeaderName> {
    let values = fields.get_all(header::CONNECTION).into_iter().filter_map(|value| value.to_str().ok());
    let names = values.flat_map(|value| value.split(',')).filter_map(|name| name.trim().parse().ok());
    names.filter(|name| *name != header::CONTENT_LENGTH).collect()
}
