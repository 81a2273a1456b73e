//! The writing half of a connection: answers in our own framing.

use crate::io::Io;
use bytes::{Buf, BufMut, Bytes, BytesMut};
use cloakroom_egress::Interim;
use cloakroom_model::BodyFault;
use futures_util::FutureExt;
use http::header::{
    CONNECTION, CONTENT_LENGTH, HeaderMap, HeaderName, HeaderValue, TE, TRAILER, TRANSFER_ENCODING, UPGRADE,
};
use http::{Response, StatusCode};
use http_body::{Body, Frame};
use std::fmt::{self, Write};
use std::future::poll_fn;
use std::io;
use std::pin::{Pin, pin};
use std::time::Duration;
use tokio::io::{AsyncWriteExt, WriteHalf};
use tokio::time::timeout;

/// How much is collected before it is written. Less is written at once when nothing more is ready.
const FULL: usize = 32 * 1024;
/// What is at least this large is not copied into the buffer.
const LARGE: usize = 8 * 1024;
/// The largest buffer that a waiting connection keeps.
const KEPT: usize = 4 * 1024;

/// How an answer is to be written.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Manner {
    /// The request was HEAD.
    pub(crate) head_only: bool,
    /// The connection ends with this answer.
    pub(crate) close: bool,
}

/// The framing of one answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Framing {
    /// No body follows.
    Nothing,
    /// So many bytes are left to write.
    Length(u64),
    /// In chunks.
    Chunks,
}

/// The writing half.
pub(crate) struct Outlet {
    io: WriteHalf<Box<dyn Io>>,
    buffer: BytesMut,
    patience: Duration,
}

impl Outlet {
    /// Over this half. A peer that takes nothing for `patience` is given up.
    pub(crate) fn new(io: WriteHalf<Box<dyn Io>>, patience: Duration) -> Self {
        Self { io, buffer: BytesMut::new(), patience }
    }

    /// Writes an answer to its end.
    ///
    /// # Errors
    /// When the peer is gone or too slow, or the body ended early. The connection cannot be used again then.
    pub(crate) async fn answer<B>(&mut self, response: Response<B>, manner: Manner) -> io::Result<()>
    where
        B: Body<Data = Bytes, Error = BodyFault>,
    {
        let (parts, body) = response.into_parts();
        let framing = framing(parts.status, &parts.headers, &body, manner);
        write_head(&mut self.buffer, parts.status, &parts.headers, framing, manner);
        let mut body = pin!(body);
        if framing == Framing::Nothing {
            // An empty body that was asked once has seen its end, and its connection is free for others.
            let _ = next(&mut body).now_or_never();
        } else {
            self.body(body, framing).await?;
        }
        self.flush().await
    }

    async fn body<B>(&mut self, mut body: Pin<&mut B>, mut framing: Framing) -> io::Result<()>
    where
        B: Body<Data = Bytes, Error = BodyFault>,
    {
        loop {
            // Head and first bytes go out together when they are ready together; a stream is never delayed.
            let ready = if self.buffer.len() < FULL { next(&mut body).now_or_never() } else { None };
            let frame = match ready {
                Some(frame) => frame,
                None => {
                    self.flush().await?;
                    next(&mut body).await
                }
            };
            match frame {
                Some(frame) => framing = self.frame(frame.map_err(io::Error::other)?, framing).await?,
                None => return finish(&mut self.buffer, framing),
            }
            if framing == Framing::Nothing {
                return Ok(());
            }
        }
    }

    /// Puts one frame into the buffer, or writes it where it is large; the framing of what is left.
    async fn frame(&mut self, frame: Frame<Bytes>, framing: Framing) -> io::Result<Framing> {
        let frame = match frame.into_data() {
            Ok(data) => return self.data(data, framing).await,
            Err(frame) => frame,
        };
        match (frame.into_trailers(), framing) {
            (Ok(trailers), Framing::Chunks) => {
                self.buffer.put_slice(b"0\r\n");
                write_fields(&mut self.buffer, &trailers);
                self.buffer.put_slice(b"\r\n");
                Ok(Framing::Nothing)
            }
            // Without chunks there is no room for trailers.
            _ => Ok(framing),
        }
    }

    async fn data(&mut self, data: Bytes, framing: Framing) -> io::Result<Framing> {
        let left = match framing {
            // An empty chunk would be the last one.
            Framing::Chunks if data.is_empty() => return Ok(framing),
            Framing::Chunks => {
                put(&mut self.buffer, format_args!("{:x}\r\n", data.len()));
                framing
            }
            Framing::Length(left) => {
                Framing::Length(left.checked_sub(data.len() as u64).ok_or_else(wrong_length)?)
            }
            Framing::Nothing => return Ok(framing),
        };
        if data.len() < LARGE {
            self.buffer.put_slice(&data);
        } else {
            self.write(data).await?;
        }
        if framing == Framing::Chunks {
            self.buffer.put_slice(b"\r\n");
        }
        Ok(left)
    }

