//! The sessions of a role: one for each permit of each placeholder that is used, in memory only. One question at a time for each.

use super::{Role, sts};
use crate::issuer::Subject;
use crate::mint::ask::Asker;
use crate::mint::exchange::Failure;
use crate::mint::live::{Live, Means};
use crate::mint::remembered::Remembered;
use crate::scrub::{NeedleCache, Needles};
use crate::secret::Secret;
use arc_swap::ArcSwapOption;
use cloakroom_model::{Code, CredentialId, Name, PlaceholderId, Refusal};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// How long after a failure nothing is tried: doubled with each, up to the longest.
const SHORTEST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// What a session is for. SECURITY: two placeholders never share one, so that what one may do is nothing to another, and a
/// revoked one's session is not used again.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Whose {
    pub(crate) placeholder: PlaceholderId,
    /// What follows from the permit.
    pub(crate) policy: Option<Arc<str>>,
}

/// For whom the broker asks.
#[derive(Clone, Debug)]
pub(crate) struct Asking {
    pub(crate) workload: Name,
    pub(crate) credential: Name,
}

impl Asking {
    pub(super) fn subject(&self) -> Subject<'_> {
        Subject { workload: Some(&self.workload), credential: &self.credential }
    }
}

/// The sessions of one generation of a role.
pub(crate) struct Sessions {
    asker: Asker,
    by: Mutex<HashMap<Whose, Arc<Session>>>,
    /// All that a destination may still show.
    remembered: Arc<Remembered>,
}

#[derive(Default)]
struct Session {
    live: ArcSwapOption<Live>,
    flight: tokio::sync::Mutex<Pause>,
}

/// What failed last, and until when it is not tried again.
#[derive(Default)]
struct Pause {
    span: Duration,
    until: Option<Instant>,
    reason: &'static str,
    /// Only another generation helps.
    for_good: bool,
}

impl Sessions {
    pub(crate) fn new(credential: CredentialId, generation: u32, remembered: Arc<Remembered>) -> Self {
        Self { asker: Asker { credential, generation }, by: Mutex::default(), remembered }
    }

    pub(crate) fn generation(&self) -> u32 {
        self.asker.generation
    }

    /// The keys of this session, if they are at hand.
    pub(crate) fn live(&self, whose: &Whose) -> Option<Arc<Live>> {
        self.by().get(whose).and_then(|session| session.live())
    }

    /// The keys of every session: what a destination may show.
    pub(crate) fn all(&self) -> Vec<Arc<Live>> {
        self.by().values().filter_map(|session| session.live()).collect()
    }

    /// Lets go of the keys of every session.
    pub(crate) fn let_go(&self) {
        self.by().clear();
    }

    /// Sees to it that the keys of this session are at hand. Many who ask at once wait for one question.
    ///
    /// # Errors
    /// `credential-unavailable` when there are none now; `login-required` when the access key is worth nothing any more; what `open`
    /// refuses.
    pub(crate) async fn ready(
        &self,
        whose: &Whose,
        asking: &Asking,
        means: &Means,
        open: impl FnOnce() -> Result<Role, Refusal>,
    ) -> Result<(), Refusal> {
        let session = self.session(whose);
        let is_fresh = || session.live.load().as_ref().is_some_and(|live| live.is_fresh(Instant::now()));
        if is_fresh() {
            return Ok(());
        }
        let mut pause = session.flight.lock().await;
        // Whoever had the flight before may have brought it.
        if is_fresh() {
            return Ok(());
        }
        if let Some(refusal) = pause.standing() {
            return session.live().map(drop).ok_or(refusal);
        }
        let role = open()?;
        let policy = whose.policy.as_deref();
        match sts::assume(&role, asking, policy, means, self.asker).await {
            Ok(assumed) => {
                let credential = self.asker.credential;
                tracing::info!(%credential, placeholder = %whose.placeholder, valid_for = assumed.valid_for.as_secs(), "role assumed");
                session.put_in_force(assumed, &role, &self.remembered);
                *pause = Pause::default();
                Ok(())
            }
            Err(failure) => {
                tracing::warn!(credential = %self.asker.credential, placeholder = %whose.placeholder, ?failure, "no session of the role");
                let refusal = pause.note(failure);
                // Keys that are not fresh are better than none.
                session.live().map(drop).ok_or(refusal)
            }
        }
    }

    fn session(&self, whose: &Whose) -> Arc<Session> {
        let mut by = self.by();
        if let Some(session) = by.get(whose) {
            return Arc::clone(session);
        }
        // SECURITY: one whose keys still count stays, also where its placeholder was revoked: what a destination shows of them is looked
        // for until they end.
        by.retain(|_, session| Arc::strong_count(session) > 1 || session.live().is_some());
        Arc::clone(by.entry(whose.clone()).or_default())
    }

    fn by(&self) -> MutexGuard<'_, HashMap<Whose, Arc<Session>>> {
        self.by.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Session {
    fn live(&self) -> Option<Arc<Live>> {
        self.live.load_full().filter(|live| live.is_valid(Instant::now()))
    }

    fn put_in_force(&self, assumed: sts::Assumed, role: &Role, remembered: &Remembered) {
        let mut also = role.needles();
        also.extend(self.live().iter().flat_map(|before| parts(&before.open())));
        let lasts = assumed.valid_for;
        let mut live = Live::new(assumed.key, lasts, also);
        if let Ok(key) = crate::custody::AccessKey::read(live.open().expose()) {
            live.derived = remembered.keep_parts(&key.parts(), lasts);
        }
        self.live.store(Some(Arc::new(live)));
    }
}

impl Role {
    /// What it is assumed with, where that is a secret.
    fn needles(&self) -> Vec<Arc<Needles>> {
        let super::Proof::AccessKey { key } = &self.proof else { return Vec::new() };
        crate::custody::AccessKey::deposited(key.as_bytes())
            .map(|key| parts(&key.write()))
            .unwrap_or_default()
    }
}

fn parts(line: &Secret) -> Vec<Arc<Needles>> {
    let key = crate::custody::AccessKey::read(line.expose());
    key.map(|key| NeedleCache::default().parts(&key.parts()).to_vec()).unwrap_or_default()
}

impl Pause {
    fn note(&mut self, failure: Failure) -> Refusal {
        let (reason, said) = match failure {
            Failure::Refused(reason) | Failure::Revoked(reason) => {
                self.for_good = true;
                (reason, None)
            }
            Failure::Unreached(reason) => (reason, None),
            Failure::Unavailable(reason, said) => (reason, said),
        };
        self.reason = reason;
        self.span = (self.span * 2).clamp(SHORTEST_PAUSE, LONGEST_PAUSE);
        let said = Duration::from_secs(said.unwrap_or_default().into());
        self.until = Some(Instant::now() + self.span.max(said));
        self.standing().unwrap_or_else(|| Refusal::new(Code::CredentialUnavailable, reason))
    }

    /// What is answered without trying again.
    fn standing(&self) -> Option<Refusal> {
        if self.for_good {
            return Some(Refusal::new(Code::LoginRequired, self.reason));
        }
        let left = self.until?.checked_duration_since(Instant::now())?;
        let seconds = u32::try_from(left.as_secs()).unwrap_or(u32::MAX).saturating_add(1);
        let refusal = Refusal::new(Code::CredentialUnavailable, self.reason);
        Some(refusal.with(|facts| facts.retry_after = Some(seconds)))
    }
}
