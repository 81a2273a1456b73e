//! The only way out: resolve, check, dial the checked address, verify, send once, and hand back the reply as it came.
//!
//! No redirect is followed, nothing is sent twice, no proxy variable of the environment is read. What may be sent was
//! decided in `policy`; what comes back is scrubbed in `scrub`.

mod alarm;
mod connect;
mod http1;
mod http2;
mod identity;
mod line;
mod mail;
mod notify;
mod pool;
mod raw_body;
mod reply;
mod request;
mod resolve;
mod settings;
mod socket;
mod special;
mod switched;
mod trust;
mod upload;

pub(crate) use identity::Identity;
pub use mail::{Letter, MailError, MailServer, Security};
pub(crate) use pool::PoolKey;
pub(crate) use raw_body::RawBody;
pub use settings::{UpstreamError, UpstreamSettings};
pub(crate) use switched::Switched;

use crate::stage::OutBody;
use crate::websocket::is_offered;
use cloakroom_model::{BodyFault, Code, Destination, Refusal};
use cloakroom_wire::{ReplyFraming, ReplyHead, Version};
use connect::Connect;
use http::request::Parts;
use http::{HeaderMap, Response, StatusCode};
use pool::{Pool, Taken};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;
use switched::Key;
use upload::{Framing, Upload};

/// Informational replies handed on for one call.
const MOST_HINTS: u8 = 32;

/// The only way out. Concrete on purpose: a transport that can be swapped is a way to read secrets.
pub struct Upstream {
    pool: Arc<Pool>,
    limits: Limits,
}

/// How long a destination may keep silent.
#[derive(Clone, Copy)]
struct Limits {
    /// From the last byte of the request to the whole head of the reply.
    head: Duration,
    /// Between two pieces of a body.
    idle: Duration,
}

/// Informational replies on their way, not scrubbed yet: bounded in number.
pub(crate) struct Hints<'a> {
    tell: &'a mut (dyn FnMut(StatusCode, HeaderMap) + Send),
    told: u8,
}

/// What came of asking for a WebSocket.
pub(crate) enum Greeted {
    /// The destination switched.
    Switched(Response<()>, Switched),
    /// It answered with something else.
    Declined(Response<RawBody>),
}

/// One attempt that brought no reply.
enum Failed {
    /// No byte of the request was written: it may go out on another connection.
    Unsent(Box<Upload>),
    /// The destination processed nothing of it, or nothing was written. The body is as it was.
    Unprocessed(Box<OutBody>),
    /// It may have arrived.
    Refused(Refusal),
}

/// A request on its way: whole, or with its head written down for HTTP/1.1 and not a byte of it sent.
enum Sending {
    Whole(OutBody),
    Written(Box<Upload>),
}

impl Upstream {
    /// ASSERTION POINT: opens the way out.
    ///
    /// # Errors
    /// When trust anchors cannot be read or there are none, or the resolver cannot be set up.
    pub fn assert_opened(settings: UpstreamSettings) -> Result<Self, UpstreamError> {
        let connect = Connect::new(&settings)?;
        let limits = Limits { head: settings.header_timeout, idle: settings.idle_timeout };
        Ok(Self { pool: Pool::new(connect, &settings), limits })
    }

    /// How many connections were made since the start.
    pub fn connections(&self) -> u64 {
        self.pool.made()
    }

    /// How many are kept for reuse now.
    pub fn kept(&self) -> usize {
        self.pool.kept()
    }

    /// Closes every connection that no call has.
    pub(crate) fn close_idle(&self) {
        self.pool.clear();
    }

