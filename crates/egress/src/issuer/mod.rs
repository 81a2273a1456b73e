//! The broker as issuer of OpenID Connect tokens: it says of itself for which workload and credential it asks, and clouds give it
//! credentials that live for minutes, so that no key of theirs is kept anywhere.
//!
//! ```text
//!  {issuer}/.well-known/openid-configuration ─► {issuer}/jwks.json          public; anybody may read them
//!  token: iss, sub = cloakroom:[workload:NAME:]credential:NAME, aud, iat, exp, jti     minutes, for one exchange, never for a workload
//! ```

mod key;
mod ring;

use crate::custody::{Custody, CustodyError, Safe};
use cloakroom_model::{Name, Timestamp, hexadecimal};
use ring::Ring;
pub(crate) use ring::{rewrap_file, roots_of};
use serde_json::json;
use std::fmt;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use zeroize::Zeroizing;

/// How much longer than the last token that it signed a key is published: clocks differ.
const SLACK: Duration = Duration::from_secs(60);

/// What the issuer is called, and whom it speaks to.
#[derive(Clone, Debug)]
pub struct IssuerSettings {
    /// Its URL, without a slash at its end. Relying parties compare it byte by byte.
    pub url: String,
    /// Whom tokens may be for; for nobody else is one signed.
    pub audiences: Vec<String>,
    /// How long a token counts: for one exchange, which is made at once.
    pub lifetime: Duration,
    /// The file with its sealed keys.
    pub file: PathBuf,
}

/// Why the issuer cannot do as it is told.
#[derive(Debug, thiserror::Error)]
pub enum IssuerError {
    /// A key is published that does not sign yet.
    #[error("a new key is published already and signs from {0} on")]
    Announced(Timestamp),
    /// Keys that were replaced a moment ago are all published still.
    #[error("too many keys are published")]
    TooMany,
    /// The keys cannot be made or kept.
    #[error(transparent)]
    Custody(#[from] CustodyError),
}

/// A key as the operator sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IssuerKey {
    /// Its id: `kid` of tokens and of the key set.
    pub id: String,
    /// When it was made, and published.
    pub made: Timestamp,
    /// From when on it signs.
    pub signs_from: Timestamp,
    /// Whether it is the one that signs now.
    pub signs: bool,
    /// When it is no longer published, where another one follows.
    pub withdrawn: Option<Timestamp>,
}

/// Signs tokens, and publishes the keys that they are verified with.
pub struct Issuer {
    settings: IssuerSettings,
    safe: Safe,
    /// `None` until they were opened: a broker may start sealed.
    ring: Mutex<Option<Ring>>,
}

/// For whom the broker asks.
#[derive(Clone, Copy)]
pub(crate) struct Subject<'n> {
    /// One workload; `None` where what is had is shared by all that may use the credential.
    pub(crate) workload: Option<&'n Name>,
    pub(crate) credential: &'n Name,
}

impl fmt::Display for Subject<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Names have no colon.
        match self.workload {
            Some(workload) => write!(f, "cloakroom:workload:{workload}:credential:{}", self.credential),
            None => write!(f, "cloakroom:credential:{}", self.credential),
        }
    }
}

impl Issuer {
    /// Opens the keys; the first time, makes one. In a sealed broker that is done once it is unsealed.
    ///
    /// # Errors
    /// When they cannot be read, do not open, or cannot be made.
    pub fn open(settings: IssuerSettings, custody: &Custody) -> Result<Self, CustodyError> {
        let issuer = Self { settings, safe: custody.safe(), ring: Mutex::default() };
        if !custody.is_sealed() {
            issuer.with_ring(|_| Ok::<(), CustodyError>(()))?;
        }
        Ok(issuer)
    }

    /// Its URL.
    pub fn url(&self) -> &str {
        &self.settings.url
    }

