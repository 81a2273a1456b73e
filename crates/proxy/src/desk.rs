//! Where every request is heard: who asks, what for, and what becomes of it, whatever version of HTTP brought it.

use crate::ask::{Approach, Ask, Petition, inside, not_named};
use crate::authenticate::{authenticate, unknown, verify};
use crate::aws::{self, Ticket};
use crate::calls::Underway;
use crate::canonical::{end_to_end, read_bound, read_for_policy, read_until_it_pauses};
use crate::grpc;
use crate::head::Head;
use crate::interims::Meanwhile;
use crate::ledger::CallLedger;
use crate::lesson;
use crate::live::{Liveness, while_live};
use crate::peer::Peer;
use crate::problem;
use crate::proxy::Shared;
use crate::reply::{AnswerBody, Ends, own, relay};
use crate::seats::Seat;
use crate::stages::Came;
use crate::switch::Switch;
use crate::trace::Trace;
use bytes::Bytes;
use cloakroom_egress::websocket::{Carrier, Greeting};
use cloakroom_model::{
    Call, Code, Destination, EventKind, OnMisuse, Path, Payload, Principal, Query, Refusal, Timestamp, Way,
    WorkloadId,
};
use cloakroom_policy::{Identified, PolicySet};
use http::{Method, Response};
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};

/// How the connection came about.
pub(crate) enum Door {
    /// The listener itself: every request proves who asks, and says where it goes.
    Open,
    /// A tunnel: who asks and where it goes was settled when it was opened (invariant 5).
    Tunnel { principal: Principal, destination: Destination, way: Way },
}

/// One connection's desk. The streams of a connection share it.
pub(crate) struct Desk {
    pub(crate) shared: Arc<Shared>,
    pub(crate) door: Door,
    pub(crate) peer: Peer,
    seat: Mutex<Option<Seat>>,
}

/// What a request is about, once it is known who asks.
pub(crate) enum Errand {
    /// Whether the broker runs.
    Health,
    /// What a workload asks of the broker itself.
    Petition(Petition, Principal),
    /// A tunnel to intercept.
    Tunnel { principal: Principal, destination: Destination },
    /// One call to a destination that a permit names.
    Call(Wish),
}

/// What a call came to.
pub(crate) enum Served {
    /// A reply to hand on.
    Answer(Response<AnswerBody>),
    /// A WebSocket to relay.
    Switch(Box<Switch>),
}

/// Who wants what, and how it came.
pub(crate) struct Wish {
    principal: Principal,
    way: Way,
    destination: Destination,
    path: Path,
    query: Query,
    /// Counted as under way; not where the call is only judged.
    underway: Option<Arc<Underway>>,
}

impl Desk {
    /// `seat` is the one that the connection holds already.
    pub(crate) fn new(shared: Arc<Shared>, door: Door, peer: Peer, seat: Option<Seat>) -> Self {
        Self { shared, door, peer, seat: Mutex::new(seat) }
    }

