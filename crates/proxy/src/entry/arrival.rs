//! From a fresh connection to the conversation on it.

use super::balancer::{self, Source};
use super::boot::{self, BootNonce};
use super::early::{Early, Unread};
use super::sniff::{Speech, preface};
use super::socks;
use crate::connection::{self, Protocol};
use crate::desk::{Desk, Door};
use crate::io::Io;
use crate::peer::{Peer, Shown};
use crate::proxy::Shared;
use crate::trace::Trace;
use crate::wire::malformed;
use cloakroom_model::{Code, EventKind, Fingerprint, Refusal};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, sleep, timeout};
use tokio_rustls::TlsAcceptor;

/// How long a connection that has said nothing yet may go on saying nothing once the broker stops: who has just
/// connected is about to speak.
pub(crate) const GRACE: Duration = Duration::from_millis(500);

/// How long a connection that is turned away may take to say what it speaks.
const TURNED_AWAY_WITHIN: Duration = Duration::from_secs(1);

const ONLY_TLS: &str = "the broker's listener speaks TLS only: call the broker itself by https";

/// A fresh connection.
pub(crate) struct Arrival {
    pub(crate) shared: Arc<Shared>,
    /// Who connected.
    pub(crate) peer: Peer,
    /// The address of ours that was connected to; none over Unix sockets and vsock, where nobody is in between.
    pub(crate) local: Option<IpAddr>,
}

/// Finds out what a connection is, and serves it to its end.
pub(crate) async fn serve(mut arrival: Arrival, io: Box<dyn Io>) {
    let mut early = Early::new(io);
    let deadline = arrival.deadline();
    if arrival.shared.proxy.entrance.is_balancer(arrival.peer.source) {
        match early.message(balancer::header, deadline).await {
            Ok(Source::Peer(address)) => arrival.peer = Peer::at(address),
            Ok(Source::Balancer) => {}
            Err(Unread::Malformed) => return arrival.refuse_header(early).await,
            Err(Unread::Gone) => return,
        }
    }
    let Some(mut speech) = speech(&arrival.shared, &mut early, deadline).await else { return };
    if arrival.peer.is_guest() {
        match Box::pin(arrival.know_boot(&mut early, deadline)).await {
            Ok(after) => speech = after,
            Err(Unread::Malformed) => {
                return Box::pin(arrival.refuse(early, "the nonce of the boot cannot be read")).await;
            }
            Err(Unread::Gone) => return,
        }
    }
    match (speech, arrival.shared.tls.is_some() && arrival.local.is_some()) {
        (Speech::Tls, true) => Box::pin(arrival.open_tls(early)).await,
        (Speech::Tls, false) => {
            Box::pin(arrival.refuse(early, "the broker's listener does not speak TLS")).await;
        }
        (Speech::Socks, true) => arrival.refuse_socks(early, ONLY_TLS).await,
        (Speech::Http, true) => Box::pin(arrival.refuse(early, ONLY_TLS)).await,
        (_, false) => {
            let Some(protocol) = http(speech, &mut early, deadline).await else { return };
            arrival.converse(speech, early, protocol).await;
        }
    }
}

/// Tells a connection that there are too many, in what it speaks, and ends it. Inside TLS nothing is told: a handshake costs more
/// than the call that is refused.
pub(crate) async fn turn_away(arrival: Arrival, io: Box<dyn Io>) {
    let mut early = Early::new(io);
    let refusal = Refusal::new(Code::RateLimited, "the broker has too many connections open")
        .with(|facts| facts.retry_after = Some(1));
    match early.first(Instant::now() + TURNED_AWAY_WITHIN).await.map(Speech::of) {
        Some(Speech::Http) => arrival.refuse_with(early, refusal).await,
        Some(Speech::Socks) => arrival.refuse_socks_with(early, &refusal).await,
        Some(Speech::Tls) | None => {}
    }
}

/// What is spoken. `None` when nothing is said in time, or the broker stops meanwhile.
pub(super) async fn speech(shared: &Shared, early: &mut Early, deadline: Instant) -> Option<Speech> {
    let mut stop = shared.stop.clone();
    let stopped = async {
        let _ = stop.wait_for(|stop| *stop).await;
        sleep(GRACE).await;
    };
    let first = tokio::select! {
        biased;
        first = early.first(deadline) => first,
        () = stopped => None,
    };
    first.map(Speech::of)
}

/// Which HTTP it is, where nothing was agreed: HTTP/2 begins with a preface that is no request of HTTP/1.1
/// (RFC 9113, section 3.4). `None` when the peer went away.
async fn http(speech: Speech, early: &mut Early, deadline: Instant) -> Option<Protocol> {
    if speech != Speech::Http {
        return Some(Protocol::Http1);
    }
    match early.message(preface, deadline).await {
        Ok(true) => Some(Protocol::Http2),
        Ok(false) | Err(Unread::Malformed) => Some(Protocol::Http1),
        Err(Unread::Gone) => None,
    }
}

