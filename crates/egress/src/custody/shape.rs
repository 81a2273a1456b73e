//! From a secret to what its placeholders look like, without copying any of its random part.
//!
//! What is copied is a *public* prefix from the tables below, lengths, and where a format separates its parts. A prefix
//! that no table knows counts as random: a placeholder that lacks it is better than one that holds a piece of a secret.

use cloakroom_model::Shape;
use cloakroom_model::placeholder::{Alphabet, Piece};

/// Prefixes followed by random symbols of one alphabet. Longer ones stand before those they begin with.
const PREFIXES: &[(&str, Alphabet)] = &[
    ("sk_live_", Alphabet::Base62),
    ("sk_test_", Alphabet::Base62),
    ("rk_live_", Alphabet::Base62),
    ("rk_test_", Alphabet::Base62),
    ("pk_live_", Alphabet::Base62),
    ("pk_test_", Alphabet::Base62),
    ("whsec_", Alphabet::Base62),
    ("sk-ant-api03-", Alphabet::Base62),
    ("sk-ant-admin01-", Alphabet::Base62),
    ("sk-ant-oat01-", Alphabet::Base62),
    ("sk-proj-", Alphabet::Base62),
    ("sk-svcacct-", Alphabet::Base62),
    ("sk-or-v1-", Alphabet::Hex),
    ("sk-", Alphabet::Base62),
    ("glpat-", Alphabet::Base62),
    ("AKIA", Alphabet::Base32),
    ("ASIA", Alphabet::Base32),
    ("AIza", Alphabet::Base62),
    ("ya29.", Alphabet::Base62),
    ("pypi-AgEIcHlwaS5vcmc", Alphabet::Base62),
    ("pypi-", Alphabet::Base62),
    ("dop_v1_", Alphabet::Hex),
    ("doo_v1_", Alphabet::Hex),
    ("hf_", Alphabet::Base62),
    ("shpat_", Alphabet::Hex),
    ("shpss_", Alphabet::Hex),
    ("lin_api_", Alphabet::Base62),
    ("key-", Alphabet::Hex),
];

/// Prefixes followed by 30 random symbols and their checksum.
const CHECKED: &[&str] = &["ghp_", "gho_", "ghu_", "ghs_", "ghr_", "npm_"];

/// Prefixes followed by parts with a separator between them.
const PARTED: &[(&str, char)] = &[
    ("xoxb-", '-'),
    ("xoxp-", '-'),
    ("xoxa-", '-'),
    ("xoxe-", '-'),
    ("xapp-", '-'),
    ("SG.", '.'),
    ("github_pat_", '_'),
];

/// `{"alg":"RS256","typ":"JWT"}`
const JWT_HEADER: &str = "eyJhbGciOiJSUzI1NiIsInR5cCI6IkpXVCJ9";
/// `{"sub":"cloakroom"}` with no, one or two spaces before the brace: three lengths, so that the signature after it can
/// have a length that is valid base64url.
const JWT_PAYLOADS: [&str; 3] =
    ["eyJzdWIiOiJjbG9ha3Jvb20ifQ", "eyJzdWIiOiJjbG9ha3Jvb20iIH0", "eyJzdWIiOiJjbG9ha3Jvb20iICB9"];

/// The shape of placeholders for this secret: of the same length where that leaves 128 random bits.
pub(super) fn learn(secret: &str) -> Shape {
    checked(secret)
        .or_else(|| parted(secret))
        .or_else(|| prefixed(secret))
        .or_else(|| json_web_token(secret))
        .or_else(|| uuid(secret))
        .unwrap_or_else(|| plain(secret))
}

fn checked(secret: &str) -> Option<Shape> {
    let prefix = CHECKED.iter().find(|prefix| secret.starts_with(**prefix))?;
    Some(match secret.len() - prefix.len() {
        36 => Shape::new(vec![literal(prefix), Piece::Core(Alphabet::Base62, 30), Piece::Checksum]),
        _ => Shape::prefixed(prefix, Alphabet::Base62, secret.len()),
    })
}

/// The last part holds the core; digits stay digits.
fn parted(secret: &str) -> Option<Shape> {
    let (prefix, separator) = PARTED.iter().find(|(prefix, _)| secret.starts_with(prefix))?;
    let mut pieces = vec![literal(prefix)];
    let mut parts = secret[prefix.len()..].split(*separator).peekable();
    while let Some(part) = parts.next() {
        let last = parts.peek().is_none();
        match part {
            _ if last && is_hex(part) => pieces.push(Piece::Core(Alphabet::Hex, part.len())),
            _ if last => pieces.push(Piece::Core(Alphabet::Base62, part.len())),
            "" => {}
            _ if part.bytes().all(|b| b.is_ascii_digit()) => {
                pieces.push(Piece::Filler(Alphabet::Digits, part.len()));
            }
            _ => pieces.push(Piece::Filler(Alphabet::Base62, part.len())),
        }
        if !last {
            pieces.push(Piece::Literal(separator.to_string()));
        }
    }
    Some(Shape::new(pieces))
}

