//! A strict JSON reader (RFC 8259) that remembers where each value stands.
//!
//! SECURITY: the body is forwarded as it came, so whatever two parsers could read differently is refused here: duplicate
//! member names, lone surrogates, NUL, a byte order mark, trailing data, depth beyond 64 (T31).

use std::collections::HashSet;
use std::ops::Range;

/// How deep arrays and objects may be nested.
const DEEPEST: usize = 64;

/// One value and its byte range in the text.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Node {
    pub(crate) value: Json,
    pub(crate) span: Range<usize>,
}

/// A JSON value. Numbers stay as they are spelled.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Json {
    Null,
    Boolean(bool),
    Number(String),
    Text(String),
    Array(Vec<Node>),
    Object(Vec<(String, Node)>),
}

/// Parses a whole text. The error is one fixed sentence.
pub(crate) fn parse(bytes: &[u8]) -> Result<Node, &'static str> {
    let text = std::str::from_utf8(bytes).map_err(|_| "the json body is not UTF-8")?;
    let mut reader = Reader { text, at: 0 };
    reader.skip_blanks();
    let node = reader.value(0)?;
    reader.skip_blanks();
    if reader.at == text.len() { Ok(node) } else { Err("something follows the json value") }
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
}

const BROKEN: &str = "the body is not json";

impl<'a> Reader<'a> {
    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn skip_blanks(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    fn eat(&mut self, byte: u8) -> bool {
        let found = self.peek() == Some(byte);
        self.at += usize::from(found);
        found
    }

    fn value(&mut self, depth: usize) -> Result<Node, &'static str> {
        if depth > DEEPEST {
            return Err("the json body is nested too deeply");
        }
        let start = self.at;
        let value = match self.peek().ok_or(BROKEN)? {
            b'{' => self.object(depth)?,
            b'[' => self.array(depth)?,
            b'"' => Json::Text(self.string()?),
            b't' => self.word("true", Json::Boolean(true))?,
            b'f' => self.word("false", Json::Boolean(false))?,
            b'n' => self.word("null", Json::Null)?,
            _ => self.number()?,
        };
        Ok(Node { value, span: start..self.at })
    }

