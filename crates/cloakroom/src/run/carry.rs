//! Carries connections from one socket to another, unread.

use std::sync::Arc;
use tokio::io::{AsyncRead, AsyncWrite, copy_bidirectional};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Connections that are carried at once; further ones wait in the kernel. Each takes two descriptors, of which a process is usually given 1024; what
/// the command opens cannot take those that the relay lives by.
const MOST: usize = 256;

/// The places that a relay has for connections.
#[derive(Clone)]
pub(crate) struct Places(Arc<Semaphore>);

impl Places {
    pub(crate) fn new() -> Self {
        Self(Arc::new(Semaphore::new(MOST)))
    }

    /// Waits for a place, and has it until what is returned goes.
    pub(crate) async fn one(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.0).acquire_owned().await.ok()
    }
}

/// Both directions, until both ended. That a side broke off is its own affair: the other is closed.
pub(crate) async fn carry(
    mut one: impl AsyncRead + AsyncWrite + Unpin,
    mut other: impl AsyncRead + AsyncWrite + Unpin,
) {
    let _ = copy_bidirectional(&mut one, &mut other).await;
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::pin::pin;
    use std::task::{Context, Poll, Waker};

    #[test]
    fn where_every_place_is_taken_the_next_connection_waits_for_one() {
        let places = Places::new();
        let mut context = Context::from_waker(Waker::noop());
        let mut taken: Vec<_> = (0..MOST)
            .map(|_| match pin!(places.one()).poll(&mut context) {
                Poll::Ready(place) => place.unwrap(),
                Poll::Pending => panic!("there is a place"),
            })
            .collect();
        let mut next = pin!(places.one());
        assert!(next.as_mut().poll(&mut context).is_pending());
        taken.pop();
        assert!(next.as_mut().poll(&mut context).is_ready());
    }
}
