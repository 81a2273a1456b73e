//! `custody init`: shares are made, and the root keys wrapped under what they give together. Offline: no broker runs on the directory.

use super::error::CustodyError;
use super::guard::{at_once, fresh_root};
use super::kek::{KekSource, ROOTS};
use super::roots::{RootFile, ShareSet};
use super::share::Share;
use super::{aead, shamir};
use crate::secret::Secret;
use cloakroom_model::hexadecimal;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Shares that were made, and root keys that nothing knows of yet.
pub struct NewShares {
    /// The shares, in order of their numbers.
    pub shares: Vec<Share>,
    file: RootFile,
    path: PathBuf,
}

impl NewShares {
    /// Keeps the root keys: from now on the data directory belongs to the holders of the shares. To be called once they have them.
    ///
    /// # Errors
    /// When they cannot be written. Then nothing has changed.
    pub fn keep(&self) -> Result<(), CustodyError> {
        self.file.keep(&self.path)
    }
}

/// Makes so many shares, any `threshold` of which unseal. Where there is a key of this machine already, what was sealed under it or under a root
/// key that it wrapped opens still: all of them are wrapped too. Its own file is left to whoever calls: it has to go once [`NewShares::keep`]
/// has succeeded.
///
/// # Errors
/// When the numbers do not go together, root keys were wrapped by another provider than `before`, or do not open, or nothing can be written.
pub fn init_shares(
    keys: &Path,
    count: u8,
    threshold: u8,
    before: Option<KekSource>,
) -> Result<NewShares, CustodyError> {
    if threshold < 2 || threshold > count {
        return Err(CustodyError::Threshold);
    }
    let path = keys.join(ROOTS);
    let before = Before::read(&path, before)?;
    let failed = |_| CustodyError::Cryptography("make shares");
    let key = aead::fresh_key().map_err(failed)?;
    let shares = made(&key, count, threshold)?;
    let digests = shares.iter().map(Share::digest).collect();
    let set = shares.first().map(|share| share.set.clone()).unwrap_or_default();
    let mut file = RootFile::fresh(super::kek::shares::NAME)?;
    file.shares = Some(ShareSet { set, threshold, digests });
    let mut roots = before.roots;
    roots.insert(before.next, Arc::new(fresh_root()?));
    // In order of their versions: the last one is current.
    for (version, root) in &roots {
        let wrapped = aead::encrypt(&key, &file.context(*version), root)
            .map_err(|_| CustodyError::Cryptography("wrap a root key"))?;
        file = file.with(*version, &wrapped);
    }
    let mut file = file.starting_at(before.minimum);
    file.rewrapping = before.rewrapping;
    Ok(NewShares { shares, file, path })
}

/// What a key of this machine has wrapped so far, and is itself.
struct Before {
    roots: BTreeMap<u32, Arc<Secret>>,
    /// What was sealed under an older one counts no more.
    minimum: u32,
    /// The version that none has yet.
    next: u32,
    rewrapping: bool,
}

impl Before {
    fn read(path: &Path, source: Option<KekSource>) -> Result<Self, CustodyError> {
        let (file, source) = match (RootFile::read(path)?, source) {
            (None, None) => {
                return Ok(Self { roots: BTreeMap::new(), minimum: 1, next: 1, rewrapping: false });
            }
            (Some(file), None) => return Err(CustodyError::AnotherProvider { wrapped: file.provider }),
            (file, Some(source)) => (file, source),
        };
        let gone = source.kept_in().filter(|kept| file.is_some() && !kept.exists());
        if let Some(kept) = gone {
            return Err(CustodyError::Damaged { path: kept.into(), what: "it is not there" });
        }
        let provider = source.provider()?.0;
        let (current, minimum) = file.as_ref().map_or((0, 0), |file| (file.current, file.minimum));
        let own = provider.own_root().filter(|_| minimum == 0);
        let mut roots: BTreeMap<_, _> = own.map(|own| (0, own)).into_iter().collect();
        if let Some(file) = &file {
            if file.provider != provider.name() {
                return Err(CustodyError::AnotherProvider { wrapped: file.provider.clone() });
            }
            for root in &file.roots {
                let (context, wrapped) = (file.context(root.version), root.bytes(path)?);
                let asked = CustodyError::Provider("the provider has to be asked");
                let key = at_once(provider.unwrap(&context, &wrapped)).ok_or(asked)??;
                roots.insert(root.version, Arc::new(key));
            }
        }
        if !roots.contains_key(&current) {
            return Err(CustodyError::Damaged { path: path.into(), what: "the current root key is missing" });
        }
        let next = current.checked_add(1).ok_or(CustodyError::Cryptography("count root keys"))?;
        Ok(Self { roots, minimum, next, rewrapping: file.is_some_and(|file| file.rewrapping) })
    }
}

fn made(key: &Secret, count: u8, threshold: u8) -> Result<Vec<Share>, CustodyError> {
    let failed = |_| CustodyError::Cryptography("make shares");
    let mut set = [0; 4];
    getrandom::fill(&mut set).map_err(failed)?;
    let set = hexadecimal(&set);
    let values = shamir::split(key, count, threshold).map_err(failed)?;
    let share = |(number, value)| Share { set: set.clone(), number, threshold, value };
    Ok((1..).zip(values).map(share).collect())
}

#[cfg(test)]
mod tests;
