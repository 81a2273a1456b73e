//! Which request fields never travel through the broker: one list for whoever reads, judges or writes a head.

/// Framing and hop-by-hop fields (RFC 9110, section 7.6.1), which are made anew; and fields by which some origins take another
/// authority, path or sender for the call than the one that was checked (T26, T92).
const ENDS_HERE: &[&str] = &[
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
    "max-forwards",
    "via",
    "alt-used",
    "early-data",
    "forwarded",
    "x-real-ip",
    "x-client-ip",
    "x-cluster-client-ip",
    "x-rewrite-url",
    "x-host",
    "x-http-host-override",
    "true-client-ip",
    "cf-connecting-ip",
];

/// Families of such fields.
const ENDS_HERE_PREFIXES: &[&str] = &["x-forwarded", "x-original-", "proxy-", "cloakroom-"];

/// Fields that mean another method than the one that was checked (T33).
const OVERRIDES_METHOD: &[&str] = &["x-http-method", "x-http-method-override", "x-method-override"];

/// Whether a request field of this name, in lower case, is never forwarded.
pub fn ends_here(name: &str) -> bool {
    ENDS_HERE.contains(&name) || ENDS_HERE_PREFIXES.iter().any(|prefix| name.starts_with(prefix))
}

/// Whether a request field of this name, in lower case, overrides the method. A call that has one is refused.
pub fn overrides_method(name: &str) -> bool {
    OVERRIDES_METHOD.contains(&name)
}
