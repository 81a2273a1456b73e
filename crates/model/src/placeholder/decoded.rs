//! What a text may mean after one layer of decoding, leniently: the hunt wants every reading, not the right one.

use super::sighting::runs;
use super::stretch::SHORTEST;

/// Calls `hunt` with every text that `text` decodes to in one step; not at all where nothing looks encoded.
///
/// SECURITY: all escapes are undone in one text. A text for each kind of escape, three layers deep, would let a workload
/// buy 150 times the work that its body costs to send (T96).
pub(super) fn decodings(text: &[u8], hunt: &mut dyn FnMut(&[u8])) {
    if text.len() < SHORTEST {
        return;
    }
    let mut decoded = Vec::new();
    if text.iter().any(|b| matches!(b, b'%' | b'\\' | b'&') || is_filler(*b)) {
        unescape(text, &mut decoded);
        if decoded != text {
            hunt(&decoded);
        }
    }
    for run in runs(text, |b| b.is_ascii_hexdigit()).filter(|run| run.len() >= 2 * SHORTEST) {
        for skip in 0..2 {
            unhex(&run[skip..], &mut decoded);
            hunt(&decoded);
        }
    }
    for run in runs(text, is_sextet).filter(|run| run.len() >= SHORTEST * 4 / 3) {
        // The run may begin with other text: its first symbol is any of four in a group.
        for skip in 0..4 {
            unbase64(&run[skip..], &mut decoded);
            hunt(&decoded);
        }
    }
}

/// The six bits of each base64 symbol, in either alphabet (RFC 4648, sections 4 and 5); [`NONE`] for every other byte.
const SEXTETS: [u8; 256] = {
    let mut table = [NONE; 256];
    let alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut bits = 0u8;
    while bits < 64 {
        table[alphabet[bits as usize] as usize] = bits;
        bits += 1;
    }
    table[b'-' as usize] = 62;
    table[b'_' as usize] = 63;
    table
};
const NONE: u8 = 0xff;

fn is_sextet(symbol: u8) -> bool {
    SEXTETS[usize::from(symbol)] != NONE
}

fn sextet(symbol: u8) -> u32 {
    u32::from(SEXTETS[usize::from(symbol)])
}

/// Decodes symbols of base64; a last group of three or two is two bytes or one, whatever its last bits are.
fn unbase64(symbols: &[u8], decoded: &mut Vec<u8>) {
    let (groups, last) = symbols.as_chunks::<4>();
    decoded.clear();
    decoded.resize(groups.len() * 3, 0);
    for (out, group) in decoded.as_chunks_mut::<3>().0.iter_mut().zip(groups) {
        let bits = group.iter().fold(0, |bits, symbol| bits << 6 | sextet(*symbol));
        let [_, bytes @ ..] = bits.to_be_bytes();
        *out = bytes;
    }
    if let [_, _, ..] = last {
        let bits = last.iter().fold(0, |bits, symbol| bits << 6 | sextet(*symbol));
        let bytes = (bits << (6 * (4 - last.len()))).to_be_bytes();
        decoded.extend_from_slice(&bytes[1..last.len()]);
    }
}

/// Replaces each escape that is understood and leaves filler out.
fn unescape(text: &[u8], decoded: &mut Vec<u8>) {
    decoded.clear();
    decoded.reserve(text.len());
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

fn unhex(run: &[u8], decoded: &mut Vec<u8>) {
    decoded.clear();
    decoded.extend(run.chunks_exact(2).filter_map(crate::path::hex_byte));
}

#[cfg(test)]
mod tests {
    use super::*;
    use base64::Engine;
    use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};

    /// All that is looked at, for a hunt of three layers.
    fn work(text: &[u8], layers: usize) -> usize {
        let mut all = text.len();
        if layers > 0 {
            decodings(text, &mut |decoded| all += work(decoded, layers - 1));
        }
        all
    }

    #[test]
    fn base64_is_read_as_it_is_written() {
        let bytes: Vec<u8> = (0..=255).collect();
        for length in 0..=bytes.len() {
            let mut decoded = Vec::new();
            unbase64(URL_SAFE_NO_PAD.encode(&bytes[..length]).as_bytes(), &mut decoded);
            assert_eq!(decoded, &bytes[..length]);
            unbase64(STANDARD.encode(&bytes[..length]).trim_end_matches('=').as_bytes(), &mut decoded);
            assert_eq!(decoded, &bytes[..length]);
        }
    }

    #[test]
    fn t96_no_text_costs_many_times_its_length() {
        let symbols = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567".repeat(64);
        let escapes = [&b"%2541\\\\u0041&amp;#65;\0=\n"[..], b"%252541\\\\\\\\&amp;amp;amp;"].concat();
        let inner = STANDARD.encode([&escapes[..], &symbols].concat());
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
