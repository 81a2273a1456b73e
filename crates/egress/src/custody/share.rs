//! One share as its operator has it: a line of text that says where it belongs, and a checksum against a slip of the hand.
//!
//! ```text
//! cloakroom-share-1 SET NUMBER THRESHOLD VALUE CHECKSUM        parted by "-": 8 hex, decimal, decimal, 64 hex, 8 hex
//! ```

use crate::secret::Secret;
use aws_lc_rs::digest::{SHA256, digest};
use cloakroom_model::hexadecimal;
use std::io::Write;

const WORD: &str = "cloakroom-share-1";
/// Bytes of a value.
const VALUE: usize = 32;

/// A share.
pub struct Share {
    /// The set that it was made with.
    pub(super) set: String,
    pub(super) number: u8,
    pub(super) threshold: u8,
    pub(super) value: Secret,
}

impl Share {
    /// Reads it. `None` where it is none, or a character is wrong.
    pub(super) fn parse(text: &Secret) -> Option<Self> {
        let text = std::str::from_utf8(text.expose()).ok()?.trim();
        let (said, sum) = text.rsplit_once('-')?;
        if !sum.eq_ignore_ascii_case(&checksum(said.as_bytes())) {
            return None;
        }
        let mut parts = said.strip_prefix(WORD)?.strip_prefix('-')?.split('-');
        let (set, number, threshold, value) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
        if parts.next().is_some() || set.len() != 8 || value.len() != 2 * VALUE {
            return None;
        }
        let value = Secret::filled(VALUE, |room| {
            for (byte, pair) in room.iter_mut().zip(value.as_bytes().chunks_exact(2)) {
                *byte = digit(pair[0])? << 4 | digit(pair[1])?;
            }
            Ok::<usize, ()>(VALUE)
        });
        let value = value.ok()?;
        Some(Self {
            set: set.into(),
            number: number.parse().ok()?,
            threshold: threshold.parse().ok()?,
            value,
        })
    }

    /// Its number, from 1.
    pub fn number(&self) -> u8 {
        self.number
    }

    /// Writes it down, in one line: for the operator whose share it is, and for nobody else.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write_to(&self, out: &mut impl Write) -> std::io::Result<()> {
        let text = self.text();
        out.write_all(text.expose())?;
        out.write_all(b"\n")
    }

    fn text(&self) -> Secret {
        let Self { set, number, threshold, value } = self;
        let head = format!("{WORD}-{set}-{number}-{threshold}-");
        let said = head.len() + 2 * VALUE;
        let text = Secret::filled(said + 9, |room| {
            room[..head.len()].copy_from_slice(head.as_bytes());
            for (pair, byte) in room[head.len()..said].chunks_exact_mut(2).zip(value.expose()) {
                pair.copy_from_slice(&[letter(byte >> 4), letter(byte & 15)]);
            }
            let sum = checksum(&room[..said]);
            room[said] = b'-';
            room[said + 1..].copy_from_slice(sum.as_bytes());
            Ok::<usize, std::convert::Infallible>(said + 9)
        });
        match text {
            Ok(text) => text,
            Err(never) => match never {},
        }
    }

    /// What tells this share from any other without being it: kept in `root.json`, so that a wrong one is told at once.
    pub(super) fn digest(&self) -> String {
        let said = format!("cloakroom share digest v1 {} {} ", self.set, self.number);
        let mut context = aws_lc_rs::digest::Context::new(&SHA256);
        context.update(said.as_bytes());
        context.update(self.value.expose());
        hexadecimal(context.finish().as_ref())
    }
}

fn checksum(said: &[u8]) -> String {
    hexadecimal(&digest(&SHA256, said).as_ref()[..4])
}

/// SECURITY: by arithmetic, not by a table that a secret digit would choose from.
fn letter(digit: u8) -> u8 {
    // 39 more from ten on: from after '9' to 'a'.
    let beyond = 9u8.wrapping_sub(digit) >> 7;
    digit + b'0' + 39 * beyond
}

fn digit(letter: u8) -> Result<u8, ()> {
    match letter {
        b'0'..=b'9' => Ok(letter - b'0'),
        b'a'..=b'f' => Ok(letter - b'a' + 10),
        _ => Err(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn share() -> Share {
        let value = Secret::new((0..32).map(|byte| byte * 8).collect::<Vec<u8>>().into());
        Share { set: "01234567".into(), number: 3, threshold: 2, value }
    }

    #[test]
    fn what_is_written_is_read_and_blanks_around_it_do_not_matter() {
        let mut line = b"  ".to_vec();
        share().write_to(&mut line).unwrap();
        let read = Share::parse(&Secret::new(line.into())).unwrap();
        assert_eq!((read.set.as_str(), read.number, read.threshold), ("01234567", 3, 2));
        assert_eq!(read.value.expose(), share().value.expose());
        assert_eq!(read.digest(), share().digest());
        assert_ne!(Share { number: 4, ..share() }.digest(), share().digest());
    }

    #[test]
    fn every_slip_of_the_hand_is_noticed() {
        let text = share().text().expose().to_vec();
        assert!(text.starts_with(b"cloakroom-share-1-01234567-3-2-000810"));
        for at in 0..text.len() {
            let mut slipped = text.clone();
            slipped[at] = if slipped[at] == b'7' { b'8' } else { b'7' };
            assert!(Share::parse(&Secret::new(slipped.into())).is_none(), "character {at}");
            assert!(Share::parse(&Secret::new(text[..at].to_vec().into())).is_none(), "{at} characters");
        }
        for text in ["", "-", "cloakroom-share-1", "\u{fffd}", "AGE-SECRET-KEY-1"] {
            assert!(Share::parse(&Secret::new(text.as_bytes().to_vec().into())).is_none(), "{text}");
        }
    }
}
