//! Making one connection: checked address, TCP, TLS with the destination's name, HTTP by what ALPN agreed on.

use super::http2;
use super::identity::Identity;
use super::line::Line;
use super::resolve::Resolve;
use super::settings::{UpstreamError, UpstreamSettings};
use super::socket::{Socket, Stream};
use super::trust;
use bytes::Bytes;
use cloakroom_model::{Code, Destination, Refusal, Scheme};
use h2::client::SendRequest;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// A new connection, ready for a request.
pub(super) enum Fresh {
    Http1(Box<Line>),
    Http2(SendRequest<Bytes>),
}

/// The protocols that a destination may choose from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Offer {
    /// HTTP/2 or HTTP/1.1.
    Any,
    /// HTTP/1.1: what is to be upgraded.
    Http1,
}

/// Makes connections.
pub(super) struct Connect {
    resolve: Resolve,
    any: TlsConnector,
    http1: TlsConnector,
    made: AtomicU64,
}

impl Connect {
    /// # Errors
    /// When trust anchors or the resolver cannot be set up.
    pub(super) fn new(settings: &UpstreamSettings) -> Result<Self, UpstreamError> {
        let any = trust::configuration(&settings.anchors)?;
        let http1 = TlsConnector::from(trust::http1_only(&any));
        let any = TlsConnector::from(any);
        Ok(Self { resolve: Resolve::new(settings)?, any, http1, made: AtomicU64::new(0) })
    }

    /// How many TCP connections were made.
    pub(super) fn made(&self) -> u64 {
        self.made.load(Ordering::Relaxed)
    }

    /// Connects to exactly this destination.
    ///
    /// # Errors
    /// `address-not-permitted`, `upstream-unreachable`, `upstream-untrusted`, and as [`Identity::over`].
    pub(super) async fn to(
        &self,
        destination: &Destination,
        within: Duration,
        offer: Offer,
        identity: Option<&Identity>,
    ) -> Result<Fresh, Refusal> {
        let addresses = self.resolve.addresses(destination).await?;
        let stream = self.dial(&addresses, within).await?;
        let socket = Socket::new(stream);
        match destination.scheme() {
            Scheme::Http => Ok(http1_over(Stream::Plain(socket))),
            Scheme::Https => {
                let name = trust::server_name(destination.host())?;
                let plain = if offer == Offer::Any { &self.any } else { &self.http1 };
                let tls = match identity {
                    None => plain.clone(),
                    Some(identity) => TlsConnector::from(identity.over(plain.config())?),
                };
                let stream = tls.connect(name, socket).await.map_err(|error| {
                    tracing::warn!(%destination, %error, "no trusted connection to a destination");
                    trust::refusal(&error)
                })?;
                // SECURITY: what was negotiated decides the parser, never what the bytes look like (T57).
                match stream.get_ref().1.alpn_protocol() {
                    Some(b"h2") => http2::begin(stream).await.map(Fresh::Http2),
                    _ => Ok(http1_over(Stream::Tls(Box::new(stream)))),
                }
            }
        }
    }

    /// A plain connection to exactly this destination, for a protocol that is not HTTP.
    ///
    /// # Errors
    /// `address-not-permitted`, `upstream-unreachable`.
    pub(super) async fn plainly(
        &self,
        destination: &Destination,
        within: Duration,
    ) -> Result<TcpStream, Refusal> {
        let addresses = self.resolve.addresses(destination).await?;
        self.dial(&addresses, within).await
    }

    /// TLS on it, with the destination's name and no protocol that ALPN could choose.
    ///
    /// # Errors
    /// `upstream-untrusted`, `upstream-unreachable`.
    pub(super) async fn secured(
        &self,
        destination: &Destination,
        stream: TcpStream,
    ) -> Result<TlsStream<TcpStream>, Refusal> {
        let name = trust::server_name(destination.host())?;
        let configuration = trust::without_protocols(self.any.config());
        let secured = TlsConnector::from(configuration).connect(name, stream).await;
        secured.map_err(|error| trust::refusal(&error))
    }

    /// The first address that accepts. One that stays silent leaves half of the remaining time to the others.
    async fn dial(&self, addresses: &[SocketAddr], within: Duration) -> Result<TcpStream, Refusal> {
        let mut share = within / 2;
        for address in addresses {
            match tokio::time::timeout(share, TcpStream::connect(address)).await {
                Ok(Ok(stream)) => {
                    self.made.fetch_add(1, Ordering::Relaxed);
                    // Without it a small request waits 40 ms for an acknowledgement; a refusal to set it is harmless.
                    let _ = stream.set_nodelay(true);
                    return Ok(stream);
                }
                Ok(Err(error)) => tracing::debug!(%address, %error, "an address did not accept"),
                Err(_) => tracing::debug!(%address, "an address did not answer"),
            }
            share /= 2;
        }
        Err(Refusal::new(Code::UpstreamUnreachable, "no address of the destination accepted a connection"))
    }
}

fn http1_over(stream: Stream) -> Fresh {
    Fresh::Http1(Box::new(Line::new(stream)))
}
