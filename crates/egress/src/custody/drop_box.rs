//! The keys that parcels are sealed to, and which parcels were taken already. Both are in one file, sealed as secrets are, so that who can
//! write there and not seal cannot make an ended key count again, or a parcel.
//!
//! ```text
//!              made                    the next is made          + overlap
//!  current      ├──────────────────────────┤
//!  opens        ├─────────────────────────────────────────────────────┤ then its private half is gone
//! ```

use super::drop_key::DropKey;
use super::error::CustodyError;
use super::hpke::Pair;
use super::parcel::Parcel;
use super::{Custody, Safe, read_file, replace_file, root_of};
use crate::secret::Secret;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use cloakroom_model::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use zeroize::Zeroizing;

/// What the file is sealed for.
const PURPOSE: &[u8] = b"drop box v1";
/// Keys that open parcels at once.
const MOST_KEYS: usize = 8;
/// Parcels that are remembered, over all keys: the file stays below what is read of a private one.
const MOST_TAKEN: usize = 1000;
/// How far away a parcel's end may be: until then it has to be remembered.
pub const LONGEST: Duration = Duration::from_secs(90 * 86_400);
/// How much longer than that it is remembered: clocks are set back.
const SLACK: Duration = Duration::from_secs(86_400);

/// Why a parcel is not taken, or a key not made.
#[derive(Debug, thiserror::Error)]
pub enum DropOffError {
    /// Another version of the format.
    #[error("the parcel is of a version that this broker does not know")]
    Version,
    /// No key of this id, or not any more.
    #[error("the parcel is sealed to a key that this broker does not have, or not any more")]
    UnknownKey,
    /// After its end.
    #[error("the parcel expired")]
    Expired,
    /// An end that is too far away.
    #[error("the parcel expires later than 90 days from now")]
    TooLong,
    /// It was taken before.
    #[error("the parcel was taken already")]
    Taken,
    /// Its label or its secret was changed.
    #[error("the parcel does not open: its label or its secret was changed on the way")]
    Closed,
    /// More are remembered than there is room for.
    #[error("more parcels were taken than can be remembered")]
    Full,
    /// Keys that were replaced are still good.
    #[error("too many keys open parcels")]
    TooManyKeys,
    /// The secret in it cannot be kept, or the keys cannot be had.
    #[error(transparent)]
    Custody(#[from] CustodyError),
}

/// A key as the operator sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DropBoxKey {
    /// The key.
    pub key: DropKey,
    /// When it was made.
    pub made: Timestamp,
    /// When it opens nothing any more; `None` for the current one.
    pub ends: Option<Timestamp>,
}

/// Takes parcels, each once.
pub struct DropBox {
    file: PathBuf,
    safe: Safe,
}

/// Held from reading the file to writing it, also by whoever brings it under another root key.
static TURN: Mutex<()> = Mutex::new(());

struct Key {
    pair: Pair,
    made: Timestamp,
    ends: Option<Timestamp>,
    /// Parcels that were taken, with their ends.
    taken: BTreeMap<String, Timestamp>,
}

/// The file, once it is opened.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written<'a> {
    #[serde(borrow)]
    keys: Vec<WrittenKey<'a>>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenKey<'a> {
    /// Base64, and borrowed: no copy of it is made on the way.
    private: &'a str,
    public: &'a str,
    made: Timestamp,
    ends: Option<Timestamp>,
    taken: BTreeMap<String, Timestamp>,
}

impl DropBox {
    /// In this file. It is read when it is needed: a broker that is sealed has no key to read it with.
    pub fn of(file: PathBuf, custody: &Custody) -> Self {
        Self { file, safe: custody.safe() }
    }

    /// The keys that open parcels, the current one first. The first time, makes one.
    ///
    /// # Errors
    /// [`DropOffError::Custody`].
    pub fn keys(&self, now: Timestamp) -> Result<Vec<DropBoxKey>, DropOffError> {
        let _turn = turn();
        let mut keys = self.load(now)?;
        if keys.is_empty() {
            keys.push(Key::fresh(now)?);
            self.keep(&keys)?;
        }
        let shown = keys.iter().rev().map(|key| {
            let public = DropKey::of(&key.pair.public).ok_or_else(|| self.damaged())?;
            Ok(DropBoxKey { key: public, made: key.made, ends: key.ends })
        });
        shown.collect()
    }

    /// Makes a new current key. The one before opens parcels for as long as `overlap` says, then nothing; with none, every other key ends
    /// now.
    ///
    /// # Errors
    /// [`DropOffError::TooManyKeys`], [`DropOffError::Custody`]. Then nothing has changed.
    pub fn rotate(&self, overlap: Duration, now: Timestamp) -> Result<(), DropOffError> {
        let _turn = turn();
        let mut keys = self.load(now)?;
        if overlap.is_zero() {
            keys.clear();
        }
        if keys.len() >= MOST_KEYS {
            return Err(DropOffError::TooManyKeys);
        }
        let end = now.plus(overlap);
        for key in &mut keys {
            key.ends = Some(key.ends.map_or(end, |ends| ends.min(end)));
        }
        keys.push(Key::fresh(now)?);
        Ok(self.keep(&keys)?)
    }

