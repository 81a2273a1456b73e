//! Whether some value of a body has a certain name, however tolerant its reader is: servers differ in what they take for a name.
//!
//! A name counts by its letters and digits alone. So a missed escape, a dot that PHP takes for an underscore, a blank, a bracket and
//! the zeros of UTF-16 make no difference.

use super::body::{FORM, is_json};
use http::HeaderMap;
use http::header::CONTENT_TYPE;

/// More bytes than any spelling of such a name has.
const LONGEST: usize = 256;

/// The name that is looked for: lower case, letters and digits.
pub(super) struct Wanted(pub(super) &'static str);

/// What stands around a name.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Marks {
    /// Quotation marks.
    Only,
    /// Those, or nothing.
    OrNone,
}

/// How a body is read, by the essence of its content type.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Form,
    Json,
    Parts,
    /// Another, or several.
    Any,
}

impl Kind {
    fn of(headers: &HeaderMap) -> Self {
        let mut kinds = headers.get_all(CONTENT_TYPE).iter().map(|value| Self::named(value.as_bytes()));
        match (kinds.next(), kinds.next()) {
            (Some(kind), None) => kind,
            (None, _) => Self::Form,
            _ => Self::Any,
        }
    }

    fn named(value: &[u8]) -> Self {
        let value = String::from_utf8_lossy(value).to_ascii_lowercase();
        let (essence, parameters) = value.split_once(';').unwrap_or((&value, ""));
        match essence.trim() {
            kind if kind.starts_with(FORM) => Self::Form,
            kind if is_json(kind) => Self::Json,
            kind if kind.starts_with("multipart/") && parameters.contains("boundary") => Self::Parts,
            _ => Self::Any,
        }
    }
}

impl Wanted {
    /// Whether a name means this one.
    pub(super) fn is(&self, name: &[u8]) -> bool {
        if name.len() > LONGEST || name.len() < self.0.len() {
            return false;
        }
        let name = unescaped(name);
        let mut letters = name.iter().filter(|byte| byte.is_ascii_alphanumeric());
        let mut wanted = self.0.bytes();
        loop {
            match (letters.next(), wanted.next()) {
                (None, None) => return true,
                (Some(letter), Some(wanted)) if letter.to_ascii_lowercase() == wanted => {}
                _ => return false,
            }
        }
    }

    /// Whether it names something in a body, as far as that is here.
    pub(super) fn is_in(&self, headers: &HeaderMap, body: &[u8]) -> bool {
        match Kind::of(headers) {
            Kind::Parts => self.is_in_parts(body),
            Kind::Form => self.is_in_form(body, b"&;") || self.is_in_json(body) == Some(true),
            Kind::Json => self.is_in_json(body).unwrap_or_else(|| self.is_somewhere(body, Marks::OrNone)),
            Kind::Any => self.is_in_json(body).unwrap_or_else(|| {
                let marks = if is_braced(body) { Marks::OrNone } else { Marks::Only };
                self.is_in_form(body, b"&") || self.is_somewhere(body, marks) || self.is_in_parts(body)
            }),
        }
    }

    fn is_in_form(&self, body: &[u8], separators: &[u8]) -> bool {
        let pairs = body.split(|byte| separators.contains(byte));
        pairs.into_iter().any(|pair| {
            let end = pair.iter().position(|byte| *byte == b'=');
            end.is_some_and(|end| self.is(&pair[..end]))
        })
    }