    /// Tells the peer to send its body.
    ///
    /// # Errors
    /// When the peer is gone.
    pub(crate) async fn invite_body(&mut self) -> io::Result<()> {
        self.buffer.put_slice(b"HTTP/1.1 100 Continue\r\n\r\n");
        self.flush().await
    }

    /// Hands on an informational reply.
    ///
    /// # Errors
    /// When the peer is gone.
    pub(crate) async fn interim(&mut self, interim: &Interim) -> io::Result<()> {
        write_status(&mut self.buffer, interim.status);
        write_fields(&mut self.buffer, &interim.fields);
        self.buffer.put_slice(b"\r\n");
        self.flush().await
    }

    /// Says that a WebSocket follows, with the fields of this hop and those that go end to end.
    ///
    /// # Errors
    /// When the peer is gone.
    pub(crate) async fn switch(&mut self, hop: &HeaderMap, fields: &HeaderMap) -> io::Result<()> {
        write_status(&mut self.buffer, StatusCode::SWITCHING_PROTOCOLS);
        for (name, value) in hop {
            write_field(&mut self.buffer, name, value);
        }
        write_fields(&mut self.buffer, fields);
        self.buffer.put_slice(b"\r\n");
        self.flush().await
    }

    /// Opens a tunnel.
    ///
    /// # Errors
    /// When the peer is gone.
    pub(crate) async fn open_tunnel(&mut self, request: &str) -> io::Result<()> {
        let line = "HTTP/1.1 200 Connection established";
        put(&mut self.buffer, format_args!("{line}\r\nCloakroom-Request: {request}\r\n\r\n"));
        self.flush().await
    }

    async fn flush(&mut self) -> io::Result<()> {
        self.write(Bytes::new()).await
    }

    /// Writes what is in the buffer, then `data`, without a copy of that.
    async fn write(&mut self, data: Bytes) -> io::Result<()> {
        let Self { io, buffer, .. } = self;
        let writing = async {
            io.write_all_buf(&mut (&mut *buffer).chain(data)).await?;
            io.flush().await
        };
        timeout(self.patience, writing).await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))?;
        if self.buffer.capacity() > KEPT {
            self.buffer = BytesMut::new();
        }
        Ok(())
    }

    /// Says that nothing more will be written.
    pub(crate) async fn close(&mut self) {
        let _ = timeout(self.patience, self.io.shutdown()).await;
    }

    /// The writing half, for a tunnel.
    pub(crate) fn into_io(self) -> WriteHalf<Box<dyn Io>> {
        self.io
    }
}

async fn next<B: Body>(body: &mut Pin<&mut B>) -> Option<Result<Frame<B::Data>, B::Error>> {
    poll_fn(|context| body.as_mut().poll_frame(context)).await
}

fn framing<B: Body>(status: StatusCode, fields: &HeaderMap, body: &B, manner: Manner) -> Framing {
    if manner.head_only || status == StatusCode::NO_CONTENT || status == StatusCode::NOT_MODIFIED {
        return Framing::Nothing;
    }
    match body.size_hint().exact().or_else(|| declared_length(fields)) {
        Some(length) => Framing::Length(length),
        None => Framing::Chunks,
    }
}

