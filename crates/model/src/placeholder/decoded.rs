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
///
/// SECURITY: all escapes are undone in one text. A text for each kind of escape, three layers deep, would let a workload
/// buy 150 times the work that its body costs to send (T96).
pub(super) fn decodings(text: &[u8]) -> Vec<Vec<u8>> {
    let mut all = Vec::new();
    if text.len() < SHORTEST {
        return all;
    }
    if text.iter().any(|b| matches!(b, b'%' | b'\\' | b'&') || is_filler(*b)) {
        all.extend(Some(unescape(text)).filter(|unescaped| unescaped != text));
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

/// Replaces each escape that is understood and leaves filler out.
fn unescape(text: &[u8]) -> Vec<u8> {
    let mut decoded = Vec::with_capacity(text.len());
    let mut rest = text;
    while let [first, after @ ..] = rest {
        let escape = match first {
            b'%' => percent(after),
            b'\\' => backslash(after),
            b'&' => entity(after),
            _ => None,
        };
        let (byte, length) = escape.unwrap_or((*first, 0));
        if escape.is_some() || !is_filler(byte) {
            decoded.push(byte);
        }
        rest = after.get(length..).unwrap_or_default();
    }
    decoded
}

/// The other half of UTF-16, and the line ends inside base64.
fn is_filler(byte: u8) -> bool {
    matches!(byte, 0 | b'\r' | b'\n')
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

#[cfg(test)]
mod tests {
    use super::*;

    /// All that is looked at, for a hunt of three layers.
    fn work(text: &[u8], layers: usize) -> usize {
        let deeper = |text: Vec<u8>| work(&text, layers - 1);
        text.len() + if layers == 0 { 0 } else { decodings(text).into_iter().map(deeper).sum() }
    }

    #[test]
    fn t96_no_text_costs_many_times_its_length() {
        let symbols = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567".repeat(64);
        let escapes = [&b"%2541\\\\u0041&amp;#65;\0=\n"[..], b"%252541\\\\\\\\&amp;amp;amp;"].concat();
        let inner = base64::engine::general_purpose::STANDARD.encode([&escapes[..], &symbols].concat());
        for (what, text) in [
            ("every escape", [&escapes[..], &symbols].concat()),
            ("nothing but escapes", escapes.repeat(64)),
            ("base64 of escapes, escaped", [&escapes[..], inner.as_bytes()].concat()),
            ("base64 at every alignment", [&escapes[..], &b"V".repeat(2048)].concat()),
            ("digits", [&escapes[..], &b"4142".repeat(512)].concat()),
        ] {
            let times = work(&text, 3) / text.len();
            assert!(times <= 48, "{what}: {times} times");
        }
    }
}