    /// The discovery document (OpenID Connect Discovery 1.0, section 3).
    pub fn discovery(&self) -> String {
        let url = &self.settings.url;
        json!({
            "issuer": url,
            "jwks_uri": format!("{url}/jwks.json"),
            "response_types_supported": ["id_token"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["RS256"],
            "claims_supported": ["iss", "sub", "aud", "iat", "exp", "jti"],
        })
        .to_string()
    }

    /// The key set (RFC 7517, section 5).
    ///
    /// # Errors
    /// When the keys were not opened yet, and cannot be.
    pub fn key_set(&self, now: Timestamp) -> Result<String, CustodyError> {
        self.with_ring(|ring| {
            let keys: Vec<_> = ring.published(now).map(key::Key::public).collect();
            Ok(json!({ "keys": keys }).to_string())
        })
    }

    /// The keys that are published.
    ///
    /// # Errors
    /// As [`Issuer::key_set`].
    pub fn keys(&self, now: Timestamp) -> Result<Vec<IssuerKey>, CustodyError> {
        self.with_ring(|ring| {
            let signing = ring.signing(now).map(|key| key.id.clone());
            let shown = ring.published(now).map(|key| IssuerKey {
                id: key.id.clone(),
                made: key.made,
                signs_from: key.signs_from,
                signs: signing.as_deref() == Some(&key.id),
                withdrawn: ring.withdrawn_at(key),
            });
            Ok(shown.collect())
        })
    }

    /// Publishes a new key, which signs after this span. The one before is published until its last token has ended.
    ///
    /// # Errors
    /// When one is announced already, or the keys cannot be kept. Then nothing has changed.
    pub fn rotate(&self, after: Duration) -> Result<(), IssuerError> {
        self.with_ring(|ring| {
            let next = ring.with_another(&self.safe, Timestamp::now(), after)?;
            next.keep(&self.settings.file)?;
            *ring = next;
            Ok(())
        })
    }

    /// Withdraws every key at once, and signs with a new one: for keys that others may have.
    ///
    /// # Errors
    /// When the keys cannot be kept. Then nothing has changed.
    pub fn withdraw(&self) -> Result<(), IssuerError> {
        self.with_ring(|ring| {
            let next = ring.anew(&self.safe, Timestamp::now())?;
            next.keep(&self.settings.file)?;
            *ring = next;
            Ok(())
        })
    }

    /// Brings the keys under the current root key.
    ///
    /// # Errors
    /// When they do not open or cannot be kept.
    pub(crate) fn rewrap(&self) -> Result<(), CustodyError> {
        self.with_ring(|ring| {
            let next = ring.rewrapped(&self.safe)?;
            next.keep(&self.settings.file)?;
            *ring = next;
            Ok(())
        })
    }

    /// A token about `subject`, for `audience` alone.
    ///
    /// # Errors
    /// One sentence: the audience is not among the settings', or the key does not open.
    pub(crate) fn token(
        &self,
        subject: Subject<'_>,
        audience: &str,
        now: Timestamp,
    ) -> Result<Zeroizing<String>, &'static str> {
        if !self.settings.audiences.iter().any(|known| known == audience) {
            return Err("the issuer signs no tokens for this audience: see [issuer] audiences");
        }
        let mut id = [0; 16];
        getrandom::fill(&mut id).map_err(|_| "the operating system gives no random bytes")?;
        let seconds = now.millis() / 1000;
        let claims = json!({
            "iss": self.settings.url, "sub": subject.to_string(), "aud": audience,
            "iat": seconds, "exp": seconds + self.settings.lifetime.as_secs(), "jti": hexadecimal(&id),
        });
        // The lock is not held while RSA computes.
        let signing = |ring: &mut Ring| {
            ring.signing(now).cloned().ok_or(CustodyError::Cryptography("find the issuer's key"))
        };
        let key = self.with_ring(signing).map_err(|_| "the issuer's keys cannot be opened")?;
        key.sign(&self.safe, &claims).ok_or("the issuer's key does not open")
    }

    /// Opens the keys where that was not done yet.
    fn with_ring<T, E: From<CustodyError>>(
        &self,
        act: impl FnOnce(&mut Ring) -> Result<T, E>,
    ) -> Result<T, E> {
        let mut ring = self.ring.lock().unwrap_or_else(PoisonError::into_inner);
        match &mut *ring {
            Some(ring) => act(ring),
            None => {
                let IssuerSettings { file, lifetime, .. } = &self.settings;
                act(ring.insert(Ring::load(file, &self.safe, *lifetime, Timestamp::now())?))
            }
        }
    }
}

impl fmt::Debug for Issuer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Issuer").field("url", &self.settings.url).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
