//! A reply's body without secrets, as it streams.

use crate::scrub::{Coding, Decoder, Finder, Fit, Scrubber, scrub_fields};
use crate::stage::messages::Messages;
use crate::upstream::RawBody;
use bytes::Bytes;
use cloakroom_model::BodyFault;
use http::HeaderMap;
use http_body::{Body, Frame, SizeHint};
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

/// What a reply came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Bytes of the body handed on.
    pub bytes: u64,
    /// Secrets replaced, in fields, body and trailers.
    pub replaced: u64,
    /// Whether the reply was handed on to its end.
    pub complete: bool,
}

type Tell = Box<dyn FnOnce(Tally) + Send>;

/// A scrubbed body. What it yields holds no needle; what may be the begin of one stays inside.
pub struct ScrubbedBody {
    ready: Ready,
    stream: Option<Stream>,
    tally: Tally,
    failed: bool,
    tell: Option<Tell>,
}

/// What may go out, in order. More than three parts never wait.
#[derive(Default)]
struct Ready {
    parts: [Bytes; 3],
    trailers: Option<HeaderMap>,
}

impl Ready {
    fn length(&self) -> u64 {
        self.parts.iter().map(|part| part.len() as u64).sum()
    }

    fn is_empty(&self) -> bool {
        self.length() == 0 && self.trailers.is_none()
    }

    fn next(&mut self) -> Option<Frame<Bytes>> {
        let part = self.parts.iter_mut().find(|part| !part.is_empty()).map(std::mem::take);
        part.map(Frame::data).or_else(|| self.trailers.take().map(Frame::trailers))
    }
}

/// The rest of a body that is still arriving.
struct Stream {
    raw: RawBody,
    decoder: Option<Decoder>,
    /// Where the body is a stream of messages: each goes on when it is there, for its reader may wait for it.
    messages: Option<Messages>,
    /// Came, and is of a message that is not looked at yet.
    ahead: Bytes,
    scrubber: Scrubber,
    finder: Arc<Finder>,
}

impl ScrubbedBody {
    /// A body that is already clean.
    pub(super) fn whole(bytes: Bytes, trailers: Option<HeaderMap>) -> Self {
        let ready = Ready { parts: [bytes, Bytes::new(), Bytes::new()], trailers };
        Self { ready, stream: None, tally: Tally::default(), failed: false, tell: None }
    }

    /// Decodes and scrubs a body that is all there.
    pub(super) fn scrub_whole(
        bytes: Bytes,
        trailers: Option<HeaderMap>,
        codings: &[Coding],
        finder: Arc<Finder>,
        fit: Fit,
    ) -> Result<Self, BodyFault> {
        let (trailers, in_trailers) = trailers.map(|fields| scrub_fields(fields, &finder)).unzip();
        let (clean, in_body) = match codings {
            [] => finder.scrub_message(bytes, fit),
            _ => decode_and_scrub(bytes, codings, finder, fit)?,
        };
        Ok(Self::whole(clean, trailers).with_replaced(in_body + in_trailers.unwrap_or_default()))
    }

    /// Decodes and scrubs a body as it arrives.
    pub(super) fn streaming(raw: RawBody, codings: &[Coding], finder: Arc<Finder>, fit: Fit) -> Self {
        let decoder = (!codings.is_empty()).then(|| Decoder::new(codings));
        let scrubber = Scrubber::new(Arc::clone(&finder), fit);
        let stream = Some(Stream { raw, decoder, messages: None, ahead: Bytes::new(), scrubber, finder });
        Self { ready: Ready::default(), stream, tally: Tally::default(), failed: false, tell: None }
    }

    /// A body of gRPC messages, scrubbed one by one.
    pub(super) fn of_messages(raw: RawBody, finder: Arc<Finder>) -> Self {
        let mut body = Self::streaming(raw, &[], finder, Fit::Same);
        if let Some(stream) = body.stream.as_mut() {
            stream.messages = Some(Messages::default());
        }
        body
    }

    /// Counts what was replaced elsewhere in the reply.
    pub(super) fn with_replaced(mut self, replaced: u64) -> Self {
        self.tally.replaced += replaced;
        self
    }

    /// The bytes that are ready.
    pub(super) fn length(&self) -> u64 {
        self.ready.length()
    }

    /// Calls `tell` once: when the body is dropped, at its end or before.
    #[must_use]
    pub fn on_end(mut self, tell: impl FnOnce(Tally) + Send + 'static) -> Self {
        self.tell = Some(Box::new(tell));
        self
    }

    fn fail(&mut self) {
        // SECURITY: what the scrubber holds may be part of a secret; it is dropped, never handed on.
        self.stream = None;
        self.ready = Ready::default();
        self.failed = true;
    }

    /// Ends the body: what the scrubber holds is decided now, and trailers follow.
    fn finish(&mut self, mut stream: Stream, trailers: Option<HeaderMap>) -> Result<(), BodyFault> {
        let rest = stream.decoder.as_mut().map_or(Ok(Bytes::new()), Decoder::finish)?;
        let [held, rest] = stream.scrubber.push(rest);
        self.ready.parts = [held, rest, stream.scrubber.finish()];
        self.tally.replaced += stream.scrubber.replaced();
        if let Some((fields, replaced)) = trailers.map(|fields| scrub_fields(fields, &stream.finder)) {
            self.tally.replaced += replaced;
            self.ready.trailers = Some(fields);
        }
        Ok(())
    }
}

