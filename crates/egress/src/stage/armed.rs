//! Stage 3: the secret is in the call.

use crate::arm::{self, Outgoing, Placing};
use crate::capture::Order;
use crate::custody::{Custody, Derived, Opened, Unsent};
use crate::mint::Live;
use crate::scrub::{BasicHalf, Finder, NeedleCache, Needles, Target};
use crate::stage::proving::Proving;
use crate::stage::{Accepted, Interim, Returned};
use crate::upstream::{Greeted, Hints, Identity, PoolKey, Upstream};
use cloakroom_model::{Call, Code, CredentialId, Ledger, Refusal, Timestamp};
use cloakroom_policy::{Authorized, MessageJudge, OpenChannel, Use};
use http::HeaderMap;
use std::any::Any;
use std::fmt;
use std::future::Future;
use std::sync::Arc;

/// What takes the place of a secret that was not armed into the call: the workload sent no placeholder for it.
const ANOTHER: &str = "another-credential";

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
        // Whatever fails from here until the call is handed to a connection: nothing of it was sent.
        let minted = self.uses().iter().filter(|used| used.captured().is_none());
        custody.ready(minted).await.map_err(Refusal::unsent)?;
        custody.assume(self.uses(), self.principal().name()).await.map_err(Refusal::unsent)?;
        custody.ready_beside(self.beside()).await.map_err(Refusal::unsent)?;
        let beside = others(custody, self.beside());
        let judge = self.is_handshake().then(|| Box::new(self.message_judge()));
        let (call, _, uses, _) = self.into_parts();
        Armed::with_secrets(call, &uses, beside, custody, judge).map_err(Refusal::unsent)
    }
}

impl Arm for OpenChannel {
    /// Nothing is opened: the secret goes into a message, when one comes that may carry it.
    async fn arm<L: Ledger>(self, custody: &Custody, ledger: &L) -> Result<Armed, Refusal> {
        ledger.record(self.intent()).await?;
        custody.ready_beside(self.beside()).await.map_err(Refusal::unsent)?;
        let beside = others(custody, self.beside());
        let (call, judge) = self.into_parts();
        Armed::with_secrets(call, &[], beside, custody, Some(Box::new(judge))).map_err(Refusal::unsent)
    }
}

/// A call with the secret in it. Made only by [`Arm::arm`].
pub struct Armed {
    outgoing: Outgoing,
    key: PoolKey,
    finder: Arc<Finder>,
    range_allowed: bool,
    /// Who judges the messages that follow, where the call asks for a WebSocket.
    judge: Option<Box<MessageJudge>>,
    /// The access tokens in it that the broker had made.
    lives: Vec<Arc<Live>>,
    /// What the connection shows of itself.
    identity: Option<Box<Identity>>,
    /// What is to be done with tokens in the reply.
    capture: Option<Box<Order>>,
    /// What proves possession of the key that one of them is bound to.
    proving: Option<Proving>,
    /// Dropped when nothing of the call is under way any more.
    seat: Option<Box<dyn Any + Send>>,
}

