//! The body of a token endpoint's reply as a tree: JSON without duplicate names, or a form. Wiped on drop.

use cloakroom_model::Query;
use serde::de::{self, Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use std::fmt;
use zeroize::Zeroizing;

/// More levels than any token endpoint's reply has.
const DEEPEST: usize = 16;

/// A value. Neither `Clone` nor `Debug`: it may be a token.
pub(super) enum Value {
    Text(Zeroizing<String>),
    /// A number, a boolean or null, as it is written.
    Plain(Zeroizing<String>),
    Object(Members),
    Array(Vec<Value>),
}

/// Members in order, each name once.
pub(super) type Members = Vec<(String, Value)>;

impl Value {
    pub(super) fn text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }
}

/// Reads one JSON object and nothing after it.
pub(super) fn json(bytes: &[u8]) -> Option<Members> {
    let Value::Object(members) = serde_json::from_slice(bytes).ok()? else { return None };
    let shallow = |members: &Members| members.iter().all(|(_, value)| depth(value) < DEEPEST);
    shallow(&members).then_some(members)
}

fn depth(value: &Value) -> usize {
    match value {
        Value::Text(_) | Value::Plain(_) => 0,
        Value::Object(members) => 1 + members.iter().map(|(_, value)| depth(value)).max().unwrap_or(0),
        Value::Array(items) => 1 + items.iter().map(depth).max().unwrap_or(0),
    }
}

/// Reads `application/x-www-form-urlencoded`, in the one spelling that has no two readings.
pub(super) fn form(bytes: &[u8]) -> Option<Members> {
    let mut members = Members::new();
    for pair in bytes.split(|byte| *byte == b'&') {
        let mut halves = pair.splitn(2, |byte| *byte == b'=');
        let (name, value) = (decoded(halves.next()?)?, decoded(halves.next()?)?);
        if name.is_empty() || members.iter().any(|(known, _)| *known == *name) {
            return None;
        }
        members.push((name.to_string(), Value::Text(value)));
    }
    Some(members)
}

fn decoded(text: &[u8]) -> Option<Zeroizing<String>> {
    let mut bytes = Zeroizing::new(Vec::with_capacity(text.len()));
    let mut rest = text.iter();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'+' => b' ',
            b'%' => {
                let digits = [*rest.next()?, *rest.next()?];
                let digits =
                    std::str::from_utf8(&digits).ok().filter(|_| digits.iter().all(u8::is_ascii_hexdigit));
                u8::from_str_radix(digits?, 16).ok()?
            }
            byte => *byte,
        });
    }
    std::str::from_utf8(&bytes).ok().map(|text| Zeroizing::new(text.to_owned()))
}

/// Writes JSON. Nothing in it is a token any more.
pub(super) fn write_json(members: &Members) -> String {
    let mut out = String::new();
    object(members, &mut out);
    out
}

fn object(members: &Members, out: &mut String) {
    out.push('{');
    for (index, (name, value)) in members.iter().enumerate() {
        if index > 0 {
            out.push(',');
        }
        quoted(name, out);
        out.push(':');
        write(value, out);
    }
    out.push('}');
}

fn write(value: &Value, out: &mut String) {
    match value {
        Value::Text(text) => quoted(text, out),
        Value::Plain(text) => out.push_str(text),
        Value::Object(members) => object(members, out),
        Value::Array(items) => {
            out.push('[');
            for (index, item) in items.iter().enumerate() {
                if index > 0 {
                    out.push(',');
                }
                write(item, out);
            }
            out.push(']');
        }
    }
}

fn quoted(text: &str, out: &mut String) {
    // A string always has a JSON form.
    out.push_str(&serde_json::to_string(text).unwrap_or_else(|_| "\"\"".to_owned()));
}

/// Writes a form; only texts and plain values have a place in one.
pub(super) fn write_form(members: &Members) -> String {
    let pair = |(name, value): &(String, Value)| match value {
        Value::Text(text) | Value::Plain(text) => {
            Some(format!("{}={}", Query::encode_value(name), Query::encode_value(text)))
        }
        Value::Object(_) | Value::Array(_) => None,
    };
    members.iter().filter_map(pair).collect::<Vec<_>>().join("&")
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(Reader)
    }
}

struct Reader;

impl<'de> Visitor<'de> for Reader {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON without duplicate names")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Value, E> {
        Ok(Value::Text(Zeroizing::new(text.to_owned())))
    }

    fn visit_string<E: de::Error>(self, text: String) -> Result<Value, E> {
        Ok(Value::Text(Zeroizing::new(text)))
    }

    fn visit_bool<E: de::Error>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Plain(Zeroizing::new(value.to_string())))
    }

    fn visit_u64<E: de::Error>(self, value: u64) -> Result<Value, E> {
        Ok(Value::Plain(Zeroizing::new(value.to_string())))
    }

    fn visit_i64<E: de::Error>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Plain(Zeroizing::new(value.to_string())))
    }

    fn visit_f64<E: de::Error>(self, value: f64) -> Result<Value, E> {
        Ok(Value::Plain(Zeroizing::new(value.to_string())))
    }

    fn visit_unit<E: de::Error>(self) -> Result<Value, E> {
        Ok(Value::Plain(Zeroizing::new("null".to_owned())))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let mut members = Members::new();
        while let Some(name) = map.next_key::<String>()? {
            if members.iter().any(|(known, _)| *known == name) {
                return Err(de::Error::custom("a name occurs twice"));
            }
            members.push((name, map.next_value()?));
        }
        Ok(Value::Object(members))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = seq.next_element()? {
            items.push(item);
        }
        Ok(Value::Array(items))
    }
}
