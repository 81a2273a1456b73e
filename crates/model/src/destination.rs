//! Where a call goes: scheme, host, port, in one canonical form.
//!
//! The same value is checked by policy, sent as `Host`, offered as SNI and dialled (invariant 5), so there is
//! one parser and it refuses whatever two programs could read differently.

use serde::{Deserialize, Serialize, Serializer};
use std::cmp::Ordering;
use std::fmt::{self, Write};
use std::hash::{Hash, Hasher};
use std::net::{Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

/// `http` or `https`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Scheme {
    /// Plain HTTP. Only where a permit names it.
    Http,
    /// HTTP over TLS.
    Https,
}

impl Scheme {
    /// 80 or 443.
    pub const fn default_port(self) -> u16 {
        match self {
            Self::Http => 80,
            Self::Https => 443,
        }
    }

    /// `http` or `https`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
        }
    }
}

/// A host in canonical form: a lower-case DNS name in A-label form without trailing dot, or an address.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Host {
    /// A DNS name.
    Name(Arc<str>),
    /// A dotted quad.
    V4(Ipv4Addr),
    /// An IPv6 address, displayed in brackets.
    V6(Ipv6Addr),
}

/// Why a text is not a destination. The remedy is in the message.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DestinationError {
    /// Neither `http://` nor `https://`.
    #[error("a destination begins with https:// (or http://)")]
    Scheme,
    /// A path, query, fragment or user name follows the authority.
    #[error("a destination is scheme, host and port only: no user, path, query or fragment")]
    Extra,
    /// A wildcard.
    #[error("a destination names one host: wildcards are not supported")]
    Wildcard,
    /// The host is empty, too long, or has a byte outside the host grammar.
    #[error("not a host name: letters, digits, '-' and '_' in labels of 1 to 63, no trailing dot")]
    Host,
    /// A number that some programs read as an IPv4 address and others as a name.
    #[error("an IPv4 address is written as four decimal numbers without leading zeros")]
    NumericHost,
    /// Not a port.
    #[error("a port is a number from 1 to 65535 without leading zeros")]
    Port,
}

impl Host {
    /// Parses a host as it stands in a request: ASCII only, exactly one spelling per address.
    ///
    /// # Errors
    /// [`DestinationError`] for everything outside the canonical grammar, upper case excepted.
    pub fn parse(text: &str) -> Result<Self, DestinationError> {
        if let Some(inner) = text.strip_prefix('[') {
            let inner = inner.strip_suffix(']').ok_or(DestinationError::Host)?;
            return inner.parse().map(Self::V6).map_err(|_| DestinationError::Host);
        }
        if text.contains('*') {
            return Err(DestinationError::Wildcard);
        }
        if text.is_empty() || text.len() > 253 || !text.split('.').all(label_is_valid) {
            return Err(DestinationError::Host);
        }
        let last = text.rsplit('.').next().unwrap_or(text);
        // SECURITY: WHATWG URL parsers read `2130706433`, `0x7f.1` and `127.1` as addresses; others do not.
        if last.bytes().all(|b| b.is_ascii_digit()) || last.starts_with("0x") || last.starts_with("0X") {
            return text.parse().map(Self::V4).map_err(|_| DestinationError::NumericHost);
        }
        let lower = text.to_ascii_lowercase();
        if lower.split('.').any(|label| label.starts_with("xn--")) && !a_labels_are_canonical(&lower) {
            return Err(DestinationError::Host);
        }
        Ok(Self::Name(lower.into()))
    }

    /// Parses `host[:port]` as it stands in a request.
    ///
    /// # Errors
    /// As [`Destination::parse_authority`].
    pub fn parse_with_port(text: &str) -> Result<(Self, Option<u16>), DestinationError> {
        if text.bytes().any(|byte| matches!(byte, b'/' | b'?' | b'#' | b'@' | b'\\')) {
            return Err(DestinationError::Extra);
        }
        let (host, port) = split_port(text)?;
        Ok((Self::parse(host)?, port))
    }

    /// Parses a host as a person writes it: Unicode names become A-labels (UTS 46, strict).
    ///
    /// # Errors
    /// As [`Host::parse`], and for names that UTS 46 does not accept.
    pub fn parse_written(text: &str) -> Result<Self, DestinationError> {
        if text.is_ascii() {
            return Self::parse(text);
        }
        let ascii = idna::domain_to_ascii_strict(text).map_err(|_| DestinationError::Host)?;
        Self::parse(&ascii)
    }
}

fn label_is_valid(label: &str) -> bool {
    let inside = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_');
    (1..=63).contains(&label.len())
        && label.bytes().all(inside)
        && !label.starts_with('-')
        && !label.ends_with('-')
}

fn a_labels_are_canonical(host: &str) -> bool {
    let (unicode, valid) = idna::domain_to_unicode(host);
    // An A-label that decodes to plain ASCII, or does not come back to itself, has two readings.
    valid.is_ok() && idna::domain_to_ascii_strict(&unicode).is_ok_and(|ascii| ascii == host)
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => f.write_str(name),
            Self::V4(address) => address.fmt(f),
            Self::V6(address) => write!(f, "[{address}]"),
        }
    }
}

/// Scheme, host and port. Displays without the port where it is the scheme's default.
#[derive(Clone, Debug, Deserialize)]
#[serde(try_from = "String")]
pub struct Destination {
    scheme: Scheme,
    host: Host,
    port: u16,
    /// As it displays: a destination is written down far more often than it is made.
    text: Arc<str>,
}

impl Destination {
    /// From its parts.
    pub fn new(scheme: Scheme, host: Host, port: u16) -> Self {
        let text = written(scheme, &host, port);
        Self { scheme, host, port, text }
    }

