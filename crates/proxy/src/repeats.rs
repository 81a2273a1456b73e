//! Requests that come again: sent once more under the use that they took, or answered with the reply that was kept, as their permits
//! say. In memory only: after a restart nothing is known to be a repeat, and takes a use of its own.

use crate::problem::REQUEST;
use crate::reply::AnswerBody;
use bytes::Bytes;
use cloakroom_model::{BodyFault, Code, Refusal, RequestId};
use cloakroom_policy::{MOST_KEPT_KIB, MOST_SENDS, Repeatable, WINDOW_MINUTES};
use http::header::{HeaderName, HeaderValue, TRAILER};
use http::{HeaderMap, Response, StatusCode};
use http_body::{Body, Frame, SizeHint};
use http_body_util::{BodyExt, Full};
use moka::sync::Cache;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

const WINDOW: Duration = Duration::from_secs(WINDOW_MINUTES * 60);
/// Requests remembered at once.
const MOST: u64 = 10_000;
/// Bytes of all replies kept.
const MOST_KEPT: u64 = 16 << 20;
const MOST_OF_ONE: usize = MOST_KEPT_KIB << 10;
/// What a kept reply weighs beside its body.
const HEAD: usize = 4 << 10;
/// After how many seconds a repeat of a request that is still under way may come again.
const AGAIN: u32 = 1;
/// Names the call whose reply this is.
const REPLAYED: HeaderName = HeaderName::from_static("cloakroom-replayed");

type Request = [u8; 32];

/// What is remembered of all workloads' requests.
pub(crate) struct Repeats {
    known: Cache<Request, Arc<Mutex<Known>>>,
    kept: Cache<Request, Arc<Kept>>,
}

/// One request.
struct Known {
    first: RequestId,
    /// Whether its use is taken for good: only then is there one to go out under.
    spent: bool,
    underway: bool,
    sends: u8,
}

/// A reply without secrets.
pub(crate) struct Kept {
    /// The call that it answered.
    pub(crate) first: RequestId,
    pub(crate) status: StatusCode,
    fields: HeaderMap,
    pub(crate) body: Bytes,
}

/// What a request is.
pub(crate) enum Met {
    /// Not known, or nothing is to be done about it: it takes a use.
    Fresh,
    /// The first of its kind: it takes a use, and is remembered.
    First(Ticket),
    /// It goes out again under the use of this call.
    Again(Ticket, RequestId),
    /// It does not go out: this is its answer.
    Answered(Arc<Kept>),
}

/// A request under way. Dropped when its answer has ended, or was given up.
pub(crate) struct Ticket {
    repeats: Arc<Repeats>,
    request: Request,
    known: Arc<Mutex<Known>>,
    is_first: bool,
    store: bool,
    /// Whether it is over: another may be under way since.
    over: AtomicBool,
}

impl Repeats {
    pub(crate) fn new() -> Arc<Self> {
        let weight =
            |_: &Request, kept: &Arc<Kept>| u32::try_from(HEAD + kept.body.len()).unwrap_or(u32::MAX);
        let kept = Cache::builder().max_capacity(MOST_KEPT).weigher(weight).time_to_live(WINDOW).build();
        Arc::new(Self { known: Cache::builder().max_capacity(MOST).time_to_live(WINDOW).build(), kept })
    }

    /// What this request is to the ones before it.
    ///
    /// # Errors
    /// `rate-limited` while the same request is under way: it is never sent twice at a time.
    pub(crate) fn meet(self: &Arc<Self>, repeatable: Repeatable, own: RequestId) -> Result<Met, Refusal> {
        let Repeatable { request, again, store } = repeatable;
        let fresh = || Arc::new(Mutex::new(Known { first: own, spent: false, underway: true, sends: 1 }));
        let entry = self.known.entry(request).or_insert_with(fresh);
        let is_first = entry.is_fresh();
        let known = entry.into_value();
        let ticket = || Ticket {
            repeats: Arc::clone(self),
            request,
            known: Arc::clone(&known),
            is_first,
            store,
            over: AtomicBool::new(false),
        };
        if is_first {
            return Ok(Met::First(ticket()));
        }
        let mut before = lock(&known);
        if before.underway || !before.spent {
            let refusal = Refusal::new(Code::RateLimited, "the same request is under way");
            return Err(refusal.with(|facts| facts.retry_after = Some(AGAIN)));
        }
        if let Some(kept) = self.kept.get(&request).filter(|_| store) {
            return Ok(Met::Answered(kept));
        }
        if !again || before.sends >= MOST_SENDS {
            return Ok(Met::Fresh);
        }
        before.sends += 1;
        before.underway = true;
        Ok(Met::Again(ticket(), before.first))
    }
}

