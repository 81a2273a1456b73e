//! Sealing and opening secrets. Whether a call may have one is decided before, in `policy`; it is armed after, in `arm`.

mod aead;
mod aws;
mod beside;
mod binding;
mod capture;
mod captured;
mod certificate;
mod deposit;
mod drop_box;
mod drop_key;
mod error;
mod federation;
mod former;
mod guard;
mod harden;
mod hpke;
mod intake;
mod kek;
mod keyring;
mod lease_seal;
mod lending;
mod login;
mod parcel;
mod report;
mod role;
mod roots;
mod rotation;
mod safe;
mod sealed;
mod setup;
mod shamir;
mod shape;
mod share;
mod sign_on;
mod signing_key;
mod sourced;
mod standing;

pub(crate) use aws::AccessKey;
pub(crate) use binding::Bound;
pub(crate) use captured::{Captures, Owner, digest_of};
pub(crate) use certificate::ClientCertificate;
pub use certificate::certificate_span;
pub use drop_box::{DropBox, DropBoxKey, DropOffError, LONGEST as LONGEST_PARCEL};
pub use drop_key::DropKey;
pub use error::{CustodyError, UnsealError};
pub use guard::{Turned, Why};
pub use harden::{Hardening, harden_process};
pub use hpke::DropOff;
pub use intake::Intake;
pub use kek::{AwsKmsSettings, KekSource, TransitLogin, TransitSettings, Wants, made_with};
pub(crate) use lease_seal::LeaseSeal;
pub use parcel::{Label, Parcel};
pub use report::SourceReport;
pub use rotation::root_of;
pub(crate) use safe::{Safe, read_file, replace_file};
pub(crate) use sealed::Envelope;
pub use sealed::SealedParts;
pub use setup::{NewShares, init_shares};
pub use share::Share;
pub(crate) use signing_key::{SigningKey, Unsent};
pub use standing::Standing;

use crate::Upstream;
use crate::issuer::Issuer;
use crate::mint::{Federation, Keeper, Live, Means, Mint, Recipe, Remembered, Sessions, Stock};
use crate::scrub::Needles;
use crate::secret::{self, Secret};
use crate::source;
use arc_swap::ArcSwap;
use binding::Binding;
use cloakroom_model::{
    Code, CredentialId, CredentialKind, CredentialRecord, Destination, EventKind, IdMap, Refusal,
    SealedSecret, Shape, Signing, Timestamp,
};
use cloakroom_policy::{Narrowing, Spot, Use};
use guard::Guard;
use intake::IntakeKey;
use keyring::Keyring;
use sealed::Closed;
use standing::is_sealed;
use std::any::Any;
use std::fmt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use zeroize::Zeroizing;

/// The least length of a secret, in bytes.
pub(crate) const SHORTEST: usize = 8;
/// The greatest length of a secret, in bytes.
const LONGEST: usize = 16 * 1024;

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
    /// The user name that goes with it, where it is the password of a login.
    pub(crate) user: Option<Secret>,
    pub(crate) kind: CredentialKind,
    pub(crate) generation: u32,
    /// A place for what scrubbing derives from the secret.
    pub(crate) derived: Arc<Derived>,
    /// The access token that it is, where it is one.
    pub(crate) live: Option<Arc<Live>>,
    /// What it replaced, which must not come back either.
    pub(crate) before: Vec<Arc<Needles>>,
}

/// Opens secrets for one use. Holds ciphertext of every credential and, while it is unsealed, the root keys.
pub struct Custody {
    keys: Arc<Keyring>,
    guard: Guard,
    means: OnceLock<Means>,
    captures: Arc<Captures>,
    intake: IntakeKey,
    held: ArcSwap<IdMap<CredentialId, Held>>,
    opened: AtomicU64,
}

