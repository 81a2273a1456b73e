//! Making one connection: checked address, TCP, TLS with the destination's name, HTTP by what ALPN agreed on.

use super::resolve::Resolve;
use super::sending::Watched;
use super::settings::{UpstreamError, UpstreamSettings};
use super::trust;
use cloakroom_model::{Code, Destination, Refusal, Scheme};
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use std::future::Future;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

/// Bytes of a reply's head, or of its trailers (T96, T100).
const HEAD_LIMIT: u32 = 64 * 1024;

/// A new connection, ready for a request.
pub(super) enum Fresh {
    Http1(http1::SendRequest<Watched>),
    Http2(http2::SendRequest<Watched>),
}

/// Makes connections.
pub(super) struct Connect {
    resolve: Resolve,
    tls: TlsConnector,
    made: AtomicU64,
}

impl Connect {
    /// # Errors
    /// When trust anchors or the resolver cannot be set up.
    pub(super) fn new(settings: &UpstreamSettings) -> Result<Self, UpstreamError> {
        let tls = TlsConnector::from(trust::configuration(&settings.anchors)?);
        Ok(Self { resolve: Resolve::new(settings)?, tls, made: AtomicU64::new(0) })
    }

    /// How many TCP connections were made.
    pub(super) fn made(&self) -> u64 {
        self.made.load(Ordering::Relaxed)
    }

    /// Connects to exactly this destination.
    ///
    /// # Errors
    /// `address-not-permitted`, `upstream-unreachable`, `upstream-untrusted`.
    pub(super) async fn to(&self, destination: &Destination, within: Duration) -> Result<Fresh, Refusal> {
        let addresses = self.resolve.addresses(destination).await?;
        let stream = self.dial(&addresses, within).await?;
        match destination.scheme() {
            Scheme::Http => http1_over(stream).await,
            Scheme::Https => {
                let name = trust::server_name(destination.host())?;
                let stream = self.tls.connect(name, stream).await.map_err(|error| {
                    tracing::warn!(%destination, %error, "no trusted connection to a destination");
                    trust::refusal(&error)
                })?;
                // SECURITY: what was negotiated decides the parser, never what the bytes look like (T57).
                match stream.get_ref().1.alpn_protocol() {
                    Some(b"h2") => http2_over(stream).await,
                    _ => http1_over(stream).await,
                }
            }
        }
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

async fn http1_over<S>(stream: S) -> Result<Fresh, Refusal>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let handshake =
        http1::Builder::new().max_header_size(HEAD_LIMIT as usize).handshake(TokioIo::new(stream)).await;
    let (sender, connection) = handshake.map_err(|_| broken())?;
    drive(connection);
    Ok(Fresh::Http1(sender))
}

async fn http2_over<S>(stream: S) -> Result<Fresh, Refusal>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let handshake = http2::Builder::new(TokioExecutor::new())
        .timer(TokioTimer::new())
        .max_header_list_size(HEAD_LIMIT)
        .handshake(TokioIo::new(stream))
        .await;
    let (sender, connection) = handshake.map_err(|_| broken())?;
    drive(connection);
    Ok(Fresh::Http2(sender))
}

/// Runs a connection until it ends. Its calls learn what went wrong; here it is only noted.
fn drive(connection: impl Future<Output = hyper::Result<()>> + Send + 'static) {
    tokio::spawn(async move {
        if let Err(error) = connection.await {
            tracing::debug!(%error, "an upstream connection ended");
        }
    });
}

fn broken() -> Refusal {
    Refusal::new(Code::UpstreamUnreachable, "the connection broke before the request was sent")
}
