//! The words of a GraphQL document (specification of September 2025, section 2.1).
//!
//! SECURITY: a reader that ends a comment or a string elsewhere than the server does could take a mutation for part of it.
//! So whatever some reader treats as the end of a line, or does not treat at all, is refused: control characters but tab and
//! line ends, and the two Unicode separators that older readers end a comment at.

use super::Unknown;

/// One word.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Word<'t> {
    Name(&'t str),
    /// `{ } ( ) [ ] : = ! | & $ @`
    Sign(char),
    /// `...`
    Spread,
    /// A number or a string, whose value says nothing here.
    Value,
}

const BROKEN: Unknown = "the GraphQL document does not parse";

/// Splits a document into words.
pub(super) fn words(text: &str) -> Result<Vec<Word<'_>>, Unknown> {
    if text.chars().any(is_odd) {
        return Err("the GraphQL document has a control character or a Unicode line end");
    }
    let mut reader = Reader { text, at: 0 };
    let mut words = Vec::new();
    while let Some(word) = reader.next()? {
        words.push(word);
    }
    Ok(words)
}

fn is_odd(c: char) -> bool {
    (c.is_control() && !matches!(c, '\t' | '\n' | '\r')) || matches!(c, '\u{2028}' | '\u{2029}')
}

struct Reader<'t> {
    text: &'t str,
    at: usize,
}

impl<'t> Reader<'t> {
    fn rest(&self) -> &'t str {
        &self.text[self.at..]
    }

    fn next(&mut self) -> Result<Option<Word<'t>>, Unknown> {
        self.skip_ignored();
        let rest = self.rest();
        let Some(first) = rest.chars().next() else { return Ok(None) };
        let word = match first {
            '{' | '}' | '(' | ')' | '[' | ']' | ':' | '=' | '!' | '|' | '&' | '$' | '@' => {
                self.at += 1;
                Word::Sign(first)
            }
            '.' if rest.starts_with("...") => {
                self.at += 3;
                Word::Spread
            }
            '"' => self.string()?,
            '_' | 'a'..='z' | 'A'..='Z' => Word::Name(self.run(|b| b == b'_' || b.is_ascii_alphanumeric())),
            '-' | '0'..='9' => self.number()?,
            _ => return Err(BROKEN),
        };
        Ok(Some(word))
    }

    /// Blanks, commas, line ends, comments, and a byte order mark (section 2.1.7).
    fn skip_ignored(&mut self) {
        loop {
            let rest = self.rest();
            let blanks = rest.trim_start_matches([' ', '\t', '\n', '\r', ',', '\u{feff}']);
            self.at += rest.len() - blanks.len();
            if !blanks.starts_with('#') {
                return;
            }
            self.at += blanks.find(['\n', '\r']).unwrap_or(blanks.len());
        }
    }

    fn run(&mut self, belongs: impl Fn(u8) -> bool) -> &'t str {
        let rest = self.rest();
        let end = rest.bytes().position(|b| !belongs(b)).unwrap_or(rest.len());
        self.at += end;
        &rest[..end]
    }

    /// A number is followed by neither a name nor a dot (section 2.9.1).
    fn number(&mut self) -> Result<Word<'t>, Unknown> {
        let text = self.run(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'+' | b'.' | b'_'));
        let json = crate::json::parse(text.as_bytes());
        if json.is_ok() { Ok(Word::Value) } else { Err(BROKEN) }
    }

    fn string(&mut self) -> Result<Word<'t>, Unknown> {
        let rest = self.rest();
        if let Some(block) = rest.strip_prefix("\"\"\"") {
            return self.block(block);
        }
        let mut escaped = false;
        for (at, c) in rest.char_indices().skip(1) {
            match c {
                '\n' | '\r' => return Err(BROKEN),
                _ if escaped => escaped = false,
                '\\' => escaped = true,
                '"' => {
                    self.at += at + 1;
                    return Ok(Word::Value);
                }
                _ => {}
            }
        }
        Err(BROKEN)
    }

    /// Up to `"""` that has no backslash before it.
    fn block(&mut self, block: &'t str) -> Result<Word<'t>, Unknown> {
        let mut from = 0;
        while let Some(found) = block[from..].find("\"\"\"") {
            let at = from + found;
            if !block[..at].ends_with('\\') {
                self.at += 3 + at + 3;
                return Ok(Word::Value);
            }
            from = at + 3;
        }
        Err(BROKEN)
    }
}
