//! `[issuer]`: the broker as issuer of OpenID Connect tokens, as written and as meant.

use super::IssuerSetting;
use super::unit::Span;
use crate::failure::Failure;
use serde::Deserialize;
use std::net::SocketAddr;
use std::time::Duration;

/// What AWS and Google take is longer; an exchange is made at once.
const LIFETIME: Duration = Duration::from_secs(300);
const LONGEST: Duration = Duration::from_secs(3600);

/// As written.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct Issuer {
    url: String,
    audiences: Vec<String>,
    listen: Option<SocketAddr>,
    lifetime: Option<Span>,
}

impl Issuer {
    /// What is meant, where relying parties can compare the URL.
    pub(super) fn setting(self) -> Result<IssuerSetting, Failure> {
        let wrong = |why: &str| {
            Failure::bad_input(format!("[issuer] {why}"))
                .hinting("write url = \"https://id.example.com\" and audiences = [\"sts.amazonaws.com\"]")
        };
        let (_, target) = super::webhook::split(&self.url, "[issuer]", "https://id.example.com")?;
        // OpenID Connect Discovery 1.0, section 3: no query, no fragment. Relying parties compare it byte by byte.
        let word = |text: &str| text.bytes().all(|byte| byte.is_ascii_graphic() && !b"?#{}*".contains(&byte));
        if self.url.ends_with('/') || !word(&target) {
            return Err(wrong("url: it has a slash at its end, or a query"));
        }
        if self.audiences.is_empty() || !self.audiences.iter().all(|one| !one.is_empty() && word(one)) {
            return Err(wrong("audiences: none is named, or one has other than printable characters"));
        }
        let lifetime = self.lifetime.map_or(LIFETIME, |span| span.0);
        if lifetime > LONGEST || lifetime < Duration::from_secs(1) {
            return Err(wrong("lifetime: a token counts for a second to an hour"));
        }
        Ok(IssuerSetting { url: self.url, audiences: self.audiences, lifetime, listen: self.listen })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_issuer_has_a_url_without_a_slash_at_its_end_and_names_whom_it_speaks_to() {
        let of = |url: &str, audiences: &[&str]| {
            let audiences = audiences.iter().map(|&one| one.to_owned()).collect();
            Issuer { url: url.into(), audiences, listen: None, lifetime: None }.setting().is_ok()
        };
        let aws = &["sts.amazonaws.com"][..];
        for good in ["https://id.example.com", "https://example.com:8443/broker/1", "http://127.0.0.1:8482"] {
            assert!(of(good, aws), "{good}");
        }
        for bad in [
            "id.example.com",
            "http://id.example.com",
            "https://id.example.com/",
            "https://id.example.com/a/",
            "https://id.example.com/a?b",
            "https://id.example.com/#",
            "https://id.example.com/{a}",
            "https://u@id.example.com",
        ] {
            assert!(!of(bad, aws), "{bad}");
        }
        assert!(!of("https://id.example.com", &[]) && !of("https://id.example.com", &["a b"]));
    }
}
