//! Marks `:path` as never to be indexed on its way to a destination.
//!
//! SECURITY: a credential in the path or the query is in `:path`. The `h2` crate writes that without indexing, which keeps it out of the
//! destination's table and lets whoever passes the call on put it into another. RFC 7541, section 7.1.3, has a bit for what must not be. Fields
//! have it already where their values are sensitive.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use zeroize::Zeroizing;

/// What begins a connection (RFC 9113, section 3.4).
const PREFACE: usize = 24;
const FRAME_HEAD: usize = 9;
const HEADERS: u8 = 1;
/// The names `:path` in HPACK's static table.
const PATHS: [u8; 2] = [4, 5];
const NEVER: u8 = 0x10;

/// A connection to a destination over which HTTP/2 is spoken.
pub(super) struct Unindexed<S> {
    io: S,
    reader: Reader,
}

impl<S> Unindexed<S> {
    /// Nothing was written to it yet.
    pub(super) fn new(io: S) -> Self {
        Self { io, reader: Reader::default() }
    }
}

/// How far the bytes are. It knows frames, and of a block of fields the parts of each.
#[derive(Clone, Copy)]
struct Reader {
    at: At,
    /// Of the frame: bytes that are still to come, and whether they are a block of fields.
    left: usize,
    is_block: bool,
}

#[derive(Clone, Copy)]
enum At {
    /// So much of the preface is still to come.
    Preface(usize),
    /// So much of the frame's head was there, and its length and type so far.
    Head(usize, usize),
    /// Within a payload that is not looked into.
    Payload,
    Block(Part),
}

/// A part of a field (RFC 7541, section 6).
#[derive(Clone, Copy)]
enum Part {
    Begin,
    /// The rest of an integer; then so many strings.
    Integer(u8),
    /// The length of a string; then so many more strings.
    Length(u8),
    /// The rest of a length: how much so far, its next digit; then so many more strings.
    LongLength(usize, u32, u8),
    /// So much of a string is still to come; then so many more.
    Text(usize, u8),
}

impl Default for Reader {
    fn default() -> Self {
        Self { at: At::Preface(PREFACE), left: 0, is_block: false }
    }
}

impl Reader {
    /// Reads on; tells `mark` of each byte that is to get the bit.
    fn read(&mut self, bytes: &[u8], mut mark: impl FnMut(usize)) {
        let mut at = 0;
        while let Some(byte) = bytes.get(at) {
            at += match self.at {
                At::Preface(left) => {
                    let step = left.min(bytes.len() - at);
                    self.at = if step == left { At::Head(0, 0) } else { At::Preface(left - step) };
                    step
                }
                At::Head(have, length) => {
                    self.head(have, length, *byte);
                    1
                }
                At::Payload => {
                    let step = self.left.min(bytes.len() - at);
                    self.advance(step);
                    step
                }
                At::Block(Part::Text(left, strings)) => {
                    let step = left.min(self.left).min(bytes.len() - at);
                    self.at = At::Block(text(left - step, strings));
                    self.advance(step);
                    step
                }
                At::Block(part) => {
                    if matches!(part, Part::Begin) && PATHS.contains(byte) {
                        mark(at);
                    }
                    self.at = At::Block(part.next(*byte));
                    self.advance(1);
                    1
                }
            };
        }
    }

    fn head(&mut self, have: usize, length: usize, byte: u8) {
        let length = if have < 3 { length << 8 | usize::from(byte) } else { length };
        if have == 3 {
            self.is_block = byte == HEADERS;
        }
        self.at = At::Head(have + 1, length);
        if have + 1 == FRAME_HEAD {
            self.left = length;
            self.at = if self.is_block { At::Block(Part::Begin) } else { At::Payload };
            self.advance(0);
        }
    }

    /// So much of the payload was read.
    fn advance(&mut self, step: usize) {
        self.left -= step;
        if self.left == 0 {
            // A block that goes on in CONTINUATION has its pseudo-fields behind it.
            self.at = At::Head(0, 0);
        }
    }
}

impl Part {
    fn next(self, byte: u8) -> Self {
        match self {
            Self::Begin if byte & 0x80 != 0 => integer(byte, 0x7f, 0),
            // With a name of its own a field has two strings, otherwise one.
            Self::Begin if byte & 0xc0 == 0x40 => integer(byte, 0x3f, if byte == 0x40 { 2 } else { 1 }),
            Self::Begin if byte & 0xe0 == 0x20 => integer(byte, 0x1f, 0),
            Self::Begin => integer(byte, 0x0f, if byte & 0x0f == 0 { 2 } else { 1 }),
            Self::Integer(strings) if byte & 0x80 != 0 => Self::Integer(strings),
            Self::Integer(strings) => strings_follow(strings),
            Self::Length(strings) if byte & 0x7f == 0x7f => Self::LongLength(0x7f, 0, strings),
            Self::Length(strings) => text(usize::from(byte & 0x7f), strings),
            Self::LongLength(length, digit, strings) => {
                let length =
                    length.saturating_add(usize::from(byte & 0x7f).checked_shl(digit).unwrap_or(usize::MAX));
                if byte & 0x80 != 0 {
                    Self::LongLength(length, digit + 7, strings)
                } else {
                    text(length, strings)
                }
            }
            Self::Text(left, strings) => text(left.saturating_sub(1), strings),
        }
    }
}

