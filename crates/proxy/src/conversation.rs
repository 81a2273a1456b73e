//! A connection that speaks HTTP/1.1: request after request, each judged on its own.

use crate::desk::{Desk, Errand, Served, healthy};
use crate::interims::{Interims, Meanwhile};
use crate::io::Io;
use crate::live::Beat;
use crate::reply::AnswerBody;
use crate::switch::Switch;
use crate::trace::Trace;
use crate::tunnel::Opened;
use crate::wire::{Framing, Handover, Heard, Inlet, Manner, Outlet, Received, Returning, Stopped, malformed};
use bytes::BytesMut;
use cloakroom_egress::websocket::Carrier;
use cloakroom_model::{Code, Destination, Principal, Refusal, Way};
use futures_util::FutureExt;
use http::{Method, Response};
use std::panic::AssertUnwindSafe;
use std::pin::pin;
use tokio::sync::watch;

/// One connection with a workload.
pub(crate) struct Conversation {
    desk: Desk,
    outlet: Outlet,
    inlet: Option<Inlet>,
    beat: Beat,
    stop: watch::Receiver<bool>,
    stopped: Stopped,
}

/// What follows a request.
pub(crate) enum Next {
    /// Another request.
    Again(Inlet),
    /// The end, in order.
    Close(Option<Inlet>),
    /// The end, at once: the answer could not be finished and must not look finished.
    Abort,
    /// A WebSocket, to its end.
    Switch { inlet: Inlet, switch: Box<Switch> },
    /// Another protocol.
    Tunnel { inlet: Inlet, principal: Principal, destination: Destination },
}

/// What a request came to.
enum Reply {
    Answer(Response<AnswerBody>),
    Switch(Box<Switch>),
    Tunnel { principal: Principal, destination: Destination },
}

impl Conversation {
    /// Over this connection, of which `early` was read already.
    pub(crate) fn new(desk: Desk, io: Box<dyn Io>, early: BytesMut) -> Self {
        let (read, write) = tokio::io::split(io);
        let outlet = Outlet::new(write, desk.shared.proxy.limits.body_idle);
        let stop = desk.shared.stop.clone();
        let mut told = stop.clone();
        let stopped = Box::pin(async move { drop(told.wait_for(|stop| *stop).await) });
        Self { desk, outlet, inlet: Some(Inlet::new(read, early)), beat: Beat::default(), stop, stopped }
    }

