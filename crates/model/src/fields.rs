//! Which request fields never travel through the broker: one list for whoever reads, judges or writes a head.

use std::borrow::Cow;

/// Framing and hop-by-hop fields (RFC 9110, section 7.6.1), which are made anew; and fields by which some origins take another
/// authority, path or sender for the call than the one that was checked (T26, T92).
fn is_for_one_hop(name: &str) -> bool {
    matches!(
        name,
        "connection"
            | "keep-alive"
            | "te"
            | "trailer"
            | "transfer-encoding"
            | "content-length"
            | "upgrade"
            | "http2-settings"
            | "expect"
            | "host"
            | "max-forwards"
            | "via"
            | "alt-used"
            | "early-data"
            | "forwarded"
            | "x-real-ip"
            | "x-client-ip"
            | "x-cluster-client-ip"
            | "x-rewrite-url"
            | "x-host"
            | "x-http-host-override"
            | "true-client-ip"
            | "cf-connecting-ip"
    )
}

/// Families of such fields.
const ENDS_HERE_PREFIXES: &[&str] = &["x-forwarded", "x-original-", "proxy-", "cloakroom-"];

/// Fields that mean another method than the one that was checked (T33).
const OVERRIDES_METHOD: &[&str] =
    &["x-http-method", "x-http-method-override", "x-method-override", "x-method"];

/// Whether a request field of this name, in lower case, is never forwarded.
pub fn ends_here(name: &str) -> bool {
    let name = &*as_gateways_read(name);
    is_for_one_hop(name) || ENDS_HERE_PREFIXES.iter().any(|prefix| name.starts_with(prefix))
}

/// Whether a request field of this name, in lower case, overrides the method. A call that has one is refused.
pub fn overrides_method(name: &str) -> bool {
    OVERRIDES_METHOD.contains(&&*as_gateways_read(name))
}

/// Whether gateways that turn fields into variables (CGI, WSGI, FastCGI) take the one field for the other: `x_tenant`
/// and `x-tenant` both become `HTTP_X_TENANT`.
pub fn same_variable(one: &str, other: &str) -> bool {
    as_gateways_read(one) == as_gateways_read(other)
}

fn as_gateways_read(name: &str) -> Cow<'_, str> {
    if name.contains('_') { Cow::Owned(name.replace('_', "-")) } else { Cow::Borrowed(name) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn t26_t33_an_underscore_does_not_hide_a_field() {
        for name in ["x_http_method_override", "x-http_method-override", "x-method"] {
            assert!(overrides_method(name), "{name}");
        }
        for name in ["x_forwarded_host", "x-original_url", "proxy_authorization", "content_length"] {
            assert!(ends_here(name), "{name}");
        }
        assert!(!ends_here("api_key") && !overrides_method("x_methods"));
        assert!(same_variable("x_tenant", "x-tenant") && !same_variable("x-tenant", "xtenant"));
    }
}
