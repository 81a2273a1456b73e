//! The access token that is valid now, and the one exchange that makes the next.

use super::ask;
use super::dpop::Prover;
use super::exchange::{Failure, Granted};
use super::federation::Federation;
use super::health::Health;
use super::recipe::Recipe;
use super::refresh::Ended;
use super::remembered::Remembered;
use crate::custody::{Derived, Envelope};
use crate::issuer::Issuer;
use crate::scrub::{BasicHalf, NeedleCache, Needles};
use crate::secret::Secret;
use crate::source::{self, Asker, Fetched, Source};
use crate::upstream::Upstream;
use arc_swap::ArcSwapOption;
use cloakroom_model::{
    CapturedRecord, Code, CoreId, CredentialId, LeaseId, Name, Refusal, SealedSecret, Timestamp,
};
use cloakroom_policy::Narrowing;
use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};
use zeroize::Zeroizing;

/// A new access token is had this long before the old one ends, or when a tenth of its time is left, whichever is later.
const AHEAD: Duration = Duration::from_secs(60);
/// More access tokens of one installation than this are not kept beyond their end.
const MOST_NARROWED: usize = 64;
/// An access token that a destination calls invalid is not replaced again before this time is over.
const SETTLED: Duration = Duration::from_secs(10);
/// How long after a failure nothing is tried: doubled with each, up to the longest.
const SHORTEST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// Makes a new recipe durable. Implemented over the store; sees ciphertext only.
pub trait Keeper: Send + Sync {
    /// Keeps the recipe of this generation of the credential, in place of the one before.
    fn keep<'a>(
        &'a self,
        credential: CredentialId,
        generation: u32,
        sealed: SealedSecret,
        kept: Kept,
    ) -> Pin<Box<dyn Future<Output = Result<(), String>> + Send + 'a>>;

    /// Keeps the placeholder of a token that a reply brought.
    fn keep_captured(
        &self,
        row: CapturedRecord,
    ) -> Pin<Box<dyn Future<Output = Result<(), String>> + Send + '_>>;

    /// Forgets such placeholders.
    fn forget_captured(
        &self,
        cores: Vec<CoreId>,
    ) -> Pin<Box<dyn Future<Output = Result<(), String>> + Send + '_>>;
}

/// Why a recipe is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kept {
    /// The refresh token is about to be used.
    Asking,
    /// The answer came, and the refresh token is the same.
    Answered,
    /// The answer came with a new refresh token, which exists nowhere else.
    Replaced,
}

/// What every exchange needs.
#[derive(Clone)]
pub(crate) struct Means {
    pub(crate) upstream: Arc<Upstream>,
    pub(crate) keeper: Arc<dyn Keeper>,
    /// What reading secrets elsewhere needs besides.
    pub(crate) sources: Arc<source::Desk>,
    /// Where the broker signs tokens of its own.
    pub(crate) issuer: Option<Arc<Issuer>>,
}

/// What is opened for one exchange or one reading.
pub(crate) enum Stock {
    /// A grant, exchanged for an access token; and what a new refresh token is sealed in.
    Grant(Recipe, Envelope),
    /// A federation, and the name of the credential that asks.
    Federation(Federation, Name),
    /// A place where the secret is read.
    Source(Source),
}

/// An access token, while it is valid.
pub(crate) struct Live {
    secret: Secret,
    /// The user name that goes with it, where it is the password of a login.
    user: Option<Secret>,
    made: Instant,
    /// So many milliseconds after it was made a new one is wanted.
    stale: AtomicU64,
    /// So many milliseconds after it was made this one is worth nothing.
    ends: AtomicU64,
    /// What it is lent by.
    lease: Option<LeaseId>,
    refused: AtomicBool,
    /// Who proves possession of the key that it is bound to, where it is.
    prover: Option<Arc<Prover>>,
    /// It was read elsewhere: any 401 may mean that it was replaced there.
    read_elsewhere: bool,
    /// What scrubbing derives from it.
    pub(crate) derived: Arc<Derived>,
    /// What must not come back either: the access token before, and what it was made of.
    pub(crate) also: Vec<Arc<Needles>>,
}

impl Live {
    /// What to look for on its behalf, where that was made.
    fn needles(&self) -> Option<Arc<Needles>> {
        self.derived.get().and_then(|kept| kept.downcast_ref::<NeedleCache>()?.known())
    }