    /// The seat, for a tunnel that takes the connection over.
    pub(crate) fn take_seat(&self) -> Option<Seat> {
        self.seat.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// What is known of a request before it is read.
    pub(crate) fn trace(&self) -> Trace {
        let mut trace = Trace::begin(self.peer);
        if let Door::Tunnel { principal, destination, way } = &self.door {
            trace.way = Some(*way);
            trace.principal = Some(principal.clone());
            trace.destination = Some(destination.clone());
        }
        trace
    }

    /// SECURITY: a tunnel may outlive the boot by which its guest was known.
    fn require_boot(&self, principal: &Principal) -> Result<(), Refusal> {
        if self.peer.boot().is_none() {
            return Ok(());
        }
        let known = verify(None, self.peer, &self.shared.proxy.policies.load())?;
        if known.workload() == principal.workload() { Ok(()) } else { Err(unknown()) }
    }

    /// Who asks, and what for. Nothing of a body has been looked at.
    ///
    /// # Errors
    /// `unknown-workload`, `rate-limited`, `destination-not-permitted`; `malformed-call` and `ambiguous-call` for targets.
    pub(crate) async fn hear(&self, head: &Head, trace: &mut Trace) -> Result<Errand, Refusal> {
        if let Some(tracer) = &self.shared.proxy.tracer {
            trace.traced = tracer.begin(head, trace.request);
        }
        if let Door::Tunnel { principal, destination, way } = &self.door {
            self.require_boot(principal)?;
            let (path, query) = inside(head, destination)?;
            if aws::is_sts(destination) && self.answers_for(destination, principal.workload()) {
                let asks = head.method == Method::POST && path.encoded() == "/" && query.pairs().is_empty();
                if asks {
                    return Ok(Errand::Petition(Petition::AwsSts, principal.clone()));
                }
            }
            let (principal, destination) = (principal.clone(), destination.clone());
            let underway = Some(Arc::new(self.shared.calls.begin(principal.workload())?));
            return Ok(Errand::Call(Wish { principal, way: *way, destination, path, query, underway }));
        }
        match Ask::of(head)? {
            Ask::Health => Ok(Errand::Health),
            Ask::Petition(petition) => {
                let policies = self.shared.proxy.policies.load_full();
                let principal = self.identify(head, &policies, trace).await?;
                Ok(Errand::Petition(petition, principal))
            }
            Ask::AwsKeys => {
                let policies = self.shared.proxy.policies.load_full();
                let ticket = Ticket::of(&head.fields)?;
                let known = ticket.identify(&head.fields, self.peer, &policies);
                let principal = self.seated(known, ticket.shows_key(), trace).await?;
                Ok(Errand::Petition(Petition::AwsKeys(ticket.placeholder), principal))
            }
            Ask::Tunnel(approach) => {
                let policies = self.shared.proxy.policies.load_full();
                let principal = self.admit(head, &approach, &policies, trace).await?;
                let destination = self.destination(&approach, principal.workload(), &policies);
                let destination = destination.or_else(|| self.token_service(&approach, &principal));
                let destination =
                    destination.ok_or_else(|| unnamed(&approach.wanted(), &principal, &policies))?;
                Ok(Errand::Tunnel { principal, destination })
            }
            Ask::Call(approach, path, query) => {
                let policies = self.shared.proxy.policies.load_full();
                let principal = self.admit(head, &approach, &policies, trace).await?;
                let named = self.destination(&approach, principal.workload(), &policies);
                let is_named = named.is_some();
                let destination = named.unwrap_or_else(|| approach.wanted());
                let mut wish =
                    Wish { principal, way: approach.way, destination, path, query, underway: None };
                if is_named {
                    wish.underway = Some(Arc::new(self.shared.calls.begin(wish.principal.workload())?));
                    trace.destination = Some(wish.destination.clone());
                    Ok(Errand::Call(wish))
                } else {
                    Err(judge_unnamed(wish, head.clone(), &policies, trace))
                }
            }
        }
    }

    /// Where a request goes: where a permit leads, and in a lesson wherever it wants.
    fn destination(
        &self,
        approach: &Approach,
        workload: WorkloadId,
        policies: &PolicySet,
    ) -> Option<Destination> {
        let named = approach.permitted(workload, policies);
        named.or_else(|| self.teaches(workload).then(|| approach.wanted()))
    }

    /// AWS's token service, where this workload holds what programs exchange there: the tunnel ends here, and nothing is sent on.
    fn token_service(&self, approach: &Approach, principal: &Principal) -> Option<Destination> {
        let wanted = approach.wanted();
        let has_key = || self.shared.proxy.policies.load().has_aws_key(principal.workload());
        (aws::is_sts(&wanted) && has_key()).then_some(wanted)
    }

    /// Whether the broker itself answers there: no permit leads this workload there.
    fn answers_for(&self, destination: &Destination, workload: WorkloadId) -> bool {
        let policies = self.shared.proxy.policies.load();
        policies.destination_for(workload, destination.host(), Some(destination.port())).is_none()
    }

    /// One call through its stages. Informational replies are noted meanwhile, and it is looked whether
    /// the placeholders count still.
    ///
    /// # Errors
    /// Whatever stage says no.
    pub(crate) async fn serve(
        &self,
        mut wish: Wish,
        head: Head,
        body: Payload,
        trace: &mut Trace,
        meanwhile: Meanwhile<'_>,
        carrier: Carrier,
    ) -> Result<Served, Refusal> {
        let greeting = head.upgrade.map(|_| Greeting::read(&head.fields, carrier)).transpose()?;
        let proxy = &self.shared.proxy;
        let teaches = self.teaches(wish.principal.workload());
        let bound = proxy.policies.load().body_bound(wish.principal.workload(), &wish.destination);
        let bound = if teaches { bound.max(Some(lesson::READ)) } else { bound };
        let read = read_bound(&proxy.limits, bound);
        // No rule looks into a body of gRPC: those that look demand a form or JSON.
        let body = if grpc::speaks(&head.fields) {
            read_until_it_pauses(body, read).await?
        } else {
            read_for_policy(body, read).await?
        };
        let (principal, underway) = (wish.principal.clone(), wish.underway.take());
        let call = canonical(wish, head, body, trace);
        if teaches {
            return Err(self.learn(call, principal));
        }
        let ledger = CallLedger::new(&self.shared, self.peer, trace.traced.clone());
        let answer = {
            let served =
                pin!(proxy.serve_call(call, principal, &ledger, meanwhile.interims, underway.clone()));
            while_live(served, meanwhile.beat, proxy, &ledger).await
        };
        let answer = answer.map_err(|no| ledger.conclude(no));
        trace.intended = ledger.has_recorded();
        let (placeholders, laps) = ledger.close();
        let live = Liveness::new(proxy, placeholders);
        let (mut answer, ticket) = match answer? {
            Came::Answer(answer, ticket) => (answer, ticket),
            Came::Kept(kept) => return Ok(Served::Answer(kept.answer(trace.request))),
        };
        let events = proxy.events.clone();
        Ok(match answer.take_channel().zip(greeting) {
            Some((channel, greeting)) => {
                let fields = answer.into_response().into_parts().0.headers;
                Served::Switch(Switch::new(channel, greeting, fields, trace, events, underway).into())
            }
            None => {
                let response = relay(answer, trace, Ends { events, laps, underway }, live);
                Served::Answer(match ticket {
                    Some(ticket) => ticket.follow(response),
                    None => response,
                })
            }
        })
    }

    /// Answers what a workload asks of the broker itself.
    ///
    /// # Errors
    /// As [`Desk::propose`] and [`Desk::claim`].
    pub(crate) async fn petition(
        &self,
        petition: Petition,
        principal: &Principal,
        body: Payload,
    ) -> Result<Response<AnswerBody>, Refusal> {
        match petition {
            Petition::Holdings(said) => self.tell_holdings(principal, said),
            Petition::Propose => self.propose(principal, body).await,
            Petition::Outcome(awaited) => self.tell_outcome(principal, awaited),
            Petition::Meaning(puzzle, said) => self.tell_meaning(principal, puzzle, said),
            Petition::Claim => self.claim(principal, body).await,
            Petition::AwsKeys(placeholder) => self.lend_keys(principal, &placeholder),
            Petition::AwsSts => self.answer_sts(principal, body).await,
        }
    }

    /// Records a refusal and makes it an answer.
    pub(crate) async fn refused(&self, trace: &Trace, refusal: Refusal) -> Response<AnswerBody> {
        let refusal = self.settle(trace, refusal).await;
        problem::answer(&refusal, trace.request, trace.audience()).map(own)
    }

    /// The same for a program that speaks gRPC.
    pub(crate) async fn refused_in_grpc(&self, trace: &Trace, refusal: Refusal) -> Response<AnswerBody> {
        let refusal = self.settle(trace, refusal).await;
        let problem = problem::answer(&refusal, trace.request, trace.audience());
        grpc::answer(&refusal, trace.audience(), problem.headers()).map(own)
    }

    /// Records a refusal with all that is known, and does what is due upon it.
    pub(crate) async fn settle(&self, trace: &Trace, refusal: Refusal) -> Refusal {
        let refusal = self.complete(trace, refusal);
        trace.record(&refusal, &self.shared.proxy).await;
        if let Some(principal) = &trace.principal {
            self.shared.recall.note(principal.workload(), trace.request, &refusal);
        }
        self.act_upon(&refusal).await;
        refusal
    }

    /// Does what the misused placeholder's issuer wanted, before the misuse is answered. Once: the next snapshot does not count
    /// the placeholder any more, so a storm of misuse costs one change.
    async fn act_upon(&self, refusal: &Refusal) {
        let Some(kind) = refusal.event_kind().filter(|kind| kind.is_misuse()) else { return };
        let Some(placeholder) = refusal.facts().placeholder else { return };
        let todo = match kind {
            // Not a matter of choice: two have had the code.
            EventKind::SecondClaim => OnMisuse::RevokeFamily,
            _ => self.shared.proxy.policies.load().on_misuse(placeholder),
        };
        match todo {
            OnMisuse::Record => {}
            OnMisuse::Freeze | OnMisuse::RevokeFamily => {
                self.shared.proxy.warden.end(placeholder, todo, kind).await;
            }
        }
    }

    /// Adds what is known to the facts. SECURITY: that a placeholder is spent is said only to the workload that it was issued
    /// to (`policy` asks whose it is first), so nobody else learns from where it was used.
    fn complete(&self, trace: &Trace, refusal: Refusal) -> Refusal {
        let spent = refusal.facts().placeholder.filter(|_| refusal.code() == Code::PlaceholderSpent);
        let last_use = spent.and_then(|placeholder| self.shared.last_uses.of(placeholder));
        trace.complete(refusal).with(|facts| facts.last_use = last_use)
    }

    /// Who asks: authenticated, and within the bound on its connections.
    async fn admit(
        &self,
        head: &Head,
        approach: &Approach,
        policies: &PolicySet,
        trace: &mut Trace,
    ) -> Result<Principal, Refusal> {
        trace.way = Some(approach.way);
        trace.destination = Some(approach.wanted());
        self.identify(head, policies, trace).await
    }

    async fn identify(
        &self,
        head: &Head,
        policies: &PolicySet,
        trace: &mut Trace,
    ) -> Result<Principal, Refusal> {
        let known = authenticate(&head.fields, self.peer, policies);
        let shows_key =
            ["proxy-authorization", "cloakroom-workload"].iter().any(|name| head.fields.contains_key(*name));
        self.seated(known, shows_key, trace).await
    }

    /// The same for who showed what it is known by elsewhere.
    async fn seated(
        &self,
        known: Result<Principal, Refusal>,
        shows_key: bool,
        trace: &mut Trace,
    ) -> Result<Principal, Refusal> {
        let principal = match known {
            Ok(principal) => principal,
            Err(refusal) => {
                self.slow_down_guesses(shows_key || self.peer.boot().is_some(), &refusal).await;
                return Err(refusal);
            }
        };
        trace.principal = Some(principal.clone());
        let mut seat = self.seat.lock().unwrap_or_else(PoisonError::into_inner);
        *seat = Some(self.shared.seats.take(seat.take(), principal.workload())?);
        Ok(principal)
    }

    /// Only a wrong key is a guess; none at all is how many programs begin.
    async fn slow_down_guesses(&self, shows_key: bool, refusal: &Refusal) {
        if shows_key && refusal.code() == Code::UnknownWorkload {
            tokio::time::sleep(self.shared.guesses.failed(self.peer, std::time::Instant::now())).await;
        }
    }
}

/// The answer to a question for the broker's health.
pub(crate) fn healthy() -> Response<AnswerBody> {
    Response::new(own(Bytes::from_static(b"ok\n")))
}

/// No permit names the destination now. Where a placeholder of this workload did or will, its state says why.
pub(crate) fn unnamed(wanted: &Destination, principal: &Principal, policies: &PolicySet) -> Refusal {
    let dormant = policies.why_dormant(principal.workload(), wanted, Timestamp::now());
    dormant.unwrap_or_else(|| not_named(wanted))
}

/// A destination that no permit names is refused; with a placeholder in the call that is a security event.
fn judge_unnamed(wish: Wish, head: Head, policies: &PolicySet, trace: &Trace) -> Refusal {
    let plain = unnamed(&wish.destination, &wish.principal, policies);
    let principal = wish.principal.clone();
    let call = canonical(wish, head, Payload::empty(), trace);
    let judged =
        Identified::new(call, principal, policies).and_then(|it| it.authorize(policies, Timestamp::now()));
    judged.err().filter(|refusal| refusal.event().is_some()).unwrap_or(plain)
}

/// The one value that is checked, recorded and sent.
fn canonical(wish: Wish, head: Head, body: Payload, trace: &Trace) -> Call {
    let Wish { way, destination, path, query, .. } = wish;
    let Head { method, fields, upgrade, .. } = head;
    let request = trace.request;
    let headers = end_to_end(fields);
    Call { request, way, method, destination, path, query, headers, upgrade, body }
}