#[derive(Clone)]
struct Held {
    record: CredentialRecord,
    bound: Arc<Bound>,
    derived: Arc<Derived>,
    /// Where access tokens are made of it.
    mint: Option<Arc<Mint>>,
    /// Where it is a role that is assumed.
    sessions: Option<Arc<Sessions>>,
    /// What was made of it or read for it, over all generations, and may come back in a reply.
    remembered: Arc<Remembered>,
}

impl Opened {
    /// One that the broker had made.
    fn of_live(live: Arc<Live>, kind: CredentialKind, generation: u32) -> Self {
        let derived = Arc::clone(&live.derived);
        let (secret, user) = (live.open(), live.user());
        Self { secret, user, kind, generation, derived, live: Some(live), before: Vec::new() }
    }
}

impl Custody {
    /// ASSERTION POINT: the caller declares that secrets may be opened from now on, as far as whoever wraps the root key lets them: with a
    /// key of this machine at once, else after [`Custody::begin`].
    ///
    /// # Errors
    /// When a key of this machine cannot be had: see [`CustodyError::hint`].
    pub fn assert_unlocked(source: KekSource) -> Result<Self, CustodyError> {
        let (provider, roots) = source.provider()?;
        let guard = Guard::new(provider, roots);
        if guard.provider.own_root().is_some() {
            guard.open_at_once()?;
        }
        Self::guarded(guard)
    }

    fn guarded(guard: Guard) -> Result<Self, CustodyError> {
        let keys = Arc::clone(&guard.ring);
        Ok(Self {
            captures: Arc::new(Captures::new(Arc::clone(&keys))),
            keys,
            guard,
            means: OnceLock::new(),
            intake: IntakeKey::fresh()?,
            held: ArcSwap::default(),
            opened: AtomicU64::new(0),
        })
    }

    /// Where the broker keeps what is its own.
    pub(crate) fn safe(&self) -> Safe {
        Safe { keys: Arc::clone(&self.keys) }
    }

    /// The public key that secrets are sealed to on their way in.
    pub fn intake(&self) -> Intake {
        self.intake.intake()
    }

