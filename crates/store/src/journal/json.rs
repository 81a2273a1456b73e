//! How an entry becomes one line: JSON in printable ASCII.
//!
//! A writer of our own: two entries are written for each call, and serde_json looks at each byte of a string several times.

use serde::Serialize;
use serde::ser::{self, Error as _};
use serde_json::{Error, Result};

/// Writes `value` as compact JSON in which everything but printable ASCII is `\u`-escaped: a record is one line, and no
/// terminal reads a control sequence out of it, C1 controls and bidirectional marks included.
pub(super) fn write<T: Serialize + ?Sized>(out: &mut Vec<u8>, value: &T) -> Result<()> {
    value.serialize(Json(out))
}

/// One value that is written next.
struct Json<'o>(&'o mut Vec<u8>);

/// An array or object whose elements are being written.
struct Elements<'o> {
    out: &'o mut Vec<u8>,
    first: bool,
    end: &'static [u8],
}

impl<'o> Elements<'o> {
    fn begin(out: &'o mut Vec<u8>, begin: u8, end: &'static [u8]) -> Self {
        out.push(begin);
        Self { out, first: true, end }
    }

    fn comma(&mut self) {
        if !std::mem::take(&mut self.first) {
            self.out.push(b',');
        }
    }

    fn element<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<()> {
        self.comma();
        write(self.out, value)
    }

    /// A member whose name is one of a type of ours.
    fn member<T: Serialize + ?Sized>(&mut self, name: &'static str, value: &T) -> Result<()> {
        debug_assert!(name.bytes().all(is_plain), "{name:?} is not written as it is");
        self.comma();
        self.out.push(b'"');
        self.out.extend_from_slice(name.as_bytes());
        self.out.extend_from_slice(b"\":");
        write(self.out, value)
    }

    fn end(self) {
        self.out.extend_from_slice(self.end);
    }
}

fn is_plain(byte: u8) -> bool {
    byte.wrapping_sub(b' ') <= b'~' - b' ' && byte != b'"' && byte != b'\\'
}

fn string(out: &mut Vec<u8>, text: &str) {
    out.push(b'"');
    // Without a way out of the loop, so that many bytes are looked at together.
    if text.bytes().fold(true, |plain, byte| plain & is_plain(byte)) {
        out.extend_from_slice(text.as_bytes());
    } else {
        text.chars().for_each(|character| escaped(out, character));
    }
    out.push(b'"');
}

fn escaped(out: &mut Vec<u8>, character: char) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    match character {
        '"' | '\\' => out.extend_from_slice(&[b'\\', character as u8]),
        '\n' => out.extend_from_slice(b"\\n"),
        '\r' => out.extend_from_slice(b"\\r"),
        '\t' => out.extend_from_slice(b"\\t"),
        '\u{8}' => out.extend_from_slice(b"\\b"),
        '\u{c}' => out.extend_from_slice(b"\\f"),
        ' '..='~' => out.push(character as u8),
        _ => {
            for unit in character.encode_utf16(&mut [0; 2]) {
                out.extend_from_slice(b"\\u");
                out.extend([12, 8, 4, 0].map(|shift| HEX[usize::from(*unit >> shift & 15)]));
            }
        }
    }
}

fn number(out: &mut Vec<u8>, mut value: u64) {
    let mut digits = [0; 20];
    let mut at = digits.len();
    loop {
        at -= 1;
        digits[at] = b'0' + u8::try_from(value % 10).unwrap_or_default();
        value /= 10;
        if value == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[at..]);
}

macro_rules! unsigned {
    ($($method:ident $type:ty),*) => {$(
        fn $method(self, value: $type) -> Result<()> {
            number(self.0, u64::from(value));
            Ok(())
        }
    )*};
}

macro_rules! signed {
    ($($method:ident $type:ty),*) => {$(
        fn $method(self, value: $type) -> Result<()> {
            if value < 0 {
                self.0.push(b'-');
            }
            number(self.0, u64::from(value.unsigned_abs()));
            Ok(())
        }
    )*};
}

impl<'o> ser::Serializer for Json<'o> {
    type Ok = ();
    type Error = Error;
    type SerializeSeq = Elements<'o>;
    type SerializeTuple = Elements<'o>;
    type SerializeTupleStruct = Elements<'o>;
    type SerializeTupleVariant = Elements<'o>;
    type SerializeMap = Elements<'o>;
    type SerializeStruct = Elements<'o>;
    type SerializeStructVariant = Elements<'o>;

    unsigned! { serialize_u8 u8, serialize_u16 u16, serialize_u32 u32, serialize_u64 u64 }
    signed! { serialize_i8 i8, serialize_i16 i16, serialize_i32 i32, serialize_i64 i64 }

    fn serialize_bool(self, value: bool) -> Result<()> {
        self.0.extend_from_slice(if value { b"true" } else { b"false" });
        Ok(())
    }

    fn serialize_f32(self, value: f32) -> Result<()> {
        self.serialize_f64(value.into())
    }

    fn serialize_f64(self, _: f64) -> Result<()> {
        Err(Error::custom("no entry has a fraction"))
    }

    fn serialize_char(self, value: char) -> Result<()> {
        self.serialize_str(value.encode_utf8(&mut [0; 4]))
    }

    fn serialize_str(self, value: &str) -> Result<()> {
        string(self.0, value);
        Ok(())
    }

    fn serialize_bytes(self, value: &[u8]) -> Result<()> {
        value.serialize(self)
    }

