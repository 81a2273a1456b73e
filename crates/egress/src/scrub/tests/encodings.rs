//! The table of encodings (T04): each is written here by hand, independently of the needles.

use super::{CANARY, PLACEHOLDER, contains, finder, scrub};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use proptest::prelude::*;

/// Encodings that spell byte for byte: what comes back is the plain placeholder.
pub(super) fn spellings(secret: &str) -> Vec<(&'static str, String)> {
    let each = |write: &dyn Fn(u8) -> String| secret.bytes().map(write).collect::<String>();
    let reserved = |b: u8| !(b.is_ascii_alphanumeric() || b"-._~".contains(&b));
    let json = serde_json::to_string(secret).unwrap();
    let json = json[1..json.len() - 1].to_owned();
    let twice = serde_json::to_string(&json).unwrap();
    let thrice = serde_json::to_string(&twice[1..twice.len() - 1]).unwrap();
    let inside = |quoted: &str| quoted[1..quoted.len() - 1].to_owned();
    let html = |text: &str| {
        let text = text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
        text.replace('"', "&quot;").replace('\'', "&#39;")
    };
    vec![
        ("raw", secret.to_owned()),
        ("percent", each(&|b| format!("%{b:02X}"))),
        ("percent, lower case", each(&|b| format!("%{b:02x}"))),
        (
            "percent where reserved",
            each(&|b| if reserved(b) { format!("%{b:02X}") } else { char::from(b).into() }),
        ),
        ("percent twice", each(&|b| format!("%25{b:02X}"))),
        ("percent three times", each(&|b| format!("%2525{b:02x}"))),
        (
            "form",
            each(&|b| match b {
                b' ' => "+".into(),
                _ if reserved(b) => format!("%{b:02X}"),
                _ => char::from(b).into(),
            }),
        ),
        ("percent-u", each(&|b| format!("%u{b:04X}"))),
        ("JSON", json.clone()),
        ("JSON in JSON", twice[1..twice.len() - 1].to_owned()),
        ("JSON in JSON in JSON", thrice[1..thrice.len() - 1].to_owned()),
        ("JSON, slashes escaped", json.replace('/', "\\/")),
        ("JSON, all escaped", each(&|b| format!("\\u{b:04x}"))),
        ("JSON, all escaped, upper case", each(&|b| format!("\\u{b:04X}"))),
        ("JSON in JSON, all escaped", each(&|b| format!("\\\\u{b:04x}"))),
        ("JSON for HTML", json.replace('&', "\\u0026").replace('<', "\\u003c").replace('>', "\\u003e")),
        ("HTML", html(secret)),
        ("HTML twice", html(&html(secret))),
        ("HTML of JSON", html(&json)),
        ("JSON for HTML, of HTML", html(secret).replace('&', "\\u0026")),
        ("HTML, decimal", each(&|b| format!("&#{b};"))),
        ("HTML, hexadecimal", each(&|b| format!("&#x{b:x};"))),
        ("HTML, leading zeros", each(&|b| format!("&#X{b:06X};"))),
        ("percent of HTML", each(&|b| format!("%26%23{b}%3B"))),
        ("percent of JSON", each(&|b| format!("%5Cu{b:04x}"))),
        ("source, hexadecimal", each(&|b| format!("\\x{b:02x}"))),
        ("source, eight digits", each(&|b| format!("\\U{b:08x}"))),
        ("CSV", secret.replace('"', "\"\"")),
        ("SQL and YAML", secret.replace('\'', "''")),
        ("JSON of CSV", inside(&serde_json::to_string(&secret.replace('"', "\"\"")).unwrap())),
        ("shell, quoted", secret.replace('\'', "'\\''")),
        ("shell, quoted with the other quotes", secret.replace('\'', "'\"'\"'")),
        ("JSON of shell", inside(&serde_json::to_string(&secret.replace('\'', "'\\''")).unwrap())),
        (
            "shell, not quoted",
            each(&|b| match b.is_ascii_alphanumeric() {
                true => char::from(b).into(),
                false => format!("\\{}", char::from(b)),
            }),
        ),
        ("HTML, no semicolons", each(&|b| format!("&#x{b:08x}"))),
        ("source, octal", each(&|b| format!("\\{b:03o}"))),
        ("source, braces", each(&|b| format!("\\u{{{b:x}}}"))),
        (
            "markdown",
            each(&|b| {
                if b"\\`*_{}[]()#+-.!|".contains(&b) {
                    format!("\\{}", char::from(b))
                } else {
                    char::from(b).into()
                }
            }),
        ),
        (
            "percent and plain in turn",
            each(&|b| if b % 2 == 0 { format!("%{b:02x}") } else { char::from(b).into() }),
        ),
        (
            "JSON and HTML in turn",
            each(&|b| if b % 2 == 0 { format!("\\u{b:04x}") } else { format!("&#{b};") }),
        ),
    ]
}

