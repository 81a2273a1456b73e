//! Connections that have to speak TLS: each shakes hands beside the others, so that a peer that is slow to do so delays nobody.

use crate::listen::Ends;
use crate::places::{Known, Places};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Mutex, mpsc};
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::server::TlsStream;

/// How long a peer may take to shake hands.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// The protocol of a check by tls-alpn-01 (RFC 8737, section 6.2).
const CHECK_PROTOCOL: &[u8] = b"acme-tls/1";
/// Handshakes at once. For a further one the one makes room that is least owed its place: a peer that is slow to shake hands delays nobody.
const HANDSHAKES: usize = 16;

/// How TLS is spoken on a connection to this address of ours.
pub type TlsSettings = Arc<dyn Fn(IpAddr) -> std::io::Result<Arc<ServerConfig>> + Send + Sync>;

/// A connection that speaks TLS, and its two ends.
pub(crate) type Met = (TlsStream<TcpStream>, Ends);

/// A listener whose connections speak TLS.
pub(crate) struct Handshakes {
    met: Mutex<mpsc::Receiver<Met>>,
    door: JoinHandle<()>,
}

impl Handshakes {
    /// Meets whoever connects.
    pub(crate) fn begin(listener: TcpListener, tls: TlsSettings) -> Self {
        let (tell, met) = mpsc::channel(1);
        Self { met: Mutex::new(met), door: tokio::spawn(meet(listener, tls, tell)) }
    }

    /// The next connection.
    pub(crate) async fn next(&self) -> std::io::Result<Met> {
        let next = self.met.lock().await.recv().await;
        next.ok_or_else(|| std::io::Error::other("the listener ended"))
    }
}

impl Drop for Handshakes {
    fn drop(&mut self) {
        self.door.abort();
    }
}

async fn meet(listener: TcpListener, tls: TlsSettings, tell: mpsc::Sender<Met>) {
    let mut places = Places::new(HANDSHAKES);
    loop {
        let (stream, ends, settings) = match spoken(&listener, &tls).await {
            Ok(spoken) => spoken,
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            }
        };
        let (acceptor, tell) = (TlsAcceptor::from(settings), tell.clone());
        let from = ends.remote.ip();
        let shaken = async move {
            let (local, peer) = (ends.local, ends.remote);
            match tokio::time::timeout(HANDSHAKE, acceptor.accept(stream)).await {
                // A check is over with the handshake (RFC 8737, section 3): nobody speaks HTTP in its protocol.
                Ok(Ok(stream)) if is_check(&stream) => {
                    tracing::info!(%peer, "the console's names were checked")
                }
                // The other end goes only when the broker stops.
                Ok(Ok(stream)) => drop(tell.send((stream, ends)).await),
                Ok(Err(error)) => tracing::warn!(%error, %local, %peer, "a TLS connection was refused"),
                Err(_) => tracing::warn!(%local, %peer, "a TLS connection showed nothing in time"),
            }
        };
        // No stranger keeps a place here, so nobody waits for one.
        places.take(Some(from), Known::default(), shaken).await;
    }
}

fn is_check(stream: &TlsStream<TcpStream>) -> bool {
    stream.get_ref().1.alpn_protocol() == Some(CHECK_PROTOCOL)
}

async fn spoken(
    listener: &TcpListener,
    tls: &TlsSettings,
) -> std::io::Result<(TcpStream, Ends, Arc<ServerConfig>)> {
    let (stream, ends) = accepted(listener).await?;
    Ok((stream, ends, tls(ends.local.ip())?))
}

/// The next plain connection.
pub(crate) async fn accepted(listener: &TcpListener) -> std::io::Result<(TcpStream, Ends)> {
    let (stream, remote) = listener.accept().await?;
    let local = stream.local_addr()?;
    Ok((stream, Ends { local, remote }))
}
