//! The chunked coding (RFC 9112, section 7.1), decoded strictly and without I/O.
//!
//! ```text
//! Size --- "0" ---> Trailers --- empty line ---> Done
//!  ^ |
//!  | +-- hex ---> Data ---> DataEnd --+
//!  +----------------------------------+
//! ```
//! Chunk extensions are checked and dropped: nothing of the sender's framing goes further.

use crate::{Fault, field};
use bytes::{Bytes, BytesMut};
use http::HeaderMap;

const BROKEN: Fault = Fault("a body in chunks breaks its framing");

/// Sixteen digits of size, and room for the extensions that real senders write.
const LONGEST_SIZE_LINE: usize = 256;
/// Extensions of a whole body, so that a body of one-byte chunks cannot hide a flood.
const MOST_EXTENSION_BYTES: usize = 16 * 1024;
const MOST_TRAILER_BYTES: usize = 8 * 1024;

/// What one step gave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Some bytes of the body.
    Data(Bytes),
    /// The buffer holds too little to go on.
    More,
    /// The body is complete; what is left in the buffer belongs to the next message.
    End,
}

/// Where the decoder is.
#[derive(Debug)]
enum State {
    Size,
    Data(u64),
    DataEnd,
    Trailers,
    Done,
}

/// A decoder of one body.
#[derive(Debug)]
pub struct Chunked {
    state: State,
    extension_bytes: usize,
    trailer_bytes: usize,
    trailers: Option<HeaderMap>,
}

impl Default for Chunked {
    fn default() -> Self {
        Self::new()
    }
}

impl Chunked {
    /// At the begin of a body.
    pub fn new() -> Self {
        Self { state: State::Size, extension_bytes: 0, trailer_bytes: 0, trailers: None }
    }

    /// Takes what it can from the front of `buffer`.
    ///
    /// # Errors
    /// A fault for everything outside the grammar.
    pub fn step(&mut self, buffer: &mut BytesMut) -> Result<Step, Fault> {
        loop {
            match self.state {
                State::Size => {
                    let Some(line) = take_line(buffer, LONGEST_SIZE_LINE)? else { return Ok(Step::More) };
                    self.size(&line)?;
                }
                State::Data(_) if buffer.is_empty() => return Ok(Step::More),
                State::Data(left) => return Ok(Step::Data(self.data(left, buffer))),
                State::DataEnd => {
                    if buffer.len() < 2 {
                        return Ok(Step::More);
                    }
                    if &buffer.split_to(2)[..] != b"\r\n" {
                        return Err(BROKEN);
                    }
                    self.state = State::Size;
                }
                State::Trailers => {
                    let Some(line) = take_line(buffer, MOST_TRAILER_BYTES)? else { return Ok(Step::More) };
                    self.trailer(&line)?;
                }
                State::Done => return Ok(Step::End),
            }
        }
    }

    fn size(&mut self, line: &[u8]) -> Result<(), Fault> {
        let digits = line.iter().position(|b| !b.is_ascii_hexdigit()).unwrap_or(line.len());
        let extension = &line[digits..];
        // SECURITY: no sign, no `0x`, no `_`, no blank before the end of the line, no more than 64 bits (T37).
        let well_formed = (1..=16).contains(&digits)
            && matches!(extension, [] | [b';', ..])
            && extension.iter().all(|b| matches!(b, b'\t' | b' '..=b'~'));
        self.extension_bytes += extension.len();
        if !well_formed || self.extension_bytes > MOST_EXTENSION_BYTES {
            return Err(BROKEN);
        }
        let size =
            std::str::from_utf8(&line[..digits]).ok().and_then(|text| u64::from_str_radix(text, 16).ok());
        self.state = match size.ok_or(BROKEN)? {
            0 => State::Trailers,
            size => State::Data(size),
        };
        Ok(())
    }

    fn data(&mut self, left: u64, buffer: &mut BytesMut) -> Bytes {
        let take = usize::try_from(left).unwrap_or(usize::MAX).min(buffer.len());
        let left = left - take as u64;
        self.state = if left == 0 { State::DataEnd } else { State::Data(left) };
        buffer.split_to(take).freeze()
    }

    fn trailer(&mut self, line: &[u8]) -> Result<(), Fault> {
        if line.is_empty() {
            self.state = State::Done;
            return Ok(());
        }
        self.trailer_bytes += line.len() + 2;
        if self.trailer_bytes > MOST_TRAILER_BYTES {
            return Err(BROKEN);
        }
        let (name, value) = field(line)?;
        let trailers = self.trailers.get_or_insert_default();
        trailers.try_append(name, value).map_err(|_| BROKEN)?;
        Ok(())
    }

    /// The trailers, where the body ended with some. Once.
    pub fn take_trailers(&mut self) -> Option<HeaderMap> {
        self.trailers.take()
    }

