//! The reading half of a connection around one request's body: here, lent to the body, or back.

use super::{Framing, Handover, Incoming, Inlet, Pace};
use cloakroom_model::Payload;
use http_body_util::BodyExt;
use std::future::pending;
use tokio::sync::oneshot;

/// Where the reading half is.
pub(crate) struct Returning(State);

enum State {
    /// Here; a body with this framing comes next.
    Here(Inlet, Framing),
    /// The body has it.
    Lent(oneshot::Receiver<Handover>),
    Back(Handover),
    /// The body was dropped together with its connection.
    Lost,
}

impl Returning {
    /// After a head whose body has this framing.
    pub(crate) fn new(inlet: Inlet, framing: Framing) -> Self {
        Self(State::Here(inlet, framing))
    }

    /// Whether some of the body is in the buffer already.
    pub(crate) fn holds_bytes(&self) -> bool {
        matches!(&self.0, State::Here(inlet, _) if inlet.holds_bytes())
    }

    /// The body, once. One that has arrived with its head is taken out of the buffer; any other gets the reading half.
    pub(crate) fn lend(&mut self, pace: Pace) -> Payload {
        let State::Here(mut inlet, framing) = std::mem::replace(&mut self.0, State::Lost) else {
            return Payload::empty();
        };
        let arrived = match framing {
            Framing::Empty => Some(Payload::empty()),
            Framing::Length(length) => inlet.take_exactly(length).map(Payload::complete),
            Framing::Chunked => None,
        };
        if let Some(payload) = arrived {
            self.0 = State::Back(Handover::Complete(inlet));
            return payload;
        }
        let (body, back) = Incoming::new(inlet, framing, pace);
        self.0 = State::Lent(back);
        let length = if let Framing::Length(length) = framing { Some(length) } else { None };
        Payload { head: bytes::Bytes::new(), rest: Some(body.boxed_unsync()), length, trailers: None }
    }

    fn look(&mut self) {
        if let State::Lent(back) = &mut self.0 {
            match back.try_recv() {
                Ok(handover) => self.0 = State::Back(handover),
                Err(oneshot::error::TryRecvError::Empty) => {}
                Err(oneshot::error::TryRecvError::Closed) => self.0 = State::Lost,
            }
        }
    }

    /// Whether the body was, or will be, given up before its end.
    pub(crate) fn is_abandoned(&mut self) -> bool {
        self.look();
        match &self.0 {
            State::Here(_, framing) => *framing != Framing::Empty,
            State::Back(handover) => matches!(handover, Handover::Abandoned(_)),
            State::Lent(_) => false,
            State::Lost => true,
        }
    }

    /// What came back, if anything did.
    pub(crate) fn take(mut self) -> Option<Handover> {
        self.look();
        match self.0 {
            State::Here(inlet, Framing::Empty) => Some(Handover::Complete(inlet)),
            State::Here(inlet, _) => Some(Handover::Abandoned(inlet)),
            State::Back(handover) => Some(handover),
            State::Lent(_) | State::Lost => None,
        }
    }

    /// Resolves when the peer has gone, as far as that can be seen: not while its body is still coming.
    pub(crate) async fn closed(&mut self) {
        if let State::Lent(back) = &mut self.0 {
            self.0 = back.await.map_or(State::Lost, State::Back);
        }
        match &mut self.0 {
            State::Here(inlet, Framing::Empty) | State::Back(Handover::Complete(inlet)) => {
                inlet.closed().await
            }
            _ => pending().await,
        }
    }
}