impl Ticket {
    /// The use is taken: from here on a repeat may go out under it.
    pub(crate) fn is_spent(&self) {
        lock(&self.known).spent = true;
    }

    /// The use was given back, so there is none to go out under.
    pub(crate) fn is_returned(&self) {
        if self.is_first {
            lock(&self.known).spent = false;
        }
    }

    /// Follows the reply to its end, and keeps it where that is allowed and it is worth it.
    pub(crate) fn follow(self, response: Response<AnswerBody>) -> Response<AnswerBody> {
        let (parts, body) = response.into_parts();
        let first = lock(&self.known).first;
        let is_worth = self.store && is_final(parts.status) && !parts.headers.contains_key(TRAILER);
        let fits = body.size_hint().lower() <= MOST_OF_ONE as u64;
        let kept = (is_worth && fits).then(|| {
            let mut fields = parts.headers.clone();
            fields.remove(REQUEST);
            (Kept { first, status: parts.status, fields, body: Bytes::new() }, Vec::new())
        });
        let followed = Followed { body, kept, ticket: self };
        Response::from_parts(parts, followed.boxed_unsync())
    }

    /// It is not under way any more.
    fn end(&self) {
        if !self.over.swap(true, Ordering::AcqRel) {
            lock(&self.known).underway = false;
        }
    }

    fn keep(&self, kept: Kept) {
        self.repeats.kept.insert(self.request, Arc::new(kept));
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.end();
        // INVARIANT: what took no use leaves nothing behind that another could go out under (invariant 7).
        if self.is_first && !lock(&self.known).spent {
            self.repeats.known.invalidate(&self.request);
        }
    }
}

/// A reply that asks to come again is no outcome.
fn is_final(status: StatusCode) -> bool {
    let later = [
        StatusCode::REQUEST_TIMEOUT,
        StatusCode::CONFLICT,
        StatusCode::TOO_EARLY,
        StatusCode::TOO_MANY_REQUESTS,
    ];
    !status.is_server_error() && !later.contains(&status)
}

impl Kept {
    /// The reply again, for the call that is named in `own` by now.
    pub(crate) fn answer(&self, own: RequestId) -> Response<AnswerBody> {
        let body = Full::new(self.body.clone()).map_err(|never| match never {}).boxed_unsync();
        let mut response = Response::new(body);
        *response.status_mut() = self.status;
        *response.headers_mut() = self.fields.clone();
        for (name, id) in [(REQUEST, own), (REPLAYED, self.first)] {
            if let Ok(value) = HeaderValue::from_str(&id.to_string()) {
                response.headers_mut().insert(name, value);
            }
        }
        response
    }
}

/// A reply's body that is followed to its end.
struct Followed {
    body: AnswerBody,
    /// What is to be kept, and of its body what came so far.
    kept: Option<(Kept, Vec<u8>)>,
    ticket: Ticket,
}

impl Followed {
    /// Before its last bytes are handed on: whoever has them may ask again at once.
    fn ended(&mut self) {
        self.ticket.end();
        if let Some((kept, body)) = self.kept.take() {
            self.ticket.keep(Kept { body: body.into(), ..kept });
        }
    }
}

impl Body for Followed {
    type Data = Bytes;
    type Error = BodyFault;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyFault>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(cx));
        match frame.as_ref().map(|frame| frame.as_ref().map(Frame::data_ref)) {
            None => self.ended(),
            Some(Ok(Some(data))) => {
                if let Some((_, body)) =
                    self.kept.as_mut().filter(|(_, body)| body.len() + data.len() <= MOST_OF_ONE)
                {
                    body.extend_from_slice(data);
                } else {
                    self.kept = None;
                }
                if self.body.is_end_stream() {
                    self.ended();
                }
            }
            // Trailers are the last there is. An answer of ours would not have them.
            Some(Ok(None)) => {
                self.kept = None;
                self.ended();
            }
            Some(Err(_)) => self.kept = None,
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Drop for Followed {
    fn drop(&mut self) {
        // An empty body may never be polled.
        if self.body.is_end_stream() {
            self.ended();
        }
    }
}

fn lock(known: &Mutex<Known>) -> MutexGuard<'_, Known> {
    known.lock().unwrap_or_else(PoisonError::into_inner)
}
