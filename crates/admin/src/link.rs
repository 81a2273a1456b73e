//! The operators' link: the admin API over TLS, on a wire that only operators are on. Who may operate is known by certificate; nobody else
//! gets as far as a request.

use crate::admin::{Admin, AdminError};
use crate::api;
use crate::listen::{self, Arrived};
use crate::peer::Peer;
use crate::tls::Handshakes;
use axum::Extension;
use cloakroom_model::Fingerprint;
use std::future::Future;
use std::sync::Arc;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::server::TlsStream;

/// The link's listener and its TLS, which must demand a certificate.
pub struct Link {
    /// Bound to the operators' network card.
    pub listener: TcpListener,
    /// Demands one of the operators' certificates.
    pub tls: Arc<ServerConfig>,
}

/// Serves the admin API on the link until `shutdown` resolves, then lets running requests finish.
///
/// # Errors
/// None at present; a listener that fails for good will be one.
pub async fn serve_link(
    admin: Arc<Admin>,
    link: Link,
    shutdown: impl Future<Output = ()> + Send,
) -> Result<(), AdminError> {
    let router = api::router(admin);
    let handshakes = Handshakes::begin(link.listener, Arc::new(move |_| Ok(Arc::clone(&link.tls))));
    let accept = || async {
        let (stream, ends) = handshakes.next().await?;
        let peer = of(&stream).ok_or_else(|| {
            std::io::Error::other("a connection on the operators' link showed no certificate")
        })?;
        let router = router.clone().layer(Extension(peer));
        Ok(Arrived { stream, router, from: Some(ends.remote.ip()) })
    };
    listen::serve(accept, shutdown).await;
    Ok(())
}

/// Whose certificate was shown: TLS has verified it.
fn of(stream: &TlsStream<TcpStream>) -> Option<Peer> {
    let shown = stream.get_ref().1.peer_certificates()?.first()?;
    Some(Peer::Operator(Fingerprint::of(shown)))
}
