//! What a text looks like to an eye, beside what it is: letters that pass for others, and what is not seen at all (T75).
//!
//! Whatever is shown is ASCII with all else escaped, so nothing here decides anything; it says what a person would have read.
//! The table is not all there is (UTS 39 has thousands); a letter that is not in it is still shown as an escape.

use crate::escape::quoted;

/// No longer text is looked at letter by letter: bodies are written by workloads.
const LONGEST: usize = 16 << 10;

/// What to look at twice in a text, in fixed words and quoted ones.
pub(crate) fn remarks(text: &str) -> Vec<String> {
    if text.is_ascii() {
        return Vec::new();
    }
    if text.len() > LONGEST {
        return vec!["is long and has characters beyond ASCII: letters may look like others".to_owned()];
    }
    let mut remarks = Vec::new();
    if text.chars().any(is_unseen) {
        remarks.push("has characters that are not seen, or that turn the order of others round".to_owned());
    }
    let seen: String = text.chars().filter(|c| !is_unseen(*c)).map(|c| ascii_like(c).unwrap_or(c)).collect();
    if seen != text && seen.is_ascii() && seen.len() <= 200 {
        remarks.push(format!("looks like {} and is not", quoted(&seen)));
    } else if text.chars().any(|c| ascii_like(c).is_some()) {
        remarks.push("has letters that look like others".to_owned());
    }
    let scripts = scripts(text);
    if let [one, two, ..] = scripts.as_slice() {
        remarks.push(format!("mixes letters of {one} and {two}"));
    }
    remarks
}

/// What an ASCII host could be taken for: digits and pairs of letters that pass for letters.
pub(crate) fn host_remarks(host: &str) -> Vec<String> {
    let mut remarks = Vec::new();
    let lookalike = |label: &str| {
        let bytes = label.as_bytes();
        let letter = |at: Option<&u8>| at.is_some_and(u8::is_ascii_alphabetic);
        // A digit that follows a letter directly, and is one of those that pass for a letter.
        (0..bytes.len()).any(|at| matches!(bytes[at], b'0' | b'1') && at > 0 && letter(bytes.get(at - 1)))
    };
    if host.split('.').any(lookalike) {
        let read: String = host
            .chars()
            .map(|c| match c {
                '0' => 'o',
                '1' => 'l',
                c => c,
            })
            .collect();
        remarks.push(format!("the host has digits among letters: it is not {}", quoted(&read)));
    }
    for label in host.split('.').filter(|label| label.starts_with("xn--")) {
        match punycode(&label[4..]) {
            Some(unicode) => {
                let mut line = format!("the label {label} is written {}", quoted(&unicode));
                for remark in self::remarks(&unicode) {
                    line.push_str(&format!("; it {remark}"));
                }
                remarks.push(line);
            }
            None => remarks.push(format!("the label {label} is no internationalised name")),
        }
    }
    remarks
}

fn is_unseen(c: char) -> bool {
    matches!(u32::from(c), 0xad | 0x34f | 0x61c | 0x115f | 0x1160 | 0x17b4 | 0x17b5 | 0x180b..=0x180f | 0x200b..=0x200f
        | 0x2028..=0x202e | 0x2060..=0x206f | 0x3164 | 0xfe00..=0xfe0f | 0xfeff | 0xffa0 | 0xfff9..=0xfffb | 0xe0000..=0xe0fff)
}

/// Letters that pass for ASCII ones, each with what it passes for.
const LOOKALIKES: &str = "\
    \u{430}a\u{435}e\u{43e}o\u{440}p\u{441}c\u{443}y\u{445}x\u{455}s\u{456}i\u{458}j\u{501}d\u{4bb}h\u{51b}q\u{51d}w\u{475}v\u{4cf}l\
    \u{433}r\u{43f}n\u{442}t\u{43a}k\u{43c}m\u{432}b\u{43d}h\u{410}A\u{412}B\u{415}E\u{41a}K\u{41c}M\u{41d}H\u{41e}O\u{420}P\u{421}C\
    \u{422}T\u{425}X\u{405}S\u{406}I\u{408}J\u{423}Y\u{437}3\u{417}3\
    \u{3b1}a\u{3b5}e\u{3bf}o\u{3c1}p\u{3bd}v\u{3b9}i\u{3ba}k\u{3c5}u\u{3c7}x\u{3b3}y\u{3c4}t\u{3c9}w\u{391}A\u{392}B\u{395}E\u{396}Z\u{397}H\
    \u{399}I\u{39a}K\u{39c}M\u{39d}N\u{39f}O\u{3a1}P\u{3a4}T\u{3a5}Y\u{3a7}X\
    \u{585}o\u{57d}u\u{570}h\u{578}n\u{581}g\u{56c}l\u{131}i\u{251}a\u{261}g\u{17f}s\u{1c0}l\u{2113}l\u{212a}K\u{1d00}a\u{1d04}c\u{1d0f}o\
    \u{2044}/\u{2215}/\u{29f8}/\u{2010}-\u{2011}-\u{2012}-\u{2013}-\u{2212}-\u{2024}.\u{3002}.\u{ff61}.\u{a0} \u{2002} \u{2003} \u{2009} \u{202f} \u{3000} ";

