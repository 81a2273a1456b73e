//! Bech32 (BIP 173) without its limit of 90 characters, as age writes recipients and identities.

use zeroize::Zeroizing;

const ALPHABET: &[u8; 32] = b"qpzry9x8gf2tvdw0s3jn54khce6mua7l";
/// Characters of the checksum.
const CHECKSUM: usize = 6;

/// The 32 bytes behind `text`, where it is in lower case and begins with `prefix` and `1`.
pub(super) fn decode(prefix: &str, text: &str) -> Option<Zeroizing<[u8; 32]>> {
    let data = text.strip_prefix(prefix)?.strip_prefix('1')?;
    let symbol = |c: u8| ALPHABET.iter().position(|known| *known == c).and_then(|at| u8::try_from(at).ok());
    let symbols: Option<Vec<u8>> = data.bytes().map(symbol).collect();
    let symbols = Zeroizing::new(symbols?);
    if checksum_of(prefix, &symbols) != 1 {
        return None;
    }
    let payload = symbols.get(..symbols.len().checked_sub(CHECKSUM)?)?;
    bytes_of(payload)
}

/// Eight bits of each five: what is left over is padding, and zero.
fn bytes_of(symbols: &[u8]) -> Option<Zeroizing<[u8; 32]>> {
    let mut bytes = Zeroizing::new([0; 32]);
    let (mut held, mut bits, mut at) = (0u32, 0, 0);
    for symbol in symbols {
        held = (held << 5 | u32::from(*symbol)) & 0xfff;
        bits += 5;
        if bits >= 8 {
            bits -= 8;
            *bytes.get_mut(at)? = u8::try_from(held >> bits & 0xff).ok()?;
            at += 1;
        }
    }
    (at == 32 && bits < 5 && held & ((1 << bits) - 1) == 0).then_some(bytes)
}

/// As [`decode`] reads it.
#[cfg(test)]
pub(super) fn encode(prefix: &str, bytes: &[u8; 32]) -> String {
    let mut symbols = Vec::new();
    let (mut held, mut bits) = (0u32, 0);
    for byte in bytes {
        held = (held << 8 | u32::from(*byte)) & 0xfff;
        bits += 8;
        while bits >= 5 {
            bits -= 5;
            symbols.push(u8::try_from(held >> bits & 31).unwrap());
        }
    }
    symbols.push(u8::try_from(held << (5 - bits) & 31).unwrap());
    let mut padded = symbols.clone();
    padded.extend([0; CHECKSUM]);
    let sum = checksum_of(prefix, &padded) ^ 1;
    symbols.extend((0..CHECKSUM).map(|at| u8::try_from(sum >> (5 * (CHECKSUM - 1 - at)) & 31).unwrap()));
    let text: String = symbols.iter().map(|symbol| char::from(ALPHABET[usize::from(*symbol)])).collect();
    format!("{prefix}1{text}")
}

fn checksum_of(prefix: &str, symbols: &[u8]) -> u32 {
    const GENERATOR: [u32; 5] = [0x3b6a_57b2, 0x2650_8e6d, 0x1ea1_19fa, 0x3d42_33dd, 0x2a14_62b3];
    let high = prefix.bytes().map(|byte| byte >> 5);
    let low = prefix.bytes().map(|byte| byte & 31);
    let all = high.chain([0]).chain(low).chain(symbols.iter().copied());
    all.fold(1, |sum, symbol| {
        let top = sum >> 25;
        let next = (sum & 0x01ff_ffff) << 5 ^ u32::from(symbol);
        let bits = GENERATOR.iter().enumerate();
        bits.fold(next, |sum, (at, part)| if top >> at & 1 == 1 { sum ^ part } else { sum })
    })
}
