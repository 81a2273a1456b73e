//! One connection: request after request, each judged on its own.

use crate::ask::{Approach, Ask, inside, not_named};
use crate::authenticate::authenticate;
use crate::canonical::{end_to_end, payload, read_bound};
use crate::ledger::CallLedger;
use crate::live::Liveness;
use crate::problem;
use crate::proxy::Shared;
use crate::reply::{AnswerBody, own, relay};
use crate::seats::Seat;
use crate::trace::Trace;
use crate::tunnel::Opened;
use crate::wire::{Framing, Handover, Head, Heard, Incoming, Inlet, Manner, Outlet, Returning, malformed};
use bytes::Bytes;
use cloakroom_model::{Call, Code, Destination, Path, Payload, Principal, Query, Refusal, Timestamp, Way};
use cloakroom_policy::Identified;
use futures_util::FutureExt;
use http::{Method, Response};
use std::net::IpAddr;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use tokio::sync::watch;

/// How the connection came about.
pub(crate) enum Door {
    /// The listener itself: every request proves who asks, and says where it goes.
    Open,
    /// A tunnel: who asks and where it goes was settled by its CONNECT (invariant 5).
    Tunnel { principal: Principal, destination: Destination },
}

/// One connection with a workload.
pub(crate) struct Conversation {
    pub(crate) shared: Arc<Shared>,
    pub(crate) door: Door,
    pub(crate) peer: IpAddr,
    pub(crate) outlet: Outlet,
    pub(crate) stop: watch::Receiver<bool>,
    pub(crate) seat: Option<Seat>,
}

/// What follows a request.
enum Next {
    /// Another request.
    Again(Inlet),
    /// The end, in order.
    Close(Option<Inlet>),
    /// The end, at once: the answer could not be finished and must not look finished.
    Abort,
    /// Another protocol.
    Tunnel { inlet: Inlet, principal: Principal, destination: Destination },
}

/// What a request came to.
enum Reply {
    Answer(Response<AnswerBody>),
    Tunnel { principal: Principal, destination: Destination },
}

/// Who wants what, and how it came.
struct Wish {
    principal: Principal,
    way: Way,
    destination: Destination,
    path: Path,
    query: Query,
}

impl Conversation {
    /// Serves until one side ends; gives back a tunnel if one was opened.
    pub(crate) async fn run(mut self, mut inlet: Inlet) -> Option<Opened> {
        let proxy = self.shared.proxy.clone();
        let mut patience = proxy.limits.first_patience();
        loop {
            let heard = inlet.next_head(&proxy.limits.head_bounds(), patience, &mut self.stop).await;
            let next = match heard {
                Ok(Heard::Head(head)) => self.serve(head, inlet).await,
                Ok(Heard::Closed) => Next::Close(None),
                Err(refusal) => self.refuse_head(refusal, inlet).await,
            };
            inlet = match next {
                Next::Again(inlet) => inlet,
                Next::Tunnel { inlet, principal, destination } => {
                    return Some(self.into_tunnel(inlet, principal, destination));
                }
                Next::Close(inlet) => {
                    self.close(inlet).await;
                    return None;
                }
                Next::Abort => return None,
            };
            patience = proxy.limits.patience();
        }
    }

    async fn close(&mut self, inlet: Option<Inlet>) {
        self.outlet.close().await;
        if let Some(inlet) = inlet {
            inlet.linger().await;
        }
    }

    fn into_tunnel(self, inlet: Inlet, principal: Principal, destination: Destination) -> Opened {
        let Self { shared, peer, outlet, seat, .. } = self;
        Opened { shared, peer, seat, principal, destination, inlet, outlet }
    }

    /// A head that is no request.
    async fn refuse_head(&mut self, refusal: Refusal, inlet: Inlet) -> Next {
        let trace = self.trace();
        let manner = Manner { head_only: false, close: true };
        let response = self.refused(&trace, refusal);
        match self.outlet.answer(response, manner).await {
            Ok(()) => Next::Close(Some(inlet)),
            Err(_) => Next::Abort,
        }
    }

    fn trace(&self) -> Trace {
        let mut trace = Trace::begin(self.peer);
        if let Door::Tunnel { principal, destination } = &self.door {
            trace.way = Some(Way::Connect);
            trace.principal = Some(principal.clone());
            trace.destination = Some(destination.clone());
        }
        trace
    }

