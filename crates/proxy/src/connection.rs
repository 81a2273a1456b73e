//! One connection with a workload, and the tunnels that open in it.

use crate::conversation::Conversation;
use crate::desk::{Desk, Door};
use crate::h2;
use crate::io::Io;
use crate::peer::Peer;
use crate::proxy::Shared;
use crate::tunnel::Opened;
use bytes::BytesMut;
use cloakroom_model::Refusal;
use std::sync::Arc;

/// What is spoken on a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Protocol {
    /// HTTP/1.1.
    Http1,
    /// HTTP/2.
    Http2,
}

/// Serves a connection that came in through the listener, to its end. `early` is what was read of it.
pub(crate) async fn serve(
    shared: Arc<Shared>,
    peer: Peer,
    io: Box<dyn Io>,
    early: BytesMut,
    protocol: Protocol,
) {
    let desk = Desk::new(shared, Door::Open, peer, None);
    // In a place of its own, which is free again where a tunnel follows.
    if let Some(tunnel) = Box::pin(talk(desk, io, early, protocol)).await {
        Box::pin(tunnel.intercept()).await;
    }
}

/// Serves requests until one side ends; gives back a tunnel if one was opened.
pub(crate) async fn talk(desk: Desk, io: Box<dyn Io>, early: BytesMut, protocol: Protocol) -> Option<Opened> {
    match protocol {
        Protocol::Http1 => Conversation::new(desk, io, early).run().await,
        Protocol::Http2 => {
            Box::pin(h2::serve(desk, io, early)).await;
            None
        }
    }
}

/// Says no in HTTP/1.1 to whatever was begun there, and ends.
pub(crate) async fn refuse(desk: Desk, io: Box<dyn Io>, early: BytesMut, refusal: Refusal) {
    Conversation::new(desk, io, early).refuse(refusal).await;
}