    /// Opens a parcel that was not taken yet.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(super) fn open(&self, parcel: &Parcel, now: Timestamp) -> Result<Secret, DropOffError> {
        let _turn = turn();
        if !parcel.is_known() {
            return Err(DropOffError::Version);
        }
        let keys = self.load(now)?;
        let key = keys.iter().find(|key| key.is(&parcel.key)).ok_or(DropOffError::UnknownKey)?;
        let secret = parcel.open(&key.pair).map_err(|_| DropOffError::Closed)?;
        // Only now: before, its label is anybody's word.
        let expires = parcel.label.expires;
        if expires <= now {
            return Err(DropOffError::Expired);
        }
        if expires > now.plus(LONGEST) {
            return Err(DropOffError::TooLong);
        }
        if key.taken.contains_key(&parcel.id) {
            return Err(DropOffError::Taken);
        }
        Ok(secret)
    }

    /// Remembers, durably, that a parcel was taken. Before what was in it is stored: it is lost rather than taken twice.
    ///
    /// # Errors
    /// [`DropOffError::Taken`], [`DropOffError::UnknownKey`], [`DropOffError::Full`], [`DropOffError::Custody`].
    pub fn take(&self, parcel: &Parcel, now: Timestamp) -> Result<(), DropOffError> {
        let _turn = turn();
        let mut keys = self.load(now)?;
        let remembered: usize = keys.iter().map(|key| key.taken.len()).sum();
        let key = keys.iter_mut().find(|key| key.is(&parcel.key)).ok_or(DropOffError::UnknownKey)?;
        if remembered >= MOST_TAKEN {
            return Err(DropOffError::Full);
        }
        if key.taken.insert(parcel.id.clone(), parcel.label.expires).is_some() {
            return Err(DropOffError::Taken);
        }
        Ok(self.keep(&keys)?)
    }

    /// The keys that are good now, older ones first, without what need not be remembered any more.
    fn load(&self, now: Timestamp) -> Result<Vec<Key>, CustodyError> {
        let Some(sealed) = read_file(&self.file)? else { return Ok(Vec::new()) };
        if self.safe.is_sealed() {
            return Err(CustodyError::Sealed);
        }
        let opened = self.safe.open(PURPOSE, &sealed).ok_or_else(|| self.damaged())?;
        let written: Written<'_> = serde_json::from_slice(opened.expose()).map_err(|_| self.damaged())?;
        let good = written.keys.into_iter().filter(|key| key.ends.is_none_or(|end| end > now));
        let read = |key: WrittenKey<'_>| {
            let private = Zeroizing::new(STANDARD.decode(key.private).ok()?);
            let pair = Pair { public: STANDARD.decode(key.public).ok()?, private: Secret::new(private) };
            let taken = key.taken.into_iter().filter(|(_, expires)| expires.plus(SLACK) > now).collect();
            Some(Key { pair, made: key.made, ends: key.ends, taken })
        };
        good.map(read).collect::<Option<_>>().ok_or_else(|| self.damaged())
    }

    fn keep(&self, keys: &[Key]) -> Result<(), CustodyError> {
        // Until it is written, no root key that it may be sealed under is destroyed.
        let _writing = self.safe.keys.writing();
        let private: Vec<Zeroizing<String>> =
            keys.iter().map(|key| Zeroizing::new(STANDARD.encode(key.pair.private.expose()))).collect();
        let public: Vec<String> = keys.iter().map(|key| STANDARD.encode(&key.pair.public)).collect();
        let written = keys.iter().zip(private.iter().zip(&public)).map(|(key, (private, public))| {
            WrittenKey { private, public, made: key.made, ends: key.ends, taken: key.taken.clone() }
        });
        let written = Written { keys: written.collect() };
        // Room for all of it at once: growing would leave a copy behind.
        let room = keys.iter().map(|key| 256 + 64 * key.taken.len()).sum::<usize>() + 64;
        let mut bytes = Zeroizing::new(Vec::with_capacity(room));
        serde_json::to_writer(&mut *bytes, &written)
            .map_err(|_| CustodyError::Cryptography("write the keys of the drop-off"))?;
        replace_file(&self.file, &self.safe.seal(PURPOSE, &Secret::new(bytes))?)
    }

    fn damaged(&self) -> CustodyError {
        CustodyError::Damaged { path: self.file.clone(), what: "the keys of the drop-off do not open" }
    }
}

/// Brings the file under the current root key. Nothing where there is none.
///
/// # Errors
/// When it does not open or cannot be written.
pub(super) fn rewrap_file(file: &Path, safe: &Safe) -> Result<(), CustodyError> {
    let _turn = turn();
    let Some(sealed) = read_file(file)? else { return Ok(()) };
    match safe.rewrap(PURPOSE, &sealed)? {
        Some(rewrapped) => replace_file(file, &rewrapped),
        None => Ok(()),
    }
}

/// The version of the root key that the file is sealed under, where there is one.
///
/// # Errors
/// When it cannot be read.
pub(super) fn root_of_file(file: &Path) -> Result<Option<u32>, CustodyError> {
    Ok(read_file(file)?.map(|sealed| root_of(&sealed).unwrap_or_default()))
}

fn turn() -> MutexGuard<'static, ()> {
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Key {
    fn fresh(made: Timestamp) -> Result<Self, CustodyError> {
        Ok(Self { pair: Pair::fresh()?, made, ends: None, taken: BTreeMap::new() })
    }

    fn is(&self, id: &str) -> bool {
        DropKey::of(&self.pair.public).is_some_and(|key| key.id() == id)
    }
}

impl fmt::Debug for DropBox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DropBox").field("file", &self.file).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
