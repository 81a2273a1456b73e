//! The accept loop, and the drain at its end.

use crate::entry::{self, Arrival, Steered};
use crate::peer::Peer;
use crate::proxy::Shared;
use crate::vsock::VsockListener;
use crate::workers::Workers;
use crate::{Proxy, ProxyError};
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

/// How long to wait when the system has no file or memory for another connection.
const BREATH: Duration = Duration::from_millis(50);

/// Connections beyond the limit that are told so at a time; what comes beyond these is closed without a word.
const TURNED_AWAY: usize = 64;

/// All connections.
#[derive(Default)]
struct Crowd {
    served: JoinSet<()>,
    /// Told that there are too many.
    turned_away: JoinSet<()>,
}

/// What becomes of a connection.
#[derive(Clone, Copy)]
enum Reception {
    Serve,
    TurnAway,
}

/// Where workloads connect.
#[derive(Debug)]
pub struct Listeners {
    /// Over the network.
    pub network: TcpListener,
    /// On this machine, where the kernel says who connects.
    pub unix: Option<UnixListener>,
    /// For virtual machines, where the hypervisor says which one connects.
    pub vsock: Option<VsockListener>,
    /// Where connections end that were on their way elsewhere.
    pub transparent: Option<TcpListener>,
}

impl From<TcpListener> for Listeners {
    fn from(network: TcpListener) -> Self {
        Self { network, unix: None, vsock: None, transparent: None }
    }
}

/// Serves workloads until `shutdown` resolves. Then no connection is accepted, calls on their way may finish within
/// [`Limits::drain`](crate::Limits::drain), and what is left is ended.
///
/// # Errors
/// When the listener fails for good, or no leaf key or no thread can be made.
pub async fn serve(
    proxy: Arc<Proxy>,
    listeners: impl Into<Listeners> + Send,
    shutdown: impl Future<Output = ()> + Send,
) -> Result<(), ProxyError> {
    let listeners = listeners.into();
    let (stop, stopped) = watch::channel(false);
    let drain = proxy.limits.drain;
    let shared = Arc::new(Shared::new(proxy, stopped)?);
    let workers = Workers::start(&shared.proxy.journal)?;
    let mut crowd = Crowd::default();
    let accepted = accept(&listeners, &shared, &workers, &mut crowd, shutdown).await;
    drop(listeners);
    let mut connections = crowd.served;
    stop.send_replace(true);
    let drained = timeout(drain, async { while connections.join_next().await.is_some() {} }).await;
    if drained.is_err() {
        tracing::warn!(connections = connections.len(), "connections were ended that did not finish in time");
    }
    connections.shutdown().await;
    accepted
}

async fn accept(
    listeners: &Listeners,
    shared: &Arc<Shared>,
    workers: &Workers,
    crowd: &mut Crowd,
    shutdown: impl Future<Output = ()> + Send,
) -> Result<(), ProxyError> {
    let mut shutdown = pin!(shutdown);
    loop {
        tokio::select! {
            () = &mut shutdown => return Ok(()),
            accepted = listeners.accept() => match accepted {
                Ok(arrived) => admit(arrived, shared, workers, crowd),
                Err(error) if is_fatal(&error) => return Err(ProxyError::Listener(error)),
                Err(error) => {
                    tracing::warn!(%error, "a connection could not be accepted");
                    sleep(BREATH).await;
                }
            },
            Some(_) = crowd.turned_away.join_next() => {}
            Some(ended) = crowd.served.join_next() => {
                if ended.is_err_and(|error| error.is_panic()) {
                    tracing::error!("a connection ended by a fault");
                }
            }
        }
    }
}

/// A connection between two runtimes: the one that accepted it, and the one that serves it.
enum Arrived {
    Network(std::net::TcpStream),
    Steered(std::net::TcpStream),
    Unix(std::os::unix::net::UnixStream),
    /// With its number.
    Guest(std::os::unix::net::UnixStream, u32),
}

impl Listeners {
    async fn accept(&self) -> io::Result<Arrived> {
        tokio::select! {
            accepted = self.network.accept() => {
                let (stream, _) = accepted?;
                // An answer that waits for an acknowledgement is 40 ms late.
                stream.set_nodelay(true)?;
                stream.into_std().map(Arrived::Network)
            }
            accepted = accept_steered(self.transparent.as_ref()) => {
                let stream = accepted?;
                stream.set_nodelay(true)?;
                stream.into_std().map(Arrived::Steered)
            }
            accepted = accept_unix(self.unix.as_ref()) => accepted?.into_std().map(Arrived::Unix),
            accepted = accept_guest(self.vsock.as_ref()) => {
                accepted.map(|(stream, cid)| Arrived::Guest(stream, cid))
            }
        }
    }
}

async fn accept_steered(listener: Option<&TcpListener>) -> io::Result<TcpStream> {
    match listener {
        Some(listener) => listener.accept().await.map(|(stream, _)| stream),
        None => std::future::pending().await,
    }
}

