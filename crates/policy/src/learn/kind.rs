//! What a value was like: its type and length, never itself.

use crate::constraint::{Constraint, Given, ValueType};
use crate::number::Number;

/// Everything that was seen at one name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Kind {
    null: bool,
    boolean: bool,
    integer: bool,
    number: bool,
    /// The longest text, in characters.
    text: Option<u64>,
    array: bool,
    object: bool,
    /// A number that no constraint lets through.
    odd: bool,
}

impl Kind {
    pub(super) fn of(given: Given<'_>) -> Self {
        let length = |text: &str| Some(text.chars().count() as u64);
        let none = Self::default();
        match given {
            Given::Untyped("true" | "false") | Given::Boolean(_) => Self { boolean: true, ..none },
            Given::Untyped(text) => match Number::parse(text) {
                Some(number) if number.is_whole() && !text.contains('.') => Self { integer: true, ..none },
                Some(_) => Self { number: true, ..none },
                None => Self { text: length(text), ..none },
            },
            Given::Text(text) => Self { text: length(text), ..none },
            Given::Number(text) => match Number::parse(text) {
                Some(number) if number.is_whole() && !text.contains('.') => Self { integer: true, ..none },
                Some(_) => Self { number: true, ..none },
                None => Self { odd: true, ..none },
            },
            Given::Null => Self { null: true, ..none },
            Given::Array => Self { array: true, ..none },
            Given::Object => Self { object: true, ..none },
        }
    }

    #[must_use]
    pub(super) fn and(self, other: Self) -> Self {
        Self {
            null: self.null || other.null,
            boolean: self.boolean || other.boolean,
            integer: self.integer || other.integer,
            number: self.number || other.number,
            text: self.text.max(other.text),
            array: self.array || other.array,
            object: self.object || other.object,
            odd: self.odd || other.odd,
        }
    }

    /// Whether there was nothing but objects.
    pub(super) fn is_object(self) -> bool {
        self == Self { object: true, ..Self::default() }
    }

    /// Whether there was a number that no constraint lets through.
    pub(super) fn is_odd(self) -> bool {
        self.odd
    }

    /// The narrowest constraint that allows all of it; lengths are rounded up. `typed`: in JSON.
    pub(super) fn constraint(self, typed: bool) -> Constraint {
        let of = |value_type| Constraint { value_type: Some(value_type), ..Constraint::default() };
        let none = Self::default();
        match self {
            Self { boolean: true, .. } if self == (Self { boolean: true, ..none }) => of(ValueType::Boolean),
            Self { integer: true, .. } if self == (Self { integer: true, ..none }) => of(ValueType::Integer),
            Self { null: true, .. } if self == (Self { null: true, ..none }) => of(ValueType::Null),
            Self { array: true, .. } if self == (Self { array: true, ..none }) => of(ValueType::Array),
            Self { object: true, .. } if self.is_object() => of(ValueType::Object),
            _ if self.number && self == (Self { number: true, integer: self.integer, ..none }) => {
                of(ValueType::Number)
            }
            // Numbers and words without a type are texts too.
            Self { text: Some(length), .. } if !typed || self == (Self { text: self.text, ..none }) => {
                let numbers = self.number || self.integer || self.boolean;
                let length = if numbers { length.max(27) } else { length };
                Constraint { max_length: Some(rounded(length)), ..of(ValueType::String) }
            }
            _ => Constraint::default(),
        }
    }
}

/// Room for texts of the same kind.
fn rounded(length: u64) -> u64 {
    [16, 64, 256, 1024, 4096].into_iter().find(|most| length <= *most).unwrap_or(length.next_power_of_two())
}
