//! Locks on workloads' networks, and what was found when they were checked.

use cloakroom_model::Name;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// `POST /api/v1/locks`: what a check of a lock found.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct LockReport {
    /// The lock.
    #[schema(value_type = String)]
    pub name: Name,
    /// What was tried.
    pub attempts: Vec<LockAttempt>,
}

impl LockReport {
    /// What the check as a whole came to: open where any attempt was, and proved only where something was tried and all of it is closed.
    pub fn outcome(&self) -> LockOutcome {
        let any = |outcome| self.attempts.iter().any(|attempt| attempt.outcome == outcome);
        match () {
            () if any(LockOutcome::Open) => LockOutcome::Open,
            () if self.attempts.is_empty() || any(LockOutcome::NotProved) => LockOutcome::NotProved,
            () => LockOutcome::Closed,
        }
    }
}

/// One attempt to get past a lock.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct LockAttempt {
    /// What was tried.
    pub name: String,
    /// What is known of it.
    pub outcome: LockOutcome,
    /// What came of it.
    pub detail: String,
}

/// What is known of a way out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum LockOutcome {
    /// It is proved that it leads nowhere.
    Closed,
    /// Somebody was reached, or could be.
    Open,
    /// Neither is known.
    NotProved,
}

/// `GET /api/v1/locks`.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct LocksView {
    /// Whether the broker calls itself locked: each lock, and each that is required, was checked within a day, and held.
    pub locked: bool,
    /// The locks without which no call goes out.
    #[serde(default)]
    #[schema(value_type = Vec<String>)]
    pub required: Vec<Name>,
    /// The locks that were checked since the broker started.
    pub locks: Vec<LockView>,
}

/// A lock as shown.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct LockView {
    /// Its name.
    #[schema(value_type = String)]
    pub name: Name,
    /// What its last check came to.
    pub outcome: LockOutcome,
    /// When it was checked (RFC 3339).
    pub checked: String,
}
