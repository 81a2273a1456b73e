//! Stage 4: the upstream answered; the reply is not scrubbed yet.

use crate::scrub::{Coding, Decoder, Finder, Fit, scrub_fields};
use crate::stage::body::ScrubbedBody;
use crate::stage::charset;
use crate::stage::{Accepted, Answer};
use crate::upstream::RawBody;
use bytes::Bytes;
use cloakroom_model::{BodyFault, Code, Refusal};
use http::response::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode, header};
use http_body::Body;
use http_body_util::BodyExt;
use std::fmt;
use std::sync::Arc;
use zeroize::Zeroizing;

/// A reply that declares at most this length is read whole before it is scrubbed, so that its scrubbed length can be
/// declared too, and a coding that does not decode can still be refused.
const WHOLE: u64 = 64 * 1024;

/// A reply that may hold the secret. Made only by [`crate::Armed::send`].
pub struct Returned {
    head: Parts,
    body: Received,
    method: Method,
    finder: Arc<Finder>,
    range_allowed: bool,
}

/// A reply's body.
enum Received {
    Whole(Bytes, Option<HeaderMap>),
    Streaming(RawBody),
    Switched(Box<Accepted>),
}

impl Returned {
    pub(crate) async fn new(
        reply: Response<RawBody>,
        method: Method,
        finder: Arc<Finder>,
        range_allowed: bool,
    ) -> Result<Self, Refusal> {
        let (head, body) = reply.into_parts();
        let body = match body.size_hint().exact() {
            _ if !has_body(&method, head.status) => Received::Whole(Bytes::new(), None),
            Some(length) if length <= WHOLE && (length == 0 || !is_grpc(&head.headers)) => {
                let (bytes, trailers) = read(body).await.map_err(cut)?;
                Received::Whole(bytes, trailers)
            }
            _ => Received::Streaming(body),
        };
        Ok(Self { head, body, method, finder, range_allowed })
    }

    /// A reply that switched protocols, as the call asked.
    pub(crate) fn accepted(
        reply: Response<()>,
        accepted: Accepted,
        method: Method,
        finder: Arc<Finder>,
    ) -> Self {
        let (head, ()) = reply.into_parts();
        let body = Received::Switched(Box::new(accepted));
        Self { head, body, method, finder, range_allowed: false }
    }

    /// A reply that was written in place of the upstream's.
    pub(crate) fn rewritten(
        status: StatusCode,
        fields: HeaderMap,
        body: Bytes,
        method: Method,
        finder: Arc<Finder>,
    ) -> Self {
        let (mut head, ()) = Response::new(()).into_parts();
        (head.status, head.headers) = (status, fields);
        Self { head, body: Received::Whole(body, None), method, finder, range_allowed: false }
    }

    /// Takes the secret out of the reply: status text, fields, body, trailers.
    ///
    /// # Errors
    /// `response-not-scrubbable` when the reply cannot be searched; `upstream-unreachable` for a WebSocket on other terms than
    /// were offered.
    pub fn scrub(self) -> Result<Answer, Refusal> {
        match self.body {
            Received::Switched(accepted) => accepted.scrub(self.head.headers, self.finder),
            Received::Whole(..) | Received::Streaming(_) => self.scrub_reply(),
        }
    }

    fn scrub_reply(self) -> Result<Answer, Refusal> {
        let codings = self.codings()?;
        let (mut fields, replaced) = scrub_fields(self.head.headers, &self.finder);
        fields.remove(header::CONTENT_ENCODING);
        let fit = Fit::of(&fields);
        let body = match self.body {
            _ if !has_body(&self.method, self.head.status) => {
                // The length of a body that is not here; of a decoded or scrubbed one it would be wrong.
                if !codings.is_empty() || self.head.status != StatusCode::OK {
                    fields.remove(header::CONTENT_LENGTH);
                }
                ScrubbedBody::whole(Bytes::new(), None)
            }
            Received::Whole(bytes, trailers) => {
                let body =
                    ScrubbedBody::scrub_whole(bytes, trailers, &codings, self.finder, fit).map_err(|_| {
                        not_scrubbable("the reply's body is not of the coding that its label says")
                    })?;
                fields.insert(header::CONTENT_LENGTH, HeaderValue::from(body.length()));
                body
            }
            Received::Streaming(raw) if codings.is_empty() && is_grpc(&fields) => {
                fields.remove(header::CONTENT_LENGTH);
                ScrubbedBody::of_messages(raw, self.finder)
            }
            Received::Streaming(raw) => {
                fields.remove(header::CONTENT_LENGTH);
                ScrubbedBody::streaming(raw, &codings, self.finder, fit)
            }
            Received::Switched(_) => return Err(not_scrubbable("the destination switched protocols")),
        };
        Ok(Answer::new(self.head.status, fields, body.with_replaced(replaced)))
    }

    /// The codings to undo; refuses what cannot be searched.
    fn codings(&self) -> Result<Vec<Coding>, Refusal> {
        if self.head.status.is_informational() {
            return Err(not_scrubbable("the destination switched protocols"));
        }
        let codings = Coding::of(&self.head.headers);
        if !has_body(&self.method, self.head.status) {
            // Nothing to search: whatever the label says, it is only dropped.
            return Ok(codings.unwrap_or_else(|| vec![Coding::Gzip]));
        }
        let codings =
            codings.ok_or_else(|| not_scrubbable("the reply has a coding that cannot be undone"))?;
        if has_coded_messages(&self.head.headers) {
            return Err(not_scrubbable("the messages in the reply are compressed, which was not asked for"));
        }
        if is_coded_on_the_way(&self.head.headers) {
            return Err(not_scrubbable("the reply has a transfer coding that cannot be undone"));
        }
        if !charset::all_known(&self.head.headers) {
            return Err(not_scrubbable("the reply is in a character set that cannot be searched"));
        }
        let partial = self.head.status == StatusCode::PARTIAL_CONTENT || is_byteranges(&self.head.headers);
        if partial && !(self.range_allowed && codings.is_empty()) {
            return Err(not_scrubbable("the reply is a part that was not asked for"));
        }
        Ok(codings)
    }
}

