//! A WebSocket that the destination accepted: the workload is told so, and then messages are handed on until one side ends it.

use crate::calls::Underway;
use crate::desk::Desk;
use crate::io::Io;
use crate::ledger::CallLedger;
use crate::problem::REQUEST;
use crate::trace::Trace;
use bytes::BytesMut;
use cloakroom_egress::websocket::{Channel, ChannelTally, Ended, Greeting, Terms};
use cloakroom_model::Timestamp;
use cloakroom_store::Events;
use cloakroom_store::journal::Entry;
use http::header::HeaderValue;
use http::{HeaderMap, StatusCode};
use std::sync::Arc;

/// A WebSocket of which the workload does not know yet.
pub(crate) struct Switch {
    channel: Box<Channel>,
    greeting: Greeting,
    /// End-to-end fields of the destination's reply.
    fields: HeaderMap,
    trace: Trace,
    outcome: Outcome,
    /// Counted as a call for as long as it lasts.
    _underway: Option<Arc<Underway>>,
}

impl Switch {
    /// For the workload whose handshake `greeting` is.
    pub(crate) fn new(
        channel: Box<Channel>,
        greeting: Greeting,
        fields: HeaderMap,
        trace: &Trace,
        events: Arc<Events>,
        underway: Option<Arc<Underway>>,
    ) -> Self {
        let outcome = Outcome { events, trace: trace.clone(), tally: ChannelTally::default() };
        Self { channel, greeting, fields, trace: trace.clone(), outcome, _underway: underway }
    }

    /// The fields of the answer that switches protocols: those of this hop, and those from end to end.
    pub(crate) fn answer(&self) -> (HeaderMap, HeaderMap) {
        let mut fields = self.fields.clone();
        if let Ok(name) = HeaderValue::from_str(&self.trace.request.to_string()) {
            fields.insert(REQUEST, name);
        }
        (self.greeting.answer(), fields)
    }

    /// Hands messages on until the WebSocket is over, and records what it came to.
    pub(crate) async fn relay(self, desk: &Desk, io: Box<dyn Io>, early: BytesMut) {
        let Self { channel, greeting, trace, mut outcome, _underway, .. } = self;
        let proxy = &desk.shared.proxy;
        let ledger = CallLedger::new(&desk.shared, desk.peer, None);
        let terms = Terms {
            custody: &proxy.custody,
            ledger: &ledger,
            policies: &proxy.policies,
            limits: proxy.limits.channel(),
        };
        let mut stop = desk.shared.stop.clone();
        let stopped = async move { drop(stop.wait_for(|stop| *stop).await) };
        let Ended { tally, refusal } = channel.relay(io, early, &greeting, terms, stopped).await;
        outcome.tally = tally;
        if let Some(refusal) = refusal {
            desk.settle(&trace, refusal).await;
        }
    }
}

/// Recorded on drop: also of a WebSocket that was cut off, or that the workload never heard of.
struct Outcome {
    events: Arc<Events>,
    trace: Trace,
    tally: ChannelTally,
}

impl Drop for Outcome {
    fn drop(&mut self) {
        let ChannelTally { bytes, replaced, complete, .. } = self.tally;
        let (request, at) = (self.trace.request, Timestamp::now());
        let status = StatusCode::SWITCHING_PROTOCOLS.as_u16();
        let entry = Entry::Outcome { request, at, status, bytes, replaced, complete };
        if let Some(traced) = &self.trace.traced {
            traced.end(self.trace.ending(Some(status), None));
        }
        if let Err(error) = self.events.journal().append(&entry) {
            tracing::error!(%request, %error, "an outcome could not be recorded");
        }
    }
}