fn prefixed(secret: &str) -> Option<Shape> {
    let (prefix, alphabet) = PREFIXES.iter().find(|(prefix, _)| secret.starts_with(prefix))?;
    Some(Shape::prefixed(prefix, *alphabet, secret.len()))
}

/// A JSON Web Token of which programs can decode header and payload; the core is the signature.
fn json_web_token(secret: &str) -> Option<Shape> {
    let base64url = |part: &str| part.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'));
    let parts: Vec<&str> = secret.split('.').collect();
    let is_token = parts.len() == 3
        && parts[0].starts_with("eyJ")
        && parts[1].starts_with("eyJ")
        && parts.iter().all(|part| base64url(part));
    is_token.then_some(())?;
    let signature = |payload: &str| secret.len().saturating_sub(JWT_HEADER.len() + payload.len() + 2);
    // No trailing bits is best; a remainder of one symbol is not base64.
    let best = |remainder: usize| JWT_PAYLOADS.iter().find(|payload| signature(payload) % 4 == remainder);
    let payload = best(0).or_else(|| best(3)).or_else(|| best(2)).unwrap_or(&JWT_PAYLOADS[0]);
    let frame = literal(&format!("{JWT_HEADER}.{payload}."));
    Some(Shape::new(vec![frame, Piece::Core(Alphabet::Base62, signature(payload))]))
}

fn uuid(secret: &str) -> Option<Shape> {
    let dashes = [8, 13, 18, 23];
    let symbol = |(at, byte): (usize, u8)| match dashes.contains(&at) {
        true => byte == b'-',
        false => byte.is_ascii_hexdigit(),
    };
    let is_uuid = secret.len() == 36 && secret.bytes().enumerate().all(symbol);
    is_uuid.then(|| Shape::new(vec![Piece::Core(Alphabet::Uuid, 32)]))
}

fn plain(secret: &str) -> Shape {
    let alphabet = if is_hex(secret) { Alphabet::Hex } else { Alphabet::Base62 };
    Shape::prefixed("", alphabet, secret.chars().count())
}

fn is_hex(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}