fn integer(byte: u8, mask: u8, strings: u8) -> Part {
    if byte & mask == mask { Part::Integer(strings) } else { strings_follow(strings) }
}

fn strings_follow(strings: u8) -> Part {
    if strings == 0 { Part::Begin } else { Part::Length(strings - 1) }
}

fn text(left: usize, strings: u8) -> Part {
    if left > 0 { Part::Text(left, strings) } else { strings_follow(strings) }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Unindexed<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[IoSlice::new(bytes)])
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = &mut *self;
        let (mut reader, mut marks, mut before) = (this.reader, Vec::new(), 0);
        for part in parts {
            reader.read(part, |at| marks.push(before + at));
            before += part.len();
        }
        let written = if marks.is_empty() {
            ready!(Pin::new(&mut this.io).poll_write_vectored(cx, parts))?
        } else {
            let mut copy = Zeroizing::new(Vec::with_capacity(before));
            parts.iter().for_each(|part| copy.extend_from_slice(part));
            for at in marks {
                copy[at] |= NEVER;
            }
            ready!(Pin::new(&mut this.io).poll_write(cx, &copy))?
        };
        // Only what was taken was read.
        let mut left = written;
        for part in parts {
            let taken = part.len().min(left);
            this.reader.read(&part[..taken], |_| {});
            left -= taken;
        }
        Poll::Ready(Ok(written))
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Unindexed<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_read(cx, into)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use tokio::io::AsyncWriteExt;

    /// Takes at most so many bytes at a time.
    struct Narrow(Vec<u8>, usize);

    impl AsyncWrite for Narrow {
        fn poll_write(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
            bytes: &[u8],
        ) -> Poll<io::Result<usize>> {
            let taken = bytes.len().min(self.1);
            self.0.extend_from_slice(&bytes[..taken]);
            Poll::Ready(Ok(taken))
        }

        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }

        fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    fn frame(kind: u8, payload: &[u8]) -> Vec<u8> {
        let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
        [&length[1..], &[kind, 0, 0, 0, 0, 1], payload].concat()
    }

    /// Method, scheme, an authority that enters the table, a long path, and fields that look like paths.
    fn block(path: &[u8]) -> Vec<u8> {
        let byte = |number: usize| u8::try_from(number).unwrap();
        let length = match path.len().checked_sub(127) {
            Some(rest) => vec![127, byte(rest & 0x7f) | 0x80, byte(rest >> 7)],
            None => vec![byte(path.len())],
        };
        let fields: &[u8] =
            &[0x00, 1, 4, 2, 4, 5, 0x10, 1, 4, 1, 4, 0x0f, 4, 1, 4, 0x7f, 4, 2, 4, 4, 0xff, 4];
        [&[0x3f, 0xe1, 0x1f, 0x82, 0x87, 0x41, 2, 4, 4, 0x04], &length[..], path, fields].concat()
    }

    async fn written(stream: &[u8], cuts: &[usize], narrow: usize) -> Vec<u8> {
        let mut out = Unindexed::new(Narrow(Vec::new(), narrow));
        let mut cuts: Vec<usize> = cuts.iter().map(|cut| *cut % (stream.len() + 1)).collect();
        cuts.extend([0, stream.len()]);
        cuts.sort_unstable();
        for cut in cuts.windows(2) {
            out.write_all(&stream[cut[0]..cut[1]]).await.unwrap();
        }
        out.io.0
    }

    proptest! {
        #[test]
        fn only_the_path_is_marked_however_it_is_written(
            length in prop_oneof![0usize..8, 120usize..140, 300usize..400],
            cuts in proptest::collection::vec(any::<usize>(), 0..12),
            narrow in 1usize..600,
        ) {
            let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
            let blocks = [block(&vec![4; length]), block(b"/x")];
            let data = frame(0, &[4; 40]);
            let stream = [preface, frame(4, &[0, 4, 0, 4, 0, 4]), frame(1, &blocks[0]), data, frame(8, &[0, 0, 0, 4]), frame(1, &blocks[1]), frame(4, &[])];
            let mut expected = stream.concat();
            for block in &blocks {
                let at = expected.windows(block.len()).position(|window| window == block).unwrap();
                expected[at + 9] = 0x14;
            }
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            let got = runtime.block_on(written(&stream.concat(), &cuts, narrow));
            prop_assert_eq!(got, expected);
        }
    }
}