/// Encodings that spell the whole, and what they look like of any value.
pub(super) fn wholes(value: &str) -> Vec<(&'static str, Vec<u8>)> {
    let hex = |write: fn(u8) -> String| value.bytes().map(write).collect::<String>().into_bytes();
    vec![
        ("hex", hex(|b| format!("{b:02x}"))),
        ("hex, upper case", hex(|b| format!("{b:02X}"))),
        ("UTF-16, little endian", value.encode_utf16().flat_map(u16::to_le_bytes).collect()),
        ("UTF-16, big endian", value.encode_utf16().flat_map(u16::to_be_bytes).collect()),
    ]
}

/// Base64 of the secret between neighbours, in ways in which it travels.
fn base64s(before: &str, value: &str, after: &str) -> Vec<(&'static str, String)> {
    let whole = format!("{before}{value}{after}");
    let standard = STANDARD.encode(&whole);
    let wrapped = |width: usize, with: &str| {
        let lines: Vec<_> = standard.as_bytes().chunks(width).map(|l| str::from_utf8(l).unwrap()).collect();
        lines.join(with)
    };
    vec![
        ("base64url", URL_SAFE_NO_PAD.encode(&whole)),
        ("base64 in JSON", standard.replace('/', "\\/")),
        ("base64 in a query", standard.replace('+', "%2B").replace('/', "%2F").replace('=', "%3D")),
        ("base64 in HTML", standard.replace('+', "&#43;").replace('/', "&#x2F;")),
        ("base64, lines of MIME", wrapped(76, "\r\n")),
        ("base64, lines of PEM", wrapped(64, "\n")),
        ("base64, short lines", wrapped(5, "\n")),
        ("base64, indented lines", wrapped(20, "\r\n    ")),
        ("base64, lines in JSON", wrapped(12, "\\n")),
        ("base64, lines in JSON of MIME", wrapped(12, "\\r\\n")),
        ("base64", standard),
    ]
}

/// The symbols that depend on the secret alone: found by changing what stands around it.
fn certain(before: &str, secret: &str, after: &str) -> String {
    let a = STANDARD.encode(format!("{before}{secret}{after}"));
    let flipped = |text: &str| text.bytes().map(|b| !b).collect::<Vec<u8>>();
    let b = STANDARD.encode([flipped(before), secret.as_bytes().to_vec(), flipped(after)].concat());
    let same: Vec<u8> =
        a.bytes().zip(b.bytes()).map(|(a, b)| if a == b && a != b'=' { a } else { b' ' }).collect();
    let text = String::from_utf8(same).unwrap();
    // The longest run of agreement is the secret's own.
    text.split(' ').max_by_key(|run| run.len()).unwrap_or_default().to_owned()
}

fn check(secret: &str, before: &str, after: &str) -> Result<(), TestCaseError> {
    let finder = finder(secret, PLACEHOLDER, None);
    for (name, encoded) in spellings(secret) {
        let text = format!("a\n{encoded}\nb");
        let clean = scrub(&finder, text.as_bytes().chunks(7));
        prop_assert_eq!(String::from_utf8(clean).unwrap(), format!("a\n{PLACEHOLDER}\nb"), "{}", name);
    }
    for ((name, encoded), (_, expected)) in wholes(secret).into_iter().zip(wholes(PLACEHOLDER)) {
        let clean = scrub(&finder, [&b"<"[..], &encoded, b">"].concat().chunks(7));
        let expected = [&b"<"[..], &expected, b">"].concat();
        // Hexadecimal digits without a letter do not tell in which case to answer.
        prop_assert!(clean.eq_ignore_ascii_case(&expected), "{}", name);
    }
    let certain = certain(before, secret, after);
    for (name, encoded) in base64s(before, secret, after) {
        let clean = scrub(&finder, encoded.as_bytes().chunks(7));
        let mut normal = String::from_utf8(clean).unwrap();
        for (from, to) in [
            ("\r", ""),
            ("\n", ""),
            (" ", ""),
            ("\\n", ""),
            ("\\r", ""),
            ("\\/", "/"),
            ("%2B", "+"),
            ("%2F", "/"),
            ("&#43;", "+"),
            ("&#x2F;", "/"),
            ("-", "+"),
            ("_", "/"),
        ] {
            normal = normal.replace(from, to);
        }
        prop_assert!(!contains(normal.as_bytes(), certain.as_bytes()), "{}: {}", name, normal);
    }
    Ok(())
}

