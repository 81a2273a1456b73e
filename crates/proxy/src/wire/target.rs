//! The request target in its forms (RFC 9112, section 3.2), and authorities as they stand in a request.

use super::malformed;
use cloakroom_model::{Host, Refusal, Scheme};
use http::Method;

/// A host and, where it was written, a port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Named {
    /// The host in canonical form.
    pub(crate) host: Host,
    /// The port, where one was written.
    pub(crate) port: Option<u16>,
}

impl Named {
    /// Parses `host[:port]`.
    ///
    /// # Errors
    /// `malformed-call` for everything that [`Host::parse_with_port`] refuses.
    pub(crate) fn parse(text: &str) -> Result<Self, Refusal> {
        let (host, port) = Host::parse_with_port(text)
            .map_err(|_| malformed("the authority is not one host and port in canonical form"))?;
        Ok(Self { host, port })
    }

    /// Whether both name the same host and port, where `default` is what a missing port means.
    pub(crate) fn agrees_with(&self, other: &Self, default: u16) -> bool {
        self.host == other.host && self.port.unwrap_or(default) == other.port.unwrap_or(default)
    }
}

/// What a request asks for, not yet interpreted. Path and query are raw but free of `#`, spaces and non-ASCII.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Target {
    /// `/path?query`.
    Origin { path: String, query: Option<String> },
    /// `http://authority/path?query`.
    Absolute { scheme: Scheme, authority: Named, path: String, query: Option<String> },
    /// `host:port`, of CONNECT.
    Authority(Named),
}

impl Target {
    /// Parses a target for this method.
    ///
    /// # Errors
    /// `malformed-call` for bytes outside the grammar, fragments, `*`, user information and unknown schemes.
    pub(crate) fn parse(method: &Method, raw: &[u8], longest: usize) -> Result<Self, Refusal> {
        if raw.len() > longest {
            return Err(malformed("the request target is too long"));
        }
        if !raw.iter().all(|b| matches!(b, b'!'..=b'~')) {
            return Err(malformed("the request target has a byte that must be percent-encoded"));
        }
        if raw.contains(&b'#') {
            // SECURITY: some programs cut the fragment off, others send it on.
            return Err(malformed("the request target has a fragment"));
        }
        let text = std::str::from_utf8(raw).map_err(|_| malformed("the request target is not ASCII"))?;
        if method == Method::CONNECT {
            return Named::parse(text).map(Self::Authority);
        }
        if text.starts_with('/') {
            let (path, query) = split_query(text);
            return Ok(Self::Origin { path, query });
        }
        absolute(text)
    }
}

fn absolute(text: &str) -> Result<Target, Refusal> {
    let unknown = || malformed("the request target is neither a path nor an http URL");
    let (scheme, rest) = text.split_once("://").ok_or_else(unknown)?;
    let scheme = match scheme.to_ascii_lowercase().as_str() {
        "http" => Scheme::Http,
        "https" => Scheme::Https,
        _ => return Err(unknown()),
    };
    let end = rest.find(['/', '?']).unwrap_or(rest.len());
    let authority = Named::parse(&rest[..end])?;
    let (path, query) = split_query(&rest[end..]);
    let path = if path.is_empty() { "/".to_owned() } else { path };
    Ok(Target::Absolute { scheme, authority, path, query })
}

/// Splits at the first `?`.
fn split_query(text: &str) -> (String, Option<String>) {
    match text.split_once('?') {
        Some((path, query)) => (path.to_owned(), Some(query.to_owned())),
        None => (text.to_owned(), None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn get(raw: &[u8]) -> Option<Target> {
        Target::parse(&Method::GET, raw, 100).ok()
    }

    fn named(host: &str, port: Option<u16>) -> Named {
        Named { host: Host::Name(host.into()), port }
    }

    #[test]
    fn a_target_has_one_of_three_forms() {
        let path = |path: &str, query: Option<&str>| (path.to_owned(), query.map(str::to_owned));
        let (p, q) = path("/a/b", Some("c=d?e"));
        assert_eq!(get(b"/a/b?c=d?e"), Some(Target::Origin { path: p, query: q }));
        let (p, q) = path("/", Some("x"));
        let authority = named("api.example.com", Some(81));
        assert_eq!(
            get(b"HTTP://API.example.com:81?x"),
            Some(Target::Absolute { scheme: Scheme::Http, authority, path: p, query: q })
        );
        assert_eq!(
            Target::parse(&Method::CONNECT, b"api.example.com:443", 100).ok(),
            Some(Target::Authority(named("api.example.com", Some(443))))
        );
    }

    #[test]
    fn t22_t24_targets_with_two_readings_are_refused() {
        for raw in [
            &b"*"[..],
            b"",
            b"a",
            b"api.example.com:443",
            b"ftp://api.example.com/",
            b"http:/api.example.com/",
            b"http:///path",
            b"http://u@api.example.com/",
            b"http://api.allowed@evil.example/",
            b"http://evil.example#@api.allowed/",
            b"http://api.example.com:0443/",
            b"http://api.example.com:/",
            b"http://api.example.com\\@evil/",
            b"http://api%2eexample.com/",
            b"http://api.example.com./",
            b"/a#b",
            b"/caf\xc3\xa9",
            b"/a b",
            b"/a\tb",
            b"/a\0",
        ] {
            assert_eq!(get(raw), None, "{}", raw.escape_ascii());
        }
        for raw in [&b"/"[..], b"http://api.example.com:443/", b"u@h:1", b"h:1/", b"a,b:1", b"a:"] {
            assert!(Target::parse(&Method::CONNECT, raw, 100).is_err(), "{}", raw.escape_ascii());
        }
        assert_eq!(get(&[b'/'; 101]), None);
    }
}