fn literal(text: &str) -> Piece {
    Piece::Literal(text.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use cloakroom_model::LookupKey;

    /// `n` symbols of a canary, cut from `alphabet`; no secret of anybody.
    fn random(alphabet: &str, n: usize) -> String {
        let symbols: Vec<char> = alphabet.chars().collect();
        let canary = b"canary-7Q2mZ9xKp4Lw8RtY3vNc6HsD";
        let mut state = 7usize;
        (0..n)
            .map(|i| {
                state = state.wrapping_mul(31).wrapping_add(usize::from(canary[i % canary.len()]) + i);
                symbols[(state >> 3) % symbols.len()]
            })
            .collect()
    }

    fn b62(n: usize) -> String {
        random("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz", n)
    }

    fn hex(n: usize) -> String {
        random("0123456789abcdef", n)
    }

    fn mint(secret: &str) -> String {
        let minted = LookupKey::from_bytes(&[5; 32]).mint(&learn(secret)).unwrap();
        minted.text.reveal().to_owned()
    }

    /// A pattern is a list of parts: `x` base62, `h` hexadecimal, `9` digits, `B` base32, that many; with 0 the text itself.
    fn fits(text: &str, pattern: &[(&str, usize)]) -> bool {
        let mut rest = text;
        for (what, count) in pattern {
            if *count == 0 {
                let Some(after) = rest.strip_prefix(what) else { return false };
                rest = after;
                continue;
            }
            let Some((part, after)) = rest.split_at_checked(*count) else { return false };
            let good = |b: u8| match *what {
                "x" => b.is_ascii_alphanumeric(),
                "h" => matches!(b, b'0'..=b'9' | b'a'..=b'f'),
                "9" => b.is_ascii_digit(),
                _ => matches!(b, b'A'..=b'Z' | b'2'..=b'7'),
            };
            if !part.bytes().all(good) {
                return false;
            }
            rest = after;
        }
        rest.is_empty()
    }

    type Pattern = Vec<(&'static str, usize)>;

    /// Public part, random part, what the placeholder must look like.
    fn cases() -> Vec<(String, String, Pattern)> {
        let plain = |prefix: &'static str, n: usize| (prefix.to_owned(), b62(n), vec![(prefix, 0), ("x", n)]);
        let mut cases: Vec<_> = [
            "sk_live_",
            "sk_test_",
            "rk_live_",
            "pk_live_",
            "whsec_",
            "sk-proj-",
            "sk-ant-api03-",
            "sk-",
            "hf_",
            "lin_api_",
            "ya29.",
            "AIza",
            "pypi-",
        ]
        .map(|prefix| plain(prefix, 40))
        .into();
        for prefix in ["ghp_", "gho_", "ghu_", "ghs_", "ghr_", "npm_"] {
            cases.push(plain(prefix, 36));
            cases.push(plain(prefix, 50));
        }
        for prefix in ["dop_v1_", "shpat_", "key-"] {
            cases.push((prefix.into(), hex(64), vec![(prefix, 0), ("h", 64)]));
        }
        cases.push(("shpat_".into(), hex(32), vec![("shpat_", 0), ("h", 40)]));
        cases.push(("glpat-".into(), b62(20), vec![("glpat-", 0), ("x", 28)]));
        for prefix in ["AKIA", "ASIA"] {
            let symbols = random("ABCDEFGHIJKLMNOPQRSTUVWXYZ234567", 16);
            cases.push((prefix.into(), symbols, vec![(prefix, 0), ("B", 33)]));
        }
        cases.push((
            "github_pat_".into(),
            format!("{}_{}", b62(22), b62(59)),
            vec![("github_pat_", 0), ("x", 22), ("_", 0), ("x", 59)],
        ));
        let digits = |n| random("0123456789", n);
        cases.push((
            "xoxb-".into(),
            format!("{}-{}-{}", digits(12), digits(13), b62(24)),
            vec![("xoxb-", 0), ("9", 12), ("-", 0), ("9", 13), ("-", 0), ("x", 24)],
        ));
        cases.push((
            "xoxp-".into(),
            format!("{}-{}-{}-{}", digits(12), digits(12), digits(12), hex(64)),
            vec![("xoxp-", 0), ("9", 12), ("-", 0), ("9", 12), ("-", 0), ("9", 12), ("-", 0), ("h", 64)],
        ));
        cases.push((
            "SG.".into(),
            format!("{}.{}", b62(22), b62(43)),
            vec![("SG.", 0), ("x", 22), (".", 0), ("x", 43)],
        ));
        cases.push((String::new(), hex(40), vec![("h", 40)]));
        cases.push((String::new(), b62(40), vec![("x", 40)]));
        cases.push((String::new(), format!("{}/+={}", b62(20), b62(20)), vec![("x", 43)]));
        cases.push((String::new(), b62(8), vec![("x", 28)]));
        cases.push(("acme_".into(), b62(40), vec![("x", 45)]));
        let d = hex(32);
        let uuid = [&d[..8], &d[8..12], &d[12..16], &d[16..20], &d[20..]].join("-");
        let layout =
            vec![("h", 8), ("-", 0), ("h", 4), ("-", 0), ("h", 4), ("-", 0), ("h", 4), ("-", 0), ("h", 12)];
        cases.push((String::new(), uuid, layout));
        cases
    }

    #[test]
    fn a_placeholder_looks_like_the_secret_it_stands_for() {
        for (public, random, pattern) in cases() {
            let placeholder = mint(&format!("{public}{random}"));
            assert!(fits(&placeholder, &pattern), "{public}: {placeholder} is not {pattern:?}");
        }
    }

    #[test]
    fn t69_no_piece_of_the_random_part_is_in_the_shape() {
        for (public, random, _) in cases() {
            let secret = format!("{public}{random}");
            let shape = serde_json::to_string(&learn(&secret)).unwrap();
            for piece in random.as_bytes().windows(6) {
                let piece = std::str::from_utf8(piece).unwrap();
                assert!(!shape.contains(piece), "{piece} of {secret} is in {shape}");
            }
        }
    }

    #[test]
    fn a_prefix_that_no_table_knows_counts_as_random() {
        let shape = serde_json::to_string(&learn("canary-7Q2mZ9xKp4Lw8RtY3vNc6HsD")).unwrap();
        assert!(!shape.contains("canary"), "{shape}");
        assert_eq!(mint("canary-7Q2mZ9xKp4Lw8RtY3vNc6HsD").len(), 31);
    }

    #[test]
    fn a_json_web_token_keeps_its_length_and_decodes() {
        use base64::Engine;
        use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};
        let lenient = GeneralPurpose::new(
            &base64::alphabet::URL_SAFE,
            GeneralPurposeConfig::new()
                .with_decode_padding_mode(base64::engine::DecodePaddingMode::RequireNone)
                .with_decode_allow_trailing_bits(true),
        );
        for length in 30..60 {
            let secret = format!("eyJhbGciOiJFUzI1NiJ9.eyJpc3MiOiJleGFtcGxlIn0{}.{}", b62(20), b62(length));
            let placeholder = mint(&secret);
            assert_eq!(placeholder.len(), secret.len());
            let parts: Vec<&str> = placeholder.split('.').collect();
            assert_eq!(parts.len(), 3);
            for (part, what) in parts.iter().zip(["alg", "sub", ""]) {
                let decoded = lenient.decode(part).unwrap();
                if !what.is_empty() {
                    let json: serde_json::Value = serde_json::from_slice(&decoded).unwrap();
                    assert!(json.get(what).is_some());
                }
            }
            assert!(!placeholder.contains(&secret[21..40]));
        }
    }
}
