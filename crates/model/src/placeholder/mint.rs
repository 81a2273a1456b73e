//! Making a placeholder.

use super::{Alphabet, CoreId, KeyedHash, LookupKey, Piece, Shape};
use std::fmt;

/// The text of a placeholder. Shown once, at issue; `Debug` does not show it.
pub struct PlaceholderText(String);

impl PlaceholderText {
    pub(super) fn of(text: String) -> Self {
        Self(text)
    }

    /// The text, for the one who asked for it.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for PlaceholderText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PlaceholderText(…)")
    }
}

/// A new placeholder and what the store keeps of it.
#[derive(Debug)]
pub struct Minted {
    /// The text, to be shown once.
    pub text: PlaceholderText,
    /// The index of its core.
    pub core: CoreId,
    /// The keyed hash of the text.
    pub hash: KeyedHash,
}

impl LookupKey {
    /// Makes a placeholder of this shape.
    ///
    /// # Errors
    /// When the operating system gives no random bytes.
    pub fn mint(&self, shape: &Shape) -> Result<Minted, getrandom::Error> {
        let mut text = String::new();
        let mut random_part = String::new();
        let mut core = None;
        for piece in shape.pieces() {
            match piece {
                Piece::Literal(literal) => text.push_str(literal),
                Piece::Filler(alphabet, length) => {
                    let filler = random_symbols(*alphabet, *length)?;
                    random_part.push_str(&filler);
                    text.push_str(&filler);
                }
                Piece::Core(alphabet, length) => {
                    let (symbols, id) = self.core_piece(*alphabet, *length)?;
                    core = core.or(Some(id));
                    random_part.push_str(&symbols);
                    text.push_str(&lay_out(*alphabet, symbols));
                }
                Piece::Checksum => text.push_str(&checksum(&random_part)),
            }
        }
        // INVARIANT: `Shape::new` gives every shape a core; a shape read from an edited row may lack it.
        let core = core.unwrap_or_else(|| self.core_id(Alphabet::Base62, text.as_bytes()));
        let hash = self.placeholder_hash(&text);
        Ok(Minted { text: PlaceholderText(text), core, hash })
    }

    fn core_piece(&self, alphabet: Alphabet, length: usize) -> Result<(String, CoreId), getrandom::Error> {
        let mut symbols = random_symbols(alphabet, alphabet.core_length())?;
        let id = self.core_id(alphabet, symbols.as_bytes());
        let room = length.saturating_sub(symbols.len()).min(alphabet.full_tag());
        symbols.push_str(&self.tag_symbols(alphabet, symbols.as_bytes())[..room]);
        let filler = random_symbols(alphabet, length.saturating_sub(symbols.len()))?;
        symbols.push_str(&filler);
        Ok((symbols, id))
    }

    /// The full tag of a core, as symbols.
    pub(super) fn tag_symbols(&self, alphabet: Alphabet, core: &[u8]) -> String {
        spell(self.tag(alphabet, core), alphabet, alphabet.full_tag())
    }
}

fn spell(mut bits: u64, alphabet: Alphabet, length: usize) -> String {
    (0..length).map(|_| char::from(alphabet.take_symbol(&mut bits))).collect()
}

fn lay_out(alphabet: Alphabet, symbols: String) -> String {
    if alphabet != Alphabet::Uuid || symbols.len() != 32 {
        return symbols;
    }
    [&symbols[..8], &symbols[8..12], &symbols[12..16], &symbols[16..20], &symbols[20..]].join("-")
}

/// GitHub's checksum: CRC-32 of the random part in base62, most significant first, padded with zeros to six.
fn checksum(random_part: &str) -> String {
    let crc = u64::from(crc32fast::hash(random_part.as_bytes()));
    spell(crc, Alphabet::Base62, 6).chars().rev().collect()
}

pub(super) fn random_symbols(alphabet: Alphabet, length: usize) -> Result<String, getrandom::Error> {
    let symbols = alphabet.symbols();
    // Rejecting the bytes above the largest multiple keeps every symbol equally likely.
    let limit = 256 - 256 % symbols.len();
    let mut text = String::with_capacity(length);
    let mut buffer = [0u8; 64];
    while text.len() < length {
        getrandom::fill(&mut buffer)?;
        let fair = buffer.iter().filter(|byte| usize::from(**byte) < limit);
        text.extend(
            fair.take(length - text.len())
                .map(|byte| char::from(symbols[usize::from(*byte) % symbols.len()])),
        );
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key() -> LookupKey {
        LookupKey::from_bytes(&[3; 32])
    }

    #[test]
    fn a_placeholder_has_the_shape_and_length_of_its_credential() {
        for (shape, length, prefix) in [
            (Shape::prefixed("sk_live_", Alphabet::Base62, 32), 32, "sk_live_"),
            (Shape::prefixed("", Alphabet::Hex, 64), 64, ""),
            (Shape::prefixed("", Alphabet::Hex, 20), 40, ""),
            (Shape::prefixed("AKIA", Alphabet::Base32, 20), 37, "AKIA"),
            (Shape::prefixed("", Alphabet::Uuid, 36), 36, ""),
        ] {
            let minted = key().mint(&shape).unwrap();
            assert_eq!(minted.text.reveal().len(), length);
            assert!(minted.text.reveal().starts_with(prefix));
            assert_eq!(format!("{:?}", minted.text), "PlaceholderText(…)");
        }
    }

    #[test]
    fn a_github_placeholder_has_a_valid_checksum() {
        let shape = Shape::new(vec![
            Piece::Literal("ghp_".into()),
            Piece::Core(Alphabet::Base62, 30),
            Piece::Checksum,
        ]);
        let minted = key().mint(&shape).unwrap();
        let text = minted.text.reveal();
        assert_eq!(text.len(), 40);
        assert_eq!(checksum(&text[4..34]), text[34..]);
        // The format's published property: CRC-32, base62, padded to six.
        assert_eq!(checksum("").as_str(), "000000");
    }

    #[test]
    fn t69_no_symbol_of_a_placeholder_is_constant() {
        let shape = Shape::prefixed("", Alphabet::Base62, 24);
        let texts: Vec<String> =
            (0..200).map(|_| key().mint(&shape).unwrap().text.reveal().to_owned()).collect();
        for at in 0..24 {
            let seen: std::collections::HashSet<u8> = texts.iter().map(|t| t.as_bytes()[at]).collect();
            assert!(seen.len() > 40, "symbol {at} takes {} values in 200 placeholders", seen.len());
        }
    }
}