impl Arrival {
    fn deadline(&self) -> Instant {
        Instant::now() + self.shared.proxy.limits.header_time
    }

    /// Reads which boot of its machine connects, and what comes after that.
    async fn know_boot(&mut self, early: &mut Early, deadline: Instant) -> Result<Speech, Unread> {
        let nonce = early.message(boot::nonce, deadline).await?;
        let hash =
            |nonce: BootNonce| self.shared.proxy.policies.load().lookup_key().boot_hash(nonce.as_str());
        self.peer.shown = nonce.map_or(Shown::Nothing, |nonce| Shown::Boot(hash(nonce)));
        speech(&self.shared, early, deadline).await.ok_or(Unread::Gone)
    }

    async fn open_tls(self, early: Early) {
        // What a handshake needs, the connection does not keep.
        if let Some((arrival, speech, inside, protocol)) = Box::pin(self.shake_hands(early)).await {
            arrival.converse(speech, inside, protocol).await;
        }
    }

    /// What is spoken inside TLS. `None` where it came to nothing.
    async fn shake_hands(mut self, early: Early) -> Option<(Self, Speech, Early, Protocol)> {
        let patience = self.shared.proxy.limits.handshake_time;
        let (tls, local) = (self.shared.tls.as_ref()?, self.local?);
        let handshake = async {
            let _turn = self.shared.handshakes.acquire().await.ok()?;
            let settings = tls.settings(local, &self.shared.leaves, &self.shared.proxy.authority);
            let settings = settings
                .inspect_err(|error| tracing::error!(%error, "no certificate could be shown"))
                .ok()?;
            let accepted = TlsAcceptor::from(settings).accept(early.rewound()).await;
            accepted
                .inspect_err(|error| tracing::debug!(peer = %self.peer, %error, "a TLS handshake failed"))
                .ok()
        };
        let stream = timeout(patience, handshake).await.ok()??;
        // Checked in the handshake, that of a resumed session in the one before; whose it is, each request asks anew.
        let shown = stream.get_ref().1.peer_certificates().and_then(<[_]>::first);
        self.peer.shown =
            shown.map_or(Shown::Nothing, |certificate| Shown::Certificate(Fingerprint::of(certificate)));
        // SECURITY: what was agreed decides, never what the bytes look like (T57).
        let is_http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
        let mut inside = Early::new(Box::new(stream));
        if is_http2 {
            return Some((self, Speech::Http, inside, Protocol::Http2));
        }
        let deadline = self.deadline();
        match speech(&self.shared, &mut inside, deadline).await? {
            Speech::Tls => {
                self.refuse(inside, "there is TLS inside the TLS").await;
                None
            }
            speech => Some((self, speech, inside, Protocol::Http1)),
        }
    }

    async fn converse(self, speech: Speech, early: Early, protocol: Protocol) {
        if speech != Speech::Socks {
            let (io, bytes) = early.into_parts();
            connection::serve(self.shared, self.peer, io, bytes, protocol).await;
        } else if self.shared.proxy.entrance.socks {
            Box::pin(socks::serve(self.shared, self.peer, early)).await;
        } else {
            self.refuse_socks(early, "SOCKS5 is switched off here").await;
        }
    }

    /// Says no in HTTP/1.1, which every program that speaks anything here can show.
    async fn refuse(self, early: Early, reason: &'static str) {
        self.refuse_with(early, malformed(reason)).await;
    }

    async fn refuse_with(self, early: Early, refusal: Refusal) {
        let desk = Desk::new(self.shared, Door::Open, self.peer, None);
        let (io, bytes) = early.into_parts();
        connection::refuse(desk, io, bytes, refusal).await;
    }

    async fn refuse_socks(self, early: Early, reason: &'static str) {
        self.refuse_socks_with(early, &malformed(reason)).await;
    }

    async fn refuse_socks_with(self, mut early: Early, refusal: &Refusal) {
        Trace::begin(self.peer).record(refusal, &self.shared.proxy).await;
        if early.say(&socks::NONE_ACCEPTABLE, self.deadline()).await {
            early.close().await;
        }
    }

    /// A balancer that does not say whom it speaks for. SECURITY: nobody's word is taken instead (T92).
    async fn refuse_header(self, early: Early) {
        let refusal = malformed("the connection from a balancer does not begin with the PROXY protocol");
        Trace::begin(self.peer)
            .record(&refusal.as_event(EventKind::SilentBalancer), &self.shared.proxy)
            .await;
        early.close().await;
    }
}
