//! The operators' link: the admin API over TLS, on a wire that only operators are on. Who may operate is known by certificate; nobody else
//! gets as far as a request.

use crate::admin::{Admin, AdminError};
use crate::peer::Peer;
use crate::{api, listen};
use axum::Extension;
use cloakroom_model::Fingerprint;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, mpsc};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::server::TlsStream;

/// How long a peer may take to show who it is.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// Handshakes at once; further connections wait in the kernel's queue.
const HANDSHAKES: usize = 16;

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
    let (known, mut arrived) = mpsc::channel(1);
    let door = tokio::spawn(meet(link, known));
    let arrived = tokio::sync::Mutex::new(&mut arrived);
    let accept = || async {
        let next = arrived.lock().await.recv().await;
        let (stream, peer): (TlsStream<TcpStream>, Peer) =
            next.ok_or_else(|| std::io::Error::other("the operators' listener ended"))?;
        Ok((stream, router.clone().layer(Extension(peer))))
    };
    listen::serve(accept, shutdown).await;
    door.abort();
    Ok(())
}

/// Lets each connection show its certificate, beside the others: a peer that is slow to do so delays nobody.
async fn meet(link: Link, known: mpsc::Sender<(TlsStream<TcpStream>, Peer)>) {
    let (acceptor, room) = (TlsAcceptor::from(link.tls), Arc::new(Semaphore::new(HANDSHAKES)));
    loop {
        let Ok(place) = Arc::clone(&room).acquire_owned().await else { return };
        let stream = match link.listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::warn!(%error, "an operator's connection could not be accepted");
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            }
        };
        let (acceptor, known) = (acceptor.clone(), known.clone());
        tokio::spawn(async move {
            let _place = place;
            match tokio::time::timeout(HANDSHAKE, acceptor.accept(stream)).await {
                Ok(Ok(stream)) => match of(&stream) {
                    // The other end goes only when the broker stops.
                    Some(peer) => drop(known.send((stream, peer)).await),
                    None => tracing::warn!("a connection on the operators' link showed no certificate"),
                },
                Ok(Err(error)) => tracing::warn!(%error, "a connection on the operators' link was refused"),
                Err(_) => tracing::warn!("a connection on the operators' link showed nothing in time"),
            }
        });
    }
}

/// Whose certificate was shown: TLS has verified it.
fn of(stream: &TlsStream<TcpStream>) -> Option<Peer> {
    let shown = stream.get_ref().1.peer_certificates()?.first()?;
    Some(Peer::Operator(Fingerprint::of(shown)))
}
