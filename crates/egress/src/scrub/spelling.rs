//! What the bytes at one position may stand for: themselves, or an escape of URLs, JSON, HTML and source code.
//!
//! Escapes nest: `%2541` is `%41` is `A`; `\\u0041` is JSON in JSON; `\u0026#65;` is HTML in JSON. Nesting of one kind is
//! read up to [`NESTING`] deep; another kind may wrap it once.

/// How often one kind of escape may be applied to itself.
const NESTING: usize = 3;
/// The longest run of backslashes before an escape: three layers of JSON make eight of one.
const BACKSLASHES: usize = 8;
/// More digits, leading zeros included, make no character reference.
const DIGITS: usize = 8;
/// The longest name in [`NAMES`].
const LONGEST_NAME: usize = 16;
/// More readings than any position can have.
const MOST: usize = 32;

/// One symbol of a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unit {
    /// A byte.
    Byte(u8),
    /// A character beyond ASCII, named by its number.
    Char(char),
}

/// One way to read a position, and where the text goes on after it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Reading {
    pub(super) unit: Unit,
    pub(super) end: usize,
}

/// Every way to read one position.
pub(super) struct Readings {
    list: [Reading; MOST],
    count: usize,
    /// Whether more input could add a reading.
    pub(super) more: bool,
}

impl Readings {
    fn none() -> Self {
        Self { list: [Reading { unit: Unit::Byte(0), end: 0 }; MOST], count: 0, more: false }
    }

    /// The readings.
    pub(super) fn all(&self) -> &[Reading] {
        &self.list[..self.count]
    }

    fn add(&mut self, unit: Unit, end: usize) {
        let reading = Reading { unit, end };
        if self.count < MOST && !self.all().contains(&reading) {
            self.list[self.count] = reading;
            self.count += 1;
        }
    }

    fn add_code(&mut self, code: u32, end: usize) {
        if let Ok(byte) = u8::try_from(code) {
            self.add(Unit::Byte(byte), end);
        }
        if let Some(c) = char::from_u32(code).filter(|c| !c.is_ascii()) {
            self.add(Unit::Char(c), end);
        }
    }
}

/// Whether a byte can be anything else than itself.
pub(super) fn is_special(byte: u8) -> bool {
    matches!(byte, b'%' | b'\\' | b'&' | b'+')
}

/// Every way to read `text` at `at`.
pub(super) fn read(text: &[u8], at: usize) -> Readings {
    read_to(text, at, 2)
}

/// Readings through at most `depth` kinds of escapes.
fn read_to(text: &[u8], at: usize, depth: usize) -> Readings {
    let mut readings = Readings::none();
    let Some(first) = text.get(at).copied() else {
        readings.more = true;
        return readings;
    };
    readings.add(Unit::Byte(first), at + 1);
    if first == b'+' {
        readings.add(Unit::Byte(b' '), at + 1);
    }
    if depth == 0 || !is_special(first) {
        return readings;
    }
    Escape { text, depth }.expand(first, at + 1, &mut readings);
    if depth > 1 {
        expand_wrapped(text, first, depth, &mut readings);
    }
    readings
}

/// Expands the leads that are themselves written as an escape of another kind: `%5Cu0041`, `&#37;41`, `\u0026lt;`.
fn expand_wrapped(text: &[u8], first: u8, depth: usize, readings: &mut Readings) {
    for index in 1..readings.count {
        let Reading { unit: Unit::Byte(lead), end } = readings.list[index] else { continue };
        if lead != first {
            Escape { text, depth }.expand(lead, end, readings);
        }
    }
}

/// Reads escapes in `text`; their punctuation may be escaped through one kind less than `depth`.
#[derive(Clone, Copy)]
struct Escape<'a> {
    text: &'a [u8],
    depth: usize,
}

