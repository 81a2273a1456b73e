//! `[journal.witness]`: who keeps the journal's checkpoints, as written and as meant.

use super::WitnessSetting;
use super::unit::Span;
use super::webhook::split;
use crate::failure::Failure;
use ipnet::IpNet;
use serde::Deserialize;
use std::path::PathBuf;
use std::time::Duration;

/// As written.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct Witness {
    every: Option<Span>,
    file: Option<PathBuf>,
    git: Option<PathBuf>,
    url: Option<String>,
    allow_address: Vec<IpNet>,
}

impl Witness {
    /// What is meant, where there is a witness.
    pub(super) fn setting(self) -> Result<WitnessSetting, Failure> {
        let section = "[journal.witness]";
        if self.file.is_none() && self.git.is_none() && self.url.is_none() {
            return Err(Failure::bad_input(format!("{section} names no witness"))
                .hinting("write file, git or url, or more than one"));
        }
        for path in [&self.file, &self.git].into_iter().flatten() {
            if !path.is_absolute() {
                return Err(Failure::bad_input(format!("{section} {} is a relative path", path.display()))
                    .hinting("write the whole path"));
            }
        }
        let url = self.url.as_deref().map(|url| split(url, section, "https://witness.example.com/prefix"));
        let url = url.transpose()?;
        Ok(WitnessSetting {
            every: self.every.map_or(Duration::from_mins(1), |span| span.0),
            file: self.file,
            git: self.git,
            url: url.map(|(to, prefix)| (to, format!("{}/add-checkpoint", prefix.trim_end_matches('/')))),
            allowed: self.allow_address,
        })
    }
}
