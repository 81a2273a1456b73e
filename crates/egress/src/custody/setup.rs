//! `custody init`: shares are made, and the root keys wrapped under what they give together. Offline: no broker runs on the directory.

use super::error::CustodyError;
use super::guard::fresh_root;
use super::kek::{KekSource, Provider};
use super::roots::{RootFile, ShareSet};
use super::share::Share;
use super::{aead, shamir};
use crate::secret::Secret;
use cloakroom_model::hexadecimal;
use std::path::{Path, PathBuf};

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

/// Makes so many shares, any `threshold` of which unseal. Where there is a key of this machine already, what was sealed under it opens still:
/// its root key is wrapped too. Its own file is left to whoever calls: it has to go once [`NewShares::keep`] has succeeded.
///
/// # Errors
/// When the numbers do not go together, root keys were wrapped by another provider already, or nothing can be written.
pub fn init_shares(
    keys: &Path,
    count: u8,
    threshold: u8,
    before: Option<KekSource>,
) -> Result<NewShares, CustodyError> {
    if threshold < 2 || threshold > count {
        return Err(CustodyError::Threshold);
    }
    let path = keys.join("root.json");
    if let Some(file) = RootFile::read(&path)? {
        return Err(CustodyError::AnotherProvider { wrapped: file.provider });
    }
    let failed = |_| CustodyError::Cryptography("make shares");
    let own = before.map(KekSource::provider).transpose()?.map(|(provider, _)| provider);
    let key = aead::fresh_key().map_err(failed)?;
    let shares = made(&key, count, threshold)?;
    let digests = shares.iter().map(Share::digest).collect();
    let set = shares.first().map(|share| share.set.clone()).unwrap_or_default();
    let mut file = RootFile::fresh(super::kek::shares::NAME)?;
    file.shares = Some(ShareSet { set, threshold, digests });
    let wrap = |file: &RootFile, version, root: &Secret| {
        aead::encrypt(&key, &file.context(version), root)
            .map_err(|_| CustodyError::Cryptography("wrap a root key"))
    };
    let own = own.as_deref().and_then(Provider::own_root);
    if let Some(own) = &own {
        let wrapped = wrap(&file, 0, own)?;
        file = file.with(0, &wrapped);
    }
    let wrapped = wrap(&file, 1, &fresh_root()?)?;
    let file = file.with(1, &wrapped).starting_at(u32::from(own.is_none()));
    Ok(NewShares { shares, file, path })
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
