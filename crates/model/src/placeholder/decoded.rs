//! What a text may mean after one layer of decoding, leniently: the hunt wants every reading, not the right one.

use super::sighting::runs;
use base64::Engine;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

/// The shortest text that can hold a placeholder's core and tag.
const SHORTEST: usize = 24;

const LENIENT: GeneralPurposeConfig = GeneralPurposeConfig::new()
    .with_decode_allow_trailing_bits(true)
    .with_decode_padding_mode(DecodePaddingMode::Indifferent);
const BASE64: GeneralPurpose = GeneralPurpose::new(&alphabet::STANDARD, LENIENT);

/// Every text that `text` decodes to in one step. Empty where nothing looks encoded.
pub(super) fn decodings(text: &[u8]) -> Vec<Vec<u8>> {
    let mut all = Vec::new();
    if text.len() < SHORTEST {
        return all;
    }
    if text.contains(&b'%') {
        all.push(unescape(text, b'%', percent));
    }
    if text.contains(&b'\\') {
        all.push(unescape(text, b'\\', backslash));
    }
    if text.contains(&b'&') {
        all.push(unescape(text, b'&', entity));
    }
    if text.contains(&0) {
        all.push(text.iter().copied().filter(|b| *b != 0).collect());
    }
    if text.contains(&b'=') && (text.contains(&b'\n') || text.contains(&b'\r')) {
        all.push(text.iter().copied().filter(|b| !matches!(b, b'\r' | b'\n')).collect());
    }
    for run in runs(text, |b| b.is_ascii_hexdigit()).filter(|run| run.len() >= 2 * SHORTEST) {
        all.push(unhex(run));
        all.push(unhex(&run[1..]));
    }
    let base64_symbol = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'/' | b'-' | b'_');
    for run in runs(text, base64_symbol).filter(|run| run.len() >= SHORTEST * 4 / 3) {
        let standard: Vec<u8> = run
            .iter()
            .map(|b| match b {
                b'-' => b'+',
                b'_' => b'/',
                other => *other,
            })
            .collect();
        // The run may begin with other text: its first symbol is any of four in a group.
        for skip in 0..4 {
            let whole = (standard.len() - skip) / 4 * 4;
            let rest = (standard.len() - skip) % 4;
            let end = skip + whole + if rest == 1 { 0 } else { rest };
            all.extend(BASE64.decode(&standard[skip..end]).ok());
        }
    }
    all
}

/// Replaces each escape that `decode` understands. It gets the bytes after the lead and returns value and length.
fn unescape(text: &[u8], lead: u8, decode: fn(&[u8]) -> Option<(u8, usize)>) -> Vec<u8> {
    let mut decoded = Vec::with_capacity(text.len());
    let mut at = 0;
    while at < text.len() {
        match (text[at] == lead).then(|| decode(&text[at + 1..])).flatten() {
            Some((byte, length)) => {
                decoded.push(byte);
                at += 1 + length;
            }
            None => {
                decoded.push(text[at]);
                at += 1;
            }
        }
    }
    decoded
}

fn percent(after: &[u8]) -> Option<(u8, usize)> {
    crate::path::hex_byte(after.get(..2)?).map(|byte| (byte, 2))
}

fn backslash(after: &[u8]) -> Option<(u8, usize)> {
    match after.first()? {
        b'u' if after.get(1..3) == Some(b"00") => {
            crate::path::hex_byte(after.get(3..5)?).map(|byte| (byte, 5))
        }
        b'x' => crate::path::hex_byte(after.get(1..3)?).map(|byte| (byte, 3)),
        escaped @ (b'/' | b'\\' | b'"') => Some((*escaped, 1)),
        _ => None,
    }
}

fn entity(after: &[u8]) -> Option<(u8, usize)> {
    let end = after.iter().take(12).position(|b| *b == b';')?;
    let name = std::str::from_utf8(&after[..end]).ok()?;
    let byte = match name {
        "amp" => b'&',
        "lt" => b'<',
        "gt" => b'>',
        "quot" => b'"',
        "apos" => b'\'',
        _ => match name.strip_prefix("#x").or(name.strip_prefix("#X")) {
            Some(hex) => u8::from_str_radix(hex, 16).ok()?,
            None => name.strip_prefix('#')?.parse().ok()?,
        },
    };
    Some((byte, end + 1))
}

fn unhex(run: &[u8]) -> Vec<u8> {
    run.chunks_exact(2).filter_map(crate::path::hex_byte).collect()
}
