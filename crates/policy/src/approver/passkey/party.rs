//! Where a passkey is good: the console's origin, and the name it goes by with authenticators.

use std::fmt;

/// The relying party (SPEC: Web Authentication Level 3, section 5.1.2): the origin that the approver's browser shows, and
/// the domain that the authenticator knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RelyingParty {
    origin: String,
    id: String,
}

impl RelyingParty {
    /// From the origin as browsers write it, and the domain; none: the origin's own host.
    ///
    /// # Errors
    /// In words, where browsers would make no passkey there.
    pub fn new(origin: &str, id: Option<&str>) -> Result<Self, String> {
        let host = host_of(origin).ok_or_else(|| {
            format!("{origin:?} is no origin for passkeys: https://HOST[:PORT] in small letters, or http://localhost[:PORT]")
        })?;
        let id = id.unwrap_or(host);
        let above = id.contains('.')
            && is_domain(id)
            && host.strip_suffix(id).is_some_and(|rest| rest.ends_with('.'));
        if id != host && !above {
            return Err(format!("{id:?} is neither the host of {origin} nor a domain above it"));
        }
        Ok(Self { origin: origin.to_owned(), id: id.to_owned() })
    }

    /// `https://console.example.com`, as browsers write it.
    pub fn origin(&self) -> &str {
        &self.origin
    }

    /// The domain.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Host and port as they stand in the header field `Host`.
    pub fn authority(&self) -> &str {
        self.origin.split_once("://").map_or("", |(_, authority)| authority)
    }
}

impl fmt::Display for RelyingParty {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.origin)
    }
}

/// The host of an origin in the one spelling that browsers give it.
fn host_of(origin: &str) -> Option<&str> {
    let (scheme, authority) = origin.split_once("://")?;
    let (host, port) = match authority.split_once(':') {
        Some((host, port)) => (host, Some(port)),
        None => (authority, None),
    };
    let usual = match scheme {
        "https" => "443",
        // The only name that browsers trust without TLS.
        "http" if host == "localhost" => "80",
        _ => return None,
    };
    let spelled = |port: &str| {
        port.parse::<u16>().is_ok_and(|number| number.to_string() == port && number != 0) && port != usual
    };
    (is_domain(host) && port.is_none_or(spelled)).then_some(host)
}

/// A domain, not an address: authenticators know no addresses.
fn is_domain(host: &str) -> bool {
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
    };
    let last = host.rsplit('.').next().unwrap_or_default();
    host.len() <= 253 && host.split('.').all(label) && !last.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_is_written_as_browsers_write_it() {
        for (origin, id, is) in [
            ("https://a.example.org", None, "a.example.org"),
            ("https://a.example.org:8443", Some("example.org"), "example.org"),
            ("http://localhost:8481", None, "localhost"),
            ("https://broker", None, "broker"),
        ] {
            assert_eq!(RelyingParty::new(origin, id).unwrap().id(), is);
        }
    }

    #[test]
    fn where_browsers_make_no_passkey_is_refused() {
        for (origin, id) in [
            ("http://a.example.org", None),
            ("https://A.example.org", None),
            ("https://a.example.org/", None),
            ("https://a.example.org:443", None),
            ("https://a.example.org:08443", None),
            ("https://a.example.org:0", None),
            ("https://user@a.example.org", None),
            ("https://127.0.0.1:8481", None),
            ("http://127.0.0.1:8481", None),
            ("https://[::1]", None),
            ("https://", None),
            ("a.example.org", None),
            ("https://a.example.org", Some("b.example.org")),
            ("https://a.example.org", Some("org")),
            ("https://a.example.org", Some("xample.org")),
            ("https://a.example.org", Some("")),
            ("https://a.example.org", Some(".example.org")),
        ] {
            assert!(RelyingParty::new(origin, id).is_err(), "{origin} {id:?}");
        }
    }
}
