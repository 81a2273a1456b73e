//! Who wraps root keys outside of this process: a key file, a passphrase, operators with shares, a token, a machine, a service.
//!
//! ```text
//!  provider ──wraps──► root key (32 random bytes, versions) ──wraps──► data key of one secret ──encrypts──► secret
//!  outside             keys/root.json; unwrapped: `Keyring`            beside the secret                    a row
//! ```
//!
//! A provider is asked when the broker starts, when it is unsealed, and, where it can go away, at an interval: never for a call.

use super::super::error::UnsealError;
use crate::secret::Secret;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

/// What a provider answers, when it does.
pub(in crate::custody) type Answer<'a, T> =
    Pin<Box<dyn Future<Output = Result<T, ProviderError>> + Send + 'a>>;

/// Wraps and unwraps root keys. `context` is authenticated, not secret: it names the data directory and the version of the root key.
pub(in crate::custody) trait Provider: Send + Sync {
    /// For status, the log and `keys/root.json`: what the settings call it.
    fn name(&self) -> &'static str;

    /// Encrypts a root key.
    ///
    /// # Errors
    /// When the provider does not answer, or says no.
    fn wrap<'a>(&'a self, context: &'a [u8], root: &'a Secret) -> Answer<'a, Vec<u8>>;

    /// Decrypts a root key.
    ///
    /// # Errors
    /// When the provider does not answer or says no, or `wrapped` was made by another key or for another context.
    fn unwrap<'a>(&'a self, context: &'a [u8], wrapped: &'a [u8]) -> Answer<'a, Secret>;

    /// Wraps a root key anew, where the provider has a newer key than the one that `wrapped` was made with: so whoever runs it can retire
    /// that one. `None` where there is nothing to do, which most never have.
    ///
    /// # Errors
    /// When the provider does not answer, or says no.
    fn rewrap<'a>(
        &'a self,
        _context: &'a [u8],
        _root: &'a Secret,
        _wrapped: &'a [u8],
    ) -> Answer<'a, Option<Vec<u8>>> {
        Box::pin(std::future::ready(Ok(None)))
    }

    /// Whether it can go away while the broker runs. Such a one is asked at an interval.
    fn can_go(&self) -> bool {
        true
    }

    /// The root key of data directories that were made before there were versions: version 0. Only a local key is one itself.
    fn own_root(&self) -> Option<Arc<Secret>> {
        None
    }

    /// What it needs from operators before it can unwrap.
    fn wants(&self) -> Wants {
        Wants::Nothing
    }

    /// Takes what an operator brings.
    ///
    /// # Errors
    /// When it is not what is wanted. What was taken before stays.
    fn take(&self, _part: &Secret, _by: &str) -> Result<(), UnsealError> {
        Err(UnsealError::NothingWanted)
    }

    /// Wipes what it has in memory that would let it unwrap without an operator, a device or a service.
    fn forget(&self) {}
}

/// What operators bring to unseal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wants {
    /// Nothing: the provider unwraps by itself.
    Nothing,
    /// The passphrase.
    Passphrase,
    /// Shares: so many were given, so many are needed.
    Shares {
        /// Given so far.
        given: u8,
        /// Needed together.
        threshold: u8,
    },
}

/// Why a provider did not wrap or unwrap.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(in crate::custody) enum ProviderError {
    /// It does not answer now: it is asked again by itself.
    #[error("{0}")]
    Unavailable(&'static str),
    /// A wrong PIN, a wrong key, a policy: a human has to act, and nothing is tried before that (a token counts wrong PINs).
    #[error("{0}")]
    Refused(&'static str),
}
