//! Operators with shares as provider: so many of them together bring the key that wraps the root keys, and nobody has it alone.

use super::provider::{Answer, Provider, ProviderError, Wants};
use crate::custody::aead;
use crate::custody::error::{CustodyError, UnsealError};
use crate::custody::roots::{RootFile, ShareSet};
use crate::custody::shamir::{Point, combine};
use crate::custody::share::Share;
use crate::secret::Secret;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// What the settings and `root.json` call it.
pub(in crate::custody) const NAME: &str = "shares";

/// Shares as they come in, and the key once there are enough: held while the broker is unsealed, so that a new root key can be wrapped.
pub(in crate::custody) struct Shares {
    set: ShareSet,
    /// Whether each share has to come from another operator.
    distinct: bool,
    held: Mutex<Held>,
}

#[derive(Default)]
struct Held {
    given: Vec<(Share, String)>,
    key: Option<Arc<Secret>>,
}

impl Shares {
    /// Of the set that `root.json` names.
    ///
    /// # Errors
    /// When there is no such file, or none with a set of shares.
    pub(in crate::custody) fn of(file: &Path, distinct: bool) -> Result<Self, CustodyError> {
        let none = || CustodyError::NoShares { path: PathBuf::from(file) };
        let set = RootFile::read(file)?.and_then(|file| file.shares).ok_or_else(none)?;
        Ok(Self { set, distinct, held: Mutex::default() })
    }

    fn key(&self) -> Result<Arc<Secret>, ProviderError> {
        let waits = ProviderError::Unavailable("it waits for shares");
        self.lock().key.clone().ok_or(waits)
    }

    fn lock(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// That this share is of this set, is right, and is a further one.
    fn check(&self, share: &Share, by: &str, held: &Held) -> Result<(), UnsealError> {
        let ShareSet { set, threshold, digests, .. } = &self.set;
        if share.set != *set || share.threshold != *threshold {
            return Err(UnsealError::ForeignShare);
        }
        let known = usize::from(share.number).checked_sub(1).and_then(|at| digests.get(at));
        if known != Some(&share.digest()) {
            return Err(UnsealError::WrongShare);
        }
        if held.given.iter().any(|(other, _)| other.number == share.number) {
            return Err(UnsealError::SameShare);
        }
        if self.distinct && held.given.iter().any(|(_, other)| other == by) {
            return Err(UnsealError::SameOperator);
        }
        Ok(())
    }
}

impl Provider for Shares {
    fn name(&self) -> &'static str {
        NAME
    }

    fn wrap<'a>(&'a self, context: &'a [u8], root: &'a Secret) -> Answer<'a, Vec<u8>> {
        let failed = |_| ProviderError::Refused("the cryptography library failed");
        let wrapped = self.key().and_then(|key| aead::encrypt(&key, context, root).map_err(failed));
        Box::pin(std::future::ready(wrapped))
    }

    fn unwrap<'a>(&'a self, context: &'a [u8], wrapped: &'a [u8]) -> Answer<'a, Secret> {
        let other = |_| ProviderError::Refused("the shares do not open the root keys");
        let root = self.key().and_then(|key| aead::decrypt(&key, context, wrapped).map_err(other));
        Box::pin(std::future::ready(root))
    }

    fn can_go(&self) -> bool {
        false
    }

    fn wants(&self) -> Wants {
        let held = self.lock();
        match held.key {
            Some(_) => Wants::Nothing,
            // There are never more than a threshold's.
            None => Wants::Shares {
                given: u8::try_from(held.given.len()).unwrap_or(u8::MAX),
                threshold: self.set.threshold,
            },
        }
    }

    fn take(&self, part: &Secret, by: &str) -> Result<(), UnsealError> {
        let share = Share::parse(part).ok_or(UnsealError::NoShare)?;
        let mut held = self.lock();
        self.check(&share, by, &held)?;
        held.given.push((share, by.to_owned()));
        if held.given.len() >= usize::from(self.set.threshold) {
            let given = std::mem::take(&mut held.given);
            let points: Vec<Point<'_>> = given
                .iter()
                .map(|(share, _)| Point { number: share.number, value: share.value.expose() })
                .collect();
            held.key = combine(&points).map(Arc::new);
        }
        Ok(())
    }

    fn forget(&self) {
        *self.lock() = Held::default();
    }
}
