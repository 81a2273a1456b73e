//! Stage 3: the secret is in the call.

use crate::arm::{self, Outgoing, Placing};
use crate::custody::{Custody, Opened};
use crate::scrub::{Finder, NeedleCache, Target};
use crate::stage::Returned;
use crate::upstream::{PoolKey, Upstream};
use cloakroom_model::{Call, Code, Ledger, Refusal};
use cloakroom_policy::{Authorized, Use};
use std::any::Any;
use std::fmt;
use std::future::Future;
use std::sync::Arc;

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
    async fn arm<L: Ledger>(self, custody: &Custody, ledger: &L) -> Result<Armed, Refusal> {
        // INVARIANT: nothing is opened before its intent is on record (invariant 2).
        ledger.record(&self.intent()).await?;
        let (call, _, uses, _) = self.into_parts();
        Armed::with_secrets(call, &uses, custody)
    }
}

/// A call with the secret in it. Made only by [`Arm::arm`].
pub struct Armed {
    outgoing: Outgoing,
    key: PoolKey,
    finder: Arc<Finder>,
    range_allowed: bool,
}

impl Armed {
    fn with_secrets(call: Call, uses: &[Use], custody: &Custody) -> Result<Self, Refusal> {
        let mut armed = Vec::with_capacity(uses.len());
        let mut targets = Vec::with_capacity(uses.len());
        let mut credentials = Vec::with_capacity(uses.len());
        for used in uses {
            let opened = custody.open_for(used.credential(), &call.destination)?;
            credentials.push((used.credential(), opened.generation));
            targets.push(target(&call, used, &opened)?);
            armed.push(Placing {
                spot: used.spot().clone(),
                text: used.text().into(),
                secret: opened.secret,
            });
        }
        let range_allowed = uses.iter().all(Use::range_allowed);
        let key = PoolKey { credentials, destination: call.destination.clone() };
        let outgoing = arm::write(call, &armed, range_allowed)?;
        Ok(Self { outgoing, key, finder: Arc::new(Finder::new(targets)), range_allowed })
    }

    /// Sends the call to its destination, and nowhere else.
    ///
    /// # Errors
    /// `address-not-permitted`, `upstream-unreachable`, `upstream-untrusted`, `upstream-timeout`.
    pub async fn send(self, upstream: &Upstream) -> Result<Returned, Refusal> {
        let Outgoing { head, body } = self.outgoing;
        let method = head.method.clone();
        let reply = upstream.send(head, body, self.key).await?;
        Returned::new(reply, method, self.finder, self.range_allowed).await
    }
}

impl fmt::Debug for Armed {
    /// SECURITY: the head and the body hold the secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Armed").field("destination", &self.key.destination).finish_non_exhaustive()
    }
}

/// What to look for in the reply on behalf of one use.
fn target(call: &Call, used: &Use, opened: &Opened) -> Result<Target, Refusal> {
    let kept = opened.derived.get_or_init(|| Arc::new(NeedleCache::default()) as Arc<dyn Any + Send + Sync>);
    let cache = kept.downcast_ref::<NeedleCache>();
    let fault =
        || Refusal::new(Code::InternalFault, "what is kept beside a secret is not what scrubbing put there");
    let half = arm::half_of(call, used.spot());
    let basic = half.as_ref().map(arm::Half::as_basic);
    let needles = cache.ok_or_else(fault)?.needles(basic, opened.secret.expose());
    Ok(Target { needles, placeholder: used.text().into() })
}
