//! One frame's head (RFC 6455, section 5.2), strictly.
//!
//! ```text
//! byte 0   FIN RSV1 RSV2 RSV3 opcode(4)
//! byte 1   MASK length(7)
//!          126: two more bytes of length      127: eight more
//!          MASK: four bytes of key
//! ```

use super::violation::Violation;

/// The longest payload of a control frame.
pub(crate) const CONTROL: usize = 125;

/// What a frame is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Opcode {
    Continuation,
    Text,
    Binary,
    Close,
    Ping,
    Pong,
}

impl Opcode {
    const fn parse(bits: u8) -> Option<Self> {
        match bits {
            0x0 => Some(Self::Continuation),
            0x1 => Some(Self::Text),
            0x2 => Some(Self::Binary),
            0x8 => Some(Self::Close),
            0x9 => Some(Self::Ping),
            0xA => Some(Self::Pong),
            _ => None,
        }
    }

    const fn bits(self) -> u8 {
        match self {
            Self::Continuation => 0x0,
            Self::Text => 0x1,
            Self::Binary => 0x2,
            Self::Close => 0x8,
            Self::Ping => 0x9,
            Self::Pong => 0xA,
        }
    }

    pub(crate) const fn is_control(self) -> bool {
        matches!(self, Self::Close | Self::Ping | Self::Pong)
    }
}

/// A masking key (RFC 6455, section 5.3).
pub(crate) type Mask = [u8; 4];

/// Everything of a frame but its payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FrameHead {
    pub(crate) fin: bool,
    /// The message is compressed (RFC 7692, section 6).
    pub(crate) rsv1: bool,
    pub(crate) opcode: Opcode,
    pub(crate) mask: Option<Mask>,
    pub(crate) length: u64,
}

impl FrameHead {
    /// Reads a head at the begin of `bytes`, and how many bytes it has; `None` where more bytes decide.
    ///
    /// What two bytes show to be wrong is refused before a third arrives.
    pub(crate) fn parse(bytes: &[u8]) -> Result<Option<(Self, usize)>, Violation> {
        let [first, second, rest @ ..] = bytes else { return Ok(None) };
        if first & 0x30 != 0 {
            return Err(Violation::protocol("a reserved bit is set"));
        }
        let opcode =
            Opcode::parse(first & 0x0F).ok_or(Violation::protocol("the frame has a reserved opcode"))?;
        let (fin, rsv1, short) = (first & 0x80 != 0, first & 0x40 != 0, second & 0x7F);
        if opcode.is_control() {
            if !fin {
                return Err(Violation::protocol("a control frame is fragmented"));
            }
            if rsv1 {
                return Err(Violation::protocol("a control frame is compressed"));
            }
            if usize::from(short) > CONTROL {
                return Err(Violation::protocol("a control frame is longer than 125 bytes"));
            }
        }
        let Some((length, rest)) = length(short, rest)? else { return Ok(None) };
        let masked = second & 0x80 != 0;
        let (mask, rest) = match (masked, rest) {
            (false, rest) => (None, rest),
            (true, [a, b, c, d, rest @ ..]) => (Some([*a, *b, *c, *d]), rest),
            (true, _) => return Ok(None),
        };
        Ok(Some((Self { fin, rsv1, opcode, mask, length }, bytes.len() - rest.len())))
    }

    fn write(&self, out: &mut Vec<u8>) {
        let bit = |set: bool, bit: u8| if set { bit } else { 0 };
        out.push(bit(self.fin, 0x80) | bit(self.rsv1, 0x40) | self.opcode.bits());
        let masked = bit(self.mask.is_some(), 0x80);
        match (u8::try_from(self.length), u16::try_from(self.length)) {
            (Ok(length @ ..126), _) => out.push(masked | length),
            (_, Ok(length)) => {
                out.push(masked | 126);
                out.extend_from_slice(&length.to_be_bytes());
            }
            _ => {
                out.push(masked | 127);
                out.extend_from_slice(&self.length.to_be_bytes());
            }
        }
        if let Some(mask) = self.mask {
            out.extend_from_slice(&mask);
        }
    }
}

/// The length that the seven bits stand for, in its one spelling; `None` where more bytes decide.
fn length(short: u8, rest: &[u8]) -> Result<Option<(u64, &[u8])>, Violation> {
    const NOT_SHORTEST: Violation = Violation::protocol("a length is not written in its shortest form");
    match (short, rest) {
        (..126, rest) => Ok(Some((u64::from(short), rest))),
        (126, [a, b, rest @ ..]) => match u16::from_be_bytes([*a, *b]) {
            ..126 => Err(NOT_SHORTEST),
            length => Ok(Some((u64::from(length), rest))),
        },
        (127, [a, b, c, d, e, f, g, h, rest @ ..]) => {
            match u64::from_be_bytes([*a, *b, *c, *d, *e, *f, *g, *h]) {
                ..0x1_0000 => Err(NOT_SHORTEST),
                0x8000_0000_0000_0000.. => Err(Violation::protocol("a length has its highest bit set")),
                length => Ok(Some((length, rest))),
            }
        }
        _ => Ok(None),
    }
}

/// The most bytes that a head takes.
pub(crate) const LONGEST_HEAD: usize = 14;

/// Appends one final frame.
pub(crate) fn write(out: &mut Vec<u8>, opcode: Opcode, rsv1: bool, mask: Option<Mask>, payload: &[u8]) {
    write_fragment(out, true, opcode, rsv1, mask, payload);
}

/// Appends one frame.
pub(crate) fn write_fragment(
    out: &mut Vec<u8>,
    fin: bool,
    opcode: Opcode,
    rsv1: bool,
    mask: Option<Mask>,
    payload: &[u8],
) {
    let head = FrameHead { fin, rsv1, opcode, mask, length: payload.len() as u64 };
    out.reserve(LONGEST_HEAD + payload.len());
    head.write(out);
    let start = out.len();
    out.extend_from_slice(payload);
    if let Some(mask) = mask {
        apply(mask, 0, &mut out[start..]);
    }
}

/// Masks or unmasks bytes of which the first is the payload's byte `at`.
pub(crate) fn apply(mask: Mask, at: u64, bytes: &mut [u8]) {
    let mut mask = mask;
    mask.rotate_left(usize::from((at & 3) as u8));
    // Eight bytes at a time: a message can be a mebibyte.
    let [a, b, c, d] = mask;
    let wide = u64::from_ne_bytes([a, b, c, d, a, b, c, d]);
    let mut chunks = bytes.chunks_exact_mut(8);
    for chunk in &mut chunks {
        let mut word = [0; 8];
        word.copy_from_slice(chunk);
        chunk.copy_from_slice(&(u64::from_ne_bytes(word) ^ wide).to_ne_bytes());
    }
    chunks.into_remainder().iter_mut().zip(mask.iter().cycle()).for_each(|(byte, key)| *byte ^= key);
}
