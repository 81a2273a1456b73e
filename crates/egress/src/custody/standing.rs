//! Sealed or not, and everything that follows from it: what a seal wipes, and what operators are told.

use super::guard::{Turned, Why};
use super::{Bound, Custody, CustodyError, DropOff, Envelope, Held, Intake, UnsealError, Wants};
use cloakroom_model::{Code, Refusal};
use std::sync::Arc;

/// How custody stands: nothing in it is secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standing {
    /// Who wraps the root keys: what the settings call it.
    pub provider: &'static str,
    /// Why no secret opens; `None` where secrets open.
    pub sealed: Option<Why>,
    /// What operators have to bring.
    pub wants: Wants,
    /// What they seal it to, where they have to bring something: good until it opens, or is sealed again.
    pub intake: Option<Intake>,
    /// The version of the root key that is sealed under, and the least that opens.
    pub versions: Option<(u32, u32)>,
    /// The versions that are held.
    pub held: Vec<u32>,
    /// Whether secrets are being brought under the current version.
    pub rewrapping: bool,
}

impl Custody {
    /// Asks whoever wraps the root keys, where that was not done yet; the first time, makes one. Where it does not answer the broker is
    /// sealed, and goes on.
    ///
    /// # Errors
    /// When there is no root key yet and none can be made.
    pub async fn begin(&self) -> Result<(), CustodyError> {
        if self.keys.is_sealed() && self.guard.provider.can_go() {
            self.guard.begin().await?;
        }
        Ok(())
    }

    /// Whether no secret opens.
    pub fn is_sealed(&self) -> bool {
        self.keys.is_sealed()
    }

    /// Whether an operator sealed it: then calls under way end, too. A provider that went away ends none.
    pub fn is_shut(&self) -> bool {
        self.guard.is_shut()
    }

    /// How it stands.
    pub fn standing(&self) -> Standing {
        Standing {
            provider: self.guard.provider.name(),
            sealed: self.guard.why(),
            wants: self.guard.provider.wants(),
            intake: self.guard.intake(),
            versions: self.keys.versions(),
            held: self.keys.held(),
            rewrapping: self.guard.is_rewrapping(),
        }
    }

    /// One look at a provider that can go away.
    pub async fn look(&self) -> Turned {
        let turned = self.guard.look().await;
        self.wipe_again();
        turned
    }

    /// While sealed, wipes what an exchange has brought that was under way when the broker was sealed.
    pub fn wipe_again(&self) {
        if self.keys.is_sealed() {
            self.wipe();
        }
    }

    /// Wipes every root key and every secret at once. Nothing opens until an operator unseals.
    pub fn seal(&self) {
        self.guard.seal();
        self.wipe();
    }

    /// Unseals: by asking the provider again, or by what an operator brings, sealed to the intake of [`Standing`].
    ///
    /// # Errors
    /// As [`UnsealError`] says.
    pub async fn unseal(&self, brought: Option<&DropOff>, by: &str) -> Result<Turned, UnsealError> {
        self.guard.unseal(brought, by).await
    }

    /// # Errors
    /// `broker-sealed`.
    pub(super) fn require_unsealed(&self) -> Result<(), Refusal> {
        if self.keys.is_sealed() { Err(is_sealed()) } else { Ok(()) }
    }

    /// What is sealed in it whatever happens to the root key meanwhile.
    ///
    /// # Errors
    /// `broker-sealed`.
    pub(super) fn envelope(&self, bound: Arc<Bound>) -> Result<Envelope, Refusal> {
        let failed = |_| Refusal::new(Code::BrokerSealed, "the broker cannot seal what this call may bring");
        Envelope::prepare(&self.keys, bound).map_err(failed)
    }

    /// Lets go of all that was opened, and of what was made of it. Ciphertext stays.
    ///
    /// What calls under way hold ends with them.
    fn wipe(&self) {
        self.held.rcu(|all| {
            let wiped = |held: &Held| Held { derived: Arc::default(), ..held.clone() };
            all.iter().map(|(id, held)| (*id, wiped(held))).collect::<super::IdMap<_, _>>()
        });
        for held in self.held.load().values() {
            held.mint.iter().for_each(|mint| mint.let_go());
            held.sessions.iter().for_each(|sessions| sessions.let_go());
            held.remembered.wipe();
        }
        self.captures.wipe();
        if let Some(means) = self.means.get() {
            means.sources.log_out();
            means.upstream.close_idle();
        }
    }
}

/// While no root key is held nothing is opened, whatever is in memory.
pub(super) fn is_sealed() -> Refusal {
    Refusal::new(Code::BrokerSealed, "the broker is sealed: it holds no key to open secrets with")
}
