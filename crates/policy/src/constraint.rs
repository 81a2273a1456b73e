//! What a value has to be: one of a list, or of a type and within bounds.

use crate::number::Number;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// A value that a list can name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Scalar {
    Boolean(bool),
    Number(Number),
    Text(String),
}

/// The type of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum ValueType {
    String,
    Number,
    Integer,
    Boolean,
    Array,
    Object,
    Null,
}

impl ValueType {
    pub(crate) const ALL: [Self; 7] =
        [Self::String, Self::Number, Self::Integer, Self::Boolean, Self::Array, Self::Object, Self::Null];

    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::String => "string",
            Self::Number => "number",
            Self::Integer => "integer",
            Self::Boolean => "boolean",
            Self::Array => "array",
            Self::Object => "object",
            Self::Null => "null",
        }
    }

    pub(crate) fn is_numeric(self) -> bool {
        matches!(self, Self::Number | Self::Integer)
    }
}

/// In normal form: `const` is a list of one; with a list there is no type and no bound; a bound brings its type.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Constraint {
    #[serde(rename = "in", default, skip_serializing_if = "Option::is_none")]
    pub(crate) one_of: Option<BTreeSet<Scalar>>,
    #[serde(rename = "type", default, skip_serializing_if = "Option::is_none")]
    pub(crate) value_type: Option<ValueType>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) min: Option<Number>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) max: Option<Number>,
    /// Counted in Unicode scalar values.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) max_length: Option<u64>,
    #[serde(default)]
    pub(crate) required: bool,
}

