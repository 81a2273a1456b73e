//! The keys of the issuer in order, and the file that they are kept in.
//!
//! ```text
//!                made        signs from                 next signs from       + lifetime + slack
//!  published      ├──────────────┼────────────────────────────┼────────────────────────┤
//!  signs                         ├────────────────────────────┤
//! ```

use super::key::Key;
use super::{IssuerError, SLACK};
use crate::custody::{CustodyError, Safe, read_file, replace_file, root_of};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use cloakroom_model::Timestamp;
use serde::{Deserialize, Serialize};
use std::path::Path;
use std::time::Duration;

/// More keys than this are not published at once: each costs relying parties a look.
const MOST: usize = 8;

/// Keys, those that sign earlier first. Never empty.
#[derive(Clone)]
pub(super) struct Ring {
    keys: Vec<Key>,
    /// How long a token counts.
    lifetime: Duration,
}

/// The file.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    version: u32,
    keys: Vec<WrittenKey>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenKey {
    made: Timestamp,
    signs_from: Timestamp,
    /// Base64.
    sealed: String,
}

impl Written {
    /// What the file says; `None` where there is none.
    fn read(path: &Path) -> Result<Option<Self>, CustodyError> {
        let Some(bytes) = read_file(path)? else { return Ok(None) };
        let damaged = |what| CustodyError::Damaged { path: path.into(), what };
        let written: Self =
            serde_json::from_slice(&bytes).map_err(|_| damaged("it is no list of the issuer's keys"))?;
        if written.version != 1 || written.keys.is_empty() || written.keys.len() > MOST {
            return Err(damaged("it is of another version, or has no keys or too many"));
        }
        Ok(Some(written))
    }

    fn keep(&self, path: &Path) -> Result<(), CustodyError> {
        let bytes = serde_json::to_vec(self).map_err(|_| CustodyError::Cryptography("write the keys"))?;
        replace_file(path, &bytes)
    }
}

impl WrittenKey {
    fn sealed(&self, path: &Path) -> Result<Vec<u8>, CustodyError> {
        let what = "a key of the issuer is not base64";
        STANDARD.decode(&self.sealed).map_err(|_| CustodyError::Damaged { path: path.into(), what })
    }
}

/// Brings the keys of a file under the current root key, where no issuer has them open. Nothing where there is no file.
///
/// # Errors
/// When one does not open, or they cannot be written.
pub(crate) fn rewrap_file(path: &Path, safe: &Safe) -> Result<(), CustodyError> {
    let Some(mut written) = Written::read(path)? else { return Ok(()) };
    for key in &mut written.keys {
        let purpose = super::key::purpose(key.made, key.signs_from);
        if let Some(rewrapped) = safe.rewrap(&purpose, &key.sealed(path)?)? {
            key.sealed = STANDARD.encode(rewrapped);
        }
    }
    written.keep(path)
}

/// The version of the root key that each key of a file is sealed under.
///
/// # Errors
/// When the file cannot be read.
pub(crate) fn roots_of(path: &Path) -> Result<Vec<u32>, CustodyError> {
    let Some(written) = Written::read(path)? else { return Ok(Vec::new()) };
    let roots = written.keys.iter().map(|key| Ok(root_of(&key.sealed(path)?).unwrap_or_default()));
    roots.collect()
}

impl Ring {
    /// The keys of this file; the first time, one that signs at once.
    ///
    /// # Errors
    /// When the file cannot be read or written, or a key in it does not open.
    pub(super) fn load(
        path: &Path,
        safe: &Safe,
        lifetime: Duration,
        now: Timestamp,
    ) -> Result<Self, CustodyError> {
        let Some(written) = Written::read(path)? else {
            let ring = Self { keys: vec![Key::fresh(safe, now, now)?], lifetime };
            ring.keep(path)?;
            return Ok(ring);
        };
        let damaged = |what| CustodyError::Damaged { path: path.into(), what };
        if safe.is_sealed() {
            return Err(CustodyError::Sealed);
        }
        let kept = |key: &WrittenKey| {
            let sealed = STANDARD.decode(&key.sealed).ok()?;
            Key::kept(safe, key.made, key.signs_from, sealed)
        };
        let keys: Option<Vec<Key>> = written.keys.iter().map(kept).collect();
        let mut keys = keys.ok_or_else(|| damaged("a key of the issuer does not open"))?;
        keys.sort_by_key(|key| key.signs_from);
        Ok(Self { keys, lifetime })
    }

    pub(super) fn keep(&self, path: &Path) -> Result<(), CustodyError> {
        let keys = self.keys.iter().map(|key| WrittenKey {
            made: key.made,
            signs_from: key.signs_from,
            sealed: STANDARD.encode(&key.sealed),
        });
        Written { version: 1, keys: keys.collect() }.keep(path)
    }

    /// The same keys under the current root key.
    ///
    /// # Errors
    /// When one does not open.
    pub(super) fn rewrapped(&self, safe: &Safe) -> Result<Self, CustodyError> {
        let mut keys = self.keys.clone();
        for key in &mut keys {
            if let Some(sealed) = safe.rewrap(&super::key::purpose(key.made, key.signs_from), &key.sealed)? {
                key.sealed = sealed;
            }
        }
        Ok(Self { keys, ..*self })
    }

    /// The same with a key more, which signs after this span.
    ///
    /// # Errors
    /// When another one is published already and does not sign yet, or too many are.
    pub(super) fn with_another(
        &self,
        safe: &Safe,
        now: Timestamp,
        after: Duration,
    ) -> Result<Self, IssuerError> {
        if let Some(next) = self.keys.iter().find(|key| key.signs_from > now) {
            return Err(IssuerError::Announced(next.signs_from));
        }
        let mut keys: Vec<Key> = self.published(now).cloned().collect();
        if keys.len() >= MOST {
            return Err(IssuerError::TooMany);
        }
        keys.push(Key::fresh(safe, now, now.plus(after))?);
        Ok(Self { keys, ..*self })
    }

    /// A new key alone, which signs at once.
    ///
    /// # Errors
    /// When random bytes or the cryptography library fail.
    pub(super) fn anew(&self, safe: &Safe, now: Timestamp) -> Result<Self, CustodyError> {
        Ok(Self { keys: vec![Key::fresh(safe, now, now)?], ..*self })
    }

    /// The key that signs now.
    pub(super) fn signing(&self, now: Timestamp) -> Option<&Key> {
        // Where the clock was set back, the oldest key is better than none.
        self.keys.iter().rev().find(|key| key.signs_from <= now).or(self.keys.first())
    }

    /// The keys that relying parties need: each until the last token that it can have signed has ended.
    pub(super) fn published(&self, now: Timestamp) -> impl Iterator<Item = &Key> {
        self.keys.iter().filter(move |key| self.withdrawn_at(key).is_none_or(|end| now < end))
    }

    /// When a key is not published any more; `None` while no other follows it.
    pub(super) fn withdrawn_at(&self, key: &Key) -> Option<Timestamp> {
        let next = self.keys.iter().find(|other| other.signs_from > key.signs_from)?;
        Some(next.signs_from.plus(self.lifetime + SLACK))
    }
}