    /// One that was made just now. A new one is wanted before it ends.
    pub(super) fn new(secret: Secret, valid_for: Duration, also: Vec<Arc<Needles>>) -> Self {
        let made = Instant::now();
        let ahead = AHEAD.min(valid_for / 10);
        Self {
            secret,
            user: None,
            made,
            stale: millis(valid_for - ahead).into(),
            ends: millis(valid_for).into(),
            lease: None,
            refused: AtomicBool::new(false),
            read_elsewhere: false,
            prover: None,
            derived: Arc::default(),
            also,
        }
    }

    /// A copy for one use.
    pub(crate) fn open(&self) -> Secret {
        Secret::new(Zeroizing::new(self.secret.expose().to_vec()))
    }

    /// A copy of the user name that goes with it, for one use.
    pub(crate) fn user(&self) -> Option<Secret> {
        self.user.as_ref().map(|user| Secret::new(Zeroizing::new(user.expose().to_vec())))
    }

    /// Whether any 401 asks for another one, not only one that says so.
    pub(crate) fn is_read_elsewhere(&self) -> bool {
        self.read_elsewhere
    }

    /// Who proves possession of the key that it is bound to.
    pub(crate) fn prover(&self) -> Option<&Arc<Prover>> {
        self.prover.as_ref()
    }

    /// The destination says that it is not valid (RFC 6750, section 3.1): the next call has a new one made.
    pub(crate) fn refuse(&self) {
        if self.made.elapsed() > SETTLED {
            self.refused.store(true, Ordering::Relaxed);
        }
    }

    #[cfg(test)]
    pub(super) fn refuse_at_once(&self) {
        self.refused.store(true, Ordering::Relaxed);
    }

    /// Whether the destination said so.
    pub(super) fn is_refused(&self) -> bool {
        self.refused.load(Ordering::Relaxed)
    }

    /// Whether it has not ended.
    pub(super) fn is_valid(&self, now: Instant) -> bool {
        now < self.after(&self.ends)
    }

    /// Whether no new one is wanted.
    pub(super) fn is_fresh(&self, now: Instant) -> bool {
        now < self.after(&self.stale) && !self.refused.load(Ordering::Relaxed)
    }

    fn after(&self, span: &AtomicU64) -> Instant {
        self.made + Duration::from_millis(span.load(Ordering::Relaxed))
    }

    /// Used for so long from now on, and for so long where no other can be had.
    fn extend(&self, fresh_for: Duration, valid_for: Duration) {
        let age = self.made.elapsed();
        self.ends.store(millis(age + valid_for), Ordering::Relaxed);
        self.stale.store(millis(age + fresh_for), Ordering::Relaxed);
    }
}

/// One generation of a credential that access tokens are made of.
pub(crate) struct Mint {
    pub(super) credential: CredentialId,
    pub(super) generation: u32,
    live: ArcSwapOption<Live>,
    health: Mutex<Health>,
    /// The recipe as it was kept last: newer than the row that was read when this generation was first held.
    sealed: Mutex<Option<SealedSecret>>,
    flight: Arc<tokio::sync::Mutex<Failures>>,
    /// What its access token is narrowed to, beside what the recipe says.
    pub(super) narrowing: Option<Arc<Narrowing>>,
    /// Whether there is one access token for each policy, once the recipe was read.
    pub(crate) is_narrowable: OnceLock<bool>,
    narrowed: Mutex<BTreeMap<Arc<Narrowing>, Arc<Self>>>,
    /// Whether its source lends what it reads, once the source was opened.
    pub(crate) is_lent: OnceLock<bool>,
    /// All that a destination may still show.
    remembered: Arc<Remembered>,
}

/// What failed since the last success.
#[derive(Default)]
struct Failures {
    pause: Duration,
    /// Until then the last reason is the answer.
    until: Option<(Instant, &'static str)>,
    /// The grant is worth nothing: only another generation helps.
    for_good: Option<&'static str>,
}

impl Mint {
    pub(crate) fn new(credential: CredentialId, generation: u32, remembered: Arc<Remembered>) -> Self {
        Self {
            credential,
            generation,
            live: ArcSwapOption::default(),
            health: Mutex::default(),
            sealed: Mutex::default(),
            flight: Arc::default(),
            narrowing: None,
            is_narrowable: OnceLock::new(),
            narrowed: Mutex::default(),
            is_lent: OnceLock::new(),
            remembered,
        }
    }

