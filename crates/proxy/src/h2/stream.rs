//! One stream: a request, judged on its own, and its answer.

use super::answer;
use super::head::{Around, Received};
use super::pipe::Pipe;
use super::upload::{Pace, Upload};
use crate::desk::{Desk, Door, Errand, Served, healthy};
use crate::grpc;
use crate::interims::{Interims, Meanwhile};
use crate::limits::Limits;
use crate::live::Beat;
use crate::problem::REQUEST;
use crate::reply::AnswerBody;
use crate::switch::Switch;
use crate::trace::Trace;
use crate::tunnel::Opened;
use crate::wire::malformed;
use bytes::{Bytes, BytesMut};
use cloakroom_egress::websocket::Carrier;
use cloakroom_model::{Code, Destination, Payload, Principal, Refusal, Way};
use futures_util::FutureExt;
use h2::RecvStream;
use h2::server::SendResponse;
use http::header::HeaderValue;
use http::request::Parts;
use http::{HeaderMap, Method, Request, Response, StatusCode};
use http_body_util::BodyExt;
use std::future::poll_fn;
use std::panic::AssertUnwindSafe;
use std::pin::pin;
use std::sync::Arc;
use tokio::sync::Notify;

/// One stream of a connection.
pub(super) struct Stream {
    pub(super) desk: Arc<Desk>,
    pub(super) respond: SendResponse<Bytes>,
    /// Told when the connection should take no more requests.
    pub(super) farewell: Arc<Notify>,
}

impl Stream {
    /// Serves the request to the end of its answer. When the workload resets the stream, everything ends at once.
    pub(super) async fn run(mut self, request: Request<RecvStream>) {
        let (parts, body) = request.into_parts();
        let mut trace = self.desk.trace();
        let dialect = Dialect { head_only: parts.method == Method::HEAD, grpc: grpc::speaks(&parts.headers) };
        match self.reply(parts, body, &mut trace).await {
            Ok(Reply::Answer(response)) => self.write(response, dialect).await,
            Ok(Reply::Tunnel { body, principal, destination }) => {
                self.tunnel(&trace, body, principal, destination).await;
            }
            Ok(Reply::Switch { body, switch }) => self.switch(body, switch).await,
            Ok(Reply::CalledOff) => {}
            Err(refusal) => self.refuse(&trace, refusal, dialect).await,
        }
    }

    async fn reply(&mut self, parts: Parts, body: RecvStream, trace: &mut Trace) -> Result<Reply, Refusal> {
        let around = match self.desk.door {
            Door::Open => Around::Listener,
            Door::Tunnel { .. } => Around::Tunnel,
        };
        let limits = &self.desk.shared.proxy.limits;
        let received = Received::read(parts, around, &limits.head_bounds())?;
        let heard = unless_called_off(&mut self.respond, self.desk.hear(&received.head, trace)).await;
        let Some(errand) = heard else { return Ok(Reply::CalledOff) };
        let wish = match errand? {
            Errand::Health => return Ok(Reply::Answer(healthy())),
            Errand::Petition(petition, principal) => {
                if received.expects_continue && !body.is_end_stream() {
                    inform(&mut self.respond, StatusCode::CONTINUE, HeaderMap::new())?;
                }
                let body = payload(body, &received, limits);
                return self.desk.petition(petition, &principal, body).await.map(Reply::Answer);
            }
            Errand::Tunnel { principal, destination } => {
                return Ok(Reply::Tunnel { body, principal, destination });
            }
            Errand::Call(wish) => wish,
        };
        if received.expects_continue && !body.is_end_stream() {
            // Answered by us, once we know who asks and that a permit names the destination (T38).
            inform(&mut self.respond, StatusCode::CONTINUE, HeaderMap::new())?;
        }
        // What follows a handshake is no body: it is read only once the destination has accepted.
        let (body, channel) = match received.head.upgrade {
            Some(_) => (Payload::empty(), Some(body)),
            None => (payload(body, &received, limits), None),
        };
        let (interims, mut beat) = (Interims::default(), Beat::default());
        let meanwhile = Meanwhile { interims: &interims, beat: &mut beat };
        let mut call = pin!(self.desk.serve(wish, received.head, body, trace, meanwhile, Carrier::Stream));
        loop {
            let step = async { Ok(interims.progress(&mut call).await) };
            let Some(progress) = unless_called_off(&mut self.respond, step).await else {
                return Ok(Reply::CalledOff);
            };
            let progress = progress?;
            for interim in progress.interims {
                inform(&mut self.respond, interim.status, interim.fields)?;
            }
            if let Some(served) = progress.done {
                return match (served?, channel) {
                    (Served::Answer(answer), _) => Ok(Reply::Answer(answer)),
                    (Served::Switch(switch), Some(body)) => Ok(Reply::Switch { body, switch }),
                    (Served::Switch(_), None) => {
                        Err(Refusal::new(Code::InternalFault, "a WebSocket that nobody asked for"))
                    }
                };
            }
        }
    }