fn ascii_like(c: char) -> Option<char> {
    let code = u32::from(c);
    let letter = |at: u32| char::from_u32(if at < 26 { 0x41 + at } else { 0x61 + at - 26 });
    match code {
        0..=0x7f => None,
        0xff01..=0xff5e => char::from_u32(code - 0xfee0),
        // Mathematical letters: alphabets of 52; then digits.
        0x1d400..=0x1d6a3 => letter((code - 0x1d400) % 52),
        0x1d7ce..=0x1d7ff => char::from_u32(0x30 + (code - 0x1d7ce) % 10),
        0x2170 | 0x2160 => Some('i'),
        _ => {
            let mut pairs = LOOKALIKES.chars();
            while let (Some(own), Some(like)) = (pairs.next(), pairs.next()) {
                if own == c {
                    return Some(like);
                }
            }
            None
        }
    }
}

/// The scripts of the letters, each once. Coarse: enough to see that two alphabets meet in one word.
fn scripts(text: &str) -> Vec<&'static str> {
    let mut scripts: Vec<&'static str> = Vec::new();
    for script in text.chars().filter(|c| c.is_alphabetic()).filter_map(script) {
        if !scripts.contains(&script) {
            scripts.push(script);
        }
    }
    scripts
}

fn script(c: char) -> Option<&'static str> {
    Some(match u32::from(c) {
        0x41..=0x24f | 0x1e00..=0x1eff => "Latin",
        0x370..=0x3ff | 0x1f00..=0x1fff => "Greek",
        0x400..=0x52f => "Cyrillic",
        0x530..=0x58f => "Armenian",
        0x590..=0x5ff => "Hebrew",
        0x600..=0x6ff => "Arabic",
        0x13a0..=0x13ff => "Cherokee",
        _ => return None,
    })
}

/// RFC 3492, section 6.2. `None` where the text is no punycode.
fn punycode(text: &str) -> Option<String> {
    const BASE: u32 = 36;
    let (basic, extended) = text.rsplit_once('-').unwrap_or(("", text));
    let mut output: Vec<char> = basic.chars().collect();
    let (mut n, mut i, mut bias) = (128u32, 0u32, 72u32);
    let mut digits = extended.bytes();
    while digits.len() > 0 {
        let (start, mut weight, mut k) = (i, 1u32, BASE);
        loop {
            let digit = match digits.next()? {
                letter @ (b'a'..=b'z') => u32::from(letter - b'a'),
                number @ (b'0'..=b'9') => u32::from(number - b'0') + 26,
                _ => return None,
            };
            i = i.checked_add(digit.checked_mul(weight)?)?;
            let t = k.saturating_sub(bias).clamp(1, 26);
            if digit < t {
                break;
            }
            weight = weight.checked_mul(BASE - t)?;
            k += BASE;
        }
        let length = u32::try_from(output.len()).ok()? + 1;
        bias = adapted(i - start, length, start == 0);
        n = n.checked_add(i / length)?;
        i %= length;
        output.insert(usize::try_from(i).ok()?, char::from_u32(n)?);
        i += 1;
    }
    Some(output.into_iter().collect())
}

fn adapted(delta: u32, length: u32, first: bool) -> u32 {
    let mut delta = if first { delta / 700 } else { delta / 2 };
    delta += delta / length;
    let mut k = 0;
    while delta > 455 {
        delta /= 35;
        k += 36;
    }
    k + 36 * delta / (delta + 38)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn t75_what_passes_for_something_else_is_named() {
        for (text, expected) in [
            ("paypal", ""),
            ("p\u{430}yp\u{430}l", "looks like \"paypal\" and is not; mixes letters of Latin and Cyrillic"),
            ("\u{440}\u{430}\u{443}", "looks like \"pay\" and is not"),
            (
                "ann\u{200b}@example.com",
                "has characters that are not seen, or that turn the order of others round; looks like \"ann@example.com\" and is not",
            ),
            (
                "a\u{202e}b",
                "has characters that are not seen, or that turn the order of others round; looks like \"ab\" and is not",
            ),
            ("\u{ff41}\u{1d41b}\u{1d7cf}", "looks like \"ab1\" and is not"),
            ("caf\u{e9}", ""),
            ("caf\u{e9} \u{430}", "has letters that look like others; mixes letters of Latin and Cyrillic"),
            ("a\u{2044}b", "looks like \"a/b\" and is not"),
            ("\u{43f}\u{440}\u{438}\u{432}\u{435}\u{442}", "has letters that look like others"),
        ] {
            assert_eq!(remarks(text).join("; "), expected, "{text:?}");
        }
    }

    #[test]
    fn t75_a_punycode_host_is_shown_as_it_looks() {
        for (host, expected) in [
            ("api.example.com", ""),
            ("s3.eu-west-1.example.com", ""),
            (
                "xn--pypal-4ve.com",
                "the label xn--pypal-4ve is written \"p\\u{430}ypal\"; it looks like \"paypal\" and is not; it mixes letters of Latin and Cyrillic",
            ),
            (
                "xn--80ak6aa92e.com",
                "the label xn--80ak6aa92e is written \"\\u{430}\\u{440}\\u{440}\\u{4cf}\\u{435}\"; it looks like \"apple\" and is not",
            ),
            ("xn--bcher-kva.example", "the label xn--bcher-kva is written \"b\\u{fc}cher\""),
            ("xn--.example", "the label xn-- is written \"\""),
            ("xn--a_.example", "the label xn--a_ is no internationalised name"),
            ("paypa1.com", "the host has digits among letters: it is not \"paypal.com\""),
            ("g00gle.com", "the host has digits among letters: it is not \"google.com\""),
        ] {
            assert_eq!(host_remarks(host).join(" / "), expected, "{host}");
        }
    }
}
