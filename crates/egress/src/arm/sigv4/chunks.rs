//! A body in chunks that are signed one by one (`aws-chunked`): each is signed anew, in the order in which it comes.
//!
//! ```text
//! 10000;chunk-signature=0055627c9e194cb4542bae2aa5492e3c1575bbb81b612b7d234b86a503ef5497\r\n
//! (65,536 bytes)\r\n
//! 0;chunk-signature=b6c6ea8a5354eaf15b3cb7646744f4275b71ea724fed81ceb9323e279d449df9\r\n
//! \r\n                                   or, with a trailer:
//! x-amz-checksum-crc32c:sOO8/Q==\r\n
//! x-amz-trailer-signature:d81f82fc3505edab99d459891051a732e8730629a2e4a59689829ca17fe2e435\r\n
//! \r\n
//! ```
//!
//! A chunk is held until it is complete, because its signature stands before it.

use super::canonical::hashed;
use super::key::SigningKey;
use crate::stage::OutBody;
use bytes::{Bytes, BytesMut};
use cloakroom_model::BodyFault;
use http_body::{Body, Frame};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

/// The largest chunk: 8 MiB. SDKs make chunks of 64 KiB to 1 MiB.
const LARGEST: usize = 8 * 1024 * 1024;
/// The longest line.
const LONGEST_LINE: usize = 1024;

const SIGNATURE: &str = ";chunk-signature=";
const TRAILER_SIGNATURE: &str = "x-amz-trailer-signature:";

/// Whether fields come behind the last chunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Trailer {
    /// No.
    No,
    /// Yes, and they are signed too.
    Yes,
}

/// Signs one chunk after the other.
pub(super) struct Chunks {
    key: SigningKey,
    /// The signature before.
    before: String,
    trailer: Trailer,
    state: State,
    trailing: String,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Chunk,
    Trailer,
    End,
}

impl Chunks {
    /// `seed` is the signature of the request.
    pub(super) fn new(key: SigningKey, seed: String, trailer: Trailer) -> Self {
        Self { key, before: seed, trailer, state: State::Chunk, trailing: String::new() }
    }

    /// The body with these signatures.
    pub(super) fn over(self, body: OutBody) -> Resigned {
        Resigned { chunks: self, body, read: BytesMut::new(), ended: false }
    }

    /// Takes what is complete from the beginning of `read`, and gives it with its signature.
    fn next(&mut self, read: &mut BytesMut) -> Result<Option<Bytes>, BodyFault> {
        match self.state {
            State::Chunk => self.chunk(read),
            State::Trailer => self.field(read),
            State::End if read.is_empty() => Ok(None),
            State::End => Err(BodyFault::Broken),
        }
    }

    fn chunk(&mut self, read: &mut BytesMut) -> Result<Option<Bytes>, BodyFault> {
        let Some(line) = line(read)? else { return Ok(None) };
        let text = std::str::from_utf8(&read[..line]).map_err(|_| BodyFault::Broken)?;
        let (size, signature) = text.split_once(SIGNATURE).ok_or(BodyFault::Broken)?;
        let digits = (1..=8).contains(&size.len()) && size.bytes().all(|byte| byte.is_ascii_hexdigit());
        if !digits || signature.len() != 64 {
            return Err(BodyFault::Broken);
        }
        let length = usize::from_str_radix(size, 16).map_err(|_| BodyFault::Broken)?;
        if length > LARGEST {
            return Err(BodyFault::TooLarge);
        }
        let size = size.to_owned();
        let start = line + 2;
        // Behind the last chunk its trailer begins at once; behind others, and where there is none, an empty line ends it.
        let ends = if length == 0 && self.trailer == Trailer::Yes { 0 } else { 2 };
        if read.len() < start + length + ends {
            return Ok(None);
        }
        let data = &read[start..start + length];
        if read[start + length..start + length + ends] != b"\r\n"[..ends] {
            return Err(BodyFault::Broken);
        }
        let signed = self.sign("AWS4-HMAC-SHA256-PAYLOAD", &format!("{}\n{}", hashed(b""), hashed(data)));
        let mut out = Vec::with_capacity(start + length + ends);
        out.extend_from_slice(format!("{size}{SIGNATURE}{signed}\r\n").as_bytes());
        out.extend_from_slice(&read[start..start + length + ends]);
        let _ = read.split_to(start + length + ends);
        if length == 0 {
            self.state = if self.trailer == Trailer::Yes { State::Trailer } else { State::End };
        }
        Ok(Some(out.into()))
    }

    fn field(&mut self, read: &mut BytesMut) -> Result<Option<Bytes>, BodyFault> {
        let Some(line) = line(read)? else { return Ok(None) };
        let taken = read.split_to(line + 2);
        let text = std::str::from_utf8(&taken[..line]).map_err(|_| BodyFault::Broken)?;
        if text.is_empty() {
            self.state = State::End;
            return Ok(Some(taken.freeze()));
        }
        if text.starts_with(TRAILER_SIGNATURE) {
            let hash = hashed(self.trailing.as_bytes());
            let signed = self.sign("AWS4-HMAC-SHA256-TRAILER", &hash);
            return Ok(Some(format!("{TRAILER_SIGNATURE}{signed}\r\n").into()));
        }
        let (name, value) = text.split_once(':').ok_or(BodyFault::Broken)?;
        if self.trailing.len() > LONGEST_LINE {
            return Err(BodyFault::TooLarge);
        }
        self.trailing.push_str(&format!("{}:{}\n", name.to_ascii_lowercase(), value.trim()));
        Ok(Some(taken.freeze()))
    }

    fn sign(&mut self, what: &str, of: &str) -> String {
        let text = format!("{what}\n{}\n{}\n{}\n{of}", self.key.stamp(), self.key.scope(), self.before);
        let signed = self.key.sign(&text);
        self.before.clone_from(&signed);
        signed
    }
}

/// Where the first line ends, before its CRLF.
fn line(read: &[u8]) -> Result<Option<usize>, BodyFault> {
    match read.windows(2).take(LONGEST_LINE).position(|two| two == b"\r\n") {
        None if read.len() > LONGEST_LINE => Err(BodyFault::Broken),
        found => Ok(found),
    }
}

/// A body whose chunks are signed anew.
pub(super) struct Resigned {
    chunks: Chunks,
    body: OutBody,
    read: BytesMut,
    ended: bool,
}

impl Body for Resigned {
    type Data = Bytes;
    type Error = BodyFault;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyFault>>> {
        let this = self.get_mut();
        loop {
            match this.chunks.next(&mut this.read) {
                Ok(Some(data)) => return Poll::Ready(Some(Ok(Frame::data(data)))),
                Err(fault) => return Poll::Ready(Some(Err(fault))),
                Ok(None) if this.ended && this.chunks.state == State::End => return Poll::Ready(None),
                Ok(None) if this.ended => return Poll::Ready(Some(Err(BodyFault::Broken))),
                Ok(None) => {}
            }
            match ready!(Pin::new(&mut this.body).poll_frame(cx)) {
                Some(Ok(frame)) => {
                    if let Ok(data) = frame.into_data() {
                        this.read.extend_from_slice(&data);
                    }
                }
                Some(Err(fault)) => return Poll::Ready(Some(Err(fault))),
                None => this.ended = true,
            }
        }
    }
}