    /// Whether the body is complete.
    pub fn is_done(&self) -> bool {
        matches!(self.state, State::Done)
    }
}

/// The next line without its CRLF, if it is complete.
fn take_line(buffer: &mut BytesMut, longest: usize) -> Result<Option<BytesMut>, Fault> {
    let Some(end) = memchr::memchr(b'\n', buffer) else {
        // One byte more than a line may have: the CR whose LF is still to come.
        return if buffer.len() > longest + 1 { Err(BROKEN) } else { Ok(None) };
    };
    let mut line = buffer.split_to(end + 1);
    let ends_well = line.len() >= 2 && line[line.len() - 2] == b'\r';
    if !ends_well || line.len() > longest + 2 {
        return Err(BROKEN);
    }
    line.truncate(line.len() - 2);
    if line.contains(&b'\r') { Err(BROKEN) } else { Ok(Some(line)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Decodes `text` arriving in pieces of `piece` bytes: the body and what is left over.
    fn decode(text: &[u8], piece: usize) -> Result<(Vec<u8>, Vec<u8>), Option<Fault>> {
        let mut decoder = Chunked::new();
        let mut buffer = BytesMut::new();
        let mut body = Vec::new();
        let mut pieces = text.chunks(piece);
        loop {
            match decoder.step(&mut buffer).map_err(Some)? {
                Step::Data(data) => body.extend_from_slice(&data),
                Step::More => buffer.extend_from_slice(pieces.next().ok_or(None)?),
                Step::End => break,
            }
        }
        let left = buffer.iter().copied().chain(pieces.flatten().copied()).collect();
        Ok((body, left))
    }

    #[test]
    fn chunks_are_joined_at_every_split() {
        let text =
            b"5\r\nhello\r\n1;a=b;c=\"d\"\r\n,\r\n00006\r\n world\r\n0\r\nX-T: 1\r\n\r\nGET / HTTP/1.1";
        for piece in 1..=text.len() {
            assert_eq!(
                decode(text, piece),
                Ok((b"hello, world".to_vec(), b"GET / HTTP/1.1".to_vec())),
                "{piece}"
            );
        }
    }

    #[test]
    fn t37_chunks_one_step_wrong_are_refused_at_every_split() {
        for text in [
            &b"0x5\r\nhello\r\n0\r\n\r\n"[..],
            b"+5\r\nhello\r\n0\r\n\r\n",
            b"-5\r\nhello\r\n0\r\n\r\n",
            b"5_0\r\nhello\r\n0\r\n\r\n",
            b"5 \r\nhello\r\n0\r\n\r\n",
            b" 5\r\nhello\r\n0\r\n\r\n",
            b"5\nhello\r\n0\r\n\r\n",
            b"5\r\nhello\n0\r\n\r\n",
            b"5\r\nhelloX\r\n0\r\n\r\n",
            b"5\r\nhello0\r\n\r\n",
            b"5;a\nb\r\nhello\r\n0\r\n\r\n",
            b"5;a\rb\r\nhello\r\n0\r\n\r\n",
            b"5;a\0\r\nhello\r\n0\r\n\r\n",
            b"10000000000000005\r\nhello\r\n0\r\n\r\n",
            b"00000000000000005\r\nhello\r\n0\r\n\r\n",
            b"\r\nhello\r\n0\r\n\r\n",
            b";a\r\nhello\r\n0\r\n\r\n",
            b"g\r\n",
            b"0\r\nX T: 1\r\n\r\n",
            b"0\r\n folded\r\n\r\n",
            b"0\r\nX: 1\n\r\n",
            b"0\r\n\n",
        ] {
            for piece in 1..=text.len() {
                assert!(matches!(decode(text, piece), Err(Some(_))), "{} {piece}", text.escape_ascii());
            }
        }
    }

    #[test]
    fn an_unfinished_body_asks_for_more() {
        for text in [&b"5\r\nhel"[..], b"5\r\nhello\r\n", b"0\r\n", b"0\r\nX: 1\r\n", b"5"] {
            assert_eq!(decode(text, 1), Err(None), "{}", text.escape_ascii());
        }
    }

    #[test]
    fn t96_endless_extensions_and_trailers_are_refused() {
        let long = [b"5;".as_slice(), &[b'a'; 300]].concat();
        assert_eq!(decode(&long, 1), Err(Some(BROKEN)));
        let many = [b"1;".as_slice(), &[b'a'; 200], b"\r\nx\r\n"].concat().repeat(100);
        assert_eq!(decode(&many, 64), Err(Some(BROKEN)));
        let trailers = [b"0\r\n".to_vec(), b"X: y\r\n".repeat(2000)].concat();
        assert_eq!(decode(&trailers, 64), Err(Some(BROKEN)));
    }
}
