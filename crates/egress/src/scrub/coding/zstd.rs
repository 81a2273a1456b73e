//! Zstandard (RFC 8878), block by block: frames, skippable frames, checksums.

use super::{Bounded, Undecodable};
use bytes::Bytes;
use ruzstd::decoding::{BlockDecodingStrategy, FrameDecoder};
use std::io::Write;

/// RFC 9659: a `zstd` content coding needs no larger window.
const LARGEST_WINDOW: u64 = 8 << 20;
/// The greatest length of a block's content (RFC 8878, section 3.1.1.2).
const LARGEST_BLOCK: usize = 128 * 1024;
const MAGIC: u32 = 0xFD2F_B528;
const SKIPPABLE: u32 = 0x184D_2A50;

/// Decodes zstd frames as their blocks become complete.
pub(super) struct Zstd {
    input: Vec<u8>,
    frame: FrameDecoder,
    state: State,
    sink: Bounded,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    /// Between frames.
    Between,
    /// In a frame that ends with a checksum, or not.
    Blocks { checksum: bool },
    /// In a skippable frame of which this much is left.
    Skipping(usize),
}

impl Default for Zstd {
    fn default() -> Self {
        let mut frame = FrameDecoder::new();
        frame.set_max_window_size(LARGEST_WINDOW);
        Self { input: Vec::new(), frame, state: State::Between, sink: Bounded::default() }
    }
}

impl Zstd {
    pub(super) fn push(&mut self, bytes: &[u8], room: u64) -> Result<Bytes, Undecodable> {
        self.sink.room = room;
        self.input.extend_from_slice(bytes);
        let mut used = 0;
        while let Some(taken) = self.advance(used)? {
            used += taken;
        }
        self.input.drain(..used);
        Ok(self.sink.take())
    }

    pub(super) fn finish(&mut self) -> Result<Bytes, Undecodable> {
        if self.state != State::Between || !self.input.is_empty() {
            return Err(Undecodable);
        }
        Ok(self.sink.take())
    }

    /// Takes one header, one block or what there is to skip; `None` where its bytes are not all there yet.
    fn advance(&mut self, used: usize) -> Result<Option<usize>, Undecodable> {
        match self.state {
            State::Between => self.begin_frame(used),
            State::Blocks { checksum } => self.block(used, checksum),
            State::Skipping(left) => {
                let taken = left.min(self.input.len() - used);
                self.state = if taken == left { State::Between } else { State::Skipping(left - taken) };
                Ok((taken > 0 || left == 0).then_some(taken))
            }
        }
    }

    fn begin_frame(&mut self, used: usize) -> Result<Option<usize>, Undecodable> {
        let input = &self.input[used..];
        let Some(magic) = u32_at(input, 0) else { return Ok(None) };
        if magic & !0xF == SKIPPABLE {
            let Some(length) = u32_at(input, 4) else { return Ok(None) };
            self.state = State::Skipping(length as usize);
            return Ok(Some(8));
        }
        if magic != MAGIC {
            return Err(Undecodable);
        }
        let Some(descriptor) = input.get(4).copied() else { return Ok(None) };
        let length = header_length(descriptor);
        let Some(mut header) = input.get(..length) else { return Ok(None) };
        self.frame.reset(&mut header).map_err(|_| Undecodable)?;
        self.state = State::Blocks { checksum: descriptor >> 2 & 1 == 1 };
        Ok(Some(length - header.len()))
    }

    fn block(&mut self, used: usize, checksum: bool) -> Result<Option<usize>, Undecodable> {
        let input = &self.input[used..];
        let [a, b, c, ..] = *input else { return Ok(None) };
        let header = u32::from_le_bytes([a, b, c, 0]);
        let (last, kind, size) = (header & 1 == 1, header >> 1 & 3, (header >> 3) as usize);
        if size > LARGEST_BLOCK {
            return Err(Undecodable);
        }
        let content = if kind == 1 { 1 } else { size };
        let length = 3 + content + if last && checksum { 4 } else { 0 };
        let Some(mut block) = input.get(..length) else { return Ok(None) };
        self.frame
            .decode_blocks(&mut block, BlockDecodingStrategy::UptoBlocks(1))
            .map_err(|_| Undecodable)?;
        if let Some(decoded) = self.frame.collect() {
            self.sink.write_all(&decoded)?;
        }
        if last {
            self.check(checksum)?;
            self.state = State::Between;
        }
        Ok(Some(length))
    }

    fn check(&self, checksum: bool) -> Result<(), Undecodable> {
        let agrees = self.frame.get_checksum_from_data() == self.frame.get_calculated_checksum();
        if checksum && !agrees { Err(Undecodable) } else { Ok(()) }
    }
}

/// The length of a frame's header, magic included (RFC 8878, section 3.1.1.1).
fn header_length(descriptor: u8) -> usize {
    let single_segment = descriptor >> 5 & 1 == 1;
    let window = usize::from(!single_segment);
    let dictionary = [0, 1, 2, 4][usize::from(descriptor & 3)];
    let content = match descriptor >> 6 {
        0 => usize::from(single_segment),
        flag => 1 << flag,
    };
    5 + window + dictionary + content
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}
