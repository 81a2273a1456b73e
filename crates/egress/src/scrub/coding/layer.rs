//! One coding, undone as its bytes arrive.

use super::zstd::Zstd;
use super::{Bounded, Coding, Undecodable};
use bytes::Bytes;
use flate2::write::{DeflateDecoder, MultiGzDecoder, ZlibDecoder};
use std::io::{self, Write};

/// Room for the brotli decoder's output between two writes.
const BROTLI_BUFFER: usize = 16 * 1024;

/// The decoder of one coding.
pub(super) struct Layer {
    engine: Engine,
    started: bool,
}

enum Engine {
    Gzip(MultiGzDecoder<Bounded>),
    /// `deflate` that has not shown yet whether it is zlib, as it should be, or bare, as some servers send it.
    Deflate(Vec<u8>),
    Zlib(ZlibDecoder<Bounded>),
    Bare(DeflateDecoder<Bounded>),
    Brotli(Box<brotli::DecompressorWriter<Bounded>>),
    Zstd(Box<Zstd>),
}

impl Layer {
    pub(super) fn new(coding: Coding) -> Self {
        let engine = match coding {
            Coding::Gzip => Engine::Gzip(MultiGzDecoder::new(Bounded::default())),
            Coding::Deflate => Engine::Deflate(Vec::new()),
            Coding::Brotli => {
                Engine::Brotli(Box::new(brotli::DecompressorWriter::new(Bounded::default(), BROTLI_BUFFER)))
            }
            Coding::Zstd => Engine::Zstd(Box::default()),
        };
        Self { engine, started: false }
    }

    /// Decodes `bytes`; fails where that makes more than `room`.
    pub(super) fn push(&mut self, bytes: &[u8], room: u64) -> Result<Bytes, Undecodable> {
        let Some(first) = bytes.first() else { return Ok(Bytes::new()) };
        if !self.started && matches!(self.engine, Engine::Brotli(_)) && first & 0x7F == 0x11 {
            // The large-window extension (windows up to a gigabyte) is not part of `br` (RFC 7932).
            return Err(Undecodable);
        }
        self.started = true;
        if let Engine::Deflate(begin) = &mut self.engine {
            begin.extend_from_slice(bytes);
            let Some(engine) = Engine::of_deflate(begin) else { return Ok(Bytes::new()) };
            let begin = std::mem::take(begin);
            self.engine = engine;
            return self.engine.write(&begin, room);
        }
        self.engine.write(bytes, room)
    }

    /// Ends the layer. A body without a single byte is not coded at all.
    pub(super) fn finish(&mut self, room: u64) -> Result<Bytes, Undecodable> {
        if !self.started {
            return Ok(Bytes::new());
        }
        self.engine.finish(room)
    }
}

impl Engine {
    /// Tells zlib (RFC 1950, section 2.2) from bare deflate by its first two bytes.
    fn of_deflate(begin: &[u8]) -> Option<Self> {
        let [method, flags, ..] = *begin else { return None };
        let is_zlib = method & 0x0F == 8 && method >> 4 <= 7 && u16::from_be_bytes([method, flags]) % 31 == 0;
        Some(if is_zlib {
            Self::Zlib(ZlibDecoder::new(Bounded::default()))
        } else {
            Self::Bare(DeflateDecoder::new(Bounded::default()))
        })
    }

    fn write(&mut self, bytes: &[u8], room: u64) -> Result<Bytes, Undecodable> {
        match self {
            Self::Gzip(decoder) => decode(decoder, MultiGzDecoder::get_mut, bytes, room),
            Self::Zlib(decoder) => decode(decoder, ZlibDecoder::get_mut, bytes, room),
            Self::Bare(decoder) => decode(decoder, DeflateDecoder::get_mut, bytes, room),
            Self::Brotli(decoder) => {
                decode(decoder.as_mut(), brotli::DecompressorWriter::get_mut, bytes, room)
            }
            Self::Zstd(decoder) => decoder.push(bytes, room),
            Self::Deflate(_) => Err(Undecodable),
        }
    }

    fn finish(&mut self, room: u64) -> Result<Bytes, Undecodable> {
        match self {
            Self::Gzip(decoder) => end(decoder, MultiGzDecoder::get_mut, room, MultiGzDecoder::try_finish),
            Self::Zlib(decoder) => end(decoder, ZlibDecoder::get_mut, room, ZlibDecoder::try_finish),
            Self::Bare(decoder) => end(decoder, DeflateDecoder::get_mut, room, DeflateDecoder::try_finish),
            Self::Brotli(decoder) => end(
                decoder.as_mut(),
                brotli::DecompressorWriter::get_mut,
                room,
                brotli::DecompressorWriter::close,
            ),
            Self::Zstd(decoder) => decoder.finish(),
            Self::Deflate(_) => Err(Undecodable),
        }
    }
}

fn decode<D: Write>(
    decoder: &mut D,
    sink: fn(&mut D) -> &mut Bounded,
    bytes: &[u8],
    room: u64,
) -> Result<Bytes, Undecodable> {
    sink(decoder).room = room;
    decoder.write_all(bytes)?;
    // Without a flush the last bytes decoded would wait for the next chunk, which an event stream may send much later.
    decoder.flush()?;
    Ok(sink(decoder).take())
}

fn end<D>(
    decoder: &mut D,
    sink: fn(&mut D) -> &mut Bounded,
    room: u64,
    finish: fn(&mut D) -> io::Result<()>,
) -> Result<Bytes, Undecodable> {
    sink(decoder).room = room;
    finish(decoder)?;
    Ok(sink(decoder).take())
}
