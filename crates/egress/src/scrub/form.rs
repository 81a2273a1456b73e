//! The forms in which an upstream may echo a secret, and what takes their place.

use super::needle::{Fold, Needle};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use cloakroom_model::{Path, Query};
use zeroize::Zeroizing;

/// How a needle was made from the secret.
#[derive(Debug)]
pub(super) enum Form {
    /// As it is.
    Raw,
    /// Two hexadecimal digits for each byte.
    Hex,
    /// Base64 where `shift` bytes stand before the secret in its group of three. The symbols that also depend on
    /// neighbours are not part of it.
    Base64 { shift: usize },
    /// The same of the secret as it is written in a body or an address: what an upstream has that echoes those in base64.
    Base64Of { shift: usize, written: Written },
    /// UTF-16, least significant byte first.
    WideLe,
    /// UTF-16, most significant byte first.
    WideBe,
    /// A byte for each character (ISO 8859-1).
    Latin,
    /// UTF-8 that was read as ISO 8859-1 and written as UTF-8 again, as `Ã©` for `é`.
    TwiceUtf8,
    /// The credentials of `Basic` (RFC 7617) with the workload's half.
    Basic { before: Zeroizing<Vec<u8>>, after: Zeroizing<Vec<u8>> },
}

/// How a place writes a secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Written {
    /// In a JSON string.
    Json,
    /// In a JSON string of a program that escapes slashes.
    JsonSlashes,
    /// In a form or a query.
    Form,
    /// In a path.
    Path,
}

impl Written {
    /// The ways that write this secret otherwise than it is, each unlike the others.
    fn of(secret: &[u8]) -> Vec<Self> {
        // Not every secret can be written in a path; an empty needle would stand everywhere.
        let mut texts = vec![Zeroizing::new(secret.to_vec()), Zeroizing::default()];
        let mut ways = vec![Self::Json, Self::JsonSlashes, Self::Form, Self::Path];
        ways.retain(|way| {
            let text = way.apply(secret);
            let is_new = !texts.contains(&text);
            texts.push(text);
            is_new
        });
        ways
    }

    fn apply(self, value: &[u8]) -> Zeroizing<Vec<u8>> {
        let Ok(text) = std::str::from_utf8(value) else { return Zeroizing::new(value.to_vec()) };
        let written = Zeroizing::new(match self {
            Self::Json => json(text),
            Self::JsonSlashes => Zeroizing::new(json(text)).replace('/', "\\/"),
            Self::Form => Query::encode_value(text),
            Self::Path => Path::encode_segment(text).unwrap_or_default(),
        });
        Zeroizing::new(written.as_bytes().to_vec())
    }
}

/// What stands between the quotes.
fn json(text: &str) -> String {
    let quoted = Zeroizing::new(serde_json::to_string(text).unwrap_or_default());
    quoted.get(1..quoted.len().saturating_sub(1)).unwrap_or_default().to_owned()
}

impl Form {
    /// Every form of a secret that does not depend on the call.
    pub(super) fn all(secret: &[u8]) -> Vec<Self> {
        let mut forms = vec![
            Self::Raw,
            Self::Hex,
            Self::Base64 { shift: 0 },
            Self::Base64 { shift: 1 },
            Self::Base64 { shift: 2 },
            Self::WideLe,
            Self::WideBe,
        ];
        if !secret.is_ascii() {
            // Of ASCII they are what `Raw` is.
            forms.extend([Self::Latin, Self::TwiceUtf8]);
        }
        for written in Written::of(secret) {
            forms.extend((0..3).map(|shift| Self::Base64Of { shift, written }));
        }
        forms
    }

    /// `value` in this form.
    pub(super) fn write(&self, value: &[u8]) -> Zeroizing<Vec<u8>> {
        match self {
            Self::Raw => Zeroizing::new(value.to_vec()),
            Self::Hex => hex(value),
            Self::Base64 { shift } => base64_inside(value, *shift),
            Self::Base64Of { shift, written } => base64_inside(&written.apply(value), *shift),
            Self::WideLe => wide(value, u16::to_le_bytes),
            Self::WideBe => wide(value, u16::to_be_bytes),
            Self::Latin => latin(value),
            Self::TwiceUtf8 => {
                Zeroizing::new(value.iter().copied().map(char::from).collect::<String>().into_bytes())
            }
            Self::Basic { before, after } => {
                let whole = Zeroizing::new([before.as_slice(), value, after.as_slice()].concat());
                Zeroizing::new(STANDARD_NO_PAD.encode(&*whole).into_bytes())
            }
        }
    }

