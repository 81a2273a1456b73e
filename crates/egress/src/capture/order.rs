//! One exchange that a workload asked for: sent, read, its tokens kept, its reply rewritten.

use super::reply::{Granted, Reading};
use crate::arm::Outgoing;
use crate::custody::{Captures, Envelope, Owner, digest_of};
use crate::mint::Means;
use crate::scrub::{Finder, NeedleCache, Needles, Target};
use crate::stage::{Returned, read_whole};
use crate::upstream::{Hints, PoolKey};
use cloakroom_model::{Code, CoreId, Refusal, Token};
use cloakroom_policy::Capture;
use std::any::Any;
use std::sync::Arc;

/// The longest reply that is read, in bytes, its codings undone.
const LONGEST: usize = 64 * 1024;
/// What stands for a withheld token, should the reply name it elsewhere.
const WITHHELD: &str = "withheld";

/// What is to be done with the reply of a token endpoint.
pub(crate) struct Order {
    pub(crate) captures: Arc<Captures>,
    pub(crate) means: Means,
    pub(crate) owner: Owner,
    pub(crate) capture: Capture,
    pub(crate) presented: Option<RefreshToken>,
}

/// The refresh token that the call asks to refresh with, and with nothing else: what replaces it keeps its placeholder.
pub(crate) struct RefreshToken {
    /// Its placeholder, as the workload has it.
    pub(crate) text: Box<str>,
    pub(crate) digest: [u8; 32],
    pub(crate) needles: Option<Arc<Needles>>,
    pub(crate) kept: RefreshTokenIs,
    /// What the one that replaces it is sealed in.
    pub(crate) envelope: Envelope,
}

/// Where a refresh token is kept.
pub(crate) enum RefreshTokenIs {
    /// It was deposited.
    Credential(u32),
    /// It was captured.
    Captured(CoreId),
}

impl Order {
    /// Sends the call and rewrites its reply.
    ///
    /// A task of its own: a workload that hangs up must not lose a refresh token on its way.
    ///
    /// # Errors
    /// As [`Armed::send`](crate::Armed::send); `response-not-scrubbable` where the reply is not of a known form, `credential-unavailable` where
    /// its tokens cannot be kept.
    pub(crate) async fn carry_out(
        self,
        outgoing: Outgoing,
        key: PoolKey,
        finder: Arc<Finder>,
        seat: Option<Box<dyn Any + Send>>,
    ) -> Result<Returned, Refusal> {
        let exchange = tokio::spawn(async move {
            // SECURITY: who hangs up has this call under way still, and no more of them at once than others (T97).
            let _seat = seat;
            self.exchange(outgoing, key, finder).await
        });
        exchange
            .await
            .unwrap_or_else(|_| Err(Refusal::new(Code::InternalFault, "an exchange did not finish")))
    }

    async fn exchange(
        self,
        outgoing: Outgoing,
        key: PoolKey,
        finder: Arc<Finder>,
    ) -> Result<Returned, Refusal> {
        let Outgoing { head, body } = outgoing;
        let method = head.method.clone();
        // Nothing informational goes on: nobody reads it, and it could carry a token.
        let mut ignore = |_, _| {};
        let reply = self.means.upstream.send(head, body, key, &mut Hints::new(&mut ignore)).await?;
        let whole = read_whole(reply, &method, LONGEST).await?;
        let reading = Reading::of(whole.status, &whole.fields, &whole.body)?;
        let (texts, targets) = self.keep(&reading.granted()).await?;
        let finder = targets.into_iter().fold(finder, |finder, target| Arc::new(finder.with(target)));
        let (status, fields, body) = reading.rewritten(&texts);
        Ok(Returned::rewritten(status, fields, body, method, finder))
    }

    /// Keeps what is granted, refresh tokens first: the texts that take their places, and what to look for.
    async fn keep(&self, granted: &[&Granted]) -> Result<(Vec<Option<Box<str>>>, Vec<Target>), Refusal> {
        let mut texts: Vec<Option<Box<str>>> = granted.iter().map(|_| None).collect();
        let mut targets = Vec::new();
        let mut presented = self.presented.as_ref();
        let is_refresh = |one: &Granted| one.token == Token::RefreshToken;
        let (first, rest): (Vec<usize>, Vec<usize>) =
            (0..granted.len()).partition(|at| is_refresh(granted[*at]));
        for at in first.into_iter().chain(rest) {
            let one = granted[at];
            let text = match presented.filter(|_| is_refresh(one)) {
                _ if !self.capture.takes(one.token) => None,
                Some(known) => {
                    presented = None;
                    self.succeed(known, one).await?;
                    Some(known.text.clone())
                }
                None => Some(self.admit(one).await?),
            };
            let placeholder = text.clone().unwrap_or_else(|| WITHHELD.into());
            let needles = NeedleCache::default().needles(None, one.secret.as_bytes());
            targets.push(Target { needles, placeholder });
            texts[at] = text;
        }
        Ok((texts, targets))
    }

    async fn admit(&self, one: &Granted) -> Result<Box<str>, Refusal> {
        let keeper = &*self.means.keeper;
        self.captures.admit(keeper, self.owner, one.token, &one.secret, one.valid_for).await
    }

    /// The refresh token that the server gives in place of the presented one.
    async fn succeed(&self, presented: &RefreshToken, fresh: &Granted) -> Result<(), Refusal> {
        if digest_of(fresh.secret.as_bytes()) == presented.digest {
            return Ok(());
        }
        let keeper = &*self.means.keeper;
        match &presented.kept {
            RefreshTokenIs::Captured(core) => {
                self.captures.renew(keeper, *core, &presented.text, &fresh.secret, &presented.envelope).await
            }
            RefreshTokenIs::Credential(generation) => {
                let (old, envelope) = (presented.needles.clone(), &presented.envelope);
                self.captures.replace(keeper, self.owner, *generation, envelope, &fresh.secret, old).await
            }
        }
    }
}