    /// Serves until one side ends; gives back a tunnel if one was opened.
    pub(crate) async fn run(mut self) -> Option<Opened> {
        let proxy = self.desk.shared.proxy.clone();
        let mut inlet = self.inlet.take()?;
        let mut patience = proxy.limits.first_patience();
        loop {
            let heard = inlet.next_head(&proxy.limits.head_bounds(), patience, &mut self.stopped).await;
            let next = match heard {
                // A call needs much room while it lasts, and a connection that waits for one needs none of it.
                Ok(Heard::Head(received)) => Box::pin(self.serve(received, inlet)).await,
                Ok(Heard::Closed) => Next::Close(None),
                Err(refusal) => Box::pin(self.refuse_head(refusal, inlet)).await,
            };
            inlet = match next {
                Next::Again(inlet) => inlet,
                Next::Tunnel { inlet, principal, destination } => {
                    return Some(self.into_tunnel(inlet, principal, destination));
                }
                Next::Switch { inlet, switch } => {
                    self.relay(inlet, switch).await;
                    return None;
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

    /// Says no before any request was read, and ends.
    pub(crate) async fn refuse(mut self, refusal: Refusal) {
        let Some(inlet) = self.inlet.take() else { return };
        if let Next::Close(inlet) = self.refuse_head(refusal, inlet).await {
            self.close(inlet).await;
        }
    }

    async fn close(&mut self, inlet: Option<Inlet>) {
        self.outlet.close().await;
        if let Some(inlet) = inlet {
            inlet.linger().await;
        }
    }

    async fn relay(self, inlet: Inlet, switch: Box<Switch>) {
        let (read, early) = inlet.into_parts();
        let io = Box::new(read.unsplit(self.outlet.into_io()));
        Box::pin(switch.relay(&self.desk, io, early)).await;
    }

    fn into_tunnel(self, inlet: Inlet, principal: Principal, destination: Destination) -> Opened {
        let Self { desk, outlet, .. } = self;
        let (read, early) = inlet.into_parts();
        let io = Box::new(read.unsplit(outlet.into_io()));
        let (seat, peer, shared) = (desk.take_seat(), desk.peer, desk.shared);
        Opened { shared, peer, seat, principal, destination, way: Way::Connect, io, early }
    }

    /// A head that is no request.
    async fn refuse_head(&mut self, refusal: Refusal, inlet: Inlet) -> Next {
        let manner = Manner { head_only: false, close: true };
        let response = self.desk.refused(&self.desk.trace(), refusal).await;
        match self.outlet.answer(response, manner).await {
            Ok(()) => Next::Close(Some(inlet)),
            Err(_) => Next::Abort,
        }
    }

    /// One request, from its head to what follows its answer.
    pub(crate) async fn serve(&mut self, received: Received, inlet: Inlet) -> Next {
        let mut returning = Returning::new(inlet, received.framing);
        let mut trace = self.desk.trace();
        let manners = Manners::of(&received);
        // A panic in one call is one call's fault: the connection says so and ends, the broker goes on (T99).
        let reply = AssertUnwindSafe(self.reply(received, &mut returning, &mut trace)).catch_unwind().await;
        let reply = reply.unwrap_or_else(|_| Err(Refusal::new(Code::InternalFault, "the call met a fault")));
        let (response, close) = match reply {
            Ok(Reply::Tunnel { principal, destination }) => {
                return self.open_tunnel(&trace, returning, principal, destination).await;
            }
            Ok(Reply::Switch(switch)) => return self.switch(switch, returning).await,
            // Who asked for another protocol and did not get it may have gone on in it (T39).
            Ok(Reply::Answer(response)) => (response, manners.switches),
            Err(refusal) => {
                let close = manners.end_on(refusal.code());
                (self.desk.refused(&trace, refusal).await, close)
            }
        };
        let close = close || !manners.keep_alive || *self.stop.borrow() || returning.is_abandoned();
        let manner = Manner { head_only: manners.head_only, close };
        self.write(response, manner, returning).await
    }

    async fn reply(
        &mut self,
        received: Received,
        returning: &mut Returning,
        trace: &mut Trace,
    ) -> Result<Reply, Refusal> {
        let errand = self.desk.hear(&received.head, trace).await?;
        match errand {
            Errand::Health => Ok(Reply::Answer(healthy())),
            Errand::Petition(petition, principal) => {
                if received.framing != Framing::Empty && !returning.holds_bytes() {
                    self.invite(&received).await?;
                }
                let body = returning.lend(self.desk.shared.proxy.limits.pace());
                Box::pin(self.desk.petition(petition, &principal, body)).await.map(Reply::Answer)
            }
            Errand::Tunnel { principal, destination } => Ok(Reply::Tunnel { principal, destination }),
            Errand::Call(wish) => {
                if received.framing != Framing::Empty && !returning.holds_bytes() {
                    self.invite(&received).await?;
                }
                let body = returning.lend(self.desk.shared.proxy.limits.pace());
                let interims = Interims::default();
                let meanwhile = Meanwhile { interims: &interims, beat: &mut self.beat };
                let carrier = Carrier::Connection;
                let mut call = pin!(self.desk.serve(wish, received.head, body, trace, meanwhile, carrier));
                loop {
                    let progress = interims.progress(&mut call).await;
                    for interim in progress.interims {
                        self.outlet.interim(&interim).await.map_err(|_| malformed("the sender went away"))?;
                    }
                    if let Some(done) = progress.done {
                        return done.map(|served| match served {
                            Served::Answer(answer) => Reply::Answer(answer),
                            Served::Switch(switch) => Reply::Switch(switch),
                        });
                    }
                }
            }
        }
    }

    /// Answers `Expect: 100-continue` ourselves, once we know who asks and that a permit names the destination (T38).
    async fn invite(&mut self, received: &Received) -> Result<(), Refusal> {
        if received.expects_continue {
            self.outlet.invite_body().await.map_err(|_| malformed("the sender went away"))?;
        }
        Ok(())
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

    /// INVARIANT: bytes are messages only behind the `101` that says so (T39).
    async fn switch(&mut self, switch: Box<Switch>, returning: Returning) -> Next {
        let Some(Handover::Complete(inlet)) = returning.take() else { return Next::Abort };
        let (hop, fields) = switch.answer();
        match self.outlet.switch(&hop, &fields).await {
            Ok(()) => Next::Switch { inlet, switch },
            Err(_) => Next::Abort,
        }
    }

    async fn open_tunnel(
        &mut self,
        trace: &Trace,
        returning: Returning,
        principal: Principal,
        destination: Destination,
    ) -> Next {
        let Some(Handover::Complete(inlet)) = returning.take() else { return Next::Abort };
        match self.outlet.open_tunnel(&trace.request.to_string()).await {
            Ok(()) => Next::Tunnel { inlet, principal, destination },
            Err(_) => Next::Abort,
        }
    }
}

/// What a request says about its answer and its connection.
struct Manners {
    head_only: bool,
    keep_alive: bool,
    /// What follows it is meant for a tunnel, or for another protocol.
    switches: bool,
}

impl Manners {
    fn of(received: &Received) -> Self {
        let Received { head, keep_alive, .. } = received;
        let switches = head.method == Method::CONNECT || head.upgrade.is_some();
        Self { head_only: head.method == Method::HEAD, keep_alive: *keep_alive, switches }
    }

    /// After a request with two readings nobody can say where the next one begins; what follows a refused switch was not
    /// meant as a request (T39); and a wrong key costs its connection.
    fn end_on(&self, code: Code) -> bool {
        self.switches
            || matches!(
                code,
                Code::MalformedCall | Code::AmbiguousCall | Code::UnknownWorkload | Code::InternalFault
            )
    }
}