/// A value as a call brings it.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Given<'a> {
    /// Text without a type: a query value, a form field, a header.
    Untyped(&'a str),
    /// A JSON string.
    Text(&'a str),
    /// A JSON number, as spelled.
    Number(&'a str),
    Boolean(bool),
    Null,
    Array,
    Object,
}

impl Given<'_> {
    fn number(self) -> Option<Number> {
        match self {
            Self::Untyped(text) | Self::Number(text) => Number::parse(text),
            _ => None,
        }
    }

    fn text(&self) -> Option<&str> {
        match self {
            Self::Untyped(text) | Self::Text(text) => Some(text),
            _ => None,
        }
    }

    fn is(self, value_type: ValueType) -> bool {
        match value_type {
            ValueType::String => self.text().is_some(),
            ValueType::Number => self.number().is_some(),
            ValueType::Integer => self.is_integer(),
            ValueType::Boolean => matches!(self, Self::Boolean(_) | Self::Untyped("true" | "false")),
            ValueType::Array => matches!(self, Self::Array),
            ValueType::Object => matches!(self, Self::Object),
            ValueType::Null => matches!(self, Self::Null),
        }
    }

    /// `5.0` is a number, not an integer: some parsers read it as one and others do not.
    fn is_integer(self) -> bool {
        let point = matches!(self, Self::Untyped(text) | Self::Number(text) if text.contains('.'));
        !point && self.number().is_some_and(Number::is_whole)
    }

    fn equals(self, scalar: &Scalar) -> bool {
        match scalar {
            Scalar::Boolean(true) => matches!(self, Self::Boolean(true) | Self::Untyped("true")),
            Scalar::Boolean(false) => matches!(self, Self::Boolean(false) | Self::Untyped("false")),
            Scalar::Number(number) => self.number() == Some(*number),
            Scalar::Text(text) => self.text() == Some(text),
        }
    }
}

impl Constraint {
    /// Whether any value is fine.
    pub(crate) fn is_free(&self) -> bool {
        let Self { one_of, value_type, min, max, max_length, required: _ } = self;
        one_of.is_none() && value_type.is_none() && min.is_none() && max.is_none() && max_length.is_none()
    }

    /// The first rule that the value breaks, or none.
    pub(crate) fn broken_by(&self, given: Given<'_>) -> Option<&'static str> {
        // SECURITY: a number at a constrained field that parsers disagree on is refused, whatever the bounds (T31).
        if matches!(given, Given::Number(_)) && given.number().is_none() {
            return Some("a plain decimal number within 2^53, no exponent, at most nine decimals");
        }
        if self.one_of.as_ref().is_some_and(|list| !list.iter().any(|scalar| given.equals(scalar))) {
            return Some("in");
        }
        if self.value_type.is_some_and(|value_type| !given.is(value_type)) {
            return Some("type");
        }
        if self.min.is_some_and(|min| given.number().is_none_or(|number| number < min)) {
            return Some("min");
        }
        if self.max.is_some_and(|max| given.number().is_none_or(|number| number > max)) {
            return Some("max");
        }
        let too_long = |max: u64| given.text().is_none_or(|text| text.chars().count() as u64 > max);
        if self.max_length.is_some_and(too_long) {
            return Some("max_length");
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bounded(min: &str, max: &str) -> Constraint {
        Constraint {
            value_type: Some(ValueType::Number),
            min: Number::parse(min),
            max: Number::parse(max),
            ..Constraint::default()
        }
    }

    #[test]
    fn bounds_include_their_ends() {
        let constraint = bounded("1", "5000");
        for ok in ["1", "5000", "2.5", "5000.0"] {
            assert_eq!(constraint.broken_by(Given::Number(ok)), None, "{ok}");
            assert_eq!(constraint.broken_by(Given::Untyped(ok)), None, "{ok}");
        }
        for bad in ["0", "5001", "5000.1", "-1", "5e3", "1e400", "9007199254740993", "-0"] {
            assert!(constraint.broken_by(Given::Number(bad)).is_some(), "{bad}");
            assert!(constraint.broken_by(Given::Untyped(bad)).is_some(), "{bad}");
        }
        for bad in [Given::Text("5"), Given::Null, Given::Boolean(true), Given::Array, Given::Object] {
            assert!(constraint.broken_by(bad).is_some(), "{bad:?}");
        }
        for bad in [" 5", "5 ", "0x5", "05", "+5", "", "5,0"] {
            assert!(constraint.broken_by(Given::Untyped(bad)).is_some(), "{bad:?}");
        }
    }

    #[test]
    fn t31_a_list_compares_values_and_types() {
        let list =
            [Scalar::Text("usd".into()), Scalar::Number(Number::parse("5").unwrap()), Scalar::Boolean(true)];
        let constraint = Constraint { one_of: Some(list.into()), ..Constraint::default() };
        for ok in [
            Given::Text("usd"),
            Given::Number("5"),
            Given::Number("5.0"),
            Given::Boolean(true),
            Given::Untyped("5"),
        ] {
            assert_eq!(constraint.broken_by(ok), None, "{ok:?}");
        }
        for bad in [
            Given::Text("USD"),
            Given::Text("usd "),
            Given::Text("5"),
            Given::Text("true"),
            Given::Number("5e0"),
            Given::Boolean(false),
            Given::Null,
            Given::Untyped("True"),
            Given::Number("6"),
        ] {
            assert!(constraint.broken_by(bad).is_some(), "{bad:?}");
        }
    }

    #[test]
    fn a_type_is_exact() {
        let of = |value_type| Constraint { value_type: Some(value_type), ..Constraint::default() };
        assert_eq!(of(ValueType::Integer).broken_by(Given::Number("5")), None);
        assert_eq!(of(ValueType::Integer).broken_by(Given::Number("5.0")), Some("type"));
        assert_eq!(of(ValueType::String).broken_by(Given::Number("5")), Some("type"));
        assert_eq!(of(ValueType::Null).broken_by(Given::Null), None);
        assert_eq!(of(ValueType::Array).broken_by(Given::Object), Some("type"));
        assert_eq!(of(ValueType::Boolean).broken_by(Given::Text("true")), Some("type"));
    }

    #[test]
    fn length_counts_characters() {
        let constraint =
            Constraint { max_length: Some(3), value_type: Some(ValueType::String), ..Constraint::default() };
        assert_eq!(constraint.broken_by(Given::Text("äöü")), None);
        assert_eq!(constraint.broken_by(Given::Text("abcd")), Some("max_length"));
    }
}