impl Armed {
    fn with_secrets(
        mut call: Call,
        uses: &[Use],
        beside: Vec<Target>,
        custody: &Custody,
        judge: Option<Box<MessageJudge>>,
    ) -> Result<Self, Refusal> {
        let mut armed = Vec::with_capacity(uses.len());
        let mut targets = Vec::with_capacity(uses.len() + beside.len());
        let mut credentials = Vec::with_capacity(uses.len());
        let mut kept: Option<Arc<Derived>> = None;
        let mut lives = Vec::new();
        let mut capture = None;
        for used in uses {
            let opened = custody.open_use(used, &call.destination)?;
            Proving::check(&call, used.spot(), opened.live.as_ref())?;
            credentials.push((used.credential(), opened.generation));
            // A login brings its own user name; what its credentials look like is among what goes with it.
            let half = if opened.user.is_some() { None } else { arm::half_of(&call, used.spot()) };
            aim(&mut targets, &opened, half.as_ref().map(arm::Half::as_basic), used.text())?;
            if let Some(order) = custody.order(used, &opened, &call)? {
                capture = Some(Box::new(order));
            }
            targets.extend(opened.before.iter().map(|needles| aimed(needles, used.text())));
            if let Some(live) = opened.live {
                targets.extend(live.also.iter().map(|needles| aimed(needles, used.text())));
                lives.push(live);
            }
            kept.get_or_insert_with(|| Arc::clone(&opened.derived));
            armed.push(Placing {
                spot: used.spot().clone(),
                text: used.text().into(),
                secret: opened.secret,
                user: opened.user,
            });
        }
        for used in uses {
            let captured = custody.captured_needles(used.credential());
            targets.extend(captured.iter().map(|needles| aimed(needles, ANOTHER)));
        }
        // Behind those of the call: where two credentials have one secret, the workload gets the placeholder it sent.
        targets.extend(beside);
        once(&mut targets);
        let range_allowed = !uses.is_empty() && uses.iter().all(Use::range_allowed);
        let key = PoolKey { credentials, destination: call.destination.clone() };
        let identity = arm::identity(&mut call, &mut armed)?;
        let (mut outgoing, signature) = arm::arm(call, armed, range_allowed, Timestamp::now())?;
        let proving = Proving::of_all(&lives, &key.destination, &mut outgoing, signature.is_some())?;
        if identity.is_some() && (capture.is_some() || proving.is_some()) {
            // SECURITY: what asks on its own behalf would connect without the certificate, and leave that connection to those who need it.
            return Err(Refusal::new(
                Code::PlaceNotPermitted,
                "a client certificate does not go with this credential",
            ));
        }
        // INVARIANT: a counted use reaches a destination once, and a destination's word that it processed nothing is no proof (invariant 7).
        if uses.iter().any(Use::is_counted) {
            outgoing.body = outgoing.body.once();
        }
        let finder = match kept {
            Some(kept) => cache(&kept)?.finder(targets),
            None => Finder::alone(targets),
        };
        // SECURITY: a signature that comes back would let the workload make this very call once more, past the broker.
        let finder = match (signature, uses.iter().find(|used| used.signs())) {
            (Some(signature), Some(used)) => {
                signature.needles().fold(finder, |finder, needles| finder.with(aimed(&needles, used.text())))
            }
            _ => finder,
        };
        Ok(Self {
            outgoing,
            key,
            finder: Arc::new(finder),
            range_allowed,
            judge,
            lives,
            capture,
            proving,
            identity,
            seat: None,
        })
    }

    /// The same, with something to hold for as long as the call is under way: an exchange goes on when its caller is gone.
    #[must_use]
    pub fn holding(self, seat: impl Any + Send) -> Self {
        Self { seat: Some(Box::new(seat)), ..self }
    }

    /// Sends the call to its destination, and nowhere else. Informational replies go to `on_interim` as they come, without
    /// secrets.
    ///
    /// # Errors
    /// `address-not-permitted`, `upstream-unreachable`, `upstream-untrusted`, `upstream-timeout`; `malformed-call` and
    /// `body-not-permitted` when the request's own body fails.
    pub async fn send(
        self,
        upstream: &Upstream,
        on_interim: &mut (dyn FnMut(Interim) + Send),
    ) -> Result<Returned, Refusal> {
        if let Some(order) = self.capture {
            return Box::pin(order.carry_out(self.outgoing, self.key, self.finder, self.seat)).await;
        }
        let Outgoing { head, body } = self.outgoing;
        let method = head.method.clone();
        let finder = self.finder;
        let mut tell = |status, fields: HeaderMap| on_interim(Interim::scrub(status, fields, &finder));
        let mut hints = Hints::new(&mut tell);
        let reply = match self.judge {
            None => match self.proving {
                None => upstream.send_as(head, body, self.key, self.identity.as_deref(), &mut hints).await?,
                Some(proving) => Box::pin(proving.send(upstream, head, body, self.key, &mut hints)).await?,
            },
            Some(judge) => {
                let destination = self.key.destination.clone();
                match Box::pin(upstream.greet(head, self.key, self.identity.as_deref(), &mut hints)).await? {
                    Greeted::Declined(reply) => reply,
                    Greeted::Switched(reply, switched) => {
                        let accepted = Accepted { switched, judge, destination };
                        return Ok(Returned::accepted(reply, accepted, method, finder));
                    }
                }
            }
        };
        let says_invalid = says_invalid(&reply);
        let is_unauthorized = reply.status() == http::StatusCode::UNAUTHORIZED;
        let refused = |live: &&Arc<Live>| says_invalid || is_unauthorized && live.is_read_elsewhere();
        self.lives.iter().filter(refused).for_each(|live| live.refuse());
        Returned::new(reply, method, finder, self.range_allowed).await
    }
}