#[test]
fn t01_t04_no_encoding_of_the_canary_comes_back() {
    for before in ["", "u", "us", "user:"] {
        check(CANARY, before, "").unwrap();
        check(CANARY, before, "&x").unwrap();
    }
}

#[test]
fn t04_a_secret_of_awkward_characters_does_not_come_back() {
    for secret in [
        "\\\\\\\\\\\\\\\\",
        "%41%41%41%41",
        "&amp;&amp;&amp;",
        "a+b c+d e+f",
        "\"\"\"\"\"\"\"\"",
        "////////",
        "\\u0041\\u0041",
        "%2541%2541",
        "++++++++",
        "aaaaaaaaaaaa",
        "00aPp0aP",
        "&#65;&#65;&#65;",
        "x\\/y\\/z\\/",
        "{\"a\":\"b'c<d>\"}",
    ] {
        check(secret, "ab", "c").unwrap();
    }
}

#[test]
fn a_secret_beyond_ascii_is_found_by_character_and_by_byte() {
    let secret = "schlüssel-😀-clé";
    let finder = finder(secret, PLACEHOLDER, None);
    let json: String = secret.encode_utf16().map(|u| format!("\\u{u:04x}")).collect();
    let html: String = secret.chars().map(|c| format!("&#{};", u32::from(c))).collect();
    let percent: String = secret.bytes().map(|b| format!("%{b:02X}")).collect();
    let only_some: String = secret
        .chars()
        .map(|c| if c.is_ascii() { c.into() } else { format!("&#x{:x};", u32::from(c)) })
        .collect();
    for text in [secret, &json, &html, &percent, &only_some] {
        assert_eq!(scrub(&finder, text.as_bytes().chunks(3)), PLACEHOLDER.as_bytes(), "{text}");
    }
}

#[test]
fn t04_a_secret_beyond_ascii_does_not_come_back_in_another_character_set_or_by_name() {
    let secret = "schlüssel-clé-×";
    let finder = finder(secret, PLACEHOLDER, None);
    let latin: Vec<u8> = secret.chars().map(|c| u8::try_from(c).unwrap()).collect();
    // What a server makes of it that takes the bytes of a field for ISO 8859-1.
    let twice: String = secret.bytes().map(char::from).collect();
    let named = secret.replace('ü', "&uuml;").replace('é', "&eacute;").replace('×', "&times;");
    for text in [latin, twice.into_bytes(), named.into_bytes()] {
        assert_eq!(scrub(&finder, text.chunks(3)), PLACEHOLDER.as_bytes(), "{}", text.escape_ascii());
    }
}

#[test]
fn t04_base64_of_the_secret_as_it_was_written_in_a_body_or_an_address_does_not_come_back() {
    let secret = "7Q2mZ9xKp4Lw\"8+R t/Y3v%Nc:6HsD5rT8k";
    let finder = finder(secret, PLACEHOLDER, None);
    let json = serde_json::to_string(secret).unwrap();
    let form = "7Q2mZ9xKp4Lw%228%2BR%20t%2FY3v%25Nc%3A6HsD5rT8k".to_owned();
    for written in [json.replace('/', "\\/"), json, form] {
        for before in ["", "k", "k="] {
            let sent = STANDARD.encode(format!("{before}{written}&z"));
            let clean = String::from_utf8(scrub(&finder, sent.as_bytes().chunks(7))).unwrap();
            // Twelve bytes without escapes begin it: sixteen symbols would give them away.
            assert!(!clean.contains(&sent[8..16]), "{written}: {clean}");
        }
    }
}

#[test]
fn the_whole_of_basic_credentials_becomes_those_of_the_placeholder() {
    use crate::scrub::BasicHalf;
    for (before, after) in [("user:", ""), ("x-access-token:", ""), ("", ":x"), ("", ":")] {
        let half = BasicHalf { before: before.as_bytes(), after: after.as_bytes() };
        let finder = finder(CANARY, PLACEHOLDER, Some(half));
        for chunk in [1, 5, 1000] {
            let sent = format!("Basic {}", STANDARD.encode(format!("{before}{CANARY}{after}")));
            let back = format!("Basic {}", STANDARD.encode(format!("{before}{PLACEHOLDER}{after}")));
            let clean = scrub(&finder, sent.as_bytes().chunks(chunk));
            assert_eq!(String::from_utf8(clean).unwrap(), back);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]
    #[test]
    fn t04_no_encoding_of_any_secret_comes_back(secret in "[ -~]{8,48}", before in "[ -~]{0,5}", after in "[ -~]{0,5}") {
        check(&secret, &before, &after)?;
    }
}
