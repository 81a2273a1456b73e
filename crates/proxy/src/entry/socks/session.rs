//! One SOCKS5 connection: who asks, where to, and then the tunnel.

use super::message::{CHOSEN, Login, NONE_ACCEPTABLE, Outcome, UNKNOWN, WELCOME, greeting, login, request};
use crate::ask::{Approach, Inside};
use crate::authenticate::verify;
use crate::connection::{self, Protocol};
use crate::desk::{Desk, Door, unnamed};
use crate::entry::Parsed;
use crate::entry::arrival::speech;
use crate::entry::early::{Early, Unread};
use crate::entry::sniff::Speech;
use crate::peer::Peer;
use crate::proxy::Shared;
use crate::seats::Seat;
use crate::trace::Trace;
use crate::tunnel::Opened;
use crate::wire::{Named, malformed};
use cloakroom_model::{Destination, Principal, Refusal, Timestamp, Way};
use std::sync::Arc;
use tokio::time::{Instant, sleep};

/// Serves a connection that begins with SOCKS5, to its end.
pub(in crate::entry) async fn serve(shared: Arc<Shared>, peer: Peer, early: Early) {
    let trace = Trace { way: Some(Way::Socks), ..Trace::begin(peer) };
    let mut session = Session { shared, early, trace };
    match session.settle().await {
        Ok(granted) => session.open(granted).await,
        Err(No::Gone) => {}
        Err(No::Refused { refusal, reply }) => session.refuse(refusal, &reply).await,
    }
}

struct Session {
    shared: Arc<Shared>,
    early: Early,
    trace: Trace,
}

/// What was settled before the first byte of the tunnel.
struct Granted {
    principal: Principal,
    seat: Seat,
    named: Named,
}

/// Why there is no tunnel.
enum No {
    /// The journal says why; the reply only what RFC 1928 has a code for.
    Refused { refusal: Refusal, reply: Vec<u8> },
    /// Nobody is there to be told.
    Gone,
}

fn refused(refusal: Refusal, reply: impl Into<Vec<u8>>) -> No {
    No::Refused { refusal, reply: reply.into() }
}

impl Session {
    async fn settle(&mut self) -> Result<Granted, No> {
        if !self.message(greeting, NONE_ACCEPTABLE).await? {
            let refusal = malformed("the SOCKS5 greeting does not offer user name and password");
            return Err(refused(refusal, NONE_ACCEPTABLE));
        }
        self.say(&CHOSEN).await?;
        let shown = self.message(login, UNKNOWN).await?;
        let principal = self.authenticate(&shown).await?;
        self.say(&WELCOME).await?;
        let named = self.message(request, Outcome::Failed.reply()).await?.map_err(|outcome| {
            refused(malformed("SOCKS5 is spoken here for CONNECT only"), outcome.reply())
        })?;
        let granted = self.grant(principal, named)?;
        self.say(&Outcome::Granted.reply()).await?;
        Ok(granted)
    }

    /// As on a request: a wrong key is answered late (T69).
    async fn authenticate(&mut self, shown: &Login) -> Result<Principal, No> {
        let policies = self.shared.proxy.policies.load_full();
        match verify(Some((Some(&shown.name), &shown.key)), self.trace.peer, &policies) {
            Ok(principal) => {
                self.trace.principal = Some(principal.clone());
                Ok(principal)
            }
            Err(refusal) => {
                sleep(self.shared.guesses.failed(self.trace.peer, std::time::Instant::now())).await;
                Err(refused(refusal, UNKNOWN))
            }
        }
    }

    /// Whether there may be a tunnel: some permit names the destination, for TLS or for what is upgraded.
    fn grant(&mut self, principal: Principal, named: Named) -> Result<Granted, No> {
        let wanted = Approach::of_socks(&named, Inside::Tls).wanted();
        self.trace.destination = Some(wanted.clone());
        let seat = self.shared.seats.take(None, principal.workload());
        let seat = seat.map_err(|refusal| refused(refusal, Outcome::Failed.reply()))?;
        let is_named = [Inside::Tls, Inside::Plain]
            .into_iter()
            .any(|inside| self.permitted(&principal, &named, inside).is_some());
        if !is_named {
            let refusal = unnamed(&wanted, &principal, &self.shared.proxy.policies.load());
            return Err(refused(refusal, Outcome::NotAllowed.reply()));
        }
        Ok(Granted { principal, seat, named })
    }

    fn permitted(&self, principal: &Principal, named: &Named, inside: Inside) -> Option<Destination> {
        let approach = Approach::of_socks(named, inside);
        let permitted = approach.permitted(principal.workload(), &self.shared.proxy.policies.load());
        // In a lesson a workload may want to go anywhere: nothing of it is sent.
        let teaches = || self.shared.proxy.lessons.is_open(principal.workload(), Timestamp::now());
        permitted.or_else(|| teaches().then(|| approach.wanted()))
    }

    /// What is spoken inside decides which destination is meant: TLS never comes out as plain http.
    async fn open(mut self, granted: Granted) {
        let Granted { principal, seat, named } = granted;
        let deadline = self.deadline();
        let Some(speech) = speech(&self.shared, &mut self.early, deadline).await else { return };
        let inside = if speech == Speech::Tls { Inside::Tls } else { Inside::Plain };
        let destination = self.permitted(&principal, &named, inside);
        let Self { shared, early, trace } = self;
        let (io, early) = early.into_parts();
        let Some(destination) = destination else {
            let wanted = Approach::of_socks(&named, inside).wanted();
            let refusal = unnamed(&wanted, &principal, &shared.proxy.policies.load());
            if inside == Inside::Tls {
                return trace.record(&trace.complete(refusal), &shared.proxy).await;
            }
            let door = Door::Tunnel { principal, destination: wanted, way: Way::Socks };
            let desk = Desk::new(shared, door, trace.peer, Some(seat));
            return connection::refuse(desk, io, early, refusal).await;
        };
        let (peer, way) = (trace.peer, Way::Socks);
        if inside == Inside::Tls {
            let opened = Opened { shared, peer, seat: Some(seat), principal, destination, way, io, early };
            return opened.intercept().await;
        }
        let desk = Desk::new(shared, Door::Tunnel { principal, destination, way }, peer, Some(seat));
        // A tunnel inside a tunnel is no target there, so nothing is ever handed back.
        let _ = connection::talk(desk, io, early, Protocol::Http1).await;
    }

    async fn message<T>(
        &mut self,
        read: impl Fn(&[u8]) -> Parsed<T>,
        malformed_reply: impl Into<Vec<u8>>,
    ) -> Result<T, No> {
        let deadline = self.deadline();
        self.early.message(read, deadline).await.map_err(|unread| match unread {
            Unread::Gone => No::Gone,
            Unread::Malformed => refused(malformed("a SOCKS5 message is not well-formed"), malformed_reply),
        })
    }

    async fn say(&mut self, bytes: &[u8]) -> Result<(), No> {
        let deadline = self.deadline();
        if self.early.say(bytes, deadline).await { Ok(()) } else { Err(No::Gone) }
    }

    async fn refuse(mut self, refusal: Refusal, reply: &[u8]) {
        self.trace.record(&self.trace.complete(refusal), &self.shared.proxy).await;
        let deadline = self.deadline();
        if self.early.say(reply, deadline).await {
            self.early.close().await;
        }
    }

    fn deadline(&self) -> Instant {
        Instant::now() + self.shared.proxy.limits.header_time
    }
}
