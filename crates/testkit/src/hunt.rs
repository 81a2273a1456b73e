//! Looks for the canary in bytes, under every encoding in which it could come back.

use crate::TAIL;
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};
use std::io::Read;

/// One place where the canary was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hit {
    /// How it was encoded.
    pub form: String,
    /// Where it begins, in the bytes of that form.
    pub offset: usize,
}

/// Every sight of the canary in `bytes`: raw, hex, base64 at three alignments, UTF-16, and after one or two rounds of
/// percent, JSON and HTML decoding and gunzipping.
pub fn hunt(bytes: &[u8]) -> Vec<Hit> {
    let mut hits = Vec::new();
    look(bytes, "", 2, &mut hits);
    hits
}

fn look(bytes: &[u8], layer: &str, depth: usize, hits: &mut Vec<Hit>) {
    for (form, needle) in needles() {
        if let Some(offset) = memchr::memmem::find(bytes, &needle) {
            hits.push(Hit { form: format!("{layer}{form}"), offset });
        }
    }
    if depth == 0 {
        return;
    }
    for (name, decoded) in decodings(bytes) {
        if decoded != bytes {
            look(&decoded, &format!("{layer}{name}, then "), depth - 1, hits);
        }
    }
}

fn needles() -> Vec<(String, Vec<u8>)> {
    let tail = TAIL.as_bytes();
    let hex = |upper: bool| -> Vec<u8> {
        let digits = |b: &u8| if upper { format!("{b:02X}") } else { format!("{b:02x}") };
        tail.iter().map(digits).collect::<String>().into_bytes()
    };
    let wide =
        |big: bool| -> Vec<u8> { tail.iter().flat_map(|b| if big { [0, *b] } else { [*b, 0] }).collect() };
    let mut all = vec![
        ("raw".to_owned(), tail.to_vec()),
        ("hex".to_owned(), hex(false)),
        ("HEX".to_owned(), hex(true)),
        ("UTF-16LE".to_owned(), wide(false)),
        ("UTF-16BE".to_owned(), wide(true)),
    ];
    for skip in 0..3 {
        let padded = [&b"\0\0"[..skip], tail].concat();
        for (name, engine) in [("base64", &STANDARD), ("base64url", &URL_SAFE)] {
            let text = engine.encode(&padded);
            // The first symbols mix with what stands before, the last ones with what follows.
            let from = [0, 2, 3][skip];
            let to = padded.len() / 3 * 4;
            all.push((format!("{name} at alignment {skip}"), text.as_bytes()[from..to].to_vec()));
        }
    }
    all
}

fn decodings(bytes: &[u8]) -> Vec<(&'static str, Vec<u8>)> {
    let mut all = Vec::new();
    if bytes.contains(&b'%') {
        all.push(("percent", unescape(bytes, b"%", 2, 16, b"")));
    }
    if memchr::memmem::find(bytes, b"\\u00").is_some() {
        all.push(("JSON", unescape(bytes, b"\\u00", 2, 16, b"")));
    }
    if memchr::memmem::find(bytes, b"&#").is_some() {
        all.push(("HTML", unescape(&unescape(bytes, b"&#x", 2, 16, b";"), b"&#", 3, 10, b";")));
    }
    all.extend(gunzipped(bytes).map(|plain| ("gzip", plain)));
    all
}

/// Replaces `lead`, up to `digits` digits and `end` by the byte they name.
fn unescape(bytes: &[u8], lead: &[u8], digits: usize, radix: u32, end: &[u8]) -> Vec<u8> {
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let escape = bytes[at..].strip_prefix(lead).and_then(|rest| {
            let long = rest.iter().take(digits).take_while(|b| char::from(**b).is_digit(radix)).count();
            let value = u8::from_str_radix(std::str::from_utf8(&rest[..long]).ok()?, radix).ok()?;
            rest[long..].starts_with(end).then_some((value, lead.len() + long + end.len()))
        });
        match escape {
            Some((value, length)) => {
                decoded.push(value);
                at += length;
            }
            None => {
                decoded.push(bytes[at]);
                at += 1;
            }
        }
    }
    decoded
}

fn gunzipped(bytes: &[u8]) -> Option<Vec<u8>> {
    let start = memchr::memmem::find(bytes, &[0x1f, 0x8b, 8])?;
    let mut plain = Vec::new();
    // A truncated stream still yields what came before; that is what we look at.
    let _ = flate2::read::MultiGzDecoder::new(&bytes[start..]).take(16 << 20).read_to_end(&mut plain);
    (!plain.is_empty()).then_some(plain)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{CANARY, shaped};
    use std::io::Write;

    fn percent(text: &str, upper: bool) -> String {
        text.bytes().map(|b| if upper { format!("%{b:02X}") } else { format!("%{b:02x}") }).collect()
    }

    #[test]
    fn the_hunt_finds_the_canary_in_every_encoding() {
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        gzip.write_all(format!("{{\"key\":\"{CANARY}\"}}").as_bytes()).unwrap();
        let utf16: Vec<u8> = CANARY.encode_utf16().flat_map(u16::to_le_bytes).collect();
        let mut disguises = vec![
            CANARY.as_bytes().to_vec(),
            shaped("sk_live_").into_bytes(),
            percent(CANARY, true).into_bytes(),
            percent(CANARY, false).into_bytes(),
            CANARY.bytes().map(|b| format!("\\u00{b:02x}")).collect::<String>().into_bytes(),
            CANARY.bytes().map(|b| format!("&#{b};")).collect::<String>().into_bytes(),
            CANARY.bytes().map(|b| format!("&#x{b:X};")).collect::<String>().into_bytes(),
            CANARY.bytes().map(|b| format!("{b:02X}")).collect::<String>().into_bytes(),
            percent(&STANDARD.encode(format!("u:{CANARY}")), false).into_bytes(),
            utf16,
            gzip.finish().unwrap(),
        ];
        disguises
            .extend((0..6).map(|n| STANDARD.encode([&"user:"[..n.min(5)], CANARY].concat()).into_bytes()));
        disguises.extend(
            (0..6).map(|n| URL_SAFE.encode([&"user:"[..n.min(5)], CANARY, ":x"].concat()).into_bytes()),
        );
        for disguise in disguises {
            let around = [b"before ".to_vec(), disguise.clone(), b" after".to_vec()].concat();
            assert!(!hunt(&around).is_empty(), "{:?}", String::from_utf8_lossy(&disguise));
        }
    }

    #[test]
    fn the_hunt_finds_nothing_where_nothing_is() {
        assert_eq!(hunt(b"canary- 7Q2mZ9xKp4Lw8RtY3vNc6Hs %41 &#65; \\u0041 \x1f\x8b\x08"), []);
    }
}