impl Escape<'_> {
    fn expand(self, lead: u8, after: usize, readings: &mut Readings) {
        match lead {
            b'%' => self.percent(after, readings),
            b'\\' => self.backslash(after, readings),
            b'&' => self.entity(after, readings),
            _ => {}
        }
    }

    /// `%41`, `%2541`, `%u0041`.
    fn percent(self, after: usize, readings: &mut Readings) {
        if self.text.get(after).is_some_and(|b| matches!(b, b'u' | b'U')) {
            if let Some(code) = self.hex(after + 1, 4, readings) {
                readings.add_code(code, after + 5);
            }
            return;
        }
        for layer in 0..=NESTING {
            let at = after + 2 * layer;
            let Some(code) = self.hex(at, 2, readings) else { return };
            readings.add_code(code, at + 2);
            if code != u32::from(b'%') {
                return;
            }
        }
    }

    /// `\u0041`, `\u{41}`, `\U00000041`, `\x41`, `\101`, `\n`, `\/`, each behind one to [`BACKSLASHES`] backslashes.
    fn backslash(self, after: usize, readings: &mut Readings) {
        let mut at = after;
        for _ in 1..BACKSLASHES {
            let Some(end) = self.expect(b'\\', at, readings) else { break };
            readings.add(Unit::Byte(b'\\'), end);
            at = end;
        }
        match self.text.get(at).copied() {
            None => readings.more = true,
            Some(b'u') => self.unicode(at + 1, readings),
            Some(b'U') => {
                self.unicode(at + 1, readings);
                if let Some(code) = self.hex(at + 1, 8, readings) {
                    readings.add_code(code, at + 9);
                }
            }
            Some(b'x' | b'X') => {
                if let Some(code) = self.hex(at + 1, 2, readings) {
                    readings.add_code(code, at + 3);
                }
            }
            Some(b'0'..=b'3') => self.octal(at, readings),
            Some(b'n') => readings.add(Unit::Byte(b'\n'), at + 1),
            Some(b'r') => readings.add(Unit::Byte(b'\r'), at + 1),
            Some(b't') => readings.add(Unit::Byte(b'\t'), at + 1),
            Some(_) => self.punctuation(at, readings),
        }
    }

    /// `\"`, `\/`, `\_`, `\ `: a backslash before punctuation or a space, which may be escaped itself, as in `\&quot;`.
    fn punctuation(self, at: usize, readings: &mut Readings) {
        let escaped = read_to(self.text, at, self.depth - 1);
        readings.more |= escaped.more;
        for reading in escaped.all() {
            if matches!(reading.unit, Unit::Byte(b) if b.is_ascii_punctuation() || b == b' ') {
                readings.add(reading.unit, reading.end);
            }
        }
    }

    /// What follows `\u`: four digits, or digits in braces; two surrogates make one character.
    fn unicode(self, at: usize, readings: &mut Readings) {
        if self.text.get(at) == Some(&b'{') {
            let (code, end) = self.number(at + 1, 16, readings);
            if let Some(code) = code.filter(|_| self.text.get(end) == Some(&b'}')) {
                readings.add_code(code, end + 1);
            }
            return;
        }
        let Some(code) = self.hex(at, 4, readings) else { return };
        if (0xD800..0xDC00).contains(&code) {
            self.low_surrogate(code, at + 4, readings);
        } else {
            readings.add_code(code, at + 4);
        }
    }

    fn low_surrogate(self, high: u32, after: usize, readings: &mut Readings) {
        let mut at = after;
        for _ in 0..BACKSLASHES {
            let Some(end) = self.expect(b'\\', at, readings) else { break };
            at = end;
        }
        match self.text.get(at) {
            None => readings.more = true,
            Some(b'u' | b'U') if at > after => {
                if let Some(low @ 0xDC00..0xE000) = self.hex(at + 1, 4, readings) {
                    readings.add_code(0x10000 + ((high - 0xD800) << 10) + (low - 0xDC00), at + 5);
                }
            }
            Some(_) => {}
        }
    }

    fn octal(self, at: usize, readings: &mut Readings) {
        let mut code = 0;
        for index in at..at + 3 {
            match self.text.get(index) {
                None => return readings.more = true,
                Some(digit @ b'0'..=b'7') => code = code * 8 + u32::from(digit - b'0'),
                Some(_) => return,
            }
        }
        readings.add_code(code, at + 3);
    }

    /// `&#65;`, `&#x41;`, `&amp;`, `&amp;#65;`.
    fn entity(self, after: usize, readings: &mut Readings) {
        let mut at = after;
        for _ in 0..=NESTING {
            if let Some(digits) = self.expect(b'#', at, readings) {
                return self.character_reference(digits, readings);
            }
            let Some((byte, end)) = self.named(at, readings) else { return };
            readings.add_code(u32::from(byte), end);
            if byte != b'&' {
                return;
            }
            at = end;
        }
    }

    fn character_reference(self, at: usize, readings: &mut Readings) {
        let (code, end) = match self.text.get(at) {
            Some(b'x' | b'X') => self.number(at + 1, 16, readings),
            _ => self.number(at, 10, readings),
        };
        // Browsers read a number that no semicolon ends, too.
        let Some(code) = code else { return };
        readings.add_code(code, end);
        if let Some(end) = self.expect(b';', end, readings) {
            readings.add_code(code, end);
        }
    }

    fn named(self, at: usize, readings: &mut Readings) -> Option<(u8, usize)> {
        let rest = self.text.get(at..).unwrap_or_default();
        let length = rest.iter().take(LONGEST_NAME + 1).take_while(|b| b.is_ascii_alphanumeric()).count();
        let name = &rest[..length];
        if length == rest.len() {
            readings.more |= NAMES.iter().any(|(known, _)| known.starts_with(name));
            return None;
        }
        // Far more ampersands stand between query keys than begin a name: the semicolon is looked for first.
        let end = self.expect(b';', at + length, readings)?;
        let (_, byte) = NAMES.iter().find(|(known, _)| *known == name)?;
        Some((*byte, end))
    }

    /// Exactly `count` hexadecimal digits.
    fn hex(self, at: usize, count: usize, readings: &mut Readings) -> Option<u32> {
        let mut code = 0;
        for index in at..at + count {
            let Some(byte) = self.text.get(index) else {
                readings.more = true;
                return None;
            };
            code = code * 16 + char::from(*byte).to_digit(16)?;
        }
        Some(code)
    }

    /// Up to [`DIGITS`] digits, and where they end.
    fn number(self, at: usize, radix: u32, readings: &mut Readings) -> (Option<u32>, usize) {
        let rest = self.text.get(at..).unwrap_or_default();
        let digits = rest.iter().take(DIGITS).map_while(|b| char::from(*b).to_digit(radix));
        let (count, code) =
            digits.fold((0, 0u32), |(n, code), digit| (n + 1, code.wrapping_mul(radix).wrapping_add(digit)));
        readings.more |= count == rest.len();
        ((count > 0).then_some(code), at + count)
    }

    /// Where the text goes on after `byte`, which may be escaped.
    fn expect(self, byte: u8, at: usize, readings: &mut Readings) -> Option<usize> {
        match self.text.get(at).copied() {
            None => {
                readings.more = true;
                None
            }
            Some(b) if b == byte => Some(at + 1),
            Some(b) if self.depth > 1 && is_special(b) => {
                let escaped = read_to(self.text, at, self.depth - 1);
                readings.more |= escaped.more;
                escaped.all().iter().find(|r| r.unit == Unit::Byte(byte)).map(|r| r.end)
            }
            Some(_) => None,
        }
    }
}

