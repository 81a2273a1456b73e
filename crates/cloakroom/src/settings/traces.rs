//! `[traces]`: where the spans of calls go, as written and as meant.

use super::TracesSetting;
use super::webhook::split;
use crate::failure::Failure;
use ipnet::IpNet;
use serde::Deserialize;

/// As written.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct Traces {
    url: String,
    #[serde(default = "all")]
    share: f64,
    #[serde(default)]
    allow_address: Vec<IpNet>,
}

const fn all() -> f64 {
    1.0
}

impl Traces {
    /// What is meant, where the URL is one that spans may go to.
    pub(super) fn setting(self) -> Result<TracesSetting, Failure> {
        let (to, target) = split(&self.url, "[traces]", "http://127.0.0.1:4318/v1/traces")?;
        if !(0.0..=1.0).contains(&self.share) {
            return Err(Failure::bad_input("[traces] share is no share")
                .hinting("write a number from 0.0 (none) to 1.0 (all)"));
        }
        Ok(TracesSetting { to, target, share: self.share, allowed: self.allow_address })
    }
}
