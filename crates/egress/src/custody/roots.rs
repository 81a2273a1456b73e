//! `keys/root.json`: the root keys as their provider wrapped them, and how far a change of them has come.
//!
//! ```text
//! { "format": 1, "id": "32 hex digits", "provider": "vault", "current": 2, "minimum": 1, "rewrapping": false,
//!   "roots": [ { "version": 1, "made": "2026-…", "wrapped": "base64" }, { "version": 2, … } ],
//!   "shares": { "set": "8 hex", "threshold": 3, "digests": […] } }                     only where operators hold shares
//! ```
//!
//! There is none where the only root key is a local key itself: version 0, of data directories that were made before there were versions.

use super::error::CustodyError;
use super::kek::read_private;
use super::safe::replace_file;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use cloakroom_model::{Timestamp, hexadecimal};
use serde::{Deserialize, Serialize};
use std::path::Path;

const FORMAT: u32 = 1;

/// The file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RootFile {
    format: u32,
    /// Names the data directory: what was wrapped for another one does not open here.
    id: String,
    /// Who wrapped the root keys.
    pub(super) provider: String,
    /// The version that is sealed under.
    pub(super) current: u32,
    /// What was sealed under an older one counts no more.
    pub(super) minimum: u32,
    /// Whether secrets are being brought under the current version.
    #[serde(default)]
    pub(super) rewrapping: bool,
    pub(super) roots: Vec<WrappedRoot>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) shares: Option<ShareSet>,
}

/// One version of the root key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct WrappedRoot {
    pub(super) version: u32,
    pub(super) made: Timestamp,
    /// Base64.
    wrapped: String,
}

/// The shares that were made of the key which wraps the root keys.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ShareSet {
    /// Names the set: 8 hex digits.
    pub(super) set: String,
    /// So many are needed together.
    pub(super) threshold: u8,
    /// A digest of each share, in order: tells a wrong one, and nothing of a right one.
    pub(super) digests: Vec<String>,
}

impl RootFile {
    /// With no root key yet.
    ///
    /// # Errors
    /// When the operating system gives no random bytes.
    pub(super) fn fresh(provider: &str) -> Result<Self, CustodyError> {
        let mut id = [0; 16];
        getrandom::fill(&mut id).map_err(|_| CustodyError::Cryptography("name a data directory"))?;
        Ok(Self {
            format: FORMAT,
            id: hexadecimal(&id),
            provider: provider.into(),
            current: 0,
            minimum: 0,
            rewrapping: false,
            roots: Vec::new(),
            shares: None,
        })
    }

    /// Reads the file; `None` where there is none.
    ///
    /// # Errors
    /// When others can read it, or it is no such file.
    pub(super) fn read(path: &Path) -> Result<Option<Self>, CustodyError> {
        let Some(bytes) = read_private(path)? else { return Ok(None) };
        let damaged = |what| CustodyError::Damaged { path: path.into(), what };
        let file: Self =
            serde_json::from_slice(&bytes).map_err(|_| damaged("it is not the JSON that was written"))?;
        let is_sound = file.format == FORMAT
            && file.minimum <= file.current
            && file.roots.iter().all(|root| root.version <= file.current)
            && file.roots.is_sorted_by(|one, next| one.version < next.version);
        is_sound.then_some(Some(file)).ok_or_else(|| damaged("its versions do not go together"))
    }

    /// Writes it anew, whole and durably.
    ///
    /// # Errors
    /// When it cannot be written. Then the former one is there still.
    pub(super) fn keep(&self, path: &Path) -> Result<(), CustodyError> {
        let text = serde_json::to_vec_pretty(self)
            .map_err(|_| CustodyError::Cryptography("write the root keys down"))?;
        replace_file(path, &text)
    }

    /// What a wrapped root key is bound to: this directory and its version.
    pub(super) fn context(&self, version: u32) -> Vec<u8> {
        format!("cloakroom root v1 {} {version}", self.id).into_bytes()
    }

    /// The same with another root key, which is current.
    pub(super) fn with(mut self, version: u32, wrapped: &[u8]) -> Self {
        self.roots.push(WrappedRoot { version, made: Timestamp::now(), wrapped: STANDARD.encode(wrapped) });
        self.current = version;
        self
    }

    /// Puts another wrapping of the root key of this version in place of the one that there is.
    pub(super) fn rewrap(&mut self, version: u32, wrapped: &[u8]) {
        for root in self.roots.iter_mut().filter(|root| root.version == version) {
            root.wrapped = STANDARD.encode(wrapped);
        }
    }

    /// The same without what was sealed under before `minimum`.
    pub(super) fn starting_at(mut self, minimum: u32) -> Self {
        self.roots.retain(|root| root.version >= minimum);
        Self { minimum, rewrapping: false, ..self }
    }
}

impl WrappedRoot {
    /// As the provider gave it.
    ///
    /// # Errors
    /// When it is not base64.
    pub(super) fn bytes(&self, path: &Path) -> Result<Vec<u8>, CustodyError> {
        let damaged =
            |_| CustodyError::Damaged { path: path.into(), what: "a wrapped root key is not base64" };
        STANDARD.decode(&self.wrapped).map_err(damaged)
    }
}
