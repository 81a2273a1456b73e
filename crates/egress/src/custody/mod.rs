//! Sealing and opening secrets. Whether a call may have one is decided before, in `policy`; it is armed after, in `arm`.

mod aead;
mod binding;
mod error;
mod harden;
mod intake;
mod kek;
mod sealed;
mod shape;

pub use error::CustodyError;
pub use harden::{Hardening, harden_process};
pub use intake::{DropOff, Intake};
pub use sealed::SealedParts;

use crate::secret::{self, Secret};
use arc_swap::ArcSwap;
use binding::{Binding, Bound};
use cloakroom_model::{
    Code, CredentialId, CredentialKind, CredentialRecord, Destination, EventKind, Name, Refusal,
    SealedSecret, Shape,
};
use intake::IntakeKey;
use kek::{KeyEncryption, KeyFile, Passphrase};
use std::any::Any;
use std::collections::HashMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use zeroize::Zeroizing;

/// The least length of a secret, in bytes.
const SHORTEST: usize = 8;
/// The greatest length of a secret, in bytes.
const LONGEST: usize = 16 * 1024;

/// Where the key-encryption key comes from.
pub enum KekSource {
    /// A file of 32 random bytes, made at first start.
    KeyFile(PathBuf),
    /// A passphrase; its salt and parameters are kept in a file that is made at first start.
    Passphrase {
        /// The file with salt, parameters and verifier.
        salt_file: PathBuf,
        /// The passphrase.
        passphrase: Zeroizing<Vec<u8>>,
    },
}

/// What a deposit becomes.
#[derive(Debug)]
pub struct Accepted {
    /// The ciphertext for the store.
    pub sealed: SealedSecret,
    /// What placeholders for it look like.
    pub shape: Shape,
}

/// Something derived from one generation of one secret, kept as long as that generation is held.
pub(crate) type Derived = OnceLock<Arc<dyn Any + Send + Sync>>;

/// A secret opened for one use.
pub(crate) struct Opened {
    pub(crate) secret: Secret,
    pub(crate) generation: u32,
    /// A place for what scrubbing derives from the secret.
    pub(crate) derived: Arc<Derived>,
}

/// Opens secrets for one use. Holds ciphertext of every credential and the key-encryption key.
pub struct Custody {
    keys: Box<dyn KeyEncryption>,
    intake: IntakeKey,
    held: ArcSwap<HashMap<CredentialId, Held>>,
    opened: AtomicU64,
}

#[derive(Clone)]
struct Held {
    record: CredentialRecord,
    bound: Arc<Bound>,
    derived: Arc<Derived>,
}

impl Custody {
    /// ASSERTION POINT: the caller declares that secrets may be opened from now on.
    ///
    /// # Errors
    /// When the key-encryption key cannot be had: see [`CustodyError::hint`].
    pub fn assert_unlocked(source: KekSource) -> Result<Self, CustodyError> {
        let keys: Box<dyn KeyEncryption> = match source {
            KekSource::KeyFile(path) => Box::new(KeyFile::load(&path)?),
            KekSource::Passphrase { salt_file, passphrase } => {
                Box::new(Passphrase::load(&salt_file, &passphrase)?)
            }
        };
        let intake = IntakeKey::fresh()?;
        Ok(Self { keys, intake, held: ArcSwap::default(), opened: AtomicU64::new(0) })
    }

    /// The public key that secrets are sealed to on their way in.
    pub fn intake(&self) -> Intake {
        self.intake.intake()
    }

    /// Opens the drop-off, checks the secret, learns its shape, and seals it bound to id, kind, destinations and
    /// generation.
    ///
    /// # Errors
    /// When the drop-off does not open, or the secret is not 8 bytes to 16 KiB of text without control characters.
    pub fn accept(
        &self,
        drop_off: &DropOff,
        name: &Name,
        id: CredentialId,
        kind: CredentialKind,
        destinations: &[Destination],
        generation: u32,
    ) -> Result<Accepted, CustodyError> {
        let secret = self.intake.open(drop_off, name)?;
        let shape = shape::learn(acceptable(&secret, kind)?);
        let binding = Binding { id, kind, destinations, generation };
        Ok(Accepted { sealed: sealed::seal(self.keys.as_ref(), &binding.bound(), &secret)?, shape })
    }

