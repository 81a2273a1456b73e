//! One exchange over HTTP/2. The connection is driven by a task of its own, since calls share it.

mod body;
mod unindexed;
mod upload;

pub(super) use body::Reply;
use unindexed::Unindexed;
use upload::Upload;

use super::alarm::Alarm;
use super::pool::Stream;
use super::{Failed, Hints, Limits, cut, unreachable};
use crate::stage::OutBody;
use bytes::Bytes;
use cloakroom_model::{Code, Refusal};
use h2::client::{Builder, Connection, ResponseFuture, SendRequest};
use h2::{Reason, RecvStream};
use http::{Method, Request, Response, StatusCode};
use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite};

/// Bytes of a reply's head, or of its trailers (T96, T100).
const HEAD_LIMIT: u32 = 64 * 1024;
/// What one reply may have under way or waiting here.
const STREAM_WINDOW: u32 = 256 * 1024;
/// The same for all replies of one connection: so many that a few slow readers do not stop the others.
const CONNECTION_WINDOW: u32 = 8 * 1024 * 1024;
/// What of one request's body may wait here for the connection.
const SEND_BUFFER: usize = 128 * 1024;

/// Begins HTTP/2 on a connection, and has it driven until it ends.
///
/// # Errors
/// `upstream-unreachable` when the connection breaks.
pub(super) async fn begin<S>(stream: S) -> Result<SendRequest<Bytes>, Refusal>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let mut builder = Builder::new();
    builder
        .enable_push(false)
        .initial_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_header_list_size(HEAD_LIMIT)
        .max_send_buffer_size(SEND_BUFFER);
    let handshake = builder.handshake::<_, Bytes>(Unindexed::new(stream)).await;
    let (sender, connection) =
        handshake.map_err(|_| unreachable("the connection broke before the request was sent"))?;
    tokio::spawn(drive(connection));
    Ok(sender)
}

/// Its calls learn what went wrong; here it is only noted.
async fn drive<S: AsyncRead + AsyncWrite + Unpin>(connection: Connection<S, Bytes>) {
    if let Err(error) = connection.await {
        tracing::debug!(%error, "an upstream connection ended");
    }
}

/// Whether calls may begin on this connection.
pub(super) fn is_open(sender: &SendRequest<Bytes>) -> bool {
    let mut cx = Context::from_waker(std::task::Waker::noop());
    !matches!(sender.clone().poll_ready(&mut cx), Poll::Ready(Err(_)))
}

/// One exchange up to the reply's head.
struct Exchange {
    response: ResponseFuture,
    upload: Upload,
    /// The body, where it can be sent again: whoever says that it processed nothing of the call may be believed.
    again: Option<OutBody>,
}

/// Sends, and waits for the reply's head.
///
/// # Errors
/// [`Failed::Unprocessed`] when no byte was sent or the destination says that it processed nothing of it (RFC 9113,
/// section 8.7); otherwise what [`super::Upstream::send`] refuses with.
pub(super) async fn exchange(
    mut sender: SendRequest<Bytes>,
    stream: Stream,
    request: Request<()>,
    body: OutBody,
    limits: Limits,
    hints: &mut Hints<'_>,
) -> Result<Response<Reply>, Failed> {
    let method = request.method().clone();
    let mut alarm = Alarm::new();
    let started = tokio::time::Instant::now();
    // A connection that takes no more streams for now makes the call wait.
    let ready = poll_fn(|cx| match sender.poll_ready(cx) {
        Poll::Ready(ready) => Poll::Ready(Some(ready)),
        Poll::Pending => alarm.poll(cx, started, limits.head, limits.shortest()).map(|()| None),
    });
    match ready.await {
        Some(Ok(())) => {}
        Some(Err(_)) => return Err(Failed::Unprocessed(Box::new(body))),
        None => return Err(too_late().into()),
    }
    let again = body.again();
    let mut exchange = match Upload::begin(&mut sender, request, body) {
        Ok((response, upload)) => Exchange { response, upload, again },
        Err(body) => return Err(Failed::Unprocessed(body)),
    };
    drop(sender);
    let response = exchange.head(&mut alarm, limits, hints).await?;
    if response.status() == StatusCode::SWITCHING_PROTOCOLS {
        return Err(unreachable("the destination switched protocols unasked").into());
    }
    let length = declared(&method, &response)?;
    let Exchange { upload, .. } = exchange;
    Ok(response.map(|incoming| Reply::new(incoming, length, Some(upload), stream, alarm, limits)))
}

impl Exchange {
    async fn head(
        &mut self,
        alarm: &mut Alarm,
        limits: Limits,
        hints: &mut Hints<'_>,
    ) -> Result<Response<RecvStream>, Failed> {
        poll_fn(|cx| {
            self.send_on(cx)?;
            while let Poll::Ready(Some(Ok(hint))) = self.response.poll_informational(cx) {
                if hint.status() != StatusCode::CONTINUE {
                    let (hint, ()) = hint.into_parts();
                    hints.tell(hint.status, hint.headers)?;
                }
            }
            if let Poll::Ready(response) = Pin::new(&mut self.response).poll(cx) {
                return Poll::Ready(response.map_err(|error| self.failed(&error)));
            }
            alarm
                .poll(cx, self.upload.moved(), limits.head, limits.shortest())
                .map(|()| Err(too_late().into()))
        })
        .await
    }

    fn send_on(&mut self, cx: &mut Context<'_>) -> Result<(), Failed> {
        // A destination that takes no more of the body may answer all the same.
        match self.upload.poll(cx) {
            Poll::Ready(Err(fault)) => Err(cut(fault).into()),
            Poll::Ready(Ok(())) | Poll::Pending => Ok(()),
        }
    }

    fn failed(&mut self, error: &h2::Error) -> Failed {
        tracing::debug!(%error, "an exchange with a destination failed");
        let refused = error.is_reset() && error.reason() == Some(Reason::REFUSED_STREAM);
        let beyond = error.is_go_away() && error.reason() == Some(Reason::NO_ERROR);
        match self.again.take() {
            Some(body) if error.is_remote() && (refused || beyond) => Failed::Unprocessed(Box::new(body)),
            _ => unreachable("the connection broke before the reply began").into(),
        }
    }
}

/// The length that the reply declares for its body.
fn declared(method: &Method, response: &Response<RecvStream>) -> Result<Option<u64>, Refusal> {
    if response.body().is_end_stream() || *method == Method::HEAD {
        return Ok(Some(0));
    }
    let mut values = response.headers().get_all(http::header::CONTENT_LENGTH).iter();
    let first = values.next();
    if values.next().is_some() {
        return Err(unreachable("the reply is not well-formed HTTP"));
    }
    let length = first.and_then(|value| value.to_str().ok()?.parse().ok());
    if first.is_some() && length.is_none() {
        return Err(unreachable("the reply is not well-formed HTTP"));
    }
    Ok(length)
}

fn too_late() -> Refusal {
    Refusal::new(Code::UpstreamTimeout, "the destination did not answer in time")
}