    /// The one whose access token is narrowed to this: policies with the same needs share it.
    pub(crate) fn narrowed(&self, narrowing: &Arc<Narrowing>) -> Arc<Self> {
        let mut all = self.narrowed.lock().unwrap_or_else(PoisonError::into_inner);
        if all.len() >= MOST_NARROWED {
            all.retain(|_, mint| mint.live().is_some());
        }
        let make = || {
            let narrowing = Some(Arc::clone(narrowing));
            let remembered = Arc::clone(&self.remembered);
            Arc::new(Self { narrowing, ..Self::new(self.credential, self.generation, remembered) })
        };
        Arc::clone(all.entry(Arc::clone(narrowing)).or_insert_with(make))
    }

    /// The access tokens at hand that are narrowed.
    pub(crate) fn narrowed_lives(&self) -> Vec<Arc<Live>> {
        let narrowed = self.narrowed.lock().unwrap_or_else(PoisonError::into_inner);
        narrowed.values().filter_map(|mint| mint.live()).collect()
    }

    /// Lets go of every access token: nobody may use one now.
    pub(crate) fn let_go(&self) {
        self.live.store(None);
        self.narrowed.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    pub(crate) fn generation(&self) -> u32 {
        self.generation
    }

    /// The access token, if one is at hand.
    pub(crate) fn live(&self) -> Option<Arc<Live>> {
        self.live.load_full().filter(|live| live.is_valid(Instant::now()))
    }

    /// When what is placed now was made.
    pub(crate) fn made(&self) -> Option<Timestamp> {
        self.live().map(|live| Timestamp::now().minus(live.made.elapsed()))
    }

    /// The recipe that was kept last, where it is newer than the row.
    pub(crate) fn newest(&self) -> Option<SealedSecret> {
        self.sealed.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    #[cfg(test)]
    pub(super) fn put(&self, live: Live) {
        self.live.store(Some(Arc::new(live)));
    }

    /// This recipe is kept from now on, or will be: newer than the row.
    pub(super) fn remember(&self, sealed: SealedSecret) {
        *self.sealed.lock().unwrap_or_else(PoisonError::into_inner) = Some(sealed);
    }

    /// Brings the recipe that was kept last under the current root key.
    ///
    /// # Errors
    /// What `rewrap` gives.
    pub(crate) fn rewrap<E>(
        &self,
        rewrap: impl FnOnce(&SealedSecret) -> Result<Option<SealedSecret>, E>,
    ) -> Result<(), E> {
        // Under the lock: a refresh meanwhile is not undone.
        let mut newest = self.sealed.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(sealed) = &mut *newest
            && let Some(rewrapped) = rewrap(sealed)?
        {
            *sealed = rewrapped;
        }
        Ok(())
    }

    /// How it goes.
    pub(crate) fn health(&self) -> Health {
        *self.health.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn note(&self, change: impl FnOnce(Health) -> Health) {
        let mut health = self.health.lock().unwrap_or_else(PoisonError::into_inner);
        *health = change(*health);
    }

    /// Sees to it that a valid access token is at hand. Many who ask at once wait for one exchange.
    ///
    /// # Errors
    /// `login-required` when the grant is worth nothing any more, `credential-unavailable` when no access token can be had now,
    /// `broker-sealed` when the recipe does not open.
    pub(crate) async fn ready(
        self: &Arc<Self>,
        means: &Means,
        open: impl Fn() -> Result<Stock, Refusal>,
    ) -> Result<(), Refusal> {
        if self.live().is_some_and(|live| live.is_fresh(Instant::now())) {
            return Ok(());
        }
        let failures = Arc::clone(&self.flight).lock_owned().await;
        // Whoever had the flight before may have brought it.
        if self.live().is_some_and(|live| live.is_fresh(Instant::now())) {
            return Ok(());
        }
        if let Some(refusal) = failures.standing() {
            return self.or_what_is_left(refusal);
        }
        let stock = open()?;
        let (mint, means) = (Arc::clone(self), means.clone());
        // A task of its own: a workload that hangs up must not lose a refresh token or a lease on its way.
        let flight = tokio::spawn(async move { mint.fly(failures, stock, &means).await });
        let flown = flight
            .await
            .unwrap_or_else(|_| Err(Refusal::new(Code::InternalFault, "an exchange did not finish")));
        flown.or_else(|refusal| self.or_what_is_left(refusal))
    }

    /// An access token that is not fresh is better than none.
    fn or_what_is_left(&self, refusal: Refusal) -> Result<(), Refusal> {
        let usable = self.live().is_some_and(|live| !live.refused.load(Ordering::Relaxed));
        if usable { Ok(()) } else { Err(refusal) }
    }

    async fn fly(
        &self,
        mut failures: tokio::sync::OwnedMutexGuard<Failures>,
        stock: Stock,
        means: &Means,
    ) -> Result<(), Refusal> {
        let (credential, generation) = (self.credential, self.generation);
        let failure = match stock {
            Stock::Federation(federation, name) => {
                let asker = ask::Asker { credential, generation };
                match federation.exchange(means, asker, &name).await {
                    Ok(granted) => {
                        tracing::info!(%credential, generation, valid_for = granted.valid_for.as_secs(), "access token made");
                        self.put_federated(granted);
                        *failures = Failures::default();
                        return Ok(());
                    }
                    Err(failure) => failure,
                }
            }
            Stock::Grant(recipe, envelope) => match self.exchanged(recipe, means, &envelope).await {
                Ok((granted, recipe)) => {
                    tracing::info!(%credential, generation, valid_for = granted.valid_for.as_secs(), "access token made");
                    self.put_in_force(granted, &recipe);
                    *failures = Failures::default();
                    return Ok(());
                }
                Err(Ended::Failed(failure)) => failure,
                Err(Ended::NotKept(refusal)) => {
                    let failure = Failure::Unavailable("a refresh token could not be kept", None);
                    self.note(|health| health.failed(failure, Duration::ZERO));
                    return Err(refusal);
                }
            },
            Stock::Source(source) => {
                let asker = Asker { upstream: &means.upstream, credential, generation };
                match source.fetch(&asker, &means.sources).await {
                    Ok(fetched) => {
                        tracing::info!(%credential, generation, fresh_for = fetched.fresh_for.as_secs(), "secret read");
                        let before = self.put_in_use(fetched);
                        if let Ok(leases) = means.sources.leases() {
                            before.into_iter().for_each(|before| leases.supersede(before));
                            // It may have been given back meanwhile: the last placeholder was revoked.
                            self.lease()
                                .filter(|lease| !leases.is_held(*lease))
                                .into_iter()
                                .for_each(|lease| self.forget(lease));
                        }
                        *failures = Failures::default();
                        return Ok(());
                    }
                    Err(failure) => failure,
                }
            }
        };
        tracing::warn!(%credential, generation, ?failure, "no secret to place");
        failures.note(failure);
        self.note(|health| health.failed(failure, failures.pause));
        Err(failures.standing().unwrap_or_else(|| unavailable("no access token could be had", None)))
    }

    /// An access token that was had for the broker's own token.
    fn put_federated(&self, granted: Granted) {
        let also = self.live.load().as_ref().and_then(|before| before.needles());
        let lasts = granted.lasts();
        self.store_made(
            Live::new(granted.access_token, granted.valid_for, also.into_iter().collect()),
            lasts,
        );
    }

    fn put_in_force(&self, granted: Granted, recipe: &Recipe) {
        let needles = |secret: &[u8]| NeedleCache::default().needles(None, secret);
        // Shorter than any credential that custody takes, it would be found in ordinary text.
        let secrets = recipe.secrets().into_iter().filter(|secret| secret.len() >= crate::custody::SHORTEST);
        let mut also: Vec<Arc<Needles>> = secrets.map(|secret| needles(secret.as_bytes())).collect();
        also.extend(self.live.load().as_ref().and_then(|before| before.needles()));
        let lasts = granted.lasts();
        let prover = recipe.prover().ok().flatten().filter(|_| granted.is_bound).map(Arc::new);
        self.store_made(Live { prover, ..Live::new(granted.access_token, granted.valid_for, also) }, lasts);
    }

    fn store_made(&self, mut live: Live, lasts: Option<Duration>) {
        live.derived = self.remembered.keep(live.secret.expose(), Vec::new(), lasts);
        let spans = [&live.stale, &live.ends].map(|span| Duration::from_millis(span.load(Ordering::Relaxed)));
        self.note(|_| Health::made(spans[0], spans[1]));
        self.live.store(Some(Arc::new(live)));
    }

    /// What was read elsewhere is placed from now on. Gives the lease whose place it took.
    fn put_in_use(&self, fetched: Fetched) -> Option<LeaseId> {
        let Fetched { secret, user, fresh_for, valid_for, also, lease } = fetched;
        let needles = |secret: &[u8]| NeedleCache::default().needles(None, secret);
        let long = |secret: &&[u8]| secret.len() >= crate::custody::SHORTEST;
        let mut hidden: Vec<Arc<Needles>> =
            also.iter().map(|one| one.expose()).filter(long).map(needles).collect();
        if let Some(user) = &user {
            hidden.extend(Some(user.expose()).filter(long).map(needles));
            // As Basic credentials have it: encoded, too.
            let pair = Zeroizing::new([user.expose(), b":", secret.expose()].concat());
            let whole = BasicHalf { before: b"", after: b"" };
            hidden.push(NeedleCache::default().needles(Some(whole), &pair));
        }
        // Nobody says how long what is read elsewhere is good: what its time here is over may be so for years.
        let derived = self.remembered.keep(secret.expose(), hidden.clone(), None);
        let before = self.live.load();
        if let Some(before) = before.as_ref().filter(|before| before.secret.expose() != secret.expose()) {
            hidden.extend(before.needles());
        }
        let made = Instant::now();
        let live = Live {
            secret,
            user,
            made,
            stale: millis(fresh_for).into(),
            ends: millis(valid_for).into(),
            lease,
            refused: AtomicBool::new(false),
            read_elsewhere: true,
            prover: None,
            derived,
            also: hidden,
        };
        self.note(|_| Health::made(fresh_for, valid_for));
        let before = before.as_ref().and_then(|before| before.lease);
        self.live.store(Some(Arc::new(live)));
        before
    }

    /// The lease that is placed now.
    pub(crate) fn lease(&self) -> Option<LeaseId> {
        self.live.load().as_ref().and_then(|live| live.lease)
    }

    /// What this lease brought is not placed any more.
    pub(crate) fn forget(&self, lease: LeaseId) {
        self.live.rcu(|live| live.clone().filter(|live| live.lease != Some(lease)));
    }

    /// What this lease brought is placed for longer.
    pub(crate) fn extend(&self, lease: LeaseId, fresh_for: Duration, valid_for: Duration) {
        if let Some(live) = self.live.load().as_ref().filter(|live| live.lease == Some(lease)) {
            live.extend(fresh_for, valid_for);
            self.note(|health| Health { last: health.last, ..Health::made(fresh_for, valid_for) });
        }
    }
}

impl Failures {
    fn note(&mut self, failure: Failure) {
        match failure {
            Failure::Refused(reason) | Failure::Revoked(reason) => self.for_good = Some(reason),
            Failure::Unreached(reason) => self.note(Failure::Unavailable(reason, None)),
            Failure::Unavailable(reason, said) => {
                self.pause = (self.pause * 2).clamp(SHORTEST_PAUSE, LONGEST_PAUSE);
                let pause =
                    said.map_or(self.pause, |seconds| Duration::from_secs(seconds.into()).max(self.pause));
                self.until = Some((Instant::now() + pause, reason));
            }
        }
    }

    /// What is answered without trying again.
    fn standing(&self) -> Option<Refusal> {
        if let Some(reason) = self.for_good {
            return Some(Refusal::new(Code::LoginRequired, reason));
        }
        let (until, reason) = self.until?;
        let left = until.checked_duration_since(Instant::now())?;
        let seconds = u32::try_from(left.as_secs()).unwrap_or(u32::MAX).saturating_add(1);
        Some(unavailable(reason, Some(seconds)))
    }
}

fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

pub(super) fn unavailable(reason: &'static str, retry_after: Option<u32>) -> Refusal {
    Refusal::new(Code::CredentialUnavailable, reason).with(|facts| facts.retry_after = retry_after)
}