    /// One request, from its head to what follows its answer.
    async fn serve(&mut self, head: Head, inlet: Inlet) -> Next {
        let (body, back) = Incoming::new(inlet, head.framing, self.shared.proxy.limits.pace());
        let mut returning = Returning::new(back);
        let mut trace = self.trace();
        // A panic in one call is one call's fault: the connection says so and ends, the broker goes on (T99).
        let reply = AssertUnwindSafe(self.reply(&head, body, &mut trace)).catch_unwind().await;
        let reply = reply.unwrap_or_else(|_| Err(Refusal::new(Code::InternalFault, "the call met a fault")));
        let (response, close) = match reply {
            Ok(Reply::Tunnel { principal, destination }) => {
                return self.open_tunnel(&trace, returning, principal, destination).await;
            }
            Ok(Reply::Answer(response)) => (response, false),
            Err(refusal) => {
                let close = ends_the_connection(&head, refusal.code());
                (self.refused(&trace, refusal), close)
            }
        };
        let close = close || !head.keep_alive || *self.stop.borrow() || returning.is_abandoned();
        let manner = Manner { head_only: head.method == Method::HEAD, close };
        self.write(response, manner, returning).await
    }

    async fn write(
        &mut self,
        response: Response<AnswerBody>,
        manner: Manner,
        mut returning: Returning,
    ) -> Next {
        let written = tokio::select! {
            biased;
            written = self.outlet.answer(response, manner) => written.is_ok(),
            () = returning.closed() => false,
        };
        match returning.take() {
            _ if !written => Next::Abort,
            Some(Handover::Complete(inlet)) if !manner.close => Next::Again(inlet),
            Some(Handover::Complete(inlet) | Handover::Abandoned(inlet)) => Next::Close(Some(inlet)),
            None => Next::Close(None),
        }
    }

    async fn open_tunnel(
        &mut self,
        trace: &Trace,
        returning: Returning,
        principal: Principal,
        destination: Destination,
    ) -> Next {
        let Some(inlet) = returning.take_complete() else { return Next::Abort };
        match self.outlet.open_tunnel(&trace.request.to_string()).await {
            Ok(()) => Next::Tunnel { inlet, principal, destination },
            Err(_) => Next::Abort,
        }
    }

    /// Records a refusal and makes it an answer.
    fn refused(&self, trace: &Trace, refusal: Refusal) -> Response<AnswerBody> {
        let refusal = trace.complete(refusal);
        trace.record(&refusal, &self.shared.proxy);
        problem::answer(&refusal, trace.request, trace.audience()).map(own)
    }

    async fn reply(&mut self, head: &Head, body: Incoming, trace: &mut Trace) -> Result<Reply, Refusal> {
        if let Door::Tunnel { principal, destination } = &self.door {
            let (path, query) = inside(head, destination)?;
            let (principal, destination) = (principal.clone(), destination.clone());
            let wish = Wish { principal, way: Way::Connect, destination, path, query };
            return self.call(wish, head, body, trace).await.map(Reply::Answer);
        }
        match Ask::of(head)? {
            Ask::Health => Ok(Reply::Answer(Response::new(own(Bytes::from_static(b"ok\n"))))),
            Ask::Tunnel(approach) => {
                let principal = self.admit(head, &approach, trace).await?;
                let destination = self
                    .destination(&approach, &principal)
                    .ok_or_else(|| self.unnamed(&approach.wanted(), &principal))?;
                Ok(Reply::Tunnel { principal, destination })
            }
            Ask::Call(approach, path, query) => {
                let principal = self.admit(head, &approach, trace).await?;
                let named = self.destination(&approach, &principal);
                let destination = named.clone().unwrap_or_else(|| approach.wanted());
                let wish = Wish { principal, way: approach.way, destination, path, query };
                if named.is_none() {
                    return Err(self.judge_unnamed(wish, head, trace));
                }
                self.call(wish, head, body, trace).await.map(Reply::Answer)
            }
        }
    }