    async fn refuse(self, trace: &Trace, refusal: Refusal, dialect: Dialect) {
        let code = refusal.code();
        let response = if dialect.grpc {
            self.desk.refused_in_grpc(trace, refusal).await
        } else {
            self.desk.refused(trace, refusal).await
        };
        let (farewell, desk) = (self.farewell.clone(), self.desk.clone());
        self.write(response, dialect).await;
        if code == Code::UnknownWorkload && matches!(desk.door, Door::Open) {
            // A wrong key costs its connection, as in HTTP/1.1.
            farewell.notify_one();
        }
    }

    async fn write(mut self, response: Response<AnswerBody>, dialect: Dialect) {
        let patience = self.desk.shared.proxy.limits.body_idle;
        if answer::write(&mut self.respond, response, dialect.head_only, patience).await.is_err() {
            tracing::debug!(peer = %self.desk.peer, "an answer did not come to its end");
        }
    }

    /// Makes the stream a WebSocket (RFC 8441, section 5).
    async fn switch(mut self, body: RecvStream, switch: Box<Switch>) {
        let mut response = Response::new(());
        *response.headers_mut() = fields_of(&switch);
        let Ok(write) = self.respond.send_response(response, false) else { return };
        let io = Box::new(Pipe::new(body, write));
        Box::pin(switch.relay(&self.desk, io, BytesMut::new())).await;
    }

    /// Makes the stream a tunnel, and serves the calls inside.
    async fn tunnel(
        mut self,
        trace: &Trace,
        body: RecvStream,
        principal: Principal,
        destination: Destination,
    ) {
        let mut response = Response::new(());
        if let Ok(name) = HeaderValue::from_str(&trace.request.to_string()) {
            response.headers_mut().insert(REQUEST, name);
        }
        let Ok(write) = self.respond.send_response(response, false) else { return };
        let io = Box::new(Pipe::new(body, write));
        let (shared, peer) = (self.desk.shared.clone(), self.desk.peer);
        // The connection around it holds the workload's seat.
        let (way, early) = (Way::Connect, BytesMut::new());
        let opened = Opened { shared, peer, seat: None, principal, destination, way, io, early };
        Box::pin(opened.intercept()).await;
    }
}

/// How the workload wants to be answered.
#[derive(Clone, Copy)]
struct Dialect {
    head_only: bool,
    grpc: bool,
}

/// What a request came to.
enum Reply {
    Answer(Response<AnswerBody>),
    Switch {
        body: RecvStream,
        switch: Box<Switch>,
    },
    Tunnel {
        body: RecvStream,
        principal: Principal,
        destination: Destination,
    },
    /// Nobody waits for it any more.
    CalledOff,
}

/// Goes on until it is done or the workload resets the stream. A panic in one call is one call's fault (T99).
async fn unless_called_off<T>(
    respond: &mut SendResponse<Bytes>,
    step: impl Future<Output = Result<T, Refusal>>,
) -> Option<Result<T, Refusal>> {
    tokio::select! {
        biased;
        done = AssertUnwindSafe(step).catch_unwind() => {
            Some(done.unwrap_or_else(|_| Err(Refusal::new(Code::InternalFault, "the call met a fault"))))
        }
        _ = poll_fn(|cx| respond.poll_reset(cx)) => None,
    }
}

/// In HTTP/2 a status of 200 accepts; there is neither an upgrade nor a connection.
fn fields_of(switch: &Switch) -> HeaderMap {
    let (hop, mut fields) = switch.answer();
    fields.extend(hop);
    fields
}

/// Sends an informational reply.
fn inform(respond: &mut SendResponse<Bytes>, status: StatusCode, fields: HeaderMap) -> Result<(), Refusal> {
    let mut reply = Response::new(());
    (*reply.status_mut(), *reply.headers_mut()) = (status, fields);
    respond.send_informational(reply).map_err(|_| malformed("the sender went away"))
}

fn payload(body: RecvStream, received: &Received, limits: &Limits) -> Payload {
    if body.is_end_stream() {
        return Payload::empty();
    }
    // A stream of gRPC may be silent for as long as its two ends like; each call has its own deadline.
    let idle = (!grpc::speaks(&received.head.fields)).then_some(limits.body_idle);
    let pace = Pace { idle, total: limits.body_total };
    let rest = Upload::new(body, received.length, pace).boxed_unsync();
    Payload { head: Bytes::new(), rest: Some(rest), length: received.length, trailers: None }
}
