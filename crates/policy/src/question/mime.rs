//! A mail as its recipients read it (RFC 5322, RFC 2045 to 2047): who gets it, its subject and its text.
//!
//! Best effort for eyes only: the message as it is stands below, and is what is approved.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

/// Lenient about what pads the end.
const LOOSE: GeneralPurpose = GeneralPurpose::new(
    &base64::alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// How deep parts may hold parts.
const DEEPEST: usize = 4;

/// What a message says.
#[derive(Default)]
pub(super) struct Message {
    /// Names in lower case, values decoded, in order: those that people look at.
    pub(super) fields: Vec<(&'static str, String)>,
    /// Texts, and names of what is attached.
    pub(super) parts: Vec<(&'static str, String)>,
}

/// The fields that say who gets what from whom.
const SHOWN: [&str; 8] = ["from", "sender", "to", "cc", "bcc", "reply-to", "subject", "date"];

impl Message {
    pub(super) fn read(bytes: &[u8]) -> Self {
        let mut message = Self::default();
        let (fields, body) = split(bytes);
        for (name, value) in &fields {
            if let Some(shown) = SHOWN.into_iter().find(|shown| name == shown) {
                message.fields.push((shown, words(value)));
            }
        }
        message.part(&fields, body, 0);
        message
    }

    fn part(&mut self, fields: &[(String, String)], body: &[u8], depth: usize) {
        let of =
            |wanted: &str| fields.iter().find(|(name, _)| name == wanted).map(|(_, value)| value.as_str());
        let kind = of("content-type").unwrap_or("text/plain");
        let lower = kind.to_ascii_lowercase();
        if lower.trim_start().starts_with("multipart/")
            && depth < DEEPEST
            && let Some(boundary) = parameter(kind, "boundary")
        {
            return parts(body, &boundary).into_iter().for_each(|part| {
                let (fields, body) = split(part);
                self.part(&fields, body, depth + 1);
            });
        }
        let disposition = of("content-disposition").unwrap_or_default();
        if let Some(name) = parameter(disposition, "filename").or_else(|| parameter(kind, "name")) {
            self.parts.push(("attached", words(&name)));
        } else if lower.trim_start().starts_with("text/") {
            let decoded = decoded(body, of("content-transfer-encoding").unwrap_or_default());
            let label = if lower.trim_start().starts_with("text/html") { "html" } else { "text" };
            self.parts.push((label, String::from_utf8_lossy(&decoded).trim_end().to_owned()));
        } else {
            self.parts.push(("attached", format!("{} of {} bytes", kind.trim(), body.len())));
        }
    }
}

/// Fields, unfolded, and what follows them.
fn split(bytes: &[u8]) -> (Vec<(String, String)>, &[u8]) {
    let mut fields: Vec<(String, String)> = Vec::new();
    let mut rest = bytes;
    loop {
        let end = rest.iter().position(|b| *b == b'\n').map_or(rest.len(), |at| at + 1);
        let (line, after) = rest.split_at(end);
        let text = String::from_utf8_lossy(line);
        let text = text.trim_end_matches(['\r', '\n']);
        rest = after;
        if text.is_empty() {
            return (fields, rest);
        }
        if text.starts_with([' ', '\t']) {
            if let Some((_, value)) = fields.last_mut() {
                value.push_str(text);
            }
        } else if let Some((name, value)) = text.split_once(':') {
            fields.push((name.trim().to_ascii_lowercase(), value.trim().to_owned()));
        }
        if rest.is_empty() {
            return (fields, rest);
        }
    }
}

fn parameter(value: &str, wanted: &str) -> Option<String> {
    value.split(';').skip(1).find_map(|parameter| {
        let (name, value) = parameter.split_once('=')?;
        name.trim().eq_ignore_ascii_case(wanted).then(|| value.trim().trim_matches('"').to_owned())
    })
}

fn parts<'b>(body: &'b [u8], boundary: &str) -> Vec<&'b [u8]> {
    let delimiter = format!("--{boundary}");
    let mut parts = Vec::new();
    let (mut start, mut at) = (None, 0);
    while at <= body.len() {
        let end = body[at..].iter().position(|b| *b == b'\n').map_or(body.len(), |found| at + found + 1);
        if body[at..end].starts_with(delimiter.as_bytes()) {
            if let Some(start) = start {
                parts.push(&body[start..at]);
            }
            start = Some(end);
        }
        if end == body.len() {
            break;
        }
        at = end;
    }
    parts
}

fn decoded(body: &[u8], encoding: &str) -> Vec<u8> {
    match encoding.trim().to_ascii_lowercase().as_str() {
        "base64" => {
            let plain: Vec<u8> = body.iter().copied().filter(|b| !b.is_ascii_whitespace()).collect();
            LOOSE.decode(plain).unwrap_or_else(|_| body.to_vec())
        }
        "quoted-printable" => unquoted(body),
        _ => body.to_vec(),
    }
}

fn unquoted(text: &[u8]) -> Vec<u8> {
    let mut plain = Vec::with_capacity(text.len());
    let mut at = 0;
    while at < text.len() {
        match (text[at], text.get(at + 1), text.get(at + 2)) {
            (b'=', Some(b'\n'), _) => at += 1,
            (b'=', Some(b'\r'), Some(b'\n')) => at += 2,
            (b'=', Some(high), Some(low)) => {
                match (char::from(*high).to_digit(16), char::from(*low).to_digit(16)) {
                    (Some(high), Some(low)) => {
                        plain.push(u8::try_from(high * 16 + low).unwrap_or(b'?'));
                        at += 2;
                    }
                    _ => plain.push(b'='),
                }
            }
            (byte, ..) => plain.push(byte),
        }
        at += 1;
    }
    plain
}

/// Encoded words (RFC 2047, section 2) in UTF-8, ASCII or Latin 1, decoded; all else as it is.
fn words(value: &str) -> String {
    let mut text = String::new();
    let mut rest = value;
    while let Some(start) = rest.find("=?") {
        let parsed = word(&rest[start + 2..]);
        match parsed {
            Some((decoded, length)) => {
                // Blanks between two encoded words do not count.
                let between = &rest[..start];
                if text.is_empty() || !between.trim().is_empty() {
                    text.push_str(between);
                }
                text.push_str(&decoded);
                rest = &rest[start + 2 + length..];
            }
            None => {
                text.push_str(&rest[..start + 2]);
                rest = &rest[start + 2..];
            }
        }
    }
    text.push_str(rest);
    text
}

/// What follows `=?`, and how long it is. A word has at most 75 characters (RFC 2047, section 2); programs write longer ones.
fn word(text: &str) -> Option<(String, usize)> {
    const LONGEST: usize = 512;
    let text = &text[..text.floor_char_boundary(LONGEST)];
    let (set, rest) = text.split_once('?')?;
    let (encoding, rest) = rest.split_once('?')?;
    let (encoded, _) = rest.split_once("?=")?;
    let bytes = match encoding {
        "B" | "b" => STANDARD.decode(encoded).ok()?,
        "Q" | "q" => unquoted(encoded.replace('_', " ").as_bytes()),
        _ => return None,
    };
    let decoded = match set.to_ascii_lowercase().as_str() {
        "utf-8" | "us-ascii" => String::from_utf8(bytes).ok()?,
        "iso-8859-1" => bytes.into_iter().map(char::from).collect(),
        _ => return None,
    };
    Some((decoded, set.len() + 1 + encoding.len() + 1 + encoded.len() + 2))
}