    fn word(&mut self, word: &str, value: Json) -> Result<Json, &'static str> {
        let found = self.text.as_bytes()[self.at..].starts_with(word.as_bytes());
        self.at += word.len();
        found.then_some(value).ok_or(BROKEN)
    }

    fn array(&mut self, depth: usize) -> Result<Json, &'static str> {
        self.at += 1;
        let mut items = Vec::new();
        self.skip_blanks();
        if self.eat(b']') {
            return Ok(Json::Array(items));
        }
        loop {
            self.skip_blanks();
            items.push(self.value(depth + 1)?);
            self.skip_blanks();
            if self.eat(b']') {
                return Ok(Json::Array(items));
            }
            self.eat(b',').then_some(()).ok_or(BROKEN)?;
        }
    }

    fn object(&mut self, depth: usize) -> Result<Json, &'static str> {
        self.at += 1;
        let mut members = Vec::new();
        let mut names = HashSet::new();
        self.skip_blanks();
        if self.eat(b'}') {
            return Ok(Json::Object(members));
        }
        loop {
            self.skip_blanks();
            let name = self.string()?;
            if !names.insert(name.clone()) {
                return Err("a json object has two members of one name");
            }
            self.skip_blanks();
            self.eat(b':').then_some(()).ok_or(BROKEN)?;
            self.skip_blanks();
            members.push((name, self.value(depth + 1)?));
            self.skip_blanks();
            if self.eat(b'}') {
                return Ok(Json::Object(members));
            }
            self.eat(b',').then_some(()).ok_or(BROKEN)?;
        }
    }

    /// `-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?`
    fn number(&mut self) -> Result<Json, &'static str> {
        let start = self.at;
        self.eat(b'-');
        if !self.eat(b'0') {
            self.digits()?;
        }
        if self.eat(b'.') {
            self.digits()?;
        }
        if self.eat(b'e') || self.eat(b'E') {
            if !self.eat(b'+') {
                self.eat(b'-');
            }
            self.digits()?;
        }
        Ok(Json::Number(self.text[start..self.at].to_owned()))
    }

    fn digits(&mut self) -> Result<(), &'static str> {
        let start = self.at;
        while self.peek().is_some_and(|b| b.is_ascii_digit()) {
            self.at += 1;
        }
        (self.at > start).then_some(()).ok_or(BROKEN)
    }

    fn string(&mut self) -> Result<String, &'static str> {
        self.eat(b'"').then_some(()).ok_or(BROKEN)?;
        let mut text = String::new();
        loop {
            let rest = &self.text[self.at..];
            let plain = rest.find(|c: char| c == '"' || c == '\\' || c < ' ').ok_or(BROKEN)?;
            text.push_str(&rest[..plain]);
            self.at += plain;
            match self.peek() {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(text);
                }
                Some(b'\\') => text.push(self.escape()?),
                _ => return Err("a json string has a control character"),
            }
        }
    }

    fn escape(&mut self) -> Result<char, &'static str> {
        let escaped = self.text.as_bytes().get(self.at + 1).copied().ok_or(BROKEN)?;
        self.at += 2;
        Ok(match escaped {
            b'"' | b'\\' | b'/' => char::from(escaped),
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'u' => return self.unicode_escape(),
            _ => return Err(BROKEN),
        })
    }

    fn unicode_escape(&mut self) -> Result<char, &'static str> {
        const LONE: &str = "a json string has half of a surrogate pair";
        let first = self.four_digits()?;
        let scalar = match first {
            0 => return Err("a json string has a NUL"),
            0xd800..=0xdbff => {
                if !(self.eat(b'\\') && self.eat(b'u')) {
                    return Err(LONE);
                }
                let second = self.four_digits()?;
                if !(0xdc00..=0xdfff).contains(&second) {
                    return Err(LONE);
                }
                0x1_0000 + ((first - 0xd800) << 10) + (second - 0xdc00)
            }
            other => other,
        };
        char::from_u32(scalar).ok_or(LONE)
    }

    fn four_digits(&mut self) -> Result<u32, &'static str> {
        let digits = self.text.as_bytes().get(self.at..self.at + 4).ok_or(BROKEN)?;
        self.at += 4;
        digits
            .iter()
            .try_fold(0, |value, digit| Some(value * 16 + char::from(*digit).to_digit(16)?))
            .ok_or(BROKEN)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::Value;

    /// The same value in the other library's terms.
    fn other(node: &Node) -> Value {
        match &node.value {
            Json::Null => Value::Null,
            Json::Boolean(flag) => Value::Bool(*flag),
            Json::Number(text) => serde_json::from_str(text).unwrap(),
            Json::Text(text) => Value::String(text.clone()),
            Json::Array(items) => Value::Array(items.iter().map(other).collect()),
            Json::Object(members) => {
                Value::Object(members.iter().map(|(name, node)| (name.clone(), other(node))).collect())
            }
        }
    }

    fn any_json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::Bool),
            any::<i64>().prop_map(Value::from),
            (-1e9f64..1e9).prop_map(Value::from),
            "[^\u{0}]{0,12}".prop_map(Value::String),
        ];
        leaf.prop_recursive(4, 40, 6, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..6).prop_map(Value::Array),
                prop::collection::hash_map("[^\u{0}]{0,6}", inner, 0..6)
                    .prop_map(|map| Value::Object(map.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn valid_json_reads_as_it_does_elsewhere(value in any_json(), pretty in any::<bool>()) {
            let text = if pretty { serde_json::to_string_pretty(&value) } else { serde_json::to_string(&value) }.unwrap();
            let node = parse(text.as_bytes()).unwrap();
            prop_assert_eq!(other(&node), serde_json::from_str::<Value>(&text).unwrap());
            prop_assert_eq!(&text[node.span.clone()], text.trim());
        }

        #[test]
        fn what_is_accepted_is_accepted_elsewhere_and_means_the_same(
            value in any_json(), at in any::<prop::sample::Index>(), byte in any::<u8>()
        ) {
            let mut text = serde_json::to_vec(&value).unwrap();
            let at = at.index(text.len());
            text[at] = byte;
            if let Ok(node) = parse(&text) {
                // Numbers beyond a double are refused there and only at constrained pointers here.
                if let Ok(elsewhere) = serde_json::from_slice::<Value>(&text) {
                    prop_assert_eq!(other(&node), elsewhere);
                } else {
                    prop_assert!(text.iter().any(|b| matches!(b, b'e' | b'E')));
                }
            }
        }
    }

    #[test]
    fn t31_json_with_two_readings_is_refused() {
        let deep = "[".repeat(100_000);
        let deeper = format!("{}1{}", "[".repeat(66), "]".repeat(66));
        for text in [
            "",
            " ",
            "{",
            "}",
            "[1,]",
            "[,1]",
            "{\"a\":1,}",
            "{\"a\" 1}",
            "{a:1}",
            "{'a':1}",
            "{\"a\":1,\"a\":2}",
            "{\"a\":1,\"\\u0061\":2}",
            "{\"x\":{\"a\":1,\"a\":1}}",
            "{\"a\":1}{}",
            "{\"a\":1} x",
            "1 2",
            "01",
            "-",
            "+1",
            "1.",
            ".5",
            "1e",
            "1e+",
            "NaN",
            "Infinity",
            "-Infinity",
            "nul",
            "tru",
            "True",
            "\"\\ud800\"",
            "\"\\udc00\"",
            "\"\\ud800\\u0041\"",
            "\"\\u0000\"",
            "\"a\u{0}b\"",
            "\"\n\"",
            "\"\\x41\"",
            "\"\\u00g0\"",
            "\"\\u00\"",
            "\"",
            "\"\\\"",
            "[1]\u{0}",
            "\u{feff}{}",
            "/**/1",
            "[1] // x",
            "{\"a\":1,,\"b\":2}",
            "\u{a0}1",
            "\u{c}1",
            &deep,
            &deeper,
        ] {
            assert!(parse(text.as_bytes()).is_err(), "{:?}", &text[..text.len().min(40)]);
        }
        assert!(parse(b"\"\xff\"").is_err());
        assert!(parse(b"\"\xc0\xaf\"").is_err());
        assert!(parse(b"\"\xed\xa0\x80\"").is_err());
    }

    #[test]
    fn a_value_knows_where_it_stands() {
        let text = " {\"a\": [1, \"x\\u0041\\ud83d\\ude00\"]} ";
        let node = parse(text.as_bytes()).unwrap();
        let Json::Object(members) = &node.value else { panic!() };
        let Json::Array(items) = &members[0].1.value else { panic!() };
        assert_eq!(items[1].value, Json::Text("xA\u{1f600}".into()));
        assert_eq!(&text[items[1].span.clone()], "\"x\\u0041\\ud83d\\ude00\"");
    }
}