fn decode_and_scrub(
    bytes: Bytes,
    codings: &[Coding],
    finder: Arc<Finder>,
    fit: Fit,
) -> Result<(Bytes, u64), BodyFault> {
    let mut scrubber = Scrubber::new(finder, fit);
    let mut clean = Vec::new();
    let mut decoder = Decoder::new(codings);
    decoder.take(bytes);
    while !decoder.is_idle() {
        clean.extend(scrubber.push(decoder.step()?));
    }
    clean.extend(scrubber.push(decoder.finish()?));
    clean.push(scrubber.finish());
    clean.retain(|part| !part.is_empty());
    let only = if clean.len() == 1 { clean.pop() } else { None };
    Ok((only.unwrap_or_else(|| clean.concat().into()), scrubber.replaced()))
}

impl Drop for ScrubbedBody {
    fn drop(&mut self) {
        self.tally.complete = self.is_end_stream() && !self.failed;
        if let Some(tell) = self.tell.take() {
            tell(self.tally);
        }
    }
}

impl fmt::Debug for ScrubbedBody {
    /// SECURITY: what is not decided yet may hold the secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ScrubbedBody").field("tally", &self.tally).finish_non_exhaustive()
    }
}

impl Stream {
    /// Clean bytes as soon as there are any; otherwise the frame that ends the body.
    fn poll_clean(&mut self, cx: &mut Context<'_>) -> Poll<Step> {
        loop {
            if let Some(messages) = self.messages.as_mut().filter(|_| !self.ahead.is_empty()) {
                let (piece, ends) = match messages.next(&mut self.ahead) {
                    Ok(next) => next,
                    Err(fault) => return Poll::Ready(Step::Fault(fault)),
                };
                let [held, rest] = self.scrubber.push(piece);
                // What is between two messages is no part of a needle, so nothing is held over it.
                let last = if ends { self.scrubber.finish() } else { Bytes::new() };
                if !(held.is_empty() && rest.is_empty() && last.is_empty()) {
                    return Poll::Ready(Step::Data([held, rest, last]));
                }
                continue;
            }
            if let Some(decoder) = self.decoder.as_mut().filter(|decoder| !decoder.is_idle()) {
                match decoder.step() {
                    Ok(bytes) => {
                        let [held, rest] = self.scrubber.push(bytes);
                        if !(held.is_empty() && rest.is_empty()) {
                            return Poll::Ready(Step::Data([held, rest, Bytes::new()]));
                        }
                        continue;
                    }
                    Err(fault) => return Poll::Ready(Step::Fault(fault)),
                }
            }
            let frame = match ready!(Pin::new(&mut self.raw).poll_frame(cx)) {
                None => return Poll::Ready(Step::End(None)),
                Some(Err(fault)) => return Poll::Ready(Step::Fault(fault)),
                Some(Ok(frame)) => frame,
            };
            match frame.into_data() {
                Ok(bytes) if self.messages.is_some() => self.ahead = bytes,
                Ok(bytes) => match self.decoder.as_mut() {
                    Some(decoder) => decoder.take(bytes),
                    None => {
                        let [held, rest] = self.scrubber.push(bytes);
                        if !(held.is_empty() && rest.is_empty()) {
                            return Poll::Ready(Step::Data([held, rest, Bytes::new()]));
                        }
                    }
                },
                Err(frame) => {
                    if let Ok(trailers) = frame.into_trailers() {
                        return Poll::Ready(Step::End(Some(trailers)));
                    }
                }
            }
        }
    }
}

/// What became of polling a stream.
enum Step {
    /// Of what was held, of what came, and the end of a message.
    Data([Bytes; 3]),
    End(Option<HeaderMap>),
    Fault(BodyFault),
}

impl Body for ScrubbedBody {
    type Data = Bytes;
    type Error = BodyFault;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyFault>>> {
        if self.ready.is_empty()
            && let Some(stream) = self.stream.as_mut()
        {
            match ready!(stream.poll_clean(cx)) {
                Step::Data(parts) => self.ready.parts = parts,
                Step::End(trailers) => {
                    if let Some(stream) = self.stream.take()
                        && let Err(fault) = self.finish(stream, trailers)
                    {
                        self.fail();
                        return Poll::Ready(Some(Err(fault)));
                    }
                }
                Step::Fault(fault) => {
                    self.fail();
                    return Poll::Ready(Some(Err(fault)));
                }
            }
        }
        let frame = self.ready.next();
        if let Some(data) = frame.as_ref().and_then(Frame::data_ref) {
            self.tally.bytes += data.len() as u64;
        }
        Poll::Ready(frame.map(Ok))
    }

    fn is_end_stream(&self) -> bool {
        self.stream.is_none() && self.ready.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        match self.stream {
            None => SizeHint::with_exact(self.length()),
            Some(_) => SizeHint::default(),
        }
    }
}
