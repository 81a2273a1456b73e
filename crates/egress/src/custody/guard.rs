//! Fills the ring of root keys and empties it: the one place where the broker is sealed and unsealed.
//!
//! ```text
//!            provider answers (start, watch, `custody unseal`, shares complete)
//!  sealed ───────────────────────────────────────────────────────────────────────► open
//!         ◄───────────────────────────────────────────────────────────────────────
//!            `custody seal`: until an operator unseals · provider away: until it answers · provider says no: until an operator unseals
//! ```

use super::aead;
use super::error::{CustodyError, UnsealError};
use super::hpke::DropOff;
use super::intake::{Intake, IntakeKey};
use super::kek::{Provider, ProviderError, Wants};
use super::keyring::{Keyring, Roots};
use super::roots::RootFile;
use crate::secret::Secret;
use std::collections::BTreeMap;
use std::future::Future;
use std::path::PathBuf;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;
use subtle::ConstantTimeEq;

/// A provider that does not answer for so long is away.
const PATIENCE: Duration = Duration::from_secs(10);

/// The ring, who fills it, and why it is empty.
pub(super) struct Guard {
    pub(super) ring: Arc<Keyring>,
    pub(super) provider: Arc<dyn Provider>,
    /// `root.json`.
    pub(super) file: PathBuf,
    state: Mutex<State>,
    rewrapping: AtomicBool,
    /// An operator sealed it, and it was not opened since.
    shut: AtomicBool,
    /// One change at a time.
    pub(super) turn: tokio::sync::Mutex<()>,
}

struct State {
    why: Why,
    /// How often it was sealed: what was asked for before a seal does not open after it.
    seals: u64,
    /// What operators bring is sealed to it; made when it is asked for. It ends with each seal and each opening, so that nothing that was
    /// recorded before is good after.
    intake: Option<IntakeKey>,
}