    /// The needle for a secret in this form.
    pub(super) fn needle(self, secret: &[u8]) -> Needle {
        let fold = match self {
            // A secret that is itself a number in hexadecimal digits may come back in the other case.
            Self::Raw if secret.iter().all(|b| b.is_ascii_hexdigit() || *b == b'-') => Fold::Case,
            Self::Raw | Self::Latin | Self::TwiceUtf8 | Self::WideLe | Self::WideBe => Fold::Exact,
            Self::Hex => Fold::Case,
            Self::Base64 { .. } | Self::Base64Of { .. } | Self::Basic { .. } => Fold::Base64,
        };
        let pattern = self.write(secret);
        Needle::new(self, pattern, fold)
    }

    /// The needle for a secret in a header's name, which comes in lower case.
    pub(super) fn name_needle(self, secret: &[u8]) -> Needle {
        let pattern = self.write(secret);
        Needle::new(self, pattern, Fold::CaseBase64)
    }

    /// What takes the place of `found`: the placeholder in the same form.
    pub(super) fn replacement(&self, placeholder: &str, found: &[u8]) -> Zeroizing<Vec<u8>> {
        let mut text = self.write(placeholder.as_bytes());
        match self {
            Self::Hex if found.iter().any(u8::is_ascii_uppercase) => text.make_ascii_uppercase(),
            Self::Base64 { .. } | Self::Base64Of { .. } | Self::Basic { .. }
                if found.iter().any(|b| matches!(b, b'-' | b'_')) =>
            {
                text.iter_mut().for_each(url_safe);
            }
            _ => {}
        }
        text
    }
}

fn url_safe(symbol: &mut u8) {
    match symbol {
        b'+' => *symbol = b'-',
        b'/' => *symbol = b'_',
        _ => {}
    }
}

fn hex(value: &[u8]) -> Zeroizing<Vec<u8>> {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digit = |nibble: u8| DIGITS[usize::from(nibble & 15)];
    Zeroizing::new(value.iter().flat_map(|byte| [digit(byte >> 4), digit(*byte)]).collect())
}

fn wide(value: &[u8], order: fn(u16) -> [u8; 2]) -> Zeroizing<Vec<u8>> {
    Zeroizing::new(match std::str::from_utf8(value) {
        Ok(text) => text.encode_utf16().flat_map(order).collect(),
        Err(_) => value.iter().flat_map(|byte| order(u16::from(*byte))).collect(),
    })
}

/// A character that has no byte is one that the upstream could not have written: `?` stands for it, as in most programs.
fn latin(value: &[u8]) -> Zeroizing<Vec<u8>> {
    let text = String::from_utf8_lossy(value);
    Zeroizing::new(text.chars().map(|c| u8::try_from(c).unwrap_or(b'?')).collect())
}

/// The symbols of `base64(shift bytes ++ value ++ …)` that depend on `value` alone.
///
/// ```text
/// shift 1:  |------ss|sssss sss|...      six bits a symbol, eight a byte
///            ^^^^^^ ^^^^^^ symbols 0 and 1 also depend on what stands before: symbol 2 is the first
/// ```
fn base64_inside(value: &[u8], shift: usize) -> Zeroizing<Vec<u8>> {
    let mut padded = Zeroizing::new(vec![0; shift]);
    padded.extend_from_slice(value);
    let encoded = Zeroizing::new(URL_SAFE_NO_PAD.encode(&*padded).into_bytes());
    let first = (shift * 8).div_ceil(6);
    let last = padded.len() * 8 / 6;
    let mut inside = Zeroizing::new(encoded.get(first..last).unwrap_or_default().to_vec());
    // The plain alphabet is the normal form of patterns and the default of replacements.
    inside.iter_mut().for_each(|symbol| match symbol {
        b'-' => *symbol = b'+',
        b'_' => *symbol = b'/',
        _ => {}
    });
    inside
}
