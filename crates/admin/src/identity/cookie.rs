//! The cookie that a session is known by (RFC 6265bis).
//!
//! Over TLS its name begins with `__Host-`: a browser takes such a one only from this host, for this host, over TLS. Browsers do not tell
//! ports of one host apart, so on loopback the port is part of the name.

use cloakroom_policy::RelyingParty;
use http::{HeaderMap, HeaderValue, header};

/// How one cookie of this console is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Jar {
    name: String,
    attributes: &'static str,
}

impl Jar {
    /// Of the session.
    pub(crate) fn of(party: &RelyingParty) -> Self {
        let attributes = ["Path=/; Secure; HttpOnly; SameSite=Strict", "Path=/; HttpOnly; SameSite=Strict"];
        Self::named("cloakroom", party, attributes)
    }

    /// Of a single sign-on that waits for its answer: a provider leads the browser back, so that it has to be lax.
    pub(crate) fn of_sign_on(party: &RelyingParty) -> Self {
        let attributes = [
            "Path=/; Secure; HttpOnly; SameSite=Lax; Max-Age=600",
            "Path=/; HttpOnly; SameSite=Lax; Max-Age=600",
        ];
        Self::named("cloakroom-sign-on", party, attributes)
    }

    /// With the attributes for TLS, or those for loopback.
    fn named(name: &str, party: &RelyingParty, [tls, plain]: [&'static str; 2]) -> Self {
        if party.origin().starts_with("https://") {
            return Self { name: format!("__Host-{name}"), attributes: tls };
        }
        let port = party.authority().rsplit_once(':').map_or("80", |(_, port)| port);
        Self { name: format!("{name}-{port}"), attributes: plain }
    }

    /// What the browser holds. SECURITY: two of one name are one too many: somebody else may have planted the other.
    pub(crate) fn read<'h>(&self, headers: &'h HeaderMap) -> Option<&'h str> {
        let fields = headers.get_all(header::COOKIE).iter().filter_map(|field| field.to_str().ok());
        let pairs = fields.flat_map(|field| field.split(';')).filter_map(|pair| pair.trim().split_once('='));
        let mut found = pairs.filter(|(name, _)| *name == self.name).map(|(_, value)| value);
        match (found.next(), found.next()) {
            (Some(value), None) if !value.is_empty() => Some(value),
            _ => None,
        }
    }

    /// Has the browser keep it until the browser ends; when it ends by itself the broker knows.
    pub(crate) fn keep(&self, value: &str) -> Option<HeaderValue> {
        let mut field = HeaderValue::from_str(&format!("{}={value}; {}", self.name, self.attributes)).ok()?;
        field.set_sensitive(true);
        Some(field)
    }

    /// Has the browser forget it.
    pub(crate) fn forget(&self) -> Option<HeaderValue> {
        // The last of two counts.
        HeaderValue::from_str(&format!("{}=; {}; Max-Age=0", self.name, self.attributes)).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn t82_a_session_cookie_is_its_hosts_alone_and_one() {
        let tls = Jar::of(&RelyingParty::new("https://console.example.org", None).unwrap());
        let written = tls.keep("x").unwrap();
        assert_eq!(written, "__Host-cloakroom=x; Path=/; Secure; HttpOnly; SameSite=Strict");
        assert!(written.is_sensitive());
        let plain = Jar::of(&RelyingParty::new("http://localhost:8481", None).unwrap());
        assert_eq!(plain.keep("x").unwrap(), "cloakroom-8481=x; Path=/; HttpOnly; SameSite=Strict");
        assert!(plain.forget().unwrap().to_str().unwrap().ends_with("Max-Age=0"));
        let waiting = Jar::of_sign_on(&RelyingParty::new("https://console.example.org", None).unwrap());
        assert_eq!(
            waiting.keep("x").unwrap(),
            "__Host-cloakroom-sign-on=x; Path=/; Secure; HttpOnly; SameSite=Lax; Max-Age=600"
        );
        for (sent, read) in [
            (vec!["cloakroom-8481=a"], Some("a")),
            (vec!["other=b; cloakroom-8481=a; more=c"], Some("a")),
            (vec!["cloakroom-8481=a; cloakroom-8481=b"], None),
            (vec!["cloakroom-8481=a", "cloakroom-8481=a"], None),
            (vec!["cloakroom-8482=a"], None),
            (vec!["Cloakroom-8481=a"], None),
            (vec!["cloakroom-8481="], None),
            (vec![], None),
        ] {
            let mut headers = HeaderMap::new();
            for field in &sent {
                headers.append(header::COOKIE, HeaderValue::from_str(field).unwrap());
            }
            assert_eq!(plain.read(&headers), read, "{sent:?}");
        }
    }
}