fn declared_length(fields: &HeaderMap) -> Option<u64> {
    fields.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

fn write_head(out: &mut BytesMut, status: StatusCode, fields: &HeaderMap, framing: Framing, manner: Manner) {
    write_status(out, status);
    write_fields(out, fields);
    match framing {
        Framing::Length(length) => put(out, format_args!("content-length: {length}\r\n")),
        Framing::Chunks => out.put_slice(b"transfer-encoding: chunked\r\n"),
        // What a GET would have had (RFC 9110, section 8.6).
        Framing::Nothing if status != StatusCode::NO_CONTENT => {
            if let Some(length) = declared_length(fields) {
                put(out, format_args!("content-length: {length}\r\n"));
            }
        }
        Framing::Nothing => {}
    }
    if manner.close {
        out.put_slice(b"connection: close\r\n");
    }
    out.put_slice(b"\r\n");
}

fn write_status(out: &mut BytesMut, status: StatusCode) {
    out.put_slice(b"HTTP/1.1 ");
    out.put_slice(status.as_str().as_bytes());
    out.put_slice(b" ");
    // The upstream's own phrase is dropped: nobody needs it, and it could carry anything (T07).
    out.put_slice(status.canonical_reason().unwrap_or_default().as_bytes());
    out.put_slice(b"\r\n");
}

/// Every field but those that belong to the connection. A `HeaderValue` has no CR, LF or NUL.
fn write_fields(out: &mut BytesMut, fields: &HeaderMap) {
    const OURS: [HeaderName; 7] = [
        CONNECTION,
        CONTENT_LENGTH,
        HeaderName::from_static("keep-alive"),
        TE,
        TRAILER,
        TRANSFER_ENCODING,
        UPGRADE,
    ];
    for (name, value) in fields.iter().filter(|(name, _)| !OURS.contains(name)) {
        write_field(out, name, value);
    }
}

fn write_field(out: &mut BytesMut, name: &HeaderName, value: &HeaderValue) {
    out.put_slice(name.as_str().as_bytes());
    out.put_slice(b": ");
    out.put_slice(value.as_bytes());
    out.put_slice(b"\r\n");
}

/// Writing into memory does not fail.
fn put(out: &mut BytesMut, text: fmt::Arguments<'_>) {
    let _ = out.write_fmt(text);
}

fn finish(out: &mut BytesMut, framing: Framing) -> io::Result<()> {
    match framing {
        Framing::Chunks => out.put_slice(b"0\r\n\r\n"),
        Framing::Length(1..) => return Err(wrong_length()),
        Framing::Length(0) | Framing::Nothing => {}
    }
    Ok(())
}

fn wrong_length() -> io::Error {
    io::Error::other("the body is not as long as it was declared")
}

#[cfg(test)]
mod tests {
    use super::*;
    use http_body_util::{BodyExt, Full, StreamBody};
    use tokio::io::AsyncReadExt;

    const KEEP: Manner = Manner { head_only: false, close: false };

    type Frames = Vec<Result<Frame<Bytes>, BodyFault>>;

    fn stream(frames: Frames) -> impl Body<Data = Bytes, Error = BodyFault> {
        StreamBody::new(futures_util::stream::iter(frames))
    }

    fn data(text: &'static str) -> Result<Frame<Bytes>, BodyFault> {
        Ok(Frame::data(Bytes::from_static(text.as_bytes())))
    }

    async fn written<B>(response: Response<B>, manner: Manner) -> (bool, String)
    where
        B: Body<Data = Bytes, Error = BodyFault>,
    {
        let (ours, mut peer) = tokio::io::duplex(64 * 1024);
        let ours: Box<dyn Io> = Box::new(ours);
        let mut outlet = Outlet::new(tokio::io::split(ours).1, Duration::from_secs(5));
        let done = outlet.answer(response, manner).await;
        drop(outlet);
        let mut text = String::new();
        peer.read_to_string(&mut text).await.unwrap();
        (done.is_ok(), text)
    }

    #[tokio::test]
    async fn a_known_length_is_declared_and_kept() {
        let body = Full::new(Bytes::from_static(b"ok")).map_err(|never| match never {});
        let (done, text) = written(Response::new(body), KEEP).await;
        assert_eq!((done, text.as_str()), (true, "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"));
    }

    #[tokio::test]
    async fn a_large_frame_is_written_as_it_is_between_small_ones() {
        let large = "x".repeat(LARGE + 1);
        let frames = || vec![data("ab"), Ok(Frame::data(large.clone().into())), data("c")];
        let (done, text) = written(Response::new(stream(frames())), KEEP).await;
        let head = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";
        let expected = format!("{head}2\r\nab\r\n{:x}\r\n{large}\r\n1\r\nc\r\n0\r\n\r\n", large.len());
        assert!(done && text == expected);
        let response =
            Response::builder().header("content-length", large.len() + 3).body(stream(frames())).unwrap();
        let (done, text) = written(response, KEEP).await;
        assert!(done && text.ends_with(&format!("\r\n\r\nab{large}c")));
    }

    #[tokio::test]
    async fn an_unknown_length_goes_in_chunks_with_trailers() {
        let mut trailers = HeaderMap::new();
        trailers.insert("x-t", HeaderValue::from_static("1"));
        let frames = vec![data("abc"), data(""), data("de"), Ok(Frame::trailers(trailers))];
        let (done, text) = written(Response::new(stream(frames)), KEEP).await;
        let expected =
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\nx-t: 1\r\n\r\n";
        assert_eq!((done, text.as_str()), (true, expected));
    }

    #[tokio::test]
    async fn a_body_that_breaks_off_never_looks_complete() {
        let frames = vec![data("abc"), Err(BodyFault::Broken)];
        let (done, text) = written(Response::new(stream(frames)), KEEP).await;
        assert!(!done && !text.ends_with("0\r\n\r\n"));
    }

    #[tokio::test]
    async fn t43_a_body_of_another_length_than_declared_is_cut() {
        for frames in [vec![data("abcd")], vec![data("ab")]] {
            let response = Response::builder().header("content-length", "3").body(stream(frames)).unwrap();
            let (done, text) = written(response, KEEP).await;
            assert!(!done && !text.contains("abcd"));
        }
    }

    #[tokio::test]
    async fn an_answer_to_head_has_a_length_and_no_body() {
        let response =
            Response::builder().header("content-length", "3").body(stream(vec![data("abc")])).unwrap();
        let (done, text) = written(response, Manner { head_only: true, close: true }).await;
        assert_eq!(
            (done, text.as_str()),
            (true, "HTTP/1.1 200 OK\r\ncontent-length: 3\r\nconnection: close\r\n\r\n")
        );
    }
}
