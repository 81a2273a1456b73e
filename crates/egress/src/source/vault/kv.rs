//! A field of a secret in the key-value store, version 2.
//!
//! SPEC: <https://openbao.org/api-docs/secret/kv/kv-v2/#read-secret-version>

use super::super::value;
use super::session::Session;
use super::{Access, Asker, document, encoded, is_path};
use crate::mint::Failure;
use crate::secret::Secret;
use crate::source::Desk;
use http::Method;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Where the secret is.
#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(in crate::source) struct VaultKv {
    pub(in crate::source) access: Access,
    mount: String,
    path: String,
    field: String,
    /// This version and no other; else the newest there is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    version: Option<u64>,
}

impl VaultKv {
    pub(in crate::source) fn check(&self) -> Result<(), &'static str> {
        self.access.check()?;
        if !is_path(&self.mount) || !is_path(&self.path) {
            return Err("the mount and the path of a secret are names with slashes between them");
        }
        if self.field.is_empty() || self.field.len() > 255 {
            return Err("the field of a secret is a name");
        }
        if self.version == Some(0) {
            return Err("versions of a secret are counted from 1");
        }
        Ok(())
    }

    /// As operators see it.
    pub(in crate::source) fn place(&self) -> String {
        let version = self.version.map(|version| format!(", version {version}")).unwrap_or_default();
        format!("{} {}/{}, field {}{version}", self.access.place(), self.mount, self.path, self.field)
    }

    pub(in crate::source) async fn fetch(&self, asker: &Asker<'_>, desk: &Desk) -> Result<Secret, Failure> {
        let mut path = format!("{}/data/{}", encoded(&self.mount), encoded(&self.path));
        if let Some(version) = self.version {
            path.push_str(&format!("?version={version}"));
        }
        let reply = Session::ask(&self.access, asker, desk, (Method::GET, &path), None).await?;
        self.picked(&document(&reply)?)
    }

    fn picked(&self, document: &Value) -> Result<Secret, Failure> {
        let data = &document["data"];
        let served = data["metadata"]["version"].as_u64();
        if self.version.is_some() && served != self.version {
            return Err(Failure::Unavailable(
                "the server answered with another version than was asked for",
                None,
            ));
        }
        value::secret(value::field(&data["data"], &self.field)?)
    }
}
