//! `[events.webhook]`: where security events go, as written and as meant.

use super::WebhookSetting;
use crate::failure::Failure;
use cloakroom_model::{Destination, Host, Scheme, Severity};
use ipnet::IpNet;
use serde::Deserialize;
use std::path::PathBuf;

/// As written.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct Webhook {
    url: String,
    secret_file: PathBuf,
    #[serde(default = "warning")]
    min_severity: Severity,
    #[serde(default)]
    allow_address: Vec<IpNet>,
}

fn warning() -> Severity {
    Severity::Warning
}

impl Webhook {
    /// What is meant, where the URL is one that events may go to.
    pub(super) fn setting(self) -> Result<WebhookSetting, Failure> {
        let (to, target) = split(&self.url, "[events.webhook]", "https://hooks.example.com/cloakroom")?;
        Ok(WebhookSetting {
            to,
            target,
            secret_file: self.secret_file,
            min_severity: self.min_severity,
            allowed: self.allow_address,
        })
    }
}

/// Destination and target of a URL that the broker itself may send something to. Errors name the section, and show an example.
pub(super) fn split(url: &str, section: &str, example: &str) -> Result<(Destination, String), Failure> {
    let wrong = |why: &str| {
        Failure::bad_input(format!("{section} url: {why}")).hinting(format!("write url = \"{example}\""))
    };
    let after_scheme = url.find("://").map(|at| at + 3).ok_or_else(|| wrong("it has no scheme"))?;
    let end = url[after_scheme..].find(['/', '?', '#']).map_or(url.len(), |at| after_scheme + at);
    let (origin, target) = url.split_at(end);
    let to = Destination::parse(origin).map_err(|error| wrong(&error.to_string()))?;
    let on_this_machine = match to.host() {
        Host::V4(address) => address.is_loopback(),
        Host::V6(address) => address.is_loopback(),
        Host::Name(_) => false,
    };
    if to.scheme() == Scheme::Http && !on_this_machine {
        return Err(wrong("plain http only goes to an address of this machine"));
    }
    let target = if target.is_empty() { "/" } else { target };
    let readable = target.bytes().all(|b| b.is_ascii_graphic() && b != b'#');
    if !target.starts_with('/') || !readable || target.parse::<http::uri::PathAndQuery>().is_err() {
        return Err(wrong("its path cannot be sent as it is"));
    }
    Ok((to, target.to_owned()))
}
