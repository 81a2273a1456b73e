//! What was found when locks on workloads' networks were checked, and whether the broker may call itself locked.

use super::input::Body;
use crate::act::Act;
use crate::admin::Admin;
use crate::peer::Peer;
use crate::wire::{LockOutcome, LockReport, LockView, LocksView};
use crate::{Problem, ProblemCode};
use axum::extract::{Path, State};
use axum::{Extension, Json};
use cloakroom_model::{Name, RequiredLocks, Timestamp};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// How long a check counts: rules and wires change.
const FRESH: Duration = Duration::from_secs(24 * 3600);
/// Locks that are remembered.
const MOST: usize = 256;

/// What the last check of each lock found, since the broker started: a broker that starts has proved nothing.
#[derive(Debug, Default)]
pub struct Locks {
    checked: Mutex<BTreeMap<Name, Checked>>,
    required: Arc<RequiredLocks>,
}

#[derive(Clone, Copy, Debug)]
struct Checked {
    outcome: LockOutcome,
    at: Timestamp,
}

impl Checked {
    fn holds_until(&self) -> Option<Timestamp> {
        (self.outcome == LockOutcome::Closed).then(|| self.at.plus(FRESH))
    }
}

impl Locks {
    /// None is checked; calls wait for these.
    pub fn requiring(required: Arc<RequiredLocks>) -> Self {
        Self { required, ..Self::default() }
    }

    fn view(&self, now: Timestamp) -> LocksView {
        let checked = self.checked();
        // INVARIANT: nothing is called locked that was not proved lately, and one open lock is one too many.
        let good = |one: &Checked| one.holds_until().is_some_and(|until| now < until);
        let is_known = |name: &Name| checked.contains_key(name);
        let locked = !checked.is_empty() && checked.values().all(good) && self.required.names().all(is_known);
        let view = |(name, one): (&Name, &Checked)| LockView {
            name: name.clone(),
            outcome: one.outcome,
            checked: one.at.to_string(),
        };
        let required = self.required.names().cloned().collect();
        LocksView { locked, required, locks: checked.iter().map(view).collect() }
    }

    /// Whether there is a lock, each was checked lately, and each held.
    pub(crate) fn is_locked(&self, now: Timestamp) -> bool {
        self.view(now).locked
    }

    /// Changes what is known, and tells the calls that wait for it.
    fn change<T>(&self, change: impl FnOnce(&mut BTreeMap<Name, Checked>) -> T) -> T {
        let mut checked = self.checked();
        let done = change(&mut checked);
        let until = |name: &Name| checked.get(name).and_then(Checked::holds_until);
        let all: Option<Vec<Timestamp>> = self.required.names().map(until).collect();
        self.required.prove(all.and_then(|all| all.into_iter().min()));
        done
    }

    fn checked(&self) -> MutexGuard<'_, BTreeMap<Name, Checked>> {
        self.checked.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

pub(crate) async fn list(State(admin): State<Arc<Admin>>) -> Json<LocksView> {
    Json(admin.locks.view(Timestamp::now()))
}

pub(crate) async fn report(
    State(admin): State<Arc<Admin>>,
    Extension(by): Extension<Peer>,
    Body(report): Body<LockReport>,
) -> Result<Json<Value>, Problem> {
    let (outcome, at) = (report.outcome(), Timestamp::now());
    let words = match outcome {
        LockOutcome::Closed => "lock held",
        LockOutcome::Open => "lock open",
        LockOutcome::NotProved => "lock not proved",
    };
    let act = Act::begin(&admin, by).await?;
    act.note(words, report.name.as_str(), Some(&report.name)).await?;
    admin.locks.change(|checked| {
        if checked.len() >= MOST && !checked.contains_key(&report.name) {
            return Err(Problem::new(ProblemCode::MalformedRequest, "too many locks are known"));
        }
        checked.insert(report.name, Checked { outcome, at });
        Ok(Json(json!({ "outcome": outcome })))
    })
}

pub(crate) async fn forget(
    State(admin): State<Arc<Admin>>,
    Extension(by): Extension<Peer>,
    Path(name): Path<String>,
) -> Result<Json<Value>, Problem> {
    let unknown = || Problem::new(ProblemCode::NotFound, "no such lock was checked");
    let name = Name::parse(&name).map_err(|_| unknown())?;
    let act = Act::begin(&admin, by).await?;
    if !admin.locks.checked().contains_key(&name) {
        return Err(unknown());
    }
    act.note("lock removed", name.as_str(), Some(&name)).await?;
    admin.locks.change(|checked| checked.remove(&name));
    Ok(Json(json!({ "removed": name })))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::LockAttempt;

    fn name(text: &str) -> Name {
        Name::parse(text).unwrap()
    }

    #[test]
    fn t112_a_broker_calls_itself_locked_only_after_a_check_that_passed_and_not_for_long() {
        let (locks, now) = (Locks::default(), Timestamp::now());
        let set = |of: &str, outcome| {
            locks.change(|checked| checked.insert(name(of), Checked { outcome, at: now }));
        };
        assert!(!locks.is_locked(now), "nothing was checked");
        set("one", LockOutcome::Closed);
        assert!(locks.is_locked(now));
        assert!(!locks.is_locked(now.plus(FRESH)), "long ago");
        for wrong in [LockOutcome::Open, LockOutcome::NotProved] {
            set("two", wrong);
            assert!(!locks.is_locked(now), "{wrong:?}");
        }
        set("two", LockOutcome::Closed);
        assert!(locks.is_locked(now));
    }

    #[test]
    fn t112_calls_wait_until_every_required_lock_is_proved_and_no_longer_than_the_oldest_proof() {
        let (required, now) = (Arc::new(RequiredLocks::new([name("one"), name("two")])), Timestamp::now());
        let locks = Locks::requiring(Arc::clone(&required));
        let set = |of: &str, outcome, at| {
            locks.change(|checked| checked.insert(name(of), Checked { outcome, at }));
        };
        set("one", LockOutcome::Closed, now);
        set("other", LockOutcome::Closed, now);
        assert!(required.hold(now).is_err() && !locks.is_locked(now), "two was never checked");
        let earlier = now.minus(Duration::from_secs(60));
        set("two", LockOutcome::Closed, earlier);
        assert!(required.hold(now).is_ok() && locks.is_locked(now));
        assert!(required.hold(earlier.plus(FRESH)).is_err());
        set("one", LockOutcome::NotProved, now);
        assert!(required.hold(now).is_err());
        set("one", LockOutcome::Closed, now);
        // What is not required keeps no call back.
        set("other", LockOutcome::Open, now);
        assert!(required.hold(now).is_ok() && !locks.is_locked(now));
        locks.change(|checked| checked.remove(&name("two")));
        assert!(required.hold(now).is_err(), "it was taken away");
    }

    #[test]
    fn a_check_is_as_good_as_its_worst_attempt() {
        use LockOutcome::{Closed, NotProved, Open};
        for (outcomes, whole) in [
            (&[][..], NotProved),
            (&[Closed, Closed], Closed),
            (&[Closed, NotProved], NotProved),
            (&[NotProved, Open, Closed], Open),
        ] {
            let attempt = |outcome: &LockOutcome| LockAttempt {
                name: "a".into(),
                outcome: *outcome,
                detail: "b".into(),
            };
            let report = LockReport { name: name("one"), attempts: outcomes.iter().map(attempt).collect() };
            assert_eq!(report.outcome(), whole, "{outcomes:?}");
        }
    }
}
