//! permessage-deflate (RFC 7692, section 7.2), without context takeover: each message is compressed on its own.
//!
//! So nothing is kept between messages, and what one message says cannot be guessed from the size of another.

use super::violation::Violation;
use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress, Status};
use std::cell::RefCell;

/// What ends each compressed message, and is left out of it (section 7.2.1).
const TAIL: [u8; 4] = [0, 0, 0xFF, 0xFF];
/// Below this a message of its own does not get shorter by enough.
const WORTHWHILE: usize = 256;
/// Output up to this needs no input to justify it.
const FREE: u64 = 1 << 20;
/// Beyond [`FREE`], this many bytes of output for each byte of input at most (T96).
const RATIO: u64 = 1000;
/// How much the output grows at a time.
const STEP: usize = 16 * 1024;

thread_local! {
    /// A compressor is a third of a mebibyte: each thread has one, not each channel. It never sees a secret.
    static ENGINE: RefCell<Compress> = RefCell::new(Compress::new(Compression::fast(), false));
}

/// The message compressed; `None` where that is not worth it. `bits` is the window that the receiver keeps.
pub(crate) fn deflate(payload: &[u8], bits: u8) -> Option<Vec<u8>> {
    if payload.len() < WORTHWHILE {
        return None;
    }
    let window = 1 << bits.clamp(8, 15);
    let compressed = ENGINE.with_borrow_mut(|engine| {
        let mut out = Vec::with_capacity(payload.len() / 2 + 64);
        // The engine knows one window only. Pieces that begin afresh never look back beyond the receiver's.
        let piece = if window == 1 << 15 { payload.len() } else { window };
        payload.chunks(piece).try_for_each(|piece| append(engine, piece, &mut out))?;
        out.ends_with(&TAIL).then(|| out.truncate(out.len() - TAIL.len()))?;
        Some(out)
    })?;
    (compressed.len() < payload.len()).then_some(compressed)
}

fn append(engine: &mut Compress, piece: &[u8], out: &mut Vec<u8>) -> Option<()> {
    engine.reset();
    loop {
        if out.capacity() - out.len() < 64 {
            out.reserve(STEP);
        }
        let taken = usize::try_from(engine.total_in()).ok()?;
        engine.compress_vec(piece.get(taken..)?, out, FlushCompress::Sync).ok()?;
        if engine.total_in() == piece.len() as u64 && out.len() < out.capacity() {
            return Some(());
        }
    }
}

/// The message as it was before it was compressed, no longer than `most`.
pub(crate) fn inflate(payload: &[u8], most: u64) -> Result<Vec<u8>, Violation> {
    let room = most.min(FREE.saturating_add((payload.len() as u64).saturating_mul(RATIO)));
    let mut engine = Decompress::new(false);
    let mut out = Vec::new();
    for part in [payload, &TAIL] {
        let mut rest = part;
        loop {
            if out.len() == out.capacity() {
                out.reserve(STEP);
            }
            let (before, had) = (engine.total_in(), out.len());
            let status = engine.decompress_vec(rest, &mut out, FlushDecompress::Sync);
            let status = status.map_err(|_| Violation::not_text("a message cannot be decompressed"))?;
            if out.len() as u64 > room {
                return Err(Violation::too_big("a message decompresses to more than the limit"));
            }
            let taken = usize::try_from(engine.total_in() - before).unwrap_or(usize::MAX);
            rest = rest.get(taken..).unwrap_or_default();
            if status == Status::StreamEnd {
                // A last block may end the message, and one zero byte follow it (section 7.2.3.4).
                return match rest {
                    [] | [0] => Ok(out),
                    _ => Err(Violation::not_text("bytes follow the last block of a compressed message")),
                };
            }
            if rest.is_empty() && out.len() < out.capacity() {
                break;
            }
            if taken == 0 && out.len() == had && out.len() < out.capacity() {
                return Err(Violation::not_text("a message cannot be decompressed"));
            }
        }
    }
    Ok(out)
}