/// Why no root key is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// Nobody has been asked yet, or operators have not brought what is needed.
    Waiting,
    /// An operator sealed it.
    Operator,
    /// The provider does not answer. It is asked again by itself.
    Away(&'static str),
    /// The provider said no. It is not asked again before an operator unseals.
    Refused(&'static str),
}

/// What came of asking the provider.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turned {
    /// Nothing: as it was.
    Same,
    /// The broker is sealed now, for this reason.
    Sealed(&'static str),
    /// The broker opens secrets again.
    Opened,
}

impl Guard {
    pub(super) fn new(provider: Arc<dyn Provider>, file: PathBuf) -> Self {
        let state = Mutex::new(State { why: Why::Waiting, seals: 0, intake: None });
        Self {
            ring: Keyring::empty(),
            provider,
            file,
            state,
            rewrapping: AtomicBool::new(false),
            shut: AtomicBool::new(false),
            turn: tokio::sync::Mutex::default(),
        }
    }

    /// Why the ring is empty, where it is.
    pub(super) fn why(&self) -> Option<Why> {
        self.ring.is_sealed().then(|| self.lock().why)
    }

    /// Fills the ring at once, where the provider is of this machine.
    ///
    /// # Errors
    /// When the root keys do not open.
    pub(super) fn open_at_once(&self) -> Result<(), CustodyError> {
        let asked = CustodyError::Provider("the provider has to be asked");
        self.ring.fill(at_once(self.roots()).ok_or(asked)??);
        Ok(())
    }

    /// Makes the first root key where there is none; else as [`Self::open`].
    ///
    /// # Errors
    /// When there is none and the provider does not wrap one.
    pub(super) async fn begin(&self) -> Result<Turned, CustodyError> {
        if self.provider.own_root().is_none() && RootFile::read(&self.file)?.is_none() {
            let file = RootFile::fresh(self.provider.name())?;
            let root = fresh_root()?;
            let wrapped = in_time(self.provider.wrap(&file.context(1), &root)).await?;
            file.with(1, &wrapped).starting_at(1).keep(&self.file)?;
        }
        Ok(self.open().await)
    }

    /// Asks the provider for the root keys.
    pub(super) async fn open(&self) -> Turned {
        let _turn = self.turn.lock().await;
        let seals = self.lock().seals;
        self.open_in_turn(seals).await.unwrap_or(Turned::Same)
    }

    /// Opens, where it was sealed no more than so often; else says why not.
    async fn open_in_turn(&self, seals: u64) -> Result<Turned, Why> {
        if !self.ring.is_sealed() {
            return Ok(Turned::Same);
        }
        let roots = self.roots().await;
        let mut state = self.lock();
        match roots {
            // An operator sealed it meanwhile.
            _ if state.seals != seals => Err(state.why),
            Ok(roots) => {
                self.ring.fill(roots);
                state.intake = None;
                self.shut.store(false, Ordering::Release);
                Ok(Turned::Opened)
            }
            Err(error) => {
                let why = Why::of(&error);
                // SECURITY: what an operator sealed stays so. That unsealing was refused, and nobody expects it to open by itself later.
                if !self.is_shut() {
                    state.why = why;
                }
                Err(why)
            }
        }
    }

    /// One look: whether the provider still unwraps what is held; whether it unwraps again what is not.
    pub(super) async fn look(&self) -> Turned {
        if !self.provider.can_go() {
            return Turned::Same;
        }
        let _turn = self.turn.lock().await;
        let seals = self.lock().seals;
        match self.why() {
            Some(Why::Waiting | Why::Away(_)) => self.open_in_turn(seals).await.unwrap_or(Turned::Same),
            Some(Why::Operator | Why::Refused(_)) => Turned::Same,
            None => match self.still_unwraps().await {
                Ok(()) => {
                    self.rewrap_outside().await;
                    Turned::Same
                }
                Err(error) => {
                    let why = Why::of(&error);
                    self.empty(why);
                    Turned::Sealed(why.reason())
                }
            },
        }
    }

    /// Empties the ring until an operator unseals.
    pub(super) fn seal(&self) {
        self.shut.store(true, Ordering::Release);
        self.empty(Why::Operator);
        self.provider.forget();
    }

    /// Whether an operator sealed it.
    pub(super) fn is_shut(&self) -> bool {
        self.shut.load(Ordering::Acquire)
    }

    /// What operators seal to, where something is wanted of them.
    pub(super) fn intake(&self) -> Option<Intake> {
        let mut state = self.lock();
        if !self.ring.is_sealed() || self.provider.wants() == Wants::Nothing {
            return None;
        }
        if state.intake.is_none() {
            let failed =
                |error: &CustodyError| tracing::error!(%error, "nothing can be sealed to the broker");
            state.intake = IntakeKey::fresh().inspect_err(failed).ok();
        }
        state.intake.as_ref().map(IntakeKey::intake)
    }

    /// Takes what an operator brings, where something is wanted, and opens where that was enough. Nothing that was brought before a seal
    /// counts after it.
    ///
    /// # Errors
    /// When it is not what is wanted. What was taken before stays.
    pub(super) async fn unseal(&self, brought: Option<&DropOff>, by: &str) -> Result<Turned, UnsealError> {
        let _turn = self.turn.lock().await;
        if !self.ring.is_sealed() {
            return Err(UnsealError::NotSealed);
        }
        let (part, seals) = {
            let state = self.lock();
            (brought.map(|drop_off| state.opened(drop_off)).transpose()?, state.seals)
        };
        match (&part, self.provider.wants()) {
            (Some(part), _) => self.provider.take(part, by)?,
            (None, Wants::Nothing) => {}
            (None, _) => return Err(UnsealError::Wanted),
        }
        if part.is_some() && self.lock().seals != seals {
            self.provider.forget();
            return Err(UnsealError::DropOff);
        }
        match self.provider.wants() {
            Wants::Nothing => {}
            _ => return Ok(Turned::Same),
        }
        self.open_in_turn(seals).await.map_err(|why| UnsealError::Provider(why.reason()))
    }

    /// Adds a root key, which is current from now on. Where the broker was sealed meanwhile, its next opening finds it.
    pub(super) fn add(&self, version: u32, root: Arc<Secret>) {
        let _state = self.lock();
        self.ring.change(|roots| {
            roots.keys.insert(version, root);
            roots.current = version;
        });
    }

    /// Drops every root key but this one.
    pub(super) fn keep_only(&self, version: u32) {
        let _state = self.lock();
        self.ring.change(|roots| {
            roots.keys.retain(|other, _| *other == version);
            roots.minimum = version;
        });
    }

    /// Whether everything is being brought under the current root key.
    pub(super) fn is_rewrapping(&self) -> bool {
        self.rewrapping.load(Ordering::Relaxed)
    }

    pub(super) fn note_rewrapping(&self, rewrapping: bool) {
        self.rewrapping.store(rewrapping, Ordering::Relaxed);
    }

    fn empty(&self, why: Why) {
        let mut state = self.lock();
        *state = State { why, seals: state.seals + 1, intake: None };
        self.ring.wipe();
    }

    async fn roots(&self) -> Result<Roots, CustodyError> {
        let file = RootFile::read(&self.file)?;
        let mut keys = BTreeMap::new();
        let (current, minimum) = file.as_ref().map_or((0, 0), |file| (file.current, file.minimum));
        if minimum == 0
            && let Some(own) = self.provider.own_root()
        {
            keys.insert(0, own);
        }
        if let Some(file) = file {
            if file.provider != self.provider.name() {
                return Err(CustodyError::AnotherProvider { wrapped: file.provider });
            }
            self.note_rewrapping(file.rewrapping);
            for root in &file.roots {
                let (context, wrapped) = (file.context(root.version), root.bytes(&self.file)?);
                let key = in_time(self.provider.unwrap(&context, &wrapped)).await?;
                keys.insert(root.version, Arc::new(key));
            }
        }
        if !keys.contains_key(&current) {
            return Err(CustodyError::Provider("the current root key is not there"));
        }
        Ok(Roots { current, minimum, keys })
    }

    async fn still_unwraps(&self) -> Result<(), CustodyError> {
        let gone = || CustodyError::Provider("the root keys are not where they were");
        let file = RootFile::read(&self.file)?.ok_or_else(gone)?;
        let root = file.roots.iter().find(|root| root.version == file.current).ok_or_else(gone)?;
        let (context, wrapped) = (file.context(root.version), root.bytes(&self.file)?);
        let key = in_time(self.provider.unwrap(&context, &wrapped)).await?;
        let held = self.ring.root(root.version).ok_or_else(gone)?;
        let same = bool::from(held.expose().ct_eq(key.expose()));
        same.then_some(()).ok_or(CustodyError::Refused("the provider unwraps to another root key"))
    }

    /// Has root keys wrapped anew that an older key of the provider's has wrapped. What fails is tried again at the next look: they still
    /// open as they are.
    async fn rewrap_outside(&self) {
        if let Err(error) = self.try_rewrap_outside().await {
            tracing::warn!(%error, "the root keys could not be wrapped by the provider's newest key");
        }
    }

    async fn try_rewrap_outside(&self) -> Result<(), CustodyError> {
        let Some(mut file) = RootFile::read(&self.file)? else { return Ok(()) };
        let before = file.clone();
        for root in &before.roots {
            let Some(held) = self.ring.root(root.version) else { continue };
            let (context, wrapped) = (before.context(root.version), root.bytes(&self.file)?);
            if let Some(anew) = in_time(self.provider.rewrap(&context, &held, &wrapped)).await? {
                file.rewrap(root.version, &anew);
            }
        }
        if file == before {
            return Ok(());
        }
        file.keep(&self.file)?;
        tracing::info!("the root keys were wrapped anew, by the provider's newest key");
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn opened(&self, drop_off: &DropOff) -> Result<Secret, UnsealError> {
        let opened = self.intake.as_ref().and_then(|key| key.open_part(drop_off).ok());
        opened.ok_or(UnsealError::DropOff)
    }
}

impl Why {
    /// In words.
    pub fn reason(self) -> &'static str {
        match self {
            Self::Waiting => "it waits for what operators bring",
            Self::Operator => "an operator sealed it",
            Self::Away(reason) | Self::Refused(reason) => reason,
        }
    }

    fn of(error: &CustodyError) -> Self {
        match error {
            CustodyError::Provider(reason) => Self::Away(reason),
            CustodyError::Refused(reason) => Self::Refused(reason),
            error => {
                tracing::error!(%error, "the root keys cannot be read");
                Self::Refused("the root keys cannot be read: see the log")
            }
        }
    }
}

impl From<ProviderError> for CustodyError {
    fn from(error: ProviderError) -> Self {
        match error {
            ProviderError::Unavailable(reason) => Self::Provider(reason),
            ProviderError::Refused(reason) => Self::Refused(reason),
        }
    }
}

pub(super) fn fresh_root() -> Result<Secret, CustodyError> {
    aead::fresh_key().map_err(|_| CustodyError::Cryptography("make a root key"))
}

pub(super) async fn in_time<T>(
    answer: impl Future<Output = Result<T, ProviderError>>,
) -> Result<T, CustodyError> {
    let answer = tokio::time::timeout(PATIENCE, answer).await;
    answer.unwrap_or(Err(ProviderError::Unavailable("it does not answer"))).map_err(CustodyError::from)
}

/// The outcome of what is ready already.
pub(super) fn at_once<T>(future: impl Future<Output = T>) -> Option<T> {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(done) => Some(done),
        Poll::Pending => None,
    }
}

#[cfg(test)]
mod tests;