/// Whether the destination takes the access token for one that is not valid (RFC 6750, section 3.1).
fn says_invalid<B>(reply: &http::Response<B>) -> bool {
    let challenges = reply.headers().get_all(http::header::WWW_AUTHENTICATE);
    let says = |value: &http::HeaderValue| value.as_bytes().windows(13).any(|word| word == b"invalid_token");
    reply.status() == http::StatusCode::UNAUTHORIZED && challenges.iter().any(says)
}

impl fmt::Debug for Armed {
    /// SECURITY: the head and the body hold the secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Armed").field("destination", &self.key.destination).finish_non_exhaustive()
    }
}

/// Adds all that is looked for in the reply on behalf of one use.
fn aim(
    targets: &mut Vec<Target>,
    opened: &Opened,
    basic: Option<BasicHalf<'_>>,
    placeholder: &str,
) -> Result<(), Refusal> {
    let cache = cache(&opened.derived)?;
    // Read only where its needles were not made yet.
    let parts = match cache.known_parts() {
        Some(parts) => parts,
        None => match Unsent::read(opened.kind, opened.secret.expose())? {
            Some(unsent) => cache.parts(&unsent.parts()),
            None => {
                targets.push(target(opened, basic, placeholder)?);
                return Ok(());
            }
        },
    };
    targets.extend(parts.iter().map(|needles| aimed(needles, placeholder)));
    Ok(())
}

/// The same needles are looked for once, on behalf of whom they came for first.
fn once(targets: &mut Vec<Target>) {
    let mut seen = Vec::with_capacity(targets.len());
    targets.retain(|target| {
        let own = Arc::as_ptr(&target.needles);
        let is_new = !seen.contains(&own);
        seen.push(own);
        is_new
    });
}

fn aimed(needles: &Arc<Needles>, placeholder: &str) -> Target {
    Target { needles: Arc::clone(needles), placeholder: placeholder.into() }
}

/// What to look for in the reply on behalf of one use of a secret that is one text.
pub(crate) fn target(
    opened: &Opened,
    basic: Option<BasicHalf<'_>>,
    placeholder: &str,
) -> Result<Target, Refusal> {
    Ok(Target { needles: needles(opened, basic)?, placeholder: placeholder.into() })
}

/// What to look for on behalf of credentials that other calls brought to the destination: a log or a list that it keeps
/// may show them. One that does not open any more cannot be looked for, and cannot be armed either.
fn others(custody: &Custody, beside: &[CredentialId]) -> Vec<Target> {
    let mut targets = Vec::with_capacity(beside.len());
    for id in beside {
        let captured = custody.captured_needles(*id);
        targets.extend(captured.iter().map(|needles| aimed(needles, ANOTHER)));
        for session in custody.sessions(*id) {
            let also = session.live.iter().flat_map(|live| &live.also);
            targets.extend(also.map(|needles| aimed(needles, ANOTHER)));
            let _ = aim(&mut targets, &session, None, ANOTHER);
        }
        let kept = custody.derived(*id);
        let known = kept.as_ref().and_then(|kept| cache(kept).ok());
        if let Some(parts) = known.and_then(NeedleCache::known_parts) {
            targets.extend(parts.iter().map(|needles| aimed(needles, ANOTHER)));
        } else if let Some(needles) = known.and_then(NeedleCache::known) {
            targets.push(aimed(&needles, ANOTHER));
        } else if let Ok(opened) = custody.open(*id) {
            // Opened only where its needles were not made yet. Where none can be made, nothing is added.
            let _ = aim(&mut targets, &opened, None, ANOTHER);
        }
    }
    targets
}

fn needles(opened: &Opened, basic: Option<BasicHalf<'_>>) -> Result<Arc<Needles>, Refusal> {
    Ok(cache(&opened.derived)?.needles(basic, opened.secret.expose()))
}

/// What scrubbing keeps beside a secret.
fn cache(kept: &Derived) -> Result<&NeedleCache, Refusal> {
    let kept = kept.get_or_init(|| Arc::new(NeedleCache::default()) as Arc<dyn Any + Send + Sync>);
    let fault =
        || Refusal::new(Code::InternalFault, "what is kept beside a secret is not what scrubbing put there");
    kept.downcast_ref::<NeedleCache>().ok_or_else(fault)
}
