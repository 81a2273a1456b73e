//! The reading half of a connection while a body has it.

use super::{Handover, Inlet};
use std::future::pending;
use tokio::sync::oneshot;

/// Waits for the reading half to come back.
pub(crate) struct Returning {
    back: Option<oneshot::Receiver<Handover>>,
    hand: Option<Handover>,
}

impl Returning {
    /// From the receiver that came with the body.
    pub(crate) fn new(back: oneshot::Receiver<Handover>) -> Self {
        Self { back: Some(back), hand: None }
    }

    /// What has come back by now.
    fn look(&mut self) -> Option<&mut Handover> {
        if let Some(handover) = self.back.as_mut().and_then(|back| back.try_recv().ok()) {
            self.hand = Some(handover);
            self.back = None;
        }
        self.hand.as_mut()
    }

    /// Whether the body was given up before its end.
    pub(crate) fn is_abandoned(&mut self) -> bool {
        matches!(self.look(), Some(Handover::Abandoned(_)))
    }

    /// What came back, if anything did.
    pub(crate) fn take(mut self) -> Option<Handover> {
        self.look();
        self.hand
    }

    /// The reading half after a body that was read to its end.
    pub(crate) fn take_complete(self) -> Option<Inlet> {
        match self.take() {
            Some(Handover::Complete(inlet)) => Some(inlet),
            Some(Handover::Abandoned(_)) | None => None,
        }
    }

    /// Resolves when the peer has gone, as far as that can be seen: not while its body is still coming.
    pub(crate) async fn closed(&mut self) {
        if let Some(back) = self.back.as_mut() {
            let handover = back.await.ok();
            self.back = None;
            self.hand = handover;
        }
        match self.hand.as_mut() {
            Some(Handover::Complete(inlet)) => inlet.closed().await,
            Some(Handover::Abandoned(_)) | None => pending().await,
        }
    }
}
