//! An answer on its stream: head, data within the reader's windows, trailers. What breaks off is reset, and never looks
//! complete.

use crate::reply::AnswerBody;
use bytes::{Bytes, BytesMut};
use futures_util::FutureExt;
use h2::server::SendResponse;
use h2::{Reason, SendStream};
use http::header::{
    CONNECTION, CONTENT_LENGTH, HeaderMap, HeaderName, HeaderValue, TE, TRANSFER_ENCODING, UPGRADE,
};
use http::{Response, StatusCode};
use http_body::{Body, Frame};
use std::future::poll_fn;
use std::pin::Pin;
use std::time::Duration;
use tokio::time::timeout;

/// What is put together into one frame.
const SMALL: usize = 1024;

/// The answer did not come to its end: the reader has gone, was too slow, or what was to be relayed broke off.
#[derive(Debug)]
pub(super) struct Cut;

impl From<h2::Error> for Cut {
    fn from(_: h2::Error) -> Self {
        Self
    }
}

/// Writes an answer to its end. A reader that takes nothing for `patience` is given up.
///
/// # Errors
/// When it did not come to its end; the stream is reset then.
pub(super) async fn write(
    respond: &mut SendResponse<Bytes>,
    response: Response<AnswerBody>,
    head_only: bool,
    patience: Duration,
) -> Result<(), Cut> {
    let (mut parts, mut body) = response.into_parts();
    let length = prepare(parts.status, &mut parts.headers, &body, head_only);
    // What is there at once. An empty body ends with its head, and a body that is asked once has seen its end.
    let first = next(&mut body).now_or_never();
    let is_empty = matches!((length, &first), (Length::Unknown | Length::Known(0), Some(None)));
    if length == Length::Nothing || is_empty {
        return Ok(respond.send_response(Response::from_parts(parts, ()), true).map(drop)?);
    }
    let stream = respond.send_response(Response::from_parts(parts, ()), false)?;
    let left = if let Length::Known(length) = length { Some(length) } else { None };
    let mut answer = Answer { stream, left, patience };
    let written = answer.body(body, first).await;
    if written.is_err() {
        answer.stream.send_reset(Reason::INTERNAL_ERROR);
    }
    written
}

/// How long the body of an answer is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Length {
    /// None may follow.
    Nothing,
    Known(u64),
    Unknown,
}

/// Makes the fields those of HTTP/2.
fn prepare(status: StatusCode, fields: &mut HeaderMap, body: &AnswerBody, head_only: bool) -> Length {
    const OF_A_CONNECTION: [HeaderName; 6] = [
        CONNECTION,
        HeaderName::from_static("keep-alive"),
        HeaderName::from_static("proxy-connection"),
        TE,
        TRANSFER_ENCODING,
        UPGRADE,
    ];
    for name in &OF_A_CONNECTION {
        fields.remove(name);
    }
    let declared = fields.get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse().ok());
    if status == StatusCode::NO_CONTENT {
        fields.remove(CONTENT_LENGTH);
    }
    if head_only || status == StatusCode::NO_CONTENT || status == StatusCode::NOT_MODIFIED {
        return Length::Nothing;
    }
    match body.size_hint().exact().or(declared) {
        Some(0) => {
            // The end of the stream says it as well, and an answer of gRPC has no length.
            fields.remove(CONTENT_LENGTH);
            Length::Known(0)
        }
        Some(length) => {
            fields.insert(CONTENT_LENGTH, HeaderValue::from(length));
            Length::Known(length)
        }
        None => Length::Unknown,
    }
}

struct Answer {
    stream: SendStream<Bytes>,
    /// What of a known length is still to be written.
    left: Option<u64>,
    patience: Duration,
}

type Next = Option<Result<Frame<Bytes>, cloakroom_model::BodyFault>>;

impl Answer {
    async fn body(&mut self, mut body: AnswerBody, first: Option<Next>) -> Result<(), Cut> {
        let mut ahead = first;
        loop {
            let frame = match ahead.take() {
                Some(frame) => frame,
                None => self.wait(&mut body).await?,
            };
            let Some(frame) = frame else { return self.finish() };
            let data = match frame.map_err(|_| Cut)?.into_data() {
                Ok(data) => data,
                Err(frame) => return self.trailers(frame.into_trailers().map_err(|_| Cut)?),
            };
            // The last data say that they are the last, where that is known by now. Data never wait for it.
            let (data, behind) = with_what_is_ready(data, &mut body);
            ahead = behind;
            self.count(&data)?;
            let is_last = matches!(ahead, Some(None));
            if is_last {
                self.has_all()?;
            }
            self.data(data, is_last).await?;
            if is_last {
                return Ok(());
            }
        }
    }

    /// The next frame, unless the reader gives up first.
    async fn wait(&mut self, body: &mut AnswerBody) -> Result<Next, Cut> {
        tokio::select! {
            biased;
            frame = next(body) => Ok(frame),
            _ = poll_fn(|cx| self.stream.poll_reset(cx)) => Err(Cut),
        }
    }

    /// INVARIANT: no more and no less than the declared length (T43).
    fn count(&mut self, data: &Bytes) -> Result<(), Cut> {
        if let Some(left) = &mut self.left {
            *left = left.checked_sub(data.len() as u64).ok_or(Cut)?;
        }
        Ok(())
    }

    fn has_all(&self) -> Result<(), Cut> {
        if matches!(self.left, Some(1..)) { Err(Cut) } else { Ok(()) }
    }

    fn finish(&mut self) -> Result<(), Cut> {
        self.has_all()?;
        Ok(self.stream.send_data(Bytes::new(), true)?)
    }

    fn trailers(&mut self, trailers: HeaderMap) -> Result<(), Cut> {
        self.has_all()?;
        Ok(self.stream.send_trailers(trailers)?)
    }

    async fn data(&mut self, mut data: Bytes, is_last: bool) -> Result<(), Cut> {
        while !data.is_empty() {
            let room = self.room(data.len()).await?;
            let piece = data.split_to(room.min(data.len()));
            self.stream.send_data(piece, is_last && data.is_empty())?;
        }
        Ok(())
    }

    /// How much of `wanted` may be sent now; at least one byte.
    async fn room(&mut self, wanted: usize) -> Result<usize, Cut> {
        self.stream.reserve_capacity(wanted);
        match self.stream.capacity() {
            0 => {
                let granted = timeout(self.patience, poll_fn(|cx| self.stream.poll_capacity(cx))).await;
                granted.map_err(|_| Cut)?.ok_or(Cut)?.map_err(Cut::from)
            }
            room => Ok(room),
        }
    }
}

/// Small pieces that are there at once go out in one frame: scrubbing may cut one into three, and some peers end a connection
/// that brings too many small ones. Also gives what is behind them, where that is known.
fn with_what_is_ready(data: Bytes, body: &mut AnswerBody) -> (Bytes, Option<Next>) {
    let mut joined = BytesMut::new();
    let mut ahead = next(body).now_or_never();
    while let Some(Some(Ok(frame))) = &ahead
        && let Some(more) = frame.data_ref()
        && data.len().max(joined.len()) + more.len() <= SMALL
    {
        if joined.is_empty() {
            joined.extend_from_slice(&data);
        }
        joined.extend_from_slice(more);
        ahead = next(body).now_or_never();
    }
    (if joined.is_empty() { data } else { joined.freeze() }, ahead)
}

async fn next(body: &mut AnswerBody) -> Next {
    poll_fn(|cx| Pin::new(&mut *body).poll_frame(cx)).await
}