    /// Swaps in the credentials that may be opened from now on.
    pub fn hold(&self, credentials: &[CredentialRecord]) {
        let before = self.held.load();
        let held = credentials.iter().map(|record| {
            let same = before.get(&record.id).filter(|held| held.record == *record);
            let held = same.cloned().unwrap_or_else(|| Held {
                record: record.clone(),
                bound: Arc::new(Binding::of(record).bound()),
                derived: Arc::default(),
            });
            (record.id, held)
        });
        self.held.store(Arc::new(held.collect()));
    }

    /// How many secrets were opened since the start.
    pub fn opened(&self) -> u64 {
        self.opened.load(Ordering::Relaxed)
    }

    /// How many blocks of memory that hold secrets could not be kept out of swap (`ulimit -l` is too small).
    pub fn unlocked_blocks(&self) -> usize {
        secret::unlocked_blocks()
    }

    /// Opens one secret for one use at `destination`, which must be among the credential's own, whatever a permit says.
    ///
    /// # Errors
    /// `destination-not-permitted`, and as [`Custody::open`].
    pub(crate) fn open_for(&self, id: CredentialId, destination: &Destination) -> Result<Opened, Refusal> {
        let held = self.held.load();
        if let Some(Held { record, .. }) = held.get(&id)
            && record.removed.is_none()
            && !record.destinations.contains(destination)
        {
            let reason = "the credential behind this placeholder may not go to this destination";
            return Err(Refusal::new(Code::DestinationNotPermitted, reason)
                .with(|facts| {
                    facts.credential = Some(record.name.clone());
                    facts.destination = Some(destination.clone());
                })
                .as_event(EventKind::WrongDestination));
        }
        self.open(id)
    }

    /// What is kept beside a secret that may be opened, without opening it.
    pub(crate) fn derived(&self, id: CredentialId) -> Option<Arc<Derived>> {
        let held = self.held.load();
        let held = held.get(&id).filter(|held| held.record.removed.is_none())?;
        Some(Arc::clone(&held.derived))
    }

    /// Opens one secret for one use.
    ///
    /// # Errors
    /// `placeholder-revoked` when the credential was removed; `broker-sealed` when it is not held or does not open.
    pub(crate) fn open(&self, id: CredentialId) -> Result<Opened, Refusal> {
        let sealed = |reason| Refusal::new(Code::BrokerSealed, reason);
        let held = self.held.load();
        let held = held.get(&id).ok_or_else(|| sealed("the credential is not held by this broker"))?;
        let record = &held.record;
        if record.removed.is_some() {
            return Err(Refusal::new(
                Code::PlaceholderRevoked,
                "the credential behind this placeholder was removed",
            )
            .with(|facts| facts.credential = Some(record.name.clone()))
            .as_event(EventKind::CutShort));
        }
        let opened = sealed::open(self.keys.as_ref(), &held.bound, &record.sealed.0);
        let secret = opened.map_err(|closed| {
            tracing::error!(credential = %id, generation = record.generation, "a secret does not open: {closed}");
            sealed("the credential's record does not open").with(|f| f.credential = Some(record.name.clone()))
        })?;
        self.opened.fetch_add(1, Ordering::Relaxed);
        Ok(Opened { secret, generation: record.generation, derived: Arc::clone(&held.derived) })
    }
}

impl fmt::Debug for Custody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Custody")
    }
}

/// The secret as text that can be put into a call.
fn acceptable(secret: &Secret, kind: CredentialKind) -> Result<&str, CustodyError> {
    let bytes = secret.expose();
    if bytes.len() < SHORTEST {
        return Err(CustodyError::TooShort);
    }
    if bytes.len() > LONGEST {
        return Err(CustodyError::TooLong);
    }
    // SECURITY: a CR or LF would end the header field that the secret is put into (T45).
    if bytes.iter().any(u8::is_ascii_control) {
        return Err(CustodyError::ControlCharacter);
    }
    let text = std::str::from_utf8(bytes).map_err(|_| CustodyError::NotText)?;
    let raw = matches!(kind, CredentialKind::Bearer | CredentialKind::Header | CredentialKind::Cookie);
    if raw && !text.is_ascii() {
        return Err(CustodyError::NotAscii);
    }
    Ok(text)
}

#[cfg(test)]
mod tests;
