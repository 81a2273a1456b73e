//! Character sets in which a secret can be found.
//!
//! Some servers write a reply in whatever character set the request's `Accept` names, EBCDIC among them.

use http::{HeaderMap, HeaderValue, header};

/// How the labels of supersets of ASCII begin, and UTF-16, which has forms of its own; letters and digits only.
const KNOWN: &[&str] = &[
    "utf8",
    "utf16",
    "ucs2",
    "ascii",
    "usascii",
    "iso8859",
    "latin",
    "windows",
    "cp125",
    "koi8",
    "gb",
    "big5",
    "shiftjis",
    "sjis",
    "euc",
    "tis620",
    "macintosh",
    "binary",
    "none",
];

/// Whether every `charset` of the reply is one in which a secret can be found. None at all is.
pub(super) fn all_known(fields: &HeaderMap) -> bool {
    let names_one =
        |value: &&HeaderValue| value.as_bytes().windows(7).any(|word| word.eq_ignore_ascii_case(b"charset"));
    let mut naming = fields.get_all(header::CONTENT_TYPE).iter().filter(names_one);
    naming.all(|value| labels(value).iter().all(|label| is_known(label)))
}

fn is_known(label: &str) -> bool {
    label.is_empty() || KNOWN.iter().any(|known| label.starts_with(known))
}

/// What follows each `charset=`, in lower case, without quotes and punctuation.
fn labels(value: &HeaderValue) -> Vec<String> {
    let value = String::from_utf8_lossy(value.as_bytes()).to_ascii_lowercase();
    let label = |rest: &str| {
        let rest = rest.trim_start_matches(['*', '=', ' ', '\t']);
        let end = rest.find([';', ',']).unwrap_or(rest.len());
        rest[..end].chars().filter(char::is_ascii_alphanumeric).collect()
    };
    value.split("charset").skip(1).map(label).collect()
}
