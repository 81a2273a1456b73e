//! The keys of the issuer in order, and the file that they are kept in.
//!
//! ```text
//!                made        signs from                 next signs from       + lifetime + slack
//!  published      ├──────────────┼────────────────────────────┼────────────────────────┤
//!  signs                         ├────────────────────────────┤
//! ```

use super::key::Key;
use super::{IssuerError, SLACK};
use crate::custody::{CustodyError, Safe, read_file, replace_file};
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
        let Some(bytes) = read_file(path)? else {
            let ring = Self { keys: vec![Key::fresh(safe, now, now)?], lifetime };
            ring.keep(path)?;
            return Ok(ring);
        };
        let damaged = |what| CustodyError::Damaged { path: path.into(), what };
        let written: Written =
            serde_json::from_slice(&bytes).map_err(|_| damaged("it is no list of the issuer's keys"))?;
        if written.version != 1 || written.keys.is_empty() || written.keys.len() > MOST {
            return Err(damaged("it is of another version, or has no keys or too many"));
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
        let written = Written { version: 1, keys: keys.collect() };
        let bytes = serde_json::to_vec(&written).map_err(|_| CustodyError::Cryptography("write the keys"))?;
        replace_file(path, &bytes)
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