/// Named character references of printable ASCII and of Latin-1 (HTML, section 13.5).
const NAMES: &[(&[u8], u8)] = &[
    (b"Tab", b'\t'),
    (b"NewLine", b'\n'),
    (b"excl", b'!'),
    (b"quot", b'"'),
    (b"QUOT", b'"'),
    (b"num", b'#'),
    (b"dollar", b'$'),
    (b"percnt", b'%'),
    (b"amp", b'&'),
    (b"AMP", b'&'),
    (b"apos", b'\''),
    (b"lpar", b'('),
    (b"rpar", b')'),
    (b"ast", b'*'),
    (b"midast", b'*'),
    (b"plus", b'+'),
    (b"comma", b','),
    (b"period", b'.'),
    (b"sol", b'/'),
    (b"colon", b':'),
    (b"semi", b';'),
    (b"lt", b'<'),
    (b"LT", b'<'),
    (b"equals", b'='),
    (b"gt", b'>'),
    (b"GT", b'>'),
    (b"quest", b'?'),
    (b"commat", b'@'),
    (b"lsqb", b'['),
    (b"lbrack", b'['),
    (b"bsol", b'\\'),
    (b"rsqb", b']'),
    (b"rbrack", b']'),
    (b"Hat", b'^'),
    (b"lowbar", b'_'),
    (b"UnderBar", b'_'),
    (b"grave", b'`'),
    (b"DiacriticalGrave", b'`'),
    (b"lcub", b'{'),
    (b"lbrace", b'{'),
    (b"verbar", b'|'),
    (b"vert", b'|'),
    (b"VerticalLine", b'|'),
    (b"rcub", b'}'),
    (b"rbrace", b'}'),
    (b"nbsp", 0xA0),
    (b"iexcl", 0xA1),
    (b"cent", 0xA2),
    (b"pound", 0xA3),
    (b"curren", 0xA4),
    (b"yen", 0xA5),
    (b"brvbar", 0xA6),
    (b"sect", 0xA7),
    (b"uml", 0xA8),
    (b"copy", 0xA9),
    (b"ordf", 0xAA),
    (b"laquo", 0xAB),
    (b"not", 0xAC),
    (b"shy", 0xAD),
    (b"reg", 0xAE),
    (b"macr", 0xAF),
    (b"deg", 0xB0),
    (b"plusmn", 0xB1),
    (b"sup2", 0xB2),
    (b"sup3", 0xB3),
    (b"acute", 0xB4),
    (b"micro", 0xB5),
    (b"para", 0xB6),
    (b"middot", 0xB7),
    (b"cedil", 0xB8),
    (b"sup1", 0xB9),
    (b"ordm", 0xBA),
    (b"raquo", 0xBB),
    (b"frac14", 0xBC),
    (b"frac12", 0xBD),
    (b"frac34", 0xBE),
    (b"iquest", 0xBF),
    (b"Agrave", 0xC0),
    (b"Aacute", 0xC1),
    (b"Acirc", 0xC2),
    (b"Atilde", 0xC3),
    (b"Auml", 0xC4),
    (b"Aring", 0xC5),
    (b"AElig", 0xC6),
    (b"Ccedil", 0xC7),
    (b"Egrave", 0xC8),
    (b"Eacute", 0xC9),
    (b"Ecirc", 0xCA),
    (b"Euml", 0xCB),
    (b"Igrave", 0xCC),
    (b"Iacute", 0xCD),
    (b"Icirc", 0xCE),
    (b"Iuml", 0xCF),
    (b"ETH", 0xD0),
    (b"Ntilde", 0xD1),
    (b"Ograve", 0xD2),
    (b"Oacute", 0xD3),
    (b"Ocirc", 0xD4),
    (b"Otilde", 0xD5),
    (b"Ouml", 0xD6),
    (b"times", 0xD7),
    (b"Oslash", 0xD8),
    (b"Ugrave", 0xD9),
    (b"Uacute", 0xDA),
    (b"Ucirc", 0xDB),
    (b"Uuml", 0xDC),
    (b"Yacute", 0xDD),
    (b"THORN", 0xDE),
    (b"szlig", 0xDF),
    (b"agrave", 0xE0),
    (b"aacute", 0xE1),
    (b"acirc", 0xE2),
    (b"atilde", 0xE3),
    (b"auml", 0xE4),
    (b"aring", 0xE5),
    (b"aelig", 0xE6),
    (b"ccedil", 0xE7),
    (b"egrave", 0xE8),
    (b"eacute", 0xE9),
    (b"ecirc", 0xEA),
    (b"euml", 0xEB),
    (b"igrave", 0xEC),
    (b"iacute", 0xED),
    (b"icirc", 0xEE),
    (b"iuml", 0xEF),
    (b"eth", 0xF0),
    (b"ntilde", 0xF1),
    (b"ograve", 0xF2),
    (b"oacute", 0xF3),
    (b"ocirc", 0xF4),
    (b"otilde", 0xF5),
    (b"ouml", 0xF6),
    (b"divide", 0xF7),
    (b"oslash", 0xF8),
    (b"ugrave", 0xF9),
    (b"uacute", 0xFA),
    (b"ucirc", 0xFB),
    (b"uuml", 0xFC),
    (b"yacute", 0xFD),
    (b"thorn", 0xFE),
    (b"yuml", 0xFF),
];

