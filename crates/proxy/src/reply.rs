//! The upstream's scrubbed reply, made ready for the workload.

use crate::calls::Underway;
use crate::laps::Laps;
use crate::live::{Live, Liveness};
use crate::problem::REQUEST;
use crate::trace::Trace;
use bytes::Bytes;
use cloakroom_egress::{Answer, Tally};
use cloakroom_model::{BodyFault, RequestId, Step, Timestamp};
use cloakroom_store::Events;
use cloakroom_store::journal::{Entry, Journal};
use http::Response;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full};
use std::sync::Arc;

/// The body of an answer, ours or the upstream's.
pub(crate) type AnswerBody = UnsyncBoxBody<Bytes, BodyFault>;

/// What ends with a reply's body.
pub(crate) struct Ends {
    pub(crate) events: Arc<Events>,
    pub(crate) laps: Laps,
    /// Counted as a call until then.
    pub(crate) underway: Option<Arc<Underway>>,
}

/// A body of our own.
pub(crate) fn own(bytes: Bytes) -> AnswerBody {
    Full::new(bytes).map_err(|never| match never {}).boxed_unsync()
}

/// A document of our own, for one reader and one moment.
pub(crate) fn own_document(document: &serde_json::Value) -> Response<AnswerBody> {
    ours("application/json", document.to_string().into())
}

/// Words of our own.
pub(crate) fn own_text(text: &'static str) -> Response<AnswerBody> {
    ours("text/plain; charset=utf-8", Bytes::from_static(text.as_bytes()))
}

fn ours(kind: &'static str, bytes: Bytes) -> Response<AnswerBody> {
    let mut response = Response::new(own(bytes));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// The reply, named for the journal, with its outcome recorded when it ends. Fields of one hop, and such that would lead
/// the workload past the broker (T27), ended in `egress`.
pub(crate) fn relay(answer: Answer, trace: &Trace, ends: Ends, live: Liveness) -> Response<AnswerBody> {
    let (request, status) = (trace.request, answer.status().as_u16());
    let (mut parts, body) = answer.into_response().into_parts();
    if let Ok(name) = HeaderValue::from_maybe_shared(Bytes::from(request.to_string())) {
        parts.headers.insert(REQUEST, name);
    }
    let ending = trace.traced.as_ref().map(|_| trace.ending(Some(status), None));
    let body = body.on_end(move |tally| {
        let Ends { events, laps, underway } = ends;
        laps.lap(Step::Scrub, events.meters());
        record(events.journal(), request, status, tally);
        drop(underway);
        if let Some((traced, ending)) = laps.into_traced().zip(ending) {
            traced.end(ending);
        }
    });
    Response::from_parts(parts, Live::new(body, live).boxed_unsync())
}

fn record(journal: &Journal, request: RequestId, status: u16, tally: Tally) {
    let Tally { bytes, replaced, complete, .. } = tally;
    let entry = Entry::Outcome { request, at: Timestamp::now(), status, bytes, replaced, complete };
    if let Err(error) = journal.append(&entry) {
        tracing::error!(%request, %error, "an outcome could not be recorded");
    }
}
