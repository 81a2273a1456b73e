//! The only way out: resolve, check, dial the checked address, verify, send once, and hand back the reply as it came.
//!
//! No redirect is followed, nothing is sent twice, no proxy variable of the environment is read. What may be sent was
//! decided in `policy`; what comes back is scrubbed in `scrub`.

mod connect;
mod pool;
mod reply;
mod resolve;
mod sending;
mod settings;
mod special;
mod trust;

pub(crate) use pool::PoolKey;
pub use settings::{UpstreamError, UpstreamSettings};

use crate::stage::OutBody;
use bytes::Bytes;
use cloakroom_model::{BodyFault, Code, Refusal};
use connect::Connect;
use http::{Request, Response, StatusCode, request};
use http_body_util::BodyExt;
use http_body_util::combinators::UnsyncBoxBody;
use hyper::body::Incoming;
use hyper::client::conn::TrySendError;
use pool::{Pool, Taken};
use reply::{Lease, Reply};
use sending::{Progress, Watched};
use std::error::Error;
use std::fmt;
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

/// A reply's body as it came, bounded by the idle timeout.
pub(crate) type RawBody = UnsyncBoxBody<Bytes, BodyFault>;

/// The only way out. Concrete on purpose: a transport that can be swapped is a way to read secrets.
pub struct Upstream {
    pool: Arc<Pool>,
    header_timeout: Duration,
    idle_timeout: Duration,
}

type Attempt = Result<(Response<Incoming>, Lease), Failed>;

/// One attempt that brought no reply.
enum Failed {
    /// hyper hands the request back: no byte of it was written.
    Unsent(Request<Watched>),
    /// It may have arrived.
    Refused(Refusal),
}

impl Upstream {
    /// ASSERTION POINT: opens the way out.
    ///
    /// # Errors
    /// When trust anchors cannot be read or there are none, or the resolver cannot be set up.
    pub fn assert_opened(settings: UpstreamSettings) -> Result<Self, UpstreamError> {
        let connect = Connect::new(&settings)?;
        Ok(Self {
            pool: Pool::new(connect, &settings),
            header_timeout: settings.header_timeout,
            idle_timeout: settings.idle_timeout,
        })
    }

    /// How many connections were made since the start.
    pub fn connections(&self) -> u64 {
        self.pool.made()
    }

    /// Sends one call to exactly `key.destination`, at most once.
    ///
    /// # Errors
    /// `address-not-permitted`, `upstream-unreachable`, `upstream-untrusted`, `upstream-timeout`; `malformed-call` and
    /// `body-not-permitted` when the request's own body fails.
    pub(crate) async fn send(
        &self,
        head: request::Parts,
        body: OutBody,
        mut key: PoolKey,
    ) -> Result<Response<RawBody>, Refusal> {
        key.credentials.sort_unstable();
        key.credentials.dedup();
        let key = Arc::new(key);
        let progress = Progress::new();
        let request = sending::request(head, Watched::new(body, Arc::clone(&progress)));
        let sending = self.exchange(request, &key);
        let (reply, lease) = self.in_time(sending, &progress).await?;
        if reply.status() == StatusCode::SWITCHING_PROTOCOLS {
            // Nothing that we send asks for it (T39).
            return Err(unreachable("the destination switched protocols unasked"));
        }
        Ok(reply.map(|incoming| Reply::new(incoming, lease, self.idle_timeout).boxed_unsync()))
    }

    /// Sends on a kept connection where there is one. Where that proves to have been closed before a byte of the request
    /// was written, and only then, the request goes out on a new one: nothing is ever sent twice (T65).
    async fn exchange(
        &self,
        request: Request<Watched>,
        key: &Arc<PoolKey>,
    ) -> Result<(Response<Incoming>, Lease), Refusal> {
        let taken = self.pool.take(key).await?;
        let reused = matches!(taken, Taken::Http1 { reused: true, .. } | Taken::Http2 { reused: true, .. });
        match self.attempt(taken, request, key).await {
            Ok(answer) => Ok(answer),
            Err(Failed::Unsent(request)) if reused => {
                let fresh = self.pool.take_fresh(key).await?;
                let sent = self.attempt(fresh, request, key).await;
                sent.map_err(Failed::into_refusal)
            }
            Err(failed) => Err(failed.into_refusal()),
        }
    }

    async fn attempt(&self, taken: Taken, mut request: Request<Watched>, key: &Arc<PoolKey>) -> Attempt {
        match taken {
            Taken::Http1 { mut sender, .. } => {
                sending::for_http1(&mut request, &key.destination)?;
                let reply = sender.sender.try_send_request(request).await.map_err(Failed::from)?;
                let lease = Lease::Http1 { sender, pool: Arc::clone(&self.pool), key: Arc::clone(key) };
                Ok((reply, lease))
            }
            Taken::Http2 { mut sender, stream, .. } => {
                sending::for_http2(&mut request, &key.destination)?;
                let reply = sender.try_send_request(request).await.map_err(Failed::from)?;
                Ok((reply, Lease::Http2 { _stream: stream }))
            }
        }
    }

    /// Waits for the reply's head, counting from the last time the request's body moved.
    async fn in_time<T>(
        &self,
        sending: impl Future<Output = Result<T, Refusal>>,
        progress: &Progress,
    ) -> Result<T, Refusal> {
        let mut sending = pin!(sending);
        loop {
            let deadline = progress.last() + self.header_timeout;
            if let Ok(sent) = tokio::time::timeout_at(deadline, &mut sending).await {
                return sent;
            }
            if progress.last() + self.header_timeout <= deadline {
                return Err(Refusal::new(Code::UpstreamTimeout, "the destination did not answer in time"));
            }
        }
    }
}

impl fmt::Debug for Upstream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Upstream")
    }
}

impl Failed {
    fn into_refusal(self) -> Refusal {
        match self {
            Self::Unsent(_) => unreachable("the connection closed before the request was sent"),
            Self::Refused(refusal) => refusal,
        }
    }
}

impl From<Refusal> for Failed {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

impl From<TrySendError<Request<Watched>>> for Failed {
    fn from(mut error: TrySendError<Request<Watched>>) -> Self {
        match error.take_message() {
            Some(request) => Self::Unsent(request),
            None => Self::Refused(refusal(error.error())),
        }
    }
}

/// What a failed exchange means. hyper's errors name no header value and no body byte.
fn refusal(error: &hyper::Error) -> Refusal {
    tracing::debug!(%error, "an exchange with a destination failed");
    let fault = error.source().and_then(|source| source.downcast_ref::<BodyFault>());
    match fault {
        Some(BodyFault::TooLarge) => {
            return Refusal::new(Code::BodyNotPermitted, "the request body is larger than the limit");
        }
        Some(_) => return Refusal::new(Code::MalformedCall, "the request body ended early"),
        None => {}
    }
    if error.is_parse_too_large() {
        return unreachable("the head of the reply is larger than the limit");
    }
    if error.is_parse() {
        return unreachable("the reply is not well-formed HTTP");
    }
    unreachable("the connection broke before the reply began")
}

fn unreachable(reason: &'static str) -> Refusal {
    Refusal::new(Code::UpstreamUnreachable, reason)
}

#[cfg(test)]
mod tests;
