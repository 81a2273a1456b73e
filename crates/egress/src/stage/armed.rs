//! Stage 3: the secret is in the call.

#![allow(clippy::todo, dead_code)]
use crate::custody::Custody;
use crate::stage::Returned;
use crate::upstream::Upstream;
use cloakroom_model::{Ledger, Refusal};
use cloakroom_policy::Authorized;
use std::future::Future;

/// Ends stage 2: records the intent, opens the secrets, substitutes.
pub trait Arm: Sized {
    /// Records the intent durably, then opens the secrets and puts them in their places.
    ///
    /// # Errors
    /// What the ledger refuses; `broker-sealed` when a secret does not open; `place-not-permitted` when a secret cannot
    /// be written safely at its place.
    fn arm<L: Ledger>(
        self,
        custody: &Custody,
        ledger: &L,
    ) -> impl Future<Output = Result<Armed, Refusal>> + Send;
}

impl Arm for Authorized {
    async fn arm<L: Ledger>(self, _custody: &Custody, _ledger: &L) -> Result<Armed, Refusal> {
        todo!()
    }
}

/// A call with the secret in it. Made only by [`Arm::arm`].
pub struct Armed {
    _private: (),
}

impl Armed {
    /// Sends the call to its destination, and nowhere else.
    ///
    /// # Errors
    /// `address-not-permitted`, `upstream-unreachable`, `upstream-untrusted`, `upstream-timeout`.
    pub async fn send(self, _upstream: &Upstream) -> Result<Returned, Refusal> {
        todo!()
    }
}
