//! What was found when locks on workloads' networks were checked, and whether the broker may call itself locked.

use super::input::Body;
use crate::act::Act;
use crate::admin::Admin;
use crate::peer::Peer;
use crate::wire::{LockReport, LockView, LocksView};
use crate::{Problem, ProblemCode};
use axum::extract::{Path, State};
use axum::{Extension, Json};
use cloakroom_model::{Name, Timestamp};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// How long a check counts: rules and wires change.
const FRESH: Duration = Duration::from_secs(24 * 3600);
/// Locks that are remembered.
const MOST: usize = 256;

/// What the last check of each lock found, since the broker started: a broker that starts has proved nothing.
#[derive(Debug, Default)]
pub struct Locks(Mutex<BTreeMap<Name, Checked>>);

#[derive(Clone, Copy, Debug)]
struct Checked {
    held: bool,
    at: Timestamp,
}

impl Locks {
    fn view(&self, now: Timestamp) -> LocksView {
        let checked = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // INVARIANT: nothing is called locked that was not proved lately, and one open lock is one too many.
        let good = |one: &Checked| one.held && now < one.at.plus(FRESH);
        let locked = !checked.is_empty() && checked.values().all(good);
        let view = |(name, one): (&Name, &Checked)| LockView {
            name: name.clone(),
            held: one.held,
            checked: one.at.to_string(),
        };
        LocksView { locked, locks: checked.iter().map(view).collect() }
    }

    /// Whether there is a lock, each was checked lately, and each held.
    pub(crate) fn is_locked(&self, now: Timestamp) -> bool {
        self.view(now).locked
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
    let (held, at) = (report.held(), Timestamp::now());
    let act = Act::begin(&admin, by).await?;
    act.note(if held { "lock held" } else { "lock open" }, report.name.as_str(), Some(&report.name)).await?;
    let mut checked = admin.locks.0.lock().unwrap_or_else(PoisonError::into_inner);
    if checked.len() >= MOST && !checked.contains_key(&report.name) {
        return Err(Problem::new(ProblemCode::MalformedRequest, "too many locks are known"));
    }
    checked.insert(report.name, Checked { held, at });
    Ok(Json(json!({ "held": held })))
}

pub(crate) async fn forget(
    State(admin): State<Arc<Admin>>,
    Extension(by): Extension<Peer>,
    Path(name): Path<String>,
) -> Result<Json<Value>, Problem> {
    let unknown = || Problem::new(ProblemCode::NotFound, "no such lock was checked");
    let name = Name::parse(&name).map_err(|_| unknown())?;
    let act = Act::begin(&admin, by).await?;
    if !admin.locks.0.lock().unwrap_or_else(PoisonError::into_inner).contains_key(&name) {
        return Err(unknown());
    }
    act.note("lock removed", name.as_str(), Some(&name)).await?;
    admin.locks.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&name);
    Ok(Json(json!({ "removed": name })))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn t112_a_broker_calls_itself_locked_only_after_a_check_that_passed_and_not_for_long() {
        let (locks, now) = (Locks::default(), Timestamp::now());
        let set = |name: &str, held| {
            locks.0.lock().unwrap().insert(Name::parse(name).unwrap(), Checked { held, at: now });
        };
        assert!(!locks.is_locked(now), "nothing was checked");
        set("one", true);
        assert!(locks.is_locked(now));
        assert!(!locks.is_locked(now.plus(FRESH)), "long ago");
        set("two", false);
        assert!(!locks.is_locked(now), "one is open");
        set("two", true);
        assert!(locks.is_locked(now));
    }
}