    /// Sends one call to exactly `key.destination`, at most once.
    ///
    /// On a kept connection where there is one. Where that proves to have been closed before a byte of the request was
    /// written, or the destination says that it processed nothing of it, and only then, the request goes out on a new one:
    /// nothing is ever sent twice (T65).
    ///
    /// # Errors
    /// `address-not-permitted`, `upstream-unreachable`, `upstream-untrusted`, `upstream-timeout`; `malformed-call` and
    /// `body-not-permitted` when the request's own body fails.
    pub(crate) async fn send(
        &self,
        head: Parts,
        body: OutBody,
        key: PoolKey,
        hints: &mut Hints<'_>,
    ) -> Result<Response<RawBody>, Refusal> {
        self.send_as(head, body, key, None, hints).await
    }

    /// The same on a connection that shows this certificate of itself. Its credential is among those of `key`, so no other call gets
    /// that connection.
    ///
    /// # Errors
    /// As [`Upstream::send`]; `credential-unavailable` where the certificate is past its end.
    pub(crate) async fn send_as(
        &self,
        head: Parts,
        body: OutBody,
        mut key: PoolKey,
        identity: Option<&Identity>,
        hints: &mut Hints<'_>,
    ) -> Result<Response<RawBody>, Refusal> {
        key.credentials.sort_unstable();
        key.credentials.dedup();
        let key = Arc::new(key);
        let taken = self.pool.take(&key, identity).await.map_err(Refusal::unsent)?;
        let reused = matches!(taken, Taken::Http1 { reused: true, .. } | Taken::Http2 { reused: true, .. });
        let (again, unsent) = match self.attempt(taken, &head, Sending::Whole(body), &key, hints).await {
            Ok(reply) => return Ok(reply),
            Err(Failed::Refused(refusal)) => return Err(refusal),
            Err(failed) if !reused => return Err(failed.into_refusal()),
            Err(Failed::Unsent(upload)) => (Sending::Written(upload), true),
            Err(Failed::Unprocessed(body)) => (Sending::Whole(*body), false),
        };
        // What the destination says of the first attempt is no proof that nothing of it was sent.
        let of_both = |refusal: Refusal| if unsent { refusal } else { refusal.maybe_sent() };
        let fresh =
            self.pool.take_fresh(&key, identity).await.map_err(|refusal| of_both(refusal.unsent()))?;
        let second = self.attempt(fresh, &head, again, &key, hints).await;
        second.map_err(|failed| of_both(failed.into_refusal()))
    }

    /// Asks exactly this destination to speak WebSocket, on a connection of its own.
    ///
    /// # Errors
    /// As [`Upstream::send`].
    pub(crate) async fn greet(
        &self,
        mut head: Parts,
        key: PoolKey,
        identity: Option<&Identity>,
        hints: &mut Hints<'_>,
    ) -> Result<Greeted, Refusal> {
        let asked = Key::fresh()?;
        let offered = is_offered(&head.headers);
        let extra = asked.fields(&mut head.headers);
        let line = self.pool.take_apart(&key.destination, identity).await.map_err(Refusal::unsent)?;
        let text = request::http1(&head, &key.destination, Framing::Empty, &extra);
        let upload = Upload::new(text, OutBody::whole(bytes::Bytes::new()), Framing::Empty);
        let mut exchange = http1::Exchange::new(line, upload);
        let reply = exchange.head(&self.limits, hints).await.map_err(Failed::into_refusal)?;
        if reply.status != StatusCode::SWITCHING_PROTOCOLS {
            return self.body(exchange, &head, reply, Arc::new(key), false).map(Greeted::Declined);
        }
        asked.check(&reply)?;
        let switched = Switched::new(exchange, &reply, offered)?;
        Ok(Greeted::Switched(response(reply, ()), switched))
    }

