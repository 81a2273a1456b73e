//! Locks on workloads' networks, and what was found when they were checked.

use cloakroom_model::Name;
use serde::{Deserialize, Serialize};

/// `POST /api/v1/locks`: what a check of a lock found.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LockReport {
    /// The lock.
    pub name: Name,
    /// What was tried.
    pub attempts: Vec<LockAttempt>,
}

impl LockReport {
    /// Whether something was tried, and all of it held.
    pub fn held(&self) -> bool {
        !self.attempts.is_empty() && self.attempts.iter().all(|attempt| attempt.held)
    }
}

/// One attempt to get past a lock.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LockAttempt {
    /// What was tried.
    pub name: String,
    /// Whether it is proved that it goes nowhere.
    pub held: bool,
    /// What came of it.
    pub detail: String,
}

/// `GET /api/v1/locks`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct LocksView {
    /// Whether the broker calls itself locked: each lock was checked within a day, and held.
    pub locked: bool,
    /// The locks that were checked since the broker started.
    pub locks: Vec<LockView>,
}

/// A lock as shown.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct LockView {
    /// Its name.
    pub name: Name,
    /// Whether all of its last check held.
    pub held: bool,
    /// When it was checked (RFC 3339).
    pub checked: String,
}
