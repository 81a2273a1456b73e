//! Requests that make something, made once (`Idempotency-Key`): whoever lost the answer asks again with the same key and gets it. In memory, for
//! ten minutes, bounded; a restart forgets it, and what has a name cannot be made twice even then.

use crate::admin::Admin;
use crate::identity::Caller;
use crate::{Problem, ProblemCode};
use aws_lc_rs::digest::{SHA256, digest};
use axum::Extension;
use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;
use http::{HeaderName, HeaderValue, StatusCode, header};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

const KEY: HeaderName = HeaderName::from_static("idempotency-key");
/// Says that the answer is the first request's.
const REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");
/// How long an answer is kept, and how many.
const KEPT: Duration = Duration::from_secs(600);
const MOST: usize = 256;

/// The answers that are kept.
#[derive(Debug, Default)]
pub struct Replays(Mutex<Vec<Kept>>);

struct Kept {
    caller: String,
    key: String,
    /// Of method, path and body: the same key stands for the same request.
    request: [u8; 32],
    /// None while the first request is under way.
    answer: Option<Bytes>,
    until: Instant,
}

impl std::fmt::Debug for Kept {
    // An answer may hold what is shown once.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Kept")
    }
}

/// What is known of a key.
enum Found {
    Fresh,
    Answered(Bytes),
    UnderWay,
    Another,
}

/// In front of routes that make something.
pub(crate) async fn once(
    State(admin): State<Arc<Admin>>,
    Extension(caller): Extension<Caller>,
    request: Request,
    next: Next,
) -> Result<Response, Problem> {
    let Some(key) = request.headers().get(KEY).cloned() else { return Ok(next.run(request).await) };
    let fine = |key: &&str| (1..=128).contains(&key.len()) && key.bytes().all(|byte| byte.is_ascii_graphic());
    let key = key.to_str().ok().filter(fine).map(str::to_owned).ok_or_else(|| {
        Problem::new(ProblemCode::MalformedRequest, "this is no Idempotency-Key: 1 to 128 visible characters")
    })?;
    let (parts, body) = request.into_parts();
    let body = to_bytes(body, super::LARGEST_BODY)
        .await
        .map_err(|_| Problem::new(ProblemCode::MalformedRequest, "the body is too large or broke off"))?;
    let who = caller.by().to_string();
    let request = fingerprint(parts.method.as_str(), parts.uri.path(), &body);
    match admin.replays.begin(&who, &key, request, Instant::now()) {
        Found::Answered(answer) => return Ok(replayed(answer)),
        Found::UnderWay => {
            return Err(Problem::new(ProblemCode::Conflict, "the first request with this key is under way"));
        }
        Found::Another => {
            return Err(Problem::new(
                ProblemCode::IdempotencyKeyReused,
                "the key came with another request before",
            ));
        }
        Found::Fresh => {}
    }
    // A caller that hangs up must not leave the key under way for ever: it is forgotten with the guard.
    let guard = UnderWay { admin: Arc::clone(&admin), who, key };
    let answer = next.run(Request::from_parts(parts, Body::from(body))).await;
    guard.finish(answer).await
}

struct UnderWay {
    admin: Arc<Admin>,
    who: String,
    key: String,
}

impl UnderWay {
    /// Keeps a success; a refusal made nothing, so the next one may try.
    async fn finish(self, answer: Response) -> Result<Response, Problem> {
        if answer.status() != StatusCode::OK {
            return Ok(answer);
        }
        let (parts, body) = answer.into_parts();
        let broken = |_| Problem::new(ProblemCode::InternalFault, "the answer could not be kept");
        let bytes = to_bytes(body, super::LARGEST_BODY).await.map_err(broken)?;
        self.admin.replays.keep(&self.who, &self.key, bytes.clone());
        Ok(Response::from_parts(parts, Body::from(bytes)))
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.admin.replays.forget(&self.who, &self.key);
    }
}

impl Replays {
    fn begin(&self, caller: &str, key: &str, request: [u8; 32], now: Instant) -> Found {
        let mut all = self.lock();
        all.retain(|kept| kept.until > now);
        if let Some(kept) = all.iter().find(|kept| kept.caller == caller && kept.key == key) {
            return match &kept.answer {
                _ if kept.request != request => Found::Another,
                Some(answer) => Found::Answered(answer.clone()),
                None => Found::UnderWay,
            };
        }
        if all.len() >= MOST {
            all.remove(0);
        }
        let (caller, key) = (caller.to_owned(), key.to_owned());
        all.push(Kept { caller, key, request, answer: None, until: now + KEPT });
        Found::Fresh
    }

    fn keep(&self, caller: &str, key: &str, answer: Bytes) {
        if let Some(kept) = self.lock().iter_mut().find(|kept| kept.caller == caller && kept.key == key) {
            kept.answer = Some(answer);
        }
    }

    /// What has no answer.
    fn forget(&self, caller: &str, key: &str) {
        self.lock().retain(|kept| kept.answer.is_some() || kept.caller != caller || kept.key != key);
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Kept>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn fingerprint(method: &str, path: &str, body: &[u8]) -> [u8; 32] {
    let mut sum = [0; 32];
    let whole = [method.as_bytes(), b" ", path.as_bytes(), b"\n", body].concat();
    sum.copy_from_slice(digest(&SHA256, &whole).as_ref());
    sum
}

fn replayed(answer: Bytes) -> Response {
    let mut response = Response::new(Body::from(answer));
    let json = HeaderValue::from_static("application/json");
    response.headers_mut().insert(header::CONTENT_TYPE, json);
    response.headers_mut().insert(REPLAYED, HeaderValue::from_static("true"));
    response
}