    async fn attempt(
        &self,
        taken: Taken,
        head: &Parts,
        sending: Sending,
        key: &Arc<PoolKey>,
        hints: &mut Hints<'_>,
    ) -> Result<Response<RawBody>, Failed> {
        match taken {
            Taken::Http1 { .. } if request::is_grpc(&head.headers) => {
                Err(unreachable("the destination does not speak HTTP/2, which gRPC needs").unsent().into())
            }
            Taken::Http1 { line, .. } => {
                let upload = sending.written(head, &key.destination);
                let mut exchange = http1::Exchange::new(line, upload);
                let reply = exchange.head(&self.limits, hints).await?;
                if reply.status == StatusCode::SWITCHING_PROTOCOLS {
                    // Nothing that we sent asks for it (T39).
                    return Err(unreachable("the destination switched protocols unasked").into());
                }
                Ok(self.body(exchange, head, reply, Arc::clone(key), true)?)
            }
            Taken::Http2 { sender, stream, .. } => {
                let body = sending.whole();
                let request = request::http2(head, &body, &key.destination).map_err(Refusal::unsent)?;
                let exchange = http2::exchange(sender, stream, request, body, self.limits, hints);
                let reply = Box::pin(exchange).await?;
                Ok(reply.map(RawBody::http2))
            }
        }
    }

    /// The reply whose head came. `keep` tells whether its connection may be kept.
    fn body(
        &self,
        exchange: http1::Exchange,
        head: &Parts,
        reply: ReplyHead,
        key: Arc<PoolKey>,
        keep: bool,
    ) -> Result<Response<RawBody>, Refusal> {
        let framing = ReplyFraming::of(&head.method, &reply).map_err(http1::malformed)?;
        let keep = keep && reply.keeps_connection();
        let pool = Arc::clone(&self.pool);
        let body = reply::Reply::new(exchange, framing, keep, pool, key, self.limits);
        Ok(response(reply, RawBody::http1(body)))
    }
}

fn response<B>(head: ReplyHead, body: B) -> Response<B> {
    let mut response = Response::new(body);
    *response.status_mut() = head.status;
    *response.version_mut() =
        if head.version == Version::Http10 { http::Version::HTTP_10 } else { http::Version::HTTP_11 };
    *response.headers_mut() = head.fields;
    response
}

impl fmt::Debug for Upstream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Upstream")
    }
}

impl Limits {
    fn shortest(&self) -> Duration {
        self.head.min(self.idle)
    }
}

impl<'a> Hints<'a> {
    /// Tells of each informational reply as it comes.
    pub(crate) fn new(tell: &'a mut (dyn FnMut(StatusCode, HeaderMap) + Send)) -> Self {
        Self { tell, told: 0 }
    }

    fn tell(&mut self, status: StatusCode, fields: HeaderMap) -> Result<(), Refusal> {
        if self.told == MOST_HINTS {
            return Err(unreachable("the destination sent informational replies without end"));
        }
        self.told += 1;
        (self.tell)(status, fields);
        Ok(())
    }
}

impl Sending {
    fn written(self, head: &Parts, destination: &Destination) -> Upload {
        match self {
            Self::Written(upload) => *upload,
            Self::Whole(body) => {
                let framing = request::framing(&body);
                Upload::new(request::http1(head, destination, framing, &[]), body, framing)
            }
        }
    }

    fn whole(self) -> OutBody {
        match self {
            Self::Written(upload) => upload.into_body(),
            Self::Whole(body) => body,
        }
    }
}

impl Failed {
    fn into_refusal(self) -> Refusal {
        match self {
            Self::Unsent(_) => unreachable("the connection closed before the request was sent").unsent(),
            // The destination's word is not enough to call it unsent.
            Self::Unprocessed(_) => unreachable("the connection closed before the request was sent"),
            Self::Refused(refusal) => refusal,
        }
    }
}

impl From<Refusal> for Failed {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

/// What a request body that failed means.
fn cut(fault: BodyFault) -> Refusal {
    match fault {
        BodyFault::TooLarge => {
            Refusal::new(Code::BodyNotPermitted, "the request body is larger than the limit")
        }
        _ => Refusal::new(Code::MalformedCall, "the request body ended early"),
    }
}

fn unreachable(reason: &'static str) -> Refusal {
    Refusal::new(Code::UpstreamUnreachable, reason)
}

#[cfg(test)]
mod tests;