#[cfg(test)]
mod tests {
    use super::*;

    fn reads_as(text: &str, byte: u8) -> bool {
        read(text.as_bytes(), 0).all().contains(&Reading { unit: Unit::Byte(byte), end: text.len() })
    }

    #[test]
    fn t04_every_escape_of_a_letter_is_read() {
        for text in [
            "A",
            "%41",
            "%2541",
            "%252541",
            "%u0041",
            "\\u0041",
            "\\\\u0041",
            "\\\\\\\\u0041",
            "\\x41",
            "\\u{41}",
            "\\101",
            "&#65;",
            "&#x41;",
            "&#X41;",
            "&#0065;",
            "&amp;#65;",
            "%26%2365%3B",
            "%5Cu0041",
            "\\u0026#65;",
            "&#37;41",
            "&bsol;u0041",
            "\\u002541",
        ] {
            assert!(reads_as(text, b'A'), "{text}");
        }
    }

    #[test]
    fn t04_every_escape_of_punctuation_is_read() {
        for text in [
            "\"",
            "\\\"",
            "\\\\\\\"",
            "&quot;",
            "\\&quot;",
            "%5C%22",
            "%5C%5C%5C%22",
            "\\u0026quot;",
            "%26quot%3B",
        ] {
            assert!(reads_as(text, b'"'), "{text}");
        }
        for text in ["/", "\\/", "\\\\/", "\\\\\\/", "%2F", "%2f", "&sol;", "&#x2F;"] {
            assert!(reads_as(text, b'/'), "{text}");
        }
        for text in ["\\", "\\\\", "\\\\\\\\", "%5c", "&bsol;", "\\u005c"] {
            assert!(reads_as(text, b'\\'), "{text}");
        }
    }

    #[test]
    fn characters_beyond_ascii_are_read_by_number() {
        for (text, c) in [("\\u00e9", 'é'), ("&#233;", 'é'), ("\\ud83d\\ude00", '😀'), ("&#x1F600;", '😀')]
        {
            let readings = read(text.as_bytes(), 0);
            assert!(readings.all().contains(&Reading { unit: Unit::Char(c), end: text.len() }), "{text}");
        }
    }

    #[test]
    fn an_escape_that_is_cut_asks_for_more() {
        for text in
            ["%", "%4", "%25", "\\", "\\u", "\\u00", "\\\\", "&", "&#", "&#6", "&#x4", "&am", "\\ud83d", "%5"]
        {
            assert!(read(text.as_bytes(), 0).more, "{text}");
        }
        for text in ["%g", "\\w", "& ", "&#a", "&zzz", "A", "\n"] {
            assert!(!read(text.as_bytes(), 0).more, "{text}");
        }
    }
}
