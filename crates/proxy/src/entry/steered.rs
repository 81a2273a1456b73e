//! A connection that was on its way elsewhere and was steered here: its first destination and what it names must be one.

use super::arrival::speech;
use super::early::Early;
use super::sniff::Speech;
use crate::ask::{Approach, Inside};
use crate::authenticate::resident;
use crate::connection::{self, Protocol};
use crate::desk::{Desk, Door, unnamed};
use crate::io::Io;
use crate::peer::Peer;
use crate::proxy::Shared;
use crate::trace::Trace;
use crate::tunnel::Opened;
use crate::wire::{Named, malformed};
use cloakroom_model::{Destination, Host, Principal, Refusal, Timestamp, Way};
use rustix::net::sockopt::{ip_original_dst, ipv6_original_dst};
use std::net::{IpAddr, SocketAddr};
use std::os::fd::AsFd;
use std::sync::Arc;
use tokio::time::Instant;

/// A fresh connection of the transparent listener.
pub(crate) struct Steered {
    pub(crate) shared: Arc<Shared>,
    pub(crate) peer: Peer,
    /// Where it was on its way to.
    pub(crate) to: SocketAddr,
}

/// Where a connection was on its way to before it was redirected; where it was not (TPROXY, local routes), its own end says so.
pub(crate) fn destined(stream: impl AsFd, local: SocketAddr) -> SocketAddr {
    let noted = match local.ip().to_canonical() {
        IpAddr::V4(_) => ip_original_dst(&stream).map(SocketAddr::V4),
        IpAddr::V6(_) => ipv6_original_dst(&stream).map(SocketAddr::V6),
    };
    let to = noted.unwrap_or(local);
    SocketAddr::new(to.ip().to_canonical(), to.port())
}

/// Serves it to its end.
pub(crate) async fn serve(steered: Steered, io: Box<dyn Io>) {
    let Steered { shared, peer, to } = steered;
    let mut early = Early::new(io);
    let deadline = Instant::now() + shared.proxy.limits.header_time;
    let Some(speech) = speech(&shared, &mut early, deadline).await else { return };
    let trace = Trace { way: Some(Way::Transparent), ..Trace::begin(peer) };
    let mut session = Session { shared, to, trace };
    match (session.settle(speech), speech) {
        (Ok((principal, destination)), Speech::Tls) => session.intercept(early, principal, destination).await,
        (Ok((principal, destination)), _) => session.converse(early, principal, destination).await,
        (Err(refusal), Speech::Tls) => {
            session.trace.record(&session.trace.complete(refusal), &session.shared.proxy).await
        }
        (Err(refusal), _) => session.refuse(early, refusal).await,
    }
}

fn named(to: &SocketAddr) -> Named {
    let host = match to.ip() {
        IpAddr::V4(address) => Host::V4(address),
        IpAddr::V6(address) => Host::V6(address),
    };
    Named { host, port: Some(to.port()) }
}

struct Session {
    shared: Arc<Shared>,
    /// Where it was on its way to.
    to: SocketAddr,
    trace: Trace,
}

impl Session {
    /// Who it is, and which permitted destination is meant. SECURITY: an address that stands for no name is only a destination
    /// where a permit names the address itself; no name is ever resolved to find out (T52), so no answer of a name server opens anything.
    fn settle(&mut self, speech: Speech) -> Result<(Principal, Destination), Refusal> {
        let inside = match speech {
            Speech::Tls => Inside::Tls,
            Speech::Http => Inside::Plain,
            Speech::Socks => return Err(malformed("the transparent listener speaks TLS and HTTP only")),
        };
        self.trace.destination = Some(Approach::steered(&named(&self.to), inside).wanted());
        let policies = self.shared.proxy.policies.load_full();
        let principal = resident(self.trace.peer.source, &policies)?;
        self.trace.principal = Some(principal.clone());
        let workload = principal.workload();
        // In a lesson a workload may want to go anywhere: nothing of it is sent.
        let teaches = self.shared.proxy.lessons.is_open(workload, Timestamp::now());
        let names = self.shared.proxy.names.as_ref();
        // SECURITY: an address that stands for another workload's name stands for none here, in a lesson neither: nobody learns it by
        // trying them all.
        let was_told = |host: &Host| teaches && names.is_some_and(|names| names.was_told(workload, host));
        let may_know = |host: &Host| policies.names_host(workload, host) || was_told(host);
        let name = names.and_then(|names| names.name_of(self.to.ip()));
        let to = match name.filter(may_know) {
            Some(host) => Named { host, port: Some(self.to.port()) },
            None => named(&self.to),
        };
        let approach = Approach::steered(&to, inside);
        self.trace.destination = Some(approach.wanted());
        let destination =
            approach.permitted(workload, &policies).or_else(|| teaches.then(|| approach.wanted()));
        let destination = destination.ok_or_else(|| unnamed(&approach.wanted(), &principal, &policies))?;
        self.trace.destination = Some(destination.clone());
        Ok((principal, destination))
    }

    /// The name in the handshake has to be the destination's, as in a tunnel.
    async fn intercept(self, early: Early, principal: Principal, destination: Destination) {
        let Self { shared, trace, .. } = self;
        let seat = match shared.seats.take(None, principal.workload()) {
            Ok(seat) => Some(seat),
            Err(refusal) => return trace.record(&trace.complete(refusal), &shared.proxy).await,
        };
        let (io, early) = early.into_parts();
        let (peer, way) = (trace.peer, Way::Transparent);
        Opened { shared, peer, seat, principal, destination, way, io, early }.intercept().await;
    }

    /// HTTP in the clear is upgraded; `Host` has to be the destination's, as in a tunnel.
    async fn converse(self, early: Early, principal: Principal, destination: Destination) {
        let seat = match self.shared.seats.take(None, principal.workload()) {
            Ok(seat) => Some(seat),
            Err(refusal) => return self.refuse(early, refusal).await,
        };
        let door = Door::Tunnel { principal, destination, way: Way::Transparent };
        let desk = Desk::new(self.shared, door, self.trace.peer, seat);
        let (io, early) = early.into_parts();
        let _ = connection::talk(desk, io, early, Protocol::Http1).await;
    }

    async fn refuse(self, early: Early, refusal: Refusal) {
        let Self { shared, trace, .. } = self;
        let door = match (trace.principal, trace.destination) {
            (Some(principal), Some(destination)) => {
                Door::Tunnel { principal, destination, way: Way::Transparent }
            }
            _ => Door::Open,
        };
        let desk = Desk::new(shared, door, trace.peer, None);
        let (io, early) = early.into_parts();
        connection::refuse(desk, io, early, refusal).await;
    }
}
