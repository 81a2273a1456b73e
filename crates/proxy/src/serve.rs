//! The accept loop, and the drain at its end.

use crate::entry::{self, Arrival};
use crate::proxy::Shared;
use crate::workers::Workers;
use crate::{Proxy, ProxyError};
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

/// How long to wait when the system has no file or memory for another connection.
const BREATH: Duration = Duration::from_millis(50);

/// Serves workloads until `shutdown` resolves. Then no connection is accepted, calls on their way may finish within
/// [`Limits::drain`](crate::Limits::drain), and what is left is ended.
///
/// # Errors
/// When the listener fails for good, or no leaf key or no thread can be made.
pub async fn serve(
    proxy: Arc<Proxy>,
    listener: TcpListener,
    shutdown: impl Future<Output = ()> + Send,
) -> Result<(), ProxyError> {
    let (stop, stopped) = watch::channel(false);
    let drain = proxy.limits.drain;
    let shared = Arc::new(Shared::new(proxy, stopped)?);
    let workers = Workers::start()?;
    let mut connections = JoinSet::new();
    let accepted = accept(&listener, &shared, &workers, &mut connections, shutdown).await;
    drop(listener);
    stop.send_replace(true);
    let drained = timeout(drain, async { while connections.join_next().await.is_some() {} }).await;
    if drained.is_err() {
        tracing::warn!(connections = connections.len(), "connections were ended that did not finish in time");
    }
    connections.shutdown().await;
    accepted
}

async fn accept(
    listener: &TcpListener,
    shared: &Arc<Shared>,
    workers: &Workers,
    connections: &mut JoinSet<()>,
    shutdown: impl Future<Output = ()> + Send,
) -> Result<(), ProxyError> {
    let mut shutdown = pin!(shutdown);
    loop {
        tokio::select! {
            () = &mut shutdown => return Ok(()),
            accepted = listener.accept() => match accepted {
                Ok((stream, peer)) => admit(stream, peer, shared, workers, connections),
                Err(error) if is_fatal(&error) => return Err(ProxyError::Listener(error)),
                Err(error) => {
                    tracing::warn!(%error, "a connection could not be accepted");
                    sleep(BREATH).await;
                }
            },
            Some(ended) = connections.join_next() => {
                if ended.is_err_and(|error| error.is_panic()) {
                    tracing::error!("a connection ended by a fault");
                }
            }
        }
    }
}

/// Whether accepting will never work again.
fn is_fatal(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::InvalidInput | io::ErrorKind::Unsupported | io::ErrorKind::NotConnected
    )
}

fn admit(
    stream: TcpStream,
    peer: SocketAddr,
    shared: &Arc<Shared>,
    workers: &Workers,
    connections: &mut JoinSet<()>,
) {
    if connections.len() >= shared.proxy.limits.connections {
        tracing::warn!(%peer, "a connection was closed: there are too many");
        return;
    }
    // An answer that waits for an acknowledgement is 40 ms late.
    if stream.set_nodelay(true).is_err() {
        return;
    }
    let (Ok(stream), Some((worker, load))) = (stream.into_std(), workers.idlest()) else { return };
    let served = connection(stream, peer, shared.clone());
    let counted = async move {
        served.await;
        drop(load);
    };
    connections.spawn_on(counted, worker);
}

/// Serves one connection on the runtime that runs this.
async fn connection(stream: std::net::TcpStream, peer: SocketAddr, shared: Arc<Shared>) {
    let Ok(stream) = TcpStream::from_std(stream) else { return };
    let Ok(local) = stream.local_addr() else { return };
    let arrival = Arrival { shared, peer: peer.ip().to_canonical(), local: local.ip() };
    entry::serve(arrival, Box::new(stream)).await;
}
