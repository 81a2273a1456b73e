//! Interception: the workload's TLS ends here, under a leaf for the host that its CONNECT named.

use crate::connection::{Protocol, talk};
use crate::desk::{Desk, Door};
use crate::io::{Io, Rewound};
use crate::peer::Peer;
use crate::proxy::Shared;
use crate::seats::Seat;
use crate::trace::Trace;
use crate::wire::ambiguous;
use bytes::BytesMut;
use cloakroom_model::{Destination, EventKind, Host, Principal, Way};
use rustls::server::Acceptor;
use std::io;
use std::sync::Arc;
use tokio::time::timeout;
use tokio_rustls::server::TlsStream;
use tokio_rustls::{LazyConfigAcceptor, StartHandshake};

/// A tunnel that was granted; no byte of its TLS has been looked at.
pub(crate) struct Opened {
    pub(crate) shared: Arc<Shared>,
    pub(crate) peer: Peer,
    pub(crate) seat: Option<Seat>,
    pub(crate) principal: Principal,
    pub(crate) destination: Destination,
    /// How it was opened.
    pub(crate) way: Way,
    pub(crate) io: Box<dyn Io>,
    /// What was read beyond the request that opened it.
    pub(crate) early: BytesMut,
}

impl Opened {
    /// Accepts TLS, and serves the calls inside.
    pub(crate) async fn intercept(self) {
        // What a handshake needs, the connection does not keep.
        if let Some((desk, io, protocol)) = Box::pin(self.shake_hands()).await {
            // A tunnel inside a tunnel is no target there, so nothing is ever handed back.
            let _ = talk(desk, io, BytesMut::new(), protocol).await;
        }
    }

    /// `None` where it came to nothing.
    async fn shake_hands(self) -> Option<(Desk, Box<dyn Io>, Protocol)> {
        let Self { shared, peer, seat, principal, destination, way, io, early } = self;
        let handshake = accept(&shared, Rewound::new(early, io), &destination);
        let stream = match timeout(shared.proxy.limits.handshake_time, handshake).await {
            Ok(Ok(stream)) => stream,
            // On record before the peer can see that it is over.
            Ok(Err(Failed::WrongName(_open))) => {
                let trace = Trace {
                    way: Some(way),
                    principal: Some(principal),
                    destination: Some(destination),
                    ..Trace::begin(peer)
                };
                wrong_name(&shared, &trace).await;
                return None;
            }
            Ok(Err(Failed::Tls(error))) => {
                tracing::debug!(%peer, %destination, %error, "a TLS handshake with a workload failed");
                return None;
            }
            Err(_) => return None,
        };
        // SECURITY: what was agreed decides, never what the bytes look like (T57).
        let protocol = match stream.get_ref().1.alpn_protocol() {
            Some(b"h2") => Protocol::Http2,
            _ => Protocol::Http1,
        };
        let door = Door::Tunnel { principal, destination, way };
        Some((Desk::new(shared, door, peer, seat), Box::new(stream), protocol))
    }
}

enum Failed {
    WrongName(Box<StartHandshake<Rewound>>),
    Tls(io::Error),
}

impl From<io::Error> for Failed {
    fn from(error: io::Error) -> Self {
        Self::Tls(error)
    }
}

async fn accept(
    shared: &Shared,
    raw: Rewound,
    destination: &Destination,
) -> Result<TlsStream<Rewound>, Failed> {
    let started = LazyConfigAcceptor::new(Acceptor::default(), raw).await?;
    if !names(started.client_hello().server_name(), destination.host()) {
        return Err(Failed::WrongName(Box::new(started)));
    }
    let _turn = shared.handshakes.acquire().await.map_err(io::Error::other)?;
    let authority = &shared.proxy.authority;
    let settings = shared.leaves.settings_for(destination.host(), authority).map_err(io::Error::other)?;
    Ok(started.into_stream(settings).await?)
}

/// Whether the name in the ClientHello is the host of the CONNECT (T20). An address is never sent there (RFC 6066,
/// section 3), a name always.
fn names(shown: Option<&str>, host: &Host) -> bool {
    match (shown, host) {
        (None, Host::V4(_) | Host::V6(_)) => true,
        (Some(shown), Host::Name(_)) => Host::parse(shown).is_ok_and(|shown| shown == *host),
        _ => false,
    }
}

async fn wrong_name(shared: &Shared, trace: &Trace) {
    let refusal = ambiguous("the name in the TLS handshake is not the host of the tunnel")
        .as_event(EventKind::MisnamedTunnel);
    trace.record(&refusal, &shared.proxy).await;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn t20_the_handshake_names_the_host_of_the_connect() {
        let host = |text: &str| Host::parse(text).unwrap();
        for (shown, of, expected) in [
            (Some("api.example.com"), "api.example.com", true),
            (Some("API.example.com"), "api.example.com", true),
            (Some("evil.example"), "api.example.com", false),
            (None, "api.example.com", false),
            (None, "127.0.0.1", true),
            (None, "[::1]", true),
            (Some("api.example.com"), "127.0.0.1", false),
        ] {
            assert_eq!(names(shown, &host(of)), expected, "{shown:?} {of}");
        }
    }
}