    /// Swaps in the credentials that may be opened from now on.
    pub fn hold(&self, credentials: &[CredentialRecord]) {
        let before = self.held.load();
        let held = credentials.iter().map(|record| {
            let known = before.get(&record.id);
            let same = known.filter(|held| held.record == *record);
            let held = same.cloned().unwrap_or_else(|| {
                let known = known.filter(|_| record.removed.is_none());
                let remembered = known.map(|held| Arc::clone(&held.remembered)).unwrap_or_default();
                Held {
                    record: record.clone(),
                    bound: Arc::new(Binding::of(record).bound()),
                    derived: Arc::default(),
                    mint: mint_of(record, known, &remembered),
                    sessions: role::sessions_of(record, known, &remembered),
                    remembered,
                }
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

    /// Opens one secret for one use at `destination`, which must be among the credential's own, whatever a permit says, and at a
    /// spot where its kind may be used.
    ///
    /// # Errors
    /// `destination-not-permitted`, `place-not-permitted`, and as [`Custody::open`].
    pub(crate) fn open_for(
        &self,
        id: CredentialId,
        destination: &Destination,
        spot: &Spot,
        narrowing: Option<&Arc<Narrowing>>,
    ) -> Result<Opened, Refusal> {
        self.require_fit(id, destination, spot)?;
        self.open_narrowed(id, narrowing)
    }

    /// Whether this credential may be used at this destination and spot, whatever a permit says.
    ///
    /// # Errors
    /// `destination-not-permitted`, `place-not-permitted`.
    fn require_fit(&self, id: CredentialId, destination: &Destination, spot: &Spot) -> Result<(), Refusal> {
        let held = self.held.load();
        if let Some(Held { record, .. }) = held.get(&id) {
            fits(record.kind, spot).map_err(|reason| {
                Refusal::new(Code::PlaceNotPermitted, reason)
                    .with(|facts| facts.credential = Some(record.name.clone()))
            })?;
        }
        if let Some(Held { record, .. }) = held.get(&id).filter(|held| held.record.removed.is_none()) {
            require_use(record, destination)?;
        }
        Ok(())
    }

    fn count_opening(&self) {
        self.opened.fetch_add(1, Ordering::Relaxed);
    }

    /// What is kept beside a secret that may be opened, without opening it.
    pub(crate) fn derived(&self, id: CredentialId) -> Option<Arc<Derived>> {
        let held = self.held.load();
        let held = held.get(&id).filter(|held| held.record.removed.is_none())?;
        if held.sessions.is_some() {
            // Each session has its own: see [`Custody::sessions`].
            return None;
        }
        match &held.mint {
            None => match self.captures.replaced(id, held.record.generation) {
                Some(newer) => Some(Arc::clone(&newer.derived)),
                None => Some(Arc::clone(&held.derived)),
            },
            Some(mint) => Some(Arc::clone(&mint.live()?.derived)),
        }
    }

    /// Opens one secret for one use.
    ///
    /// # Errors
    /// `placeholder-revoked` when the credential was removed; `broker-sealed` when it is not held or does not open.
    pub(crate) fn open(&self, id: CredentialId) -> Result<Opened, Refusal> {
        self.open_narrowed(id, None)
    }

    fn open_narrowed(&self, id: CredentialId, narrowing: Option<&Arc<Narrowing>>) -> Result<Opened, Refusal> {
        self.require_unsealed()?;
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
        if let Some(mint) = self.mint_for(held, narrowing)? {
            let ended = || Refusal::new(Code::CredentialUnavailable, "the access token has ended");
            let live = mint.live().ok_or_else(ended)?;
            self.count_opening();
            return Ok(Opened::of_live(live, record.kind, record.generation));
        }
        if held.sessions.is_some() {
            // SECURITY: what is sealed is how the role is assumed, and goes into no call.
            return Err(Refusal::new(Code::CredentialUnavailable, "a role has no secret of its own"));
        }
        let (kind, generation) = (record.kind, record.generation);
        if let Some(newer) = self.captures.replaced(id, generation) {
            let secret = self.unsealed(held, &newer.sealed)?;
            let (derived, before) = (Arc::clone(&newer.derived), newer.before.clone());
            return Ok(Opened { secret, user: None, kind, generation, derived, live: None, before });
        }
        let secret = self.unsealed(held, &record.sealed)?;
        let derived = Arc::clone(&held.derived);
        Ok(Opened { secret, user: None, kind, generation, derived, live: None, before: Vec::new() })
    }
}

/// What access tokens are made of.
impl Custody {
    /// Lets secrets be read from files below these directories. Once, after [`Custody::mint_through`].
    pub fn read_below(&self, directories: Vec<PathBuf>) {
        if let Some(means) = self.means.get() {
            means.sources.read_below(directories);
        }
    }

    /// Lets access tokens be made from now on, through this way out; where the broker is an issuer, with its tokens too. Once.
    pub fn mint_through(
        &self,
        upstream: Arc<Upstream>,
        keeper: Arc<dyn Keeper>,
        issuer: Option<Arc<Issuer>>,
    ) {
        let sources = Arc::new(source::Desk::default());
        // A second call can only be a mistake of ours; the first holds.
        let _ = self.means.set(Means { upstream, keeper, sources, issuer });
    }

    /// Sees to it that what these credentials stand for is at hand: access tokens are made where none is valid.
    ///
    /// # Errors
    /// `login-required`, `credential-unavailable`, `broker-sealed`.
    pub(crate) async fn ready(&self, uses: impl Iterator<Item = &Use>) -> Result<(), Refusal> {
        self.require_unsealed()?;
        for used in uses {
            let id = used.credential();
            // Most credentials are what they are: nothing of them is copied for that.
            let minted = self.held.load().get(&id).filter(|held| held.mint.is_some()).cloned();
            let Some(held) = minted else { continue };
            let Some(mint) = self.mint_for(&held, used.narrowing())? else { continue };
            let faulty = || Refusal::new(Code::InternalFault, "no access tokens can be made in this process");
            let means = self.means.get().ok_or_else(faulty)?;
            let made = mint.ready(means, || self.stock(&held, &mint)).await;
            made.map_err(|refusal| refusal.with(|facts| facts.credential = Some(held.record.name.clone())))?;
        }
        Ok(())
    }

    /// Where the access token for such a use is made: for a GitHub App's installation there is one for each policy.
    fn mint_for(
        &self,
        held: &Held,
        narrowing: Option<&Arc<Narrowing>>,
    ) -> Result<Option<Arc<Mint>>, Refusal> {
        let (Some(mint), Some(narrowing)) = (&held.mint, narrowing) else { return Ok(held.mint.clone()) };
        if held.record.kind != CredentialKind::Oauth {
            return Ok(Some(Arc::clone(mint)));
        }
        let is_narrowable = match mint.is_narrowable.get() {
            Some(known) => *known,
            None => {
                let known = self.recipe(held, mint)?.is_narrowable();
                *mint.is_narrowable.get_or_init(|| known)
            }
        };
        Ok(Some(if is_narrowable { mint.narrowed(narrowing) } else { Arc::clone(mint) }))
    }

    fn stock(&self, held: &Held, mint: &Mint) -> Result<Stock, Refusal> {
        match held.record.kind {
            CredentialKind::Sourced => self.source(held).map(Stock::Source),
            _ => match self.federation(held)? {
                Some(federation) => Ok(Stock::Federation(federation, held.record.name.clone())),
                None => {
                    // Before anything is asked: what comes back is kept even if the broker is sealed meanwhile.
                    let envelope = self.envelope(Arc::clone(&held.bound))?;
                    Ok(Stock::Grant(self.recipe(held, mint)?, envelope))
                }
            },
        }
    }

    fn federation(&self, held: &Held) -> Result<Option<Federation>, Refusal> {
        let secret = self.unsealed(held, &held.record.sealed)?;
        let federation = Federation::read(secret.expose()).transpose();
        federation.map_err(|reason| Refusal::new(Code::BrokerSealed, reason))
    }

    fn recipe(&self, held: &Held, mint: &Mint) -> Result<Recipe, Refusal> {
        let newest = mint.newest();
        let secret = self.unsealed(held, newest.as_ref().unwrap_or(&held.record.sealed))?;
        Recipe::read(secret.expose()).map_err(|reason| Refusal::new(Code::BrokerSealed, reason))
    }

    /// A whole grant; or, where one is held already, only its secret anew.
    fn accept_grant(
        &self,
        deposited: Secret,
        id: CredentialId,
        destinations: &[Destination],
        generation: u32,
    ) -> Result<Accepted, CustodyError> {
        if let Some(accepted) = self.accept_federation(&deposited, id, destinations, generation) {
            return accepted;
        }
        let recipe = match Recipe::read(deposited.expose()) {
            Ok(recipe) => recipe,
            Err(reason) => self.renewed(&deposited, id).ok_or(CustodyError::Grant(reason))?,
        };
        let text = Zeroizing::new(recipe.write().ok_or(CustodyError::Cryptography("write the grant"))?);
        // What is sealed is read again first: with another secret in it, it may be none any more.
        let recipe = Recipe::read(&text).map_err(CustodyError::Grant)?;
        let binding = Binding { id, kind: CredentialKind::Oauth, destinations, generation };
        let sealed = sealed::seal(self.keys.as_ref(), &binding.bound(), &Secret::new(text))?;
        Ok(Accepted { sealed, shape: shape::learn(&recipe.likeness()) })
    }

    /// When the client certificate ends that this credential is; `None` for other kinds.
    pub fn certificate_ends(&self, id: CredentialId) -> Option<Timestamp> {
        let held = self.held.load();
        let held = held.get(&id).filter(|held| held.record.kind == CredentialKind::Mtls)?;
        ClientCertificate::end_of(&self.unsealed(held, &held.record.sealed).ok()?)
    }

    /// The id of the key that is held for a credential.
    fn known_id(&self, id: CredentialId) -> Option<String> {
        let held = self.held.load().get(&id).filter(|held| held.record.removed.is_none()).cloned()?;
        let secret = self.unsealed(&held, &held.record.sealed).ok()?;
        SigningKey::read(secret.expose()).ok()?.id.clone()
    }

    fn renewed(&self, deposited: &Secret, id: CredentialId) -> Option<Recipe> {
        let held = self.held.load().get(&id).cloned()?;
        let mint = held.mint.clone()?;
        let fresh = std::str::from_utf8(deposited.expose()).ok().filter(|text| !text.starts_with('{'))?;
        Some(self.recipe(&held, &mint).ok()?.with_secret(fresh))
    }

    fn unsealed(&self, held: &Held, sealed: &SealedSecret) -> Result<Secret, Refusal> {
        let record = &held.record;
        let opened = sealed::open(self.keys.as_ref(), &held.bound, &sealed.0).map_err(|closed| {
            if closed == Closed::Sealed {
                return is_sealed();
            }
            tracing::error!(credential = %record.id, generation = record.generation, "a secret does not open: {closed}");
            Refusal::new(Code::BrokerSealed, "the credential's record does not open")
                .with(|facts| facts.credential = Some(record.name.clone()))
        })?;
        self.count_opening();
        Ok(opened)
    }
}

/// That a credential is there, and may go to this destination.
fn require_use(record: &CredentialRecord, destination: &Destination) -> Result<(), Refusal> {
    if record.removed.is_some() {
        let removed =
            Refusal::new(Code::PlaceholderRevoked, "the credential behind this placeholder was removed");
        return Err(removed
            .with(|facts| facts.credential = Some(record.name.clone()))
            .as_event(EventKind::CutShort));
    }
    if record.destinations.contains(destination) {
        return Ok(());
    }
    let reason = "the credential behind this placeholder may not go to this destination";
    Err(Refusal::new(Code::DestinationNotPermitted, reason)
        .with(|facts| {
            facts.credential = Some(record.name.clone());
            facts.destination = Some(destination.clone());
        })
        .as_event(EventKind::WrongDestination))
}

/// The access token outlives a change of the row, as long as the generation is the same.
fn mint_of(
    record: &CredentialRecord,
    known: Option<&Held>,
    remembered: &Arc<Remembered>,
) -> Option<Arc<Mint>> {
    let is_made = matches!(record.kind, CredentialKind::Oauth | CredentialKind::Sourced);
    if !is_made || record.removed.is_some() {
        return None;
    }
    let known =
        known.and_then(|held| held.mint.clone()).filter(|mint| mint.generation() == record.generation);
    Some(known.unwrap_or_else(|| Arc::new(Mint::new(record.id, record.generation, Arc::clone(remembered)))))
}

impl fmt::Debug for Custody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Custody")
    }
}

/// SECURITY: what signs must not be sent itself, whatever a permit says; and signs only as its kind does.
fn fits(kind: CredentialKind, spot: &Spot) -> Result<(), &'static str> {
    let wanted = match spot {
        Spot::SigV4(_) if kind == CredentialKind::AwsRole => Some(CredentialKind::AwsRole),
        Spot::SigV4(_) => Some(CredentialKind::Aws),
        Spot::Mtls(_) => Some(CredentialKind::Mtls),
        Spot::Signed(scheme) => Some(match **scheme {
            Signing::Hmac(_) => CredentialKind::Hmac,
            Signing::Message(_) => CredentialKind::HttpSignature,
        }),
        _ => None,
    };
    match wanted {
        None if kind.is_never_sent() => Err("the credential behind this placeholder is used and never sent"),
        Some(wanted) if kind != wanted => Err("the credential behind this placeholder is not used like this"),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests;
