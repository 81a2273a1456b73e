//! Accepts connections and serves a router on each until told to stop; then lets running requests finish.

use crate::patient::Patient;
use crate::places::{Known, Places};
use axum::extract::Request;
use axum::middleware::{Next, from_fn};
use axum::response::Response;
use axum::{Extension, Router};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use std::future::Future;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::watch;

/// How long a peer may take to send a request head.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a peer may read nothing of an answer that waits for it.
const UNREAD: Duration = Duration::from_secs(20);
/// How long running requests may go on once the broker stops.
const DRAIN: Duration = Duration::from_secs(5);
/// Connections served at once. For a further one a stranger makes room, or whoever has more than a share; where all are kept, it waits.
const CONNECTIONS: usize = 64;

/// The two ends of a connection.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ends {
    /// Where it came in.
    pub(crate) local: SocketAddr,
    /// Where it came from.
    pub(crate) remote: SocketAddr,
}

/// Whether the broker is about to stop: for answers that would go on for ever.
#[derive(Clone)]
pub(crate) struct Stopped(watch::Receiver<bool>);

impl Stopped {
    /// Waits for so long, or until it is.
    pub(crate) async fn within(&mut self, span: Duration) -> bool {
        let stopped = self.0.wait_for(|stop| *stop);
        tokio::time::timeout(span, stopped).await.is_ok()
    }
}

/// A connection that was accepted.
pub(crate) struct Arrived<S> {
    pub(crate) stream: S,
    /// What is served on it.
    pub(crate) router: Router,
    /// Where it came from, where that is an address.
    pub(crate) from: Option<IpAddr>,
}

/// Serves what `accept` brings, each connection with its own router.
pub(crate) async fn serve<S, A>(mut accept: impl FnMut() -> A, shutdown: impl Future<Output = ()> + Send)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    A: Future<Output = std::io::Result<Arrived<S>>>,
{
    let (stop, stopped) = watch::channel(false);
    let mut places = Places::new(CONNECTIONS);
    let mut shutdown = std::pin::pin!(shutdown);
    loop {
        tokio::select! {
            () = &mut shutdown => break,
            () = places.open() => {}
        }
        tokio::select! {
            () = &mut shutdown => break,
            accepted = accept() => match accepted {
                Ok(Arrived { stream, router, from }) => {
                    let known = Known::default();
                    let router = router.layer(Extension(Stopped(stopped.clone())));
                    let router = router.layer(from_fn(settled)).layer(Extension(known.clone()));
                    let served = connection(Patient::new(stream, UNREAD), router, stopped.clone());
                    tokio::select! {
                        () = &mut shutdown => break,
                        () = places.take(from, known, served) => {}
                    }
                }
                Err(error) => {
                    // Out of file descriptors, mostly: a pause instead of a busy loop.
                    tracing::warn!(%error, "an admin connection could not be accepted");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            },
        }
    }
    stop.send_replace(true);
    if tokio::time::timeout(DRAIN, places.emptied()).await.is_err() {
        tracing::warn!("admin requests were cut off");
    }
}

/// Whose a connection is follows from each request anew.
async fn settled(Extension(known): Extension<Known>, request: Request, next: Next) -> Response {
    known.ask();
    let answer = next.run(request).await;
    known.settle();
    answer
}

async fn connection<S>(stream: S, router: Router, mut stopped: watch::Receiver<bool>)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let serving = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router))
        .with_upgrades();
    let mut serving = std::pin::pin!(serving);
    let ended = tokio::select! {
        ended = &mut serving => ended,
        () = async { drop(stopped.wait_for(|stop| *stop).await) } => {
            serving.as_mut().graceful_shutdown();
            serving.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "an admin connection ended early");
    }
}