async fn accept_unix(listener: Option<&UnixListener>) -> io::Result<UnixStream> {
    match listener {
        Some(listener) => listener.accept().await.map(|(stream, _)| stream),
        None => std::future::pending().await,
    }
}

async fn accept_guest(listener: Option<&VsockListener>) -> io::Result<(std::os::unix::net::UnixStream, u32)> {
    match listener {
        Some(listener) => listener.accept().await,
        None => std::future::pending().await,
    }
}

/// Whether accepting will never work again.
fn is_fatal(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::InvalidInput | io::ErrorKind::Unsupported | io::ErrorKind::NotConnected
    )
}

fn admit(arrived: Arrived, shared: &Arc<Shared>, workers: &Workers, crowd: &mut Crowd) {
    let (reception, connections) = if crowd.served.len() < shared.proxy.limits.connections {
        (Reception::Serve, &mut crowd.served)
    } else if crowd.turned_away.len() < TURNED_AWAY {
        (Reception::TurnAway, &mut crowd.turned_away)
    } else {
        tracing::warn!("a connection was closed: there are too many");
        return;
    };
    let Some((worker, load)) = workers.idlest() else { return };
    connections.spawn_on(connection(arrived, shared.clone(), reception, load), worker);
}

/// Serves one connection on the runtime that runs this. `_load` counts it there.
async fn connection(arrived: Arrived, shared: Arc<Shared>, reception: Reception, _load: Arc<()>) {
    let receive = async |arrival, io| match reception {
        Reception::Serve => entry::serve(arrival, io).await,
        Reception::TurnAway => Box::pin(entry::turn_away(arrival, io)).await,
    };
    // What cannot be asked for its ends is gone already.
    match arrived {
        Arrived::Network(stream) => {
            let Ok(stream) = TcpStream::from_std(stream) else { return };
            let (Ok(peer), Ok(local)) = (stream.peer_addr(), stream.local_addr()) else { return };
            let arrival = Arrival { shared, peer: Peer::at(peer.ip()), local: Some(local.ip()) };
            receive(arrival, Box::new(stream)).await;
        }
        Arrived::Steered(stream) => {
            let Ok(stream) = TcpStream::from_std(stream) else { return };
            let (Ok(peer), Ok(local)) = (stream.peer_addr(), stream.local_addr()) else { return };
            let (peer, to) = (Peer::at(peer.ip()), entry::destined(&stream, local));
            match reception {
                Reception::Serve => {
                    Box::pin(entry::serve_steered(Steered { shared, peer, to }, Box::new(stream))).await;
                }
                Reception::TurnAway => {
                    let arrival = Arrival { shared, peer, local: None };
                    Box::pin(entry::turn_away(arrival, Box::new(stream))).await;
                }
            }
        }
        Arrived::Unix(stream) => {
            let Ok(stream) = UnixStream::from_std(stream) else { return };
            // SECURITY: the kernel's word for who connected, taken when the connection was made (T93).
            let Ok(credentials) = stream.peer_cred() else { return };
            let arrival = Arrival { shared, peer: Peer::user(credentials.uid()), local: None };
            receive(arrival, Box::new(stream)).await;
        }
        Arrived::Guest(stream, cid) => {
            let Ok(stream) = UnixStream::from_std(stream) else { return };
            let arrival = Arrival { shared, peer: Peer::guest(cid), local: None };
            receive(arrival, Box::new(stream)).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conversation::Conversation;
    use crate::desk::{Desk, Wish};
    use crate::head::Head;
    use crate::interims::Meanwhile;
    use crate::trace::Trace;
    use crate::wire::{Inlet, Received};
    use cloakroom_egress::websocket::Carrier;
    use cloakroom_model::Payload;

    /// The size of what this makes, which need not be made for that.
    fn size<A, F: Future>(_: impl FnOnce(A) -> F) -> usize {
        size_of::<F>()
    }

    type Call = (&'static Desk, Wish, Head, Payload, &'static mut Trace, Meanwhile<'static>, Carrier);

    /// A future is copied when it is boxed and wiped when it is freed, and it is as large as its rarest step: what is rare and
    /// large is boxed where it begins.
    #[test]
    fn a_connection_and_a_call_stay_small() {
        let waiting = size(|(arrived, shared, reception, load)| connection(arrived, shared, reception, load));
        let call = size(|(desk, wish, head, body, trace, meanwhile, carrier): Call| {
            desk.serve(wish, head, body, trace, meanwhile, carrier)
        });
        let whole = size(|(conversation, received, inlet): (&'static mut Conversation, Received, Inlet)| {
            conversation.serve(received, inlet)
        });
        assert!(waiting <= 2 * 1024, "a connection takes {waiting} bytes");
        assert!(call <= 7 * 1024 && whole <= 10 * 1024, "a call takes {call} bytes, {whole} in all");
    }
}