impl fmt::Debug for Returned {
    /// SECURITY: fields and body may hold the secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Returned").field("status", &self.head.status).finish_non_exhaustive()
    }
}

/// Whether a reply to this method with this status has a body (RFC 9112, section 6.3).
fn has_body(method: &Method, status: StatusCode) -> bool {
    *method != Method::HEAD && !matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED)
}

/// Whether the body was coded in transfer other than by chunks: nothing that we send asks for it.
fn is_coded_on_the_way(fields: &HeaderMap) -> bool {
    fields
        .get_all(header::TRANSFER_ENCODING)
        .iter()
        .any(|value| !value.as_bytes().eq_ignore_ascii_case(b"chunked"))
}

/// Whether the reply says that its messages are compressed one by one (gRPC, gRPC-Web, Connect).
fn has_coded_messages(fields: &HeaderMap) -> bool {
    const LABELS: [HeaderName; 2] =
        [HeaderName::from_static("grpc-encoding"), HeaderName::from_static("connect-content-encoding")];
    LABELS.iter().any(|name| {
        fields.get_all(name).iter().any(|value| !value.as_bytes().eq_ignore_ascii_case(b"identity"))
    })
}

fn is_grpc(fields: &HeaderMap) -> bool {
    let kind = fields.get(header::CONTENT_TYPE).map(HeaderValue::as_bytes).unwrap_or_default();
    let (name, rest) = kind.split_at(kind.len().min("application/grpc".len()));
    name.eq_ignore_ascii_case(b"application/grpc") && matches!(rest.first(), None | Some(b'+' | b';' | b' '))
}

fn is_byteranges(fields: &HeaderMap) -> bool {
    let kind = fields.get(header::CONTENT_TYPE).map(HeaderValue::as_bytes).unwrap_or_default();
    kind.get(..20).is_some_and(|kind| kind.eq_ignore_ascii_case(b"multipart/byteranges"))
}

/// All of a short body. Where it came in one piece it is not copied.
async fn read(mut body: RawBody) -> Result<(Bytes, Option<HeaderMap>), BodyFault> {
    let (mut first, mut rest, mut trailers) = (Bytes::new(), Vec::new(), None);
    while let Some(frame) = body.frame().await.transpose()? {
        match frame.into_data() {
            Ok(data) if first.is_empty() => first = data,
            Ok(data) => rest.extend_from_slice(&data),
            Err(frame) => trailers = frame.into_trailers().ok(),
        }
    }
    let whole = if rest.is_empty() { first } else { [&first[..], &rest].concat().into() };
    Ok((whole, trailers))
}

/// A reply that is all here, its codings undone.
pub(crate) struct Whole {
    pub(crate) status: StatusCode,
    pub(crate) fields: HeaderMap,
    pub(crate) body: Zeroizing<Vec<u8>>,
}

/// Reads a reply that is not handed on as it is.
///
/// # Errors
/// `response-not-scrubbable` where it is longer than `most` bytes or cannot be read; as [`Returned::new`] where it breaks off.
pub(crate) async fn read_whole(
    reply: Response<RawBody>,
    method: &Method,
    most: usize,
) -> Result<Whole, Refusal> {
    let too_long = || not_scrubbable("the reply is too long for one that is read whole");
    let (head, mut raw) = reply.into_parts();
    let mut bytes = Zeroizing::new(Vec::new());
    while let Some(frame) = raw.frame().await.transpose().map_err(cut)? {
        let Ok(data) = frame.into_data() else { continue };
        if bytes.len() + data.len() > most {
            return Err(too_long());
        }
        bytes.extend_from_slice(&data);
    }
    let body = Received::Whole(Bytes::new(), None);
    let finder = Arc::new(Finder::alone(Vec::new()));
    let returned = Returned { head, body, method: method.clone(), finder, range_allowed: false };
    let codings = returned.codings()?;
    let body = match codings.as_slice() {
        [] => bytes,
        codings => decoded(std::mem::take(&mut *bytes).into(), codings, most)?,
    };
    let Parts { status, headers, .. } = returned.head;
    Ok(Whole { status, fields: headers, body })
}

fn decoded(bytes: Bytes, codings: &[Coding], most: usize) -> Result<Zeroizing<Vec<u8>>, Refusal> {
    let undecodable = |_| not_scrubbable("the reply's body is not of the coding that its label says");
    let mut decoder = Decoder::new(codings);
    let mut whole = Zeroizing::new(Vec::new());
    decoder.take(bytes);
    while !decoder.is_idle() {
        whole.extend_from_slice(&decoder.step().map_err(undecodable)?);
        if whole.len() > most {
            return Err(not_scrubbable("the reply is too long for one that is read whole"));
        }
    }
    whole.extend_from_slice(&decoder.finish().map_err(undecodable)?);
    if whole.len() > most {
        Err(not_scrubbable("the reply is too long for one that is read whole"))
    } else {
        Ok(whole)
    }
}

fn not_scrubbable(reason: &'static str) -> Refusal {
    Refusal::new(Code::ResponseNotScrubbable, reason)
}

fn cut(fault: BodyFault) -> Refusal {
    match fault {
        BodyFault::Slow => Refusal::new(Code::UpstreamTimeout, "the reply's body came too slowly"),
        _ => Refusal::new(Code::UpstreamUnreachable, "the reply's body ended early"),
    }
}
