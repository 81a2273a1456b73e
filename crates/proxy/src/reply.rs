//! The upstream's scrubbed reply, made ready for the workload.

use crate::live::{Live, Liveness};
use crate::problem::{PROXY_STATUS, REQUEST};
use crate::trace::Trace;
use bytes::Bytes;
use cloakroom_egress::{Answer, Tally};
use cloakroom_model::{BodyFault, RequestId, Timestamp};
use cloakroom_store::journal::{Entry, Journal};
use http::header::{CONNECTION, HeaderValue};
use http::{HeaderMap, HeaderName, Response};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full};
use std::sync::Arc;

/// The body of an answer, ours or the upstream's.
pub(crate) type AnswerBody = UnsyncBoxBody<Bytes, BodyFault>;

/// A body of our own.
pub(crate) fn own(bytes: Bytes) -> AnswerBody {
    Full::new(bytes).map_err(|never| match never {}).boxed_unsync()
}

/// The reply without hop-by-hop fields, named for the journal, with its outcome recorded when it ends.
pub(crate) fn relay(
    answer: Answer,
    trace: &Trace,
    journal: Arc<Journal>,
    live: Liveness,
) -> Response<AnswerBody> {
    let (request, status) = (trace.request, answer.status().as_u16());
    let (mut parts, body) = answer.into_response().into_parts();
    strip(&mut parts.headers);
    if let Ok(name) = HeaderValue::from_str(&request.to_string()) {
        parts.headers.insert(REQUEST, name);
    }
    let body = body.on_end(move |tally| record(&journal, request, status, tally));
    Response::from_parts(parts, Live::new(body, live).boxed_unsync())
}

fn record(journal: &Journal, request: RequestId, status: u16, tally: Tally) {
    let Tally { bytes, replaced, complete, .. } = tally;
    let entry = Entry::Outcome { request, at: Timestamp::now(), status, bytes, replaced, complete };
    if let Err(error) = journal.append(&entry) {
        tracing::error!(%request, %error, "an outcome could not be recorded");
    }
}

/// Takes away what speaks to this hop, what would lead the workload past the broker (T27), and what could be taken for
/// a word of the broker's own.
fn strip(headers: &mut HeaderMap) {
    let listed: Vec<HeaderName> = headers
        .get_all(CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|name| HeaderName::from_bytes(name.trim().as_bytes()).ok())
        .filter(|name| *name != http::header::CONTENT_LENGTH)
        .collect();
    let own: Vec<HeaderName> = headers.keys().filter(|name| ends_here(name)).cloned().collect();
    for name in listed.iter().chain(&own) {
        headers.remove(name);
    }
}

fn ends_here(name: &HeaderName) -> bool {
    let text = name.as_str();
    matches!(
        text,
        "connection" | "keep-alive" | "te" | "trailer" | "transfer-encoding" | "upgrade" | "alt-svc"
    ) || *name == PROXY_STATUS
        || text.starts_with("proxy-")
        || text.starts_with("cloakroom-")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn t07_t27_what_ends_here_is_not_relayed() {
        let mut headers = HeaderMap::new();
        let dropped = [
            "alt-svc",
            "connection",
            "keep-alive",
            "proxy-status",
            "proxy-authenticate",
            "proxy-connection",
            "cloakroom-request",
            "transfer-encoding",
            "upgrade",
            "trailer",
            "x-listed",
        ];
        for name in
            dropped.into_iter().chain(["content-length", "content-type", "location", "www-authenticate"])
        {
            headers.append(HeaderName::from_static(name), HeaderValue::from_static("v"));
        }
        headers.insert(CONNECTION, HeaderValue::from_static("X-Listed, close, content-length"));
        strip(&mut headers);
        let mut names: Vec<_> = headers.keys().map(HeaderName::as_str).collect();
        names.sort_unstable();
        assert_eq!(names, ["content-length", "content-type", "location", "www-authenticate"]);
    }
}