    /// Parses `https://host[:port]`, as an operator writes it in a policy or after `--to`. One trailing slash is
    /// tolerated.
    ///
    /// # Errors
    /// [`DestinationError`] naming the first thing that is wrong.
    pub fn parse(text: &str) -> Result<Self, DestinationError> {
        let (scheme, rest) = match text.split_once("://") {
            Some(("https", rest)) => (Scheme::Https, rest),
            Some(("http", rest)) => (Scheme::Http, rest),
            _ => return Err(DestinationError::Scheme),
        };
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        if rest.contains(['/', '?', '#', '@', '\\']) {
            return Err(DestinationError::Extra);
        }
        let (host, port) = split_port(rest)?;
        Ok(Self::new(scheme, Host::parse_written(host)?, port.unwrap_or(scheme.default_port())))
    }

    /// Parses an authority as it stands in a request (`Host`, `:authority`, CONNECT target): `host[:port]`.
    /// `default_port` is what a missing port means.
    ///
    /// # Errors
    /// [`DestinationError`] for user information, wildcards, several spellings of one address, bad ports.
    pub fn parse_authority(scheme: Scheme, text: &str, default_port: u16) -> Result<Self, DestinationError> {
        let (host, port) = Host::parse_with_port(text)?;
        Ok(Self::new(scheme, host, port.unwrap_or(default_port)))
    }

    /// The scheme.
    pub fn scheme(&self) -> Scheme {
        self.scheme
    }

    /// The host.
    pub fn host(&self) -> &Host {
        &self.host
    }

    /// The port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The same host and port under another scheme.
    pub fn with_scheme(&self, scheme: Scheme) -> Self {
        Self::new(scheme, self.host.clone(), self.port)
    }

    /// What is sent as `Host` or `:authority`: the port only where it is not the scheme's default.
    pub fn authority(&self) -> &str {
        &self.text[self.scheme.as_str().len() + SEPARATOR.len()..]
    }
}

const SEPARATOR: &str = "://";

fn written(scheme: Scheme, host: &Host, port: u16) -> Arc<str> {
    let mut text = String::with_capacity(64);
    text.push_str(scheme.as_str());
    text.push_str(SEPARATOR);
    // Writing into memory does not fail.
    let _ = write!(text, "{host}");
    if port != scheme.default_port() {
        let _ = write!(text, ":{port}");
    }
    text.into()
}

/// Two destinations are the same where they are written the same: there is one spelling of each.
impl PartialEq for Destination {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.text, &other.text) || self.text == other.text
    }
}

impl Eq for Destination {}

impl Hash for Destination {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.text.hash(state);
    }
}

impl PartialOrd for Destination {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Destination {
    fn cmp(&self, other: &Self) -> Ordering {
        let parts = (self.scheme, &self.host, self.port);
        parts.cmp(&(other.scheme, &other.host, other.port))
    }
}

fn split_port(text: &str) -> Result<(&str, Option<u16>), DestinationError> {
    let after_bracket = text.rfind(']').map_or(0, |i| i + 1);
    let Some(colon) = text[after_bracket..].find(':').map(|i| i + after_bracket) else {
        return Ok((text, None));
    };
    let digits = &text[colon + 1..];
    let canonical =
        !digits.starts_with('0') && !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
    let port = if canonical { digits.parse().ok() } else { None };
    Ok((&text[..colon], Some(port.ok_or(DestinationError::Port)?)))
}

impl fmt::Display for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Serialize for Destination {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.text)
    }
}

impl TryFrom<String> for Destination {
    type Error = DestinationError;
    fn try_from(text: String) -> Result<Self, DestinationError> {
        Self::parse(&text)
    }
}

impl From<Destination> for String {
    fn from(destination: Destination) -> String {
        destination.to_string()
    }
}

impl std::str::FromStr for Destination {
    type Err = DestinationError;
    fn from_str(text: &str) -> Result<Self, DestinationError> {
        Self::parse(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_spelling_per_destination() {
        for (written, canonical) in [
            ("https://api.example.com", "https://api.example.com"),
            ("https://API.Example.COM:443/", "https://api.example.com"),
            ("https://api.example.com:8443", "https://api.example.com:8443"),
            ("http://127.0.0.1:80", "http://127.0.0.1"),
            ("https://[2001:DB8::1]:444", "https://[2001:db8::1]:444"),
            ("https://bücher.example", "https://xn--bcher-kva.example"),
        ] {
            assert_eq!(
                Destination::parse(written).map(|d| d.to_string()).as_deref(),
                Ok(canonical),
                "{written}"
            );
        }
    }

    #[test]
    fn t22_t24_ambiguous_authorities_are_refused() {
        for text in [
            "api.allowed@evil.example",
            "evil.example#@api.allowed",
            "api.allowed\\@evil",
            "api%2eallowed",
            "api.allowed:0443",
            "api.allowed:65979",
            "api.allowed:",
            "api.allowed:+443",
            "api..allowed",
            ".api",
            "api.",
            "-a.example",
            "a b",
            "*.example.com",
            "ａpi.example",
            "\u{212a}elvin.example",
            "a\u{ad}b.example",
            "2130706433",
            "0x7f.1",
            "127.1",
            "127.0.0.01",
            "127.0.0.0x1",
            "[::1",
            "::1",
            "[fe80::1%25eth0]",
            "",
            "a,b",
            "a\0b",
            "a\r\nb",
            "xn--a.example",
            "xn--abc-.example",
        ] {
            assert!(Destination::parse_authority(Scheme::Https, text, 443).is_err(), "{text:?}");
        }
    }
}
