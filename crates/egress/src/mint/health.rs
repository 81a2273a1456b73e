//! How the making of access tokens goes, for operators: times and reasons, nothing of what is made.

use super::exchange::Failure;
use cloakroom_model::{Code, Timestamp};
use std::time::Duration;

/// How the making of access tokens goes, since the start of the broker.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Health {
    /// The last time that one was made.
    pub last: Option<Timestamp>,
    /// From then on the next call has another one made; or, after a failure, tries to.
    pub next: Option<Timestamp>,
    /// Until then the one that there is can be used.
    pub ends: Option<Timestamp>,
    /// Why the last attempt failed, if it did.
    pub failed: Option<(Code, &'static str)>,
}

impl Health {
    /// The state in a word: `unused`, `fresh`, `due`, `unavailable` or `login-required`.
    pub fn state(&self, now: Timestamp) -> &'static str {
        match (self.failed, self.next) {
            (Some((Code::LoginRequired, _)), _) => "login-required",
            (Some(_), _) => "unavailable",
            (None, None) => "unused",
            (None, Some(next)) if next <= now => "due",
            (None, Some(_)) => "fresh",
        }
    }

    pub(super) fn made(fresh_for: Duration, valid_for: Duration) -> Self {
        let now = Timestamp::now();
        Self {
            last: Some(now),
            next: Some(now.plus(fresh_for)),
            ends: Some(now.plus(valid_for)),
            failed: None,
        }
    }

    pub(super) fn failed(self, failure: Failure, pause: Duration) -> Self {
        let failed = match failure {
            Failure::Refused(reason) | Failure::Revoked(reason) => (Code::LoginRequired, reason),
            Failure::Unavailable(reason, _) | Failure::Unreached(reason) => {
                (Code::CredentialUnavailable, reason)
            }
        };
        let again = failed.0 != Code::LoginRequired;
        let next = again.then(|| Timestamp::now().plus(pause));
        Self { failed: Some(failed), next, ..self }
    }
}
