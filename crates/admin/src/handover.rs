//! Listening sockets for the broker that takes over: passed through the admin socket, to who may operate this one.
//!
//! The sockets are never closed on the way, so connections made meanwhile wait in the kernel.

use crate::admin::Admin;
use crate::patient::Patient;
use crate::{Problem, ProblemCode};
use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::Response;
use http::{HeaderValue, StatusCode, header};
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};
use std::io::{self, IoSlice};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::net::UnixStream;
use tokio::sync::watch;

/// What the connection speaks after the switch: one byte, and with it the sockets.
pub const PROTOCOL: &str = "cloakroom-take-over";
/// How many sockets are passed at most: workloads, console, admin, where there are any the Unix and the vsock listener of workloads, and
/// those of workloads behind a lock.
pub const MOST_SOCKETS: usize = 8;

/// The sockets that may be taken over, once.
pub struct Handover {
    offered: Mutex<Option<Vec<OwnedFd>>>,
    taken: watch::Sender<bool>,
}

impl Default for Handover {
    fn default() -> Self {
        Self { offered: Mutex::new(None), taken: watch::Sender::new(false) }
    }
}

impl Handover {
    /// Offers the sockets of workloads, console and admin API, in this order, then whatever else there is.
    pub fn offer(&self, sockets: Vec<OwnedFd>) {
        *self.lock() = Some(sockets);
    }

    /// Resolves when another process has the sockets.
    pub async fn taken(&self) {
        let _ = self.taken.subscribe().wait_for(|taken| *taken).await;
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<Vec<OwnedFd>>> {
        self.offered.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Switches the connection, then passes the sockets over it.
pub(crate) async fn take_over(
    State(admin): State<Arc<Admin>>,
    mut request: Request,
) -> Result<Response, Problem> {
    let asks = request.headers().get(header::UPGRADE).is_some_and(|protocol| protocol == PROTOCOL);
    let Some(switched) = request.extensions_mut().remove::<OnUpgrade>().filter(|_| asks) else {
        let why = format!("taking over needs an upgrade to {PROTOCOL}");
        return Err(Problem::new(ProblemCode::MalformedRequest, why));
    };
    let Some(sockets) = admin.handover.lock().take() else {
        return Err(Problem::new(
            ProblemCode::HandedOver,
            "another process has the sockets or waits for them",
        ));
    };
    tokio::spawn(async move {
        let passed = match switched.await {
            Ok(connection) => pass(connection, &sockets),
            Err(error) => Err(io::Error::other(error)),
        };
        match passed {
            Ok(()) => drop(admin.handover.taken.send_replace(true)),
            Err(error) => {
                tracing::error!(%error, "the listening sockets could not be handed over; this broker goes on");
                admin.handover.offer(sockets);
            }
        }
    });
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
    response.headers_mut().insert(header::UPGRADE, HeaderValue::from_static(PROTOCOL));
    Ok(response)
}

fn pass(connection: Upgraded, sockets: &[OwnedFd]) -> io::Result<()> {
    let parts = connection
        .downcast::<TokioIo<Patient<UnixStream>>>()
        .map_err(|_| io::Error::other("the connection is no Unix socket"))?;
    let stream = parts.io.into_inner().into_inner().into_std()?;
    let sockets: Vec<BorrowedFd<'_>> = sockets.iter().map(|socket| socket.as_fd()).collect();
    send(stream.as_fd(), &sockets)
}

fn send(stream: BorrowedFd<'_>, sockets: &[BorrowedFd<'_>]) -> io::Result<()> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MOST_SOCKETS))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    if !control.push(SendAncillaryMessage::ScmRights(sockets)) {
        return Err(io::Error::other("too many sockets"));
    }
    // Descriptors travel with bytes, so there is one.
    sendmsg(stream, &[IoSlice::new(b"s")], &mut control, SendFlags::NOSIGNAL)?;
    Ok(())
}
