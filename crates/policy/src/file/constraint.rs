//! Reading constraints: `{ in = […] }`, `{ min = 1, max = 5000 }`, `{ type = "string", max_length = 80 }`.

use super::complaint::Complaints;
use super::reader::{Value, nearest};
use crate::constraint::{Constraint, Given, Scalar, ValueType};
use crate::number::Number;
use toml::de::DeValue;

const KEYS: [&str; 7] = ["in", "const", "type", "min", "max", "max_length", "required"];

/// Whether the constrained value carries a type.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Typing {
    /// JSON.
    Typed,
    /// Text: a query value, a form field, a header.
    Untyped,
}

/// Reads a constraint into its normal form.
pub(super) fn read(value: &Value<'_, '_>, typing: Typing, to: &mut Complaints<'_>) -> Option<Constraint> {
    let table = value.table(to)?;
    table.refuse_unknown(&KEYS, to);
    let mut read = Constraint {
        one_of: None,
        value_type: table.value("type").and_then(|value| value_type(&value, typing, to)),
        min: table.value("min").and_then(|value| number(&value, to)),
        max: table.value("max").and_then(|value| number(&value, to)),
        max_length: table.value("max_length").and_then(|value| length(&value, to)),
        required: table.value("required").and_then(|value| value.boolean(to)).unwrap_or(false),
    };
    let listed = table.value("in").map(|list| list.items(to));
    let constant = table.value("const").map(|value| vec![value]);
    if listed.is_some() && constant.is_some() {
        table.complain(to, "both in and const", "const = x is the same as in = [x]; keep one");
    }
    if let Some(items) = listed.or(constant) {
        read.one_of = Some(items.iter().filter_map(|item| scalar(item, read.value_type, to)).collect());
    }
    agree(&mut read, value, to);
    Some(read)
}

/// Complains of rules that contradict each other, and brings the rest into normal form.
fn agree(read: &mut Constraint, value: &Value<'_, '_>, to: &mut Complaints<'_>) {
    let bounded = read.min.is_some() || read.max.is_some();
    if read.one_of.is_some() {
        if bounded || read.max_length.is_some() {
            value.complain(to, "a list and a bound", "list the values, or bound them, not both");
        }
        // The list says the type of each value.
        read.value_type = None;
        return;
    }
    if bounded && read.max_length.is_some() {
        value.complain(
            to,
            "min or max, and max_length",
            "min and max are for numbers, max_length is for strings",
        );
    }
    if read.min.zip(read.max).is_some_and(|(min, max)| min > max) {
        value.complain(to, "min is greater than max", "no value can be both; swap them");
    }
    if bounded && !read.value_type.get_or_insert(ValueType::Number).is_numeric() {
        value.complain(
            to,
            "min and max are for numbers",
            "write type = \"number\" or \"integer\", or leave type out",
        );
    }
    if read.max_length.is_some() && *read.value_type.get_or_insert(ValueType::String) != ValueType::String {
        value.complain(to, "max_length is for strings", "write type = \"string\", or leave type out");
    }
}

fn value_type(value: &Value<'_, '_>, typing: Typing, to: &mut Complaints<'_>) -> Option<ValueType> {
    let text = value.text(to)?;
    let nested = |t: &ValueType| matches!(t, ValueType::Array | ValueType::Object | ValueType::Null);
    let known: Vec<ValueType> =
        ValueType::ALL.into_iter().filter(|t| typing == Typing::Typed || !nested(t)).collect();
    let found = known.iter().copied().find(|known| known.as_str() == text);
    if found.is_none() {
        let words: Vec<&str> = known.iter().map(|known| known.as_str()).collect();
        let near = nearest(text, &words).map(|near| format!("did you mean {near:?}? ")).unwrap_or_default();
        value.complain(
            to,
            format!("unknown type {text:?}"),
            &format!("{near}types here: {}", words.join(", ")),
        );
    }
    found
}

fn number(value: &Value<'_, '_>, to: &mut Complaints<'_>) -> Option<Number> {
    let number = plain_number(value);
    if number.is_none() {
        let hint = "a whole or decimal number within 2^53, at most nine digits after the point, no exponent";
        value.complain(to, "not a number that can be compared exactly", hint);
    }
    number
}

fn plain_number(value: &Value<'_, '_>) -> Option<Number> {
    match value.value {
        DeValue::Integer(_) => value.integer().and_then(Number::from_integer),
        DeValue::Float(float) => {
            let text = float.as_str().replace('_', "");
            Number::parse(text.strip_prefix('+').unwrap_or(&text))
        }
        _ => None,
    }
}

fn length(value: &Value<'_, '_>, to: &mut Complaints<'_>) -> Option<u64> {
    let length = value.integer().and_then(|length| u64::try_from(length).ok());
    if length.is_none() {
        value.complain(to, "not a length", "write a whole number of characters, from 0");
    }
    length
}

fn scalar(value: &Value<'_, '_>, expected: Option<ValueType>, to: &mut Complaints<'_>) -> Option<Scalar> {
    let scalar = match value.value {
        DeValue::String(_) => Scalar::Text(value.text(to)?.to_owned()),
        DeValue::Boolean(flag) => Scalar::Boolean(*flag),
        DeValue::Integer(_) | DeValue::Float(_) => Scalar::Number(number(value, to)?),
        _ => {
            value.complain(to, "not a value that can be listed", "list strings, numbers, true or false");
            return None;
        }
    };
    let is = |expected: ValueType| match &scalar {
        Scalar::Text(_) => expected == ValueType::String,
        Scalar::Boolean(_) => expected == ValueType::Boolean,
        Scalar::Number(number) => {
            let spelled = number.to_string();
            Constraint { value_type: Some(expected), ..Constraint::default() }
                .broken_by(Given::Number(&spelled))
                .is_none()
        }
    };
    if expected.is_some_and(|expected| !is(expected)) {
        value.complain(to, "a listed value is not of the stated type", "leave type out: the list says it");
    }
    Some(scalar)
}
