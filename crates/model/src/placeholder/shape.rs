//! What a placeholder looks like: the public frame of a credential's format around random pieces.

use serde::{Deserialize, Serialize};

const BASE62: &[u8] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
const HEX: &[u8] = b"0123456789abcdef";
const BASE32: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";

/// The symbols of a random piece.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Alphabet {
    /// `0-9 A-Z a-z`.
    Base62,
    /// `0-9 a-f`.
    Hex,
    /// `A-Z 2-7`.
    Base32,
    /// `0-9 a-f` in the 8-4-4-4-12 layout. The layout leaves 128 bits in all: 100 random, 28 tag.
    Uuid,
    /// `0-9`; only for filler.
    Digits,
}

impl Alphabet {
    pub(super) fn symbols(self) -> &'static [u8] {
        match self {
            Self::Base62 => BASE62,
            Self::Hex | Self::Uuid => HEX,
            Self::Base32 => BASE32,
            Self::Digits => &BASE62[..10],
        }
    }

    /// Takes one symbol off `bits`, least significant first.
    pub(super) fn take_symbol(self, bits: &mut u64) -> u8 {
        let symbols = self.symbols();
        let base = symbols.len() as u64;
        // The remainder is below the number of symbols, so the conversion cannot fail.
        let index = usize::try_from(*bits % base).unwrap_or_default();
        *bits /= base;
        symbols[index]
    }

    /// Symbols in a core: at least 128 random bits (the UUID layout: 100).
    pub(super) fn core_length(self) -> usize {
        match self {
            Self::Base62 => 22,
            Self::Hex => 32,
            Self::Base32 => 26,
            Self::Uuid => 25,
            Self::Digits => 39,
        }
    }

    /// Tag symbols where there is room: 32 bits or more (the UUID layout: 28).
    pub(super) fn full_tag(self) -> usize {
        match self {
            Self::Base62 => 6,
            Self::Hex => 8,
            Self::Base32 => 7,
            Self::Uuid => 7,
            Self::Digits => 10,
        }
    }

    /// Tag symbols below which a match is not even a candidate.
    pub(super) const SHORTEST_TAG: usize = 2;

    /// The least number of symbols a piece with a core can have.
    pub fn shortest(self) -> usize {
        match self {
            Self::Uuid => 32,
            _ => self.core_length() + Self::SHORTEST_TAG,
        }
    }
}

/// One piece of a shape.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Piece {
    /// Public text of the format: a prefix, a separator. Never a part of the secret.
    Literal(String),
    /// Core, tag and, where longer, random filler: this many symbols.
    Core(Alphabet, usize),
    /// Random symbols without a core.
    Filler(Alphabet, usize),
    /// Six base62 symbols: the CRC-32 of the random symbols before (GitHub's token format, 2021).
    Checksum,
}

/// What placeholders of one credential look like. Made from the secret's format when it is deposited; holds none of
/// its random part.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Shape {
    pieces: Vec<Piece>,
}

impl Shape {
    /// A shape from its pieces. A core piece that is too short for 128 random bits and a tag is lengthened; a shape
    /// without a core gets one of 28 base62 symbols at its end.
    pub fn new(pieces: Vec<Piece>) -> Self {
        let mut pieces = pieces;
        for piece in &mut pieces {
            if let Piece::Core(alphabet, length) = piece {
                let room = *length >= alphabet.shortest() && *alphabet != Alphabet::Digits;
                if *alphabet == Alphabet::Uuid || !room {
                    *length = match alphabet {
                        Alphabet::Uuid => 32,
                        Alphabet::Digits => 49,
                        other => other.core_length() + other.full_tag(),
                    };
                }
            }
        }
        if !pieces.iter().any(|piece| matches!(piece, Piece::Core(..))) {
            pieces.push(Piece::Core(Alphabet::Base62, 28));
        }
        Self { pieces }
    }

    /// A prefix and random symbols, so that prefix and symbols together are `length` long where that leaves 128 bits.
    pub fn prefixed(prefix: &str, alphabet: Alphabet, length: usize) -> Self {
        let random = length.saturating_sub(prefix.len());
        let mut pieces = Vec::new();
        if !prefix.is_empty() {
            pieces.push(Piece::Literal(prefix.into()));
        }
        pieces.push(Piece::Core(alphabet, random));
        Self::new(pieces)
    }

    /// The pieces in order.
    pub fn pieces(&self) -> &[Piece] {
        &self.pieces
    }
}