    /// Whether some member at any depth has this name and a text. `None`: it is not JSON, as far as it is here. What follows a
    /// value, duplicates and a missing end make no difference.
    fn is_in_json(&self, body: &[u8]) -> Option<bool> {
        let body = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body);
        let first = body.iter().find(|byte| !byte.is_ascii_whitespace());
        if !matches!(first, Some(b'{' | b'[' | b'"')) {
            return None;
        }
        let (mut at, mut names, mut found) = (0, None, false);
        while let Some(byte) = body.get(at) {
            match byte {
                b'"' => {
                    let text = string(&body[at + 1..]);
                    found |= names == Some(true);
                    names = Some(false).filter(|_| self.is(text));
                    at += text.len() + 1;
                }
                b':' => names = names.map(|_| true),
                byte if byte.is_ascii_whitespace() => {}
                b'{' | b'}' | b'[' | b']' | b',' => names = None,
                byte if byte.is_ascii_alphanumeric() || b"+-.".contains(byte) => names = None,
                _ => return None,
            }
            at += 1;
        }
        Some(found)
    }

    /// Whether the name stands before a colon or an equals sign: what is not JSON, a tolerant reader may take for it.
    fn is_somewhere(&self, body: &[u8], marks: Marks) -> bool {
        // UTF-16.
        let body: &[u8] = &body.iter().copied().filter(|byte| *byte != 0).collect::<Vec<_>>();
        let ends = body.iter().enumerate().filter(|(_, byte)| matches!(byte, b':' | b'='));
        let is_mark = |byte: &u8| matches!(byte, b'"' | b'\'' | b'`');
        ends.into_iter().any(|(end, _)| {
            let before = &body[end.saturating_sub(LONGEST)..end];
            let before = before.trim_ascii_end();
            let name = match before.split_last() {
                Some((mark, name)) if is_mark(mark) => name.rsplit(|byte| byte == mark).next(),
                _ if marks == Marks::Only => None,
                _ => before.rsplit(|byte| b"{}[],;&\"'`\n\r\t ".contains(byte)).next(),
            };
            name.is_some_and(|name| self.is(name))
        })
    }

    /// Whether a part of RFC 7578 has this name, quoted or not, extended, continued or said twice (RFC 2231, RFC 8187).
    fn is_in_parts(&self, body: &[u8]) -> bool {
        let mut lines =
            body.split(|byte| matches!(byte, b'\r' | b'\n')).filter(|line| !line.is_empty()).peekable();
        while let Some(line) = lines.next() {
            if !begins(line, b"content-disposition") {
                continue;
            }
            let mut field = line.to_vec();
            while let Some(more) = lines.next_if(|line| matches!(line.first(), Some(b' ' | b'\t'))) {
                field.extend_from_slice(more);
            }
            if self.is_said_in(&field) {
                return true;
            }
        }
        false
    }

    fn is_said_in(&self, disposition: &[u8]) -> bool {
        let mut joined = Vec::new();
        for parameter in disposition.split(|byte| *byte == b';').skip(1) {
            let Some(end) = parameter.iter().position(|byte| *byte == b'=') else { continue };
            let (key, value) = (parameter[..end].trim_ascii(), &parameter[end + 1..]);
            if !begins(key, b"name")
                || key.get(4).is_some_and(|byte| *byte != b'*' && !byte.is_ascii_whitespace())
            {
                continue;
            }
            let is_extended = key.ends_with(b"*");
            let value =
                if is_extended { value.rsplit(|byte| *byte == b'\'').next().unwrap_or(value) } else { value };
            joined.extend_from_slice(value);
            if self.is(value) {
                return true;
            }
        }
        self.is(&joined)
    }
}

/// Whether something like an object, or a remark before one, begins the body.
fn is_braced(body: &[u8]) -> bool {
    let first = body.iter().find(|byte| !byte.is_ascii_whitespace() && **byte != 0);
    matches!(first, Some(b'{' | b'[' | b'/'))
}

fn begins(line: &[u8], with: &[u8]) -> bool {
    line.get(..with.len()).is_some_and(|start| start.eq_ignore_ascii_case(with))
}

/// What of a JSON string stands before its closing mark.
fn string(text: &[u8]) -> &[u8] {
    let mut at = 0;
    while let Some(byte) = text.get(at) {
        match byte {
            b'"' => return &text[..at],
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
    text
}

/// Percent escapes and those of JSON undone; what only begins like one stays.
fn unescaped(name: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(name.len());
    let mut rest = name;
    while let Some((byte, after)) = rest.split_first() {
        let escape = match (byte, after) {
            (b'%', [b'u' | b'U', digits @ ..]) => digits.get(..4).map(|four| (four, 5)),
            (b'%', digits) => digits.get(..2).map(|two| (two, 2)),
            (b'\\', [b'u', digits @ ..]) => digits.get(..4).map(|four| (four, 5)),
            (b'\\', [b'x', digits @ ..]) => digits.get(..2).map(|two| (two, 3)),
            _ => None,
        };
        let number = escape.and_then(|(digits, length)| Some((number(digits)?, length)));
        let (decoded, length) = match number {
            // What is not ASCII is no letter of a name that is looked for.
            Some((number, length)) => (u8::try_from(number).unwrap_or(0xff), length),
            None => (*byte, 0),
        };
        out.push(decoded);
        rest = &after[length..];
    }
    out
}

fn number(digits: &[u8]) -> Option<u32> {
    let text = std::str::from_utf8(digits).ok().filter(|_| digits.iter().all(u8::is_ascii_hexdigit))?;
    u32::from_str_radix(text, 16).ok()
}