    /// Who asks: authenticated, and within the bound on its connections.
    async fn admit(
        &mut self,
        head: &Head,
        approach: &Approach,
        trace: &mut Trace,
    ) -> Result<Principal, Refusal> {
        trace.way = Some(approach.way);
        trace.destination = Some(approach.wanted());
        let policies = self.shared.proxy.policies.load_full();
        let principal = match authenticate(&head.fields, &policies) {
            Ok(principal) => principal,
            Err(refusal) => {
                self.slow_down_guesses(head, &refusal).await;
                return Err(refusal);
            }
        };
        trace.principal = Some(principal.clone());
        self.seat = Some(self.shared.seats.take(self.seat.take(), principal.workload())?);
        Ok(principal)
    }

    /// Only a wrong key is a guess; none at all is how many programs begin.
    async fn slow_down_guesses(&self, head: &Head, refusal: &Refusal) {
        let guessed =
            ["proxy-authorization", "cloakroom-workload"].iter().any(|name| head.fields.contains_key(*name));
        if guessed && refusal.code() == Code::UnknownWorkload {
            tokio::time::sleep(self.shared.guesses.failed(self.peer, std::time::Instant::now())).await;
        }
    }

    fn destination(&self, approach: &Approach, principal: &Principal) -> Option<Destination> {
        approach.permitted(principal.workload(), &self.shared.proxy.policies.load())
    }

    /// No permit names the destination now. Where a placeholder of this workload did or will, its state says why.
    fn unnamed(&self, wanted: &Destination, principal: &Principal) -> Refusal {
        let policies = self.shared.proxy.policies.load();
        let dormant = policies.why_dormant(principal.workload(), wanted, Timestamp::now());
        dormant.unwrap_or_else(|| not_named(wanted))
    }

    /// A destination that no permit names is refused; with a placeholder in the call that is a security event.
    fn judge_unnamed(&self, wish: Wish, head: &Head, trace: &Trace) -> Refusal {
        let policies = self.shared.proxy.policies.load_full();
        let plain = self.unnamed(&wish.destination, &wish.principal);
        let principal = wish.principal.clone();
        let call = canonical(wish, head, Payload::empty(), trace);
        let judged = Identified::new(call, principal, &policies)
            .and_then(|it| it.authorize(&policies, Timestamp::now()));
        judged.err().filter(|refusal| refusal.event().is_some()).unwrap_or(plain)
    }

    /// One call to a destination that a permit names.
    async fn call(
        &mut self,
        wish: Wish,
        head: &Head,
        body: Incoming,
        trace: &mut Trace,
    ) -> Result<Response<AnswerBody>, Refusal> {
        trace.destination = Some(wish.destination.clone());
        let proxy = self.shared.proxy.clone();
        let bound = proxy.policies.load().body_bound(wish.principal.workload(), &wish.destination);
        self.invite(head, &body).await?;
        let payload = payload(body, head.framing, read_bound(&proxy.limits, bound)).await?;
        let principal = wish.principal.clone();
        let call = canonical(wish, head, payload, trace);
        let ledger = CallLedger::new(&*proxy.store, &proxy.journal, proxy.durability);
        let answer = proxy.serve_call(call, principal, &ledger).await;
        trace.intended = ledger.has_recorded();
        let live = Liveness::new(proxy.policies.clone(), ledger.into_placeholders());
        Ok(relay(answer?, trace, proxy.journal.clone(), live))
    }

    /// Answers `Expect: 100-continue` ourselves, once we know who asks and that a permit names the destination (T38).
    async fn invite(&mut self, head: &Head, body: &Incoming) -> Result<(), Refusal> {
        if head.expects_continue && head.framing != Framing::Empty && !body.has_begun() {
            self.outlet.invite_body().await.map_err(|_| malformed("the sender went away"))?;
        }
        Ok(())
    }
}

/// The one value that is checked, recorded and sent.
fn canonical(wish: Wish, head: &Head, body: Payload, trace: &Trace) -> Call {
    let Wish { way, destination, path, query, .. } = wish;
    let (request, method) = (trace.request, head.method.clone());
    let headers = end_to_end(&head.fields);
    Call { request, way, method, destination, path, query, headers, upgrade: None, body }
}

/// After a request with two readings nobody can say where the next one begins; what follows a refused CONNECT was meant
/// for a tunnel (T39); and a wrong key costs its connection.
fn ends_the_connection(head: &Head, code: Code) -> bool {
    head.method == Method::CONNECT
        || matches!(
            code,
            Code::MalformedCall | Code::AmbiguousCall | Code::UnknownWorkload | Code::InternalFault
        )
}