    fn serialize_none(self) -> Result<()> {
        self.serialize_unit()
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<()> {
        value.serialize(self)
    }

    fn serialize_unit(self) -> Result<()> {
        self.0.extend_from_slice(b"null");
        Ok(())
    }

    fn serialize_unit_struct(self, _: &'static str) -> Result<()> {
        self.serialize_unit()
    }

    fn serialize_unit_variant(self, _: &'static str, _: u32, variant: &'static str) -> Result<()> {
        self.serialize_str(variant)
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(self, _: &'static str, value: &T) -> Result<()> {
        value.serialize(self)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        value: &T,
    ) -> Result<()> {
        let mut object = Elements::begin(self.0, b'{', b"}");
        object.member(variant, value)?;
        object.end();
        Ok(())
    }

    fn serialize_seq(self, _: Option<usize>) -> Result<Elements<'o>> {
        Ok(Elements::begin(self.0, b'[', b"]"))
    }

    fn serialize_tuple(self, _: usize) -> Result<Elements<'o>> {
        self.serialize_seq(None)
    }

    fn serialize_tuple_struct(self, _: &'static str, _: usize) -> Result<Elements<'o>> {
        self.serialize_seq(None)
    }

    fn serialize_tuple_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        _: usize,
    ) -> Result<Elements<'o>> {
        self.0.push(b'{');
        string(self.0, variant);
        self.0.push(b':');
        Ok(Elements::begin(self.0, b'[', b"]}"))
    }

    fn serialize_map(self, _: Option<usize>) -> Result<Elements<'o>> {
        Ok(Elements::begin(self.0, b'{', b"}"))
    }

    fn serialize_struct(self, _: &'static str, _: usize) -> Result<Elements<'o>> {
        self.serialize_map(None)
    }

    fn serialize_struct_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        _: usize,
    ) -> Result<Elements<'o>> {
        self.0.push(b'{');
        string(self.0, variant);
        self.0.push(b':');
        Ok(Elements::begin(self.0, b'{', b"}}"))
    }
}

macro_rules! elements {
    ($($trait:ident $method:ident),*) => {$(
        impl ser::$trait for Elements<'_> {
            type Ok = ();
            type Error = Error;

            fn $method<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<()> {
                self.element(value)
            }

            fn end(self) -> Result<()> {
                self.end();
                Ok(())
            }
        }
    )*};
}

elements! {
    SerializeSeq serialize_element, SerializeTuple serialize_element,
    SerializeTupleStruct serialize_field, SerializeTupleVariant serialize_field
}

macro_rules! members {
    ($($trait:ident),*) => {$(
        impl ser::$trait for Elements<'_> {
            type Ok = ();
            type Error = Error;

            fn serialize_field<T: Serialize + ?Sized>(&mut self, name: &'static str, value: &T) -> Result<()> {
                self.member(name, value)
            }

            fn end(self) -> Result<()> {
                self.end();
                Ok(())
            }
        }
    )*};
}

members! { SerializeStruct, SerializeStructVariant }

impl ser::SerializeMap for Elements<'_> {
    type Ok = ();
    type Error = Error;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<()> {
        self.comma();
        let from = self.out.len();
        write(self.out, key)?;
        if self.out.get(from) == Some(&b'"') { Ok(()) } else { Err(Error::custom("a key is a string")) }
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<()> {
        self.out.push(b':');
        write(self.out, value)
    }

    fn end(self) -> Result<()> {
        self.end();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::{Value, json};

    fn written(value: &impl Serialize) -> String {
        let mut out = Vec::new();
        write(&mut out, value).unwrap();
        String::from_utf8(out).unwrap()
    }

    fn value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<u64>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<String>().prop_map(Value::from),
            "[ -~]{0,40}".prop_map(Value::from),
        ];
        leaf.prop_recursive(3, 24, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::vec((any::<String>(), inner), 0..4)
                    .prop_map(|members| Value::Object(members.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn what_is_written_reads_back_and_is_one_line_of_ascii(value in value()) {
            let text = written(&value);
            prop_assert!(text.bytes().all(|byte| matches!(byte, b' '..=b'~')), "{}", text);
            prop_assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), value);
        }

        #[test]
        fn printable_text_is_written_as_everybody_writes_it(text in "[ -~\n\t]{0,60}") {
            prop_assert_eq!(written(&text), serde_json::to_string(&text).unwrap());
        }
    }

    #[test]
    fn every_shape_of_a_type_is_written_as_everybody_writes_it() {
        #[derive(Serialize)]
        struct Pair(u8, i16);
        #[derive(Serialize)]
        enum Shape {
            Unit,
            New(Option<char>),
            Tuple(u32, bool),
            Struct { at: i64, none: Option<()> },
        }
        let shapes = (
            Pair(7, -7),
            [
                Shape::Unit,
                Shape::New(Some('"')),
                Shape::Tuple(0, true),
                Shape::Struct { at: i64::MIN, none: None },
            ],
            json!({"\u{7f}\u{9b}\u{202e}\u{1f600}\\": [{}, []]}),
        );
        let text = written(&shapes);
        let everybody = serde_json::to_value(&shapes).unwrap();
        assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), everybody);
        assert!(
            text.starts_with(r#"[[7,-7],["Unit",{"New":"\""},{"Tuple":[0,true]},{"Struct":{"at":-92"#),
            "{text}"
        );
        assert!(text.ends_with("{\"\\u007f\\u009b\\u202e\\ud83d\\ude00\\\\\":[{},[]]}]"), "{text}");
    }

    #[test]
    fn a_fraction_or_a_key_that_is_no_string_is_an_error() {
        assert!(write(&mut Vec::new(), &1.5).is_err());
        assert!(write(&mut Vec::new(), &std::collections::BTreeMap::from([(1, 2)])).is_err());
    }
}
