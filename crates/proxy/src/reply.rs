//! The upstream's scrubbed reply, made ready for the workload.

use crate::calls::Underway;
use crate::live::{Live, Liveness};
use crate::problem::REQUEST;
use crate::trace::Trace;
use bytes::Bytes;
use cloakroom_egress::{Answer, Tally};
use cloakroom_model::{BodyFault, RequestId, Timestamp};
use cloakroom_store::journal::{Entry, Journal};
use http::Response;
use http::header::HeaderValue;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full};
use std::sync::Arc;

/// The body of an answer, ours or the upstream's.
pub(crate) type AnswerBody = UnsyncBoxBody<Bytes, BodyFault>;

/// A body of our own.
pub(crate) fn own(bytes: Bytes) -> AnswerBody {
    Full::new(bytes).map_err(|never| match never {}).boxed_unsync()
}

/// The reply, named for the journal, with its outcome recorded when it ends. Fields of one hop, and such that would lead
/// the workload past the broker (T27), ended in `egress`.
pub(crate) fn relay(
    answer: Answer,
    trace: &Trace,
    journal: Arc<Journal>,
    live: Liveness,
    underway: Option<Arc<Underway>>,
) -> Response<AnswerBody> {
    let (request, status) = (trace.request, answer.status().as_u16());
    let (mut parts, body) = answer.into_response().into_parts();
    if let Ok(name) = HeaderValue::from_maybe_shared(Bytes::from(request.to_string())) {
        parts.headers.insert(REQUEST, name);
    }
    let body = body.on_end(move |tally| {
        record(&journal, request, status, tally);
        drop(underway);
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
