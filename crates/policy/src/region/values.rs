//! Values that stand for all others: what two policies say about a field, they say about one of these.
//!
//! SECURITY: a value that is missing here is a call that nobody compares. Between every two bounds there is a whole number
//! and a fraction, beside every listed text another one, on each side of every length one of that length. More than needed
//! does no harm.

use crate::constraint::{Constraint, Given, Scalar};
use crate::number::Number;
use std::collections::BTreeSet;

/// A value of a call, owned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Sample {
    /// Text without a type.
    Untyped(String),
    Text(String),
    /// As it is spelled.
    Number(String),
    Boolean(bool),
    Null,
    Array,
    Object,
}

impl Sample {
    pub(super) fn given(&self) -> Given<'_> {
        match self {
            Self::Untyped(text) => Given::Untyped(text),
            Self::Text(text) => Given::Text(text),
            Self::Number(text) => Given::Number(text),
            Self::Boolean(value) => Given::Boolean(*value),
            Self::Null => Given::Null,
            Self::Array => Given::Array,
            Self::Object => Given::Object,
        }
    }

    /// The text of an untyped value.
    pub(super) fn text(&self) -> &str {
        match self {
            Self::Untyped(text) | Self::Text(text) | Self::Number(text) => text,
            _ => "",
        }
    }
}

/// For query values, form fields and headers.
pub(super) fn untyped(constraints: &[&Constraint]) -> Vec<Sample> {
    let marks = Marks::of(constraints);
    let numbers = marks.numbers();
    let words = ["true", "false"].map(str::to_owned);
    marks.texts().into_iter().chain(numbers).chain(words).map(Sample::Untyped).collect()
}

/// For members of a JSON body.
pub(super) fn typed(constraints: &[&Constraint]) -> Vec<Sample> {
    let marks = Marks::of(constraints);
    let mut samples = vec![Sample::Object, Sample::Array, Sample::Null];
    samples.extend([true, false].map(Sample::Boolean));
    samples.extend(marks.texts().into_iter().map(Sample::Text));
    samples.extend(marks.numbers().into_iter().map(Sample::Number));
    // A number that no constraint lets through.
    samples.push(Sample::Number("1e5".into()));
    samples
}

/// Every text, number and length that a constraint names.
struct Marks {
    texts: BTreeSet<String>,
    numbers: BTreeSet<Number>,
    lengths: BTreeSet<u64>,
}

impl Marks {
    fn of(constraints: &[&Constraint]) -> Self {
        let mut marks = Self { texts: BTreeSet::new(), numbers: BTreeSet::new(), lengths: BTreeSet::new() };
        for constraint in constraints {
            marks.numbers.extend(constraint.min.iter().chain(&constraint.max));
            marks.lengths.extend(constraint.max_length);
            for scalar in constraint.one_of.iter().flatten() {
                match scalar {
                    Scalar::Text(text) => drop(marks.texts.insert(text.clone())),
                    Scalar::Number(number) => drop(marks.numbers.insert(*number)),
                    Scalar::Boolean(_) => {}
                }
            }
        }
        marks
    }

    /// The listed texts, and others of every length that matters.
    fn texts(&self) -> Vec<String> {
        let lengths = self.lengths.iter().flat_map(|length| [*length, length.saturating_add(1)]);
        let lengths: BTreeSet<u64> = lengths.chain([0, 1]).collect();
        let others = lengths.into_iter().filter_map(|length| self.other_text(length));
        self.texts.iter().cloned().chain(others).collect()
    }

    /// A text of this length that is not listed and is no number.
    fn other_text(&self, length: u64) -> Option<String> {
        let length = usize::try_from(length).ok()?;
        let letters = ('a'..='z').rev().chain('A'..='Z').chain('\u{100}'..'\u{180}');
        letters.map(|letter| letter.to_string().repeat(length)).find(|text| !self.texts.contains(text))
    }

    /// The listed numbers, and between every two of them a whole one and a fraction, as each is spelled.
    fn numbers(&self) -> Vec<String> {
        let points: Vec<Number> = self.numbers.iter().copied().collect();
        let mut found: BTreeSet<Number> = self.numbers.clone();
        let lows = [None].into_iter().chain(points.iter().copied().map(Some));
        let highs = points.iter().copied().map(Some).chain([None]);
        for (low, high) in lows.zip(highs) {
            found.extend(between(low, high, !self.lengths.is_empty()));
        }
        let longer = if self.lengths.is_empty() { 1 } else { 9 };
        found.into_iter().flat_map(|number| spellings(number, longer)).collect()
    }
}

/// Numbers strictly between the two, whole ones and fractions where there are any; of many lengths if wanted.
fn between(low: Option<Number>, high: Option<Number>, lengths: bool) -> Vec<Number> {
    let inside =
        |number: &Number| low.is_none_or(|low| *number > low) && high.is_none_or(|high| *number < high);
    let beside = |digits: u32| {
        let two = |from: Option<Number>, above: bool| {
            let first = from.and_then(|from| from.beside(digits, above));
            [first, first.and_then(|first| first.beside(digits, above))]
        };
        let fixed = [Number::from_integer(0), Number::parse("0.5")];
        let all = two(low, true).into_iter().chain(two(high, false)).chain(fixed).flatten();
        all.filter(inside).find(|number| number.is_whole() == (digits == 0))
    };
    let fraction = (1..=9).filter_map(beside);
    let mut found: Vec<Number> = beside(0).into_iter().collect();
    if lengths {
        found.extend(fraction);
        found.extend(powers().filter(inside));
    } else {
        found.extend({ fraction }.next());
    }
    found
}

/// Whole numbers and fractions of every length.
fn powers() -> impl Iterator<Item = Number> {
    let texts = (0..16).flat_map(|zeros| {
        let (one, nines) = (format!("1{}", "0".repeat(zeros)), "9".repeat(zeros + 1));
        [format!("-{one}"), format!("-{nines}"), format!("{one}.5"), format!("-{one}.5"), one, nines]
    });
    texts.filter_map(|text| Number::parse(&text))
}

/// The plain spelling, and others that are longer by zeros.
fn spellings(number: Number, longer: usize) -> Vec<String> {
    let plain = number.to_string();
    let point = if plain.contains('.') { "" } else { "." };
    let longer = (1..=longer).map(|zeros| format!("{plain}{point}{}", "0".repeat(zeros)));
    let longer: Vec<String> = longer.filter(|text| Number::parse(text) == Some(number)).collect();
    [plain].into_iter().chain(longer).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn number(text: &str) -> Number {
        Number::parse(text).unwrap()
    }

    #[test]
    fn between_two_numbers_there_is_a_whole_one_and_a_fraction_where_there_can_be() {
        for (low, high, whole, fraction) in [
            ("1", "5", true, true),
            ("1", "2", false, true),
            ("0.000000001", "0.000000002", false, false),
            ("1000000000.000001", "1000000000.000003", false, true),
            ("9007199254740990", "9007199254740992", true, false),
            ("-5", "-4.5", false, true),
        ] {
            let found = between(Some(number(low)), Some(number(high)), false);
            assert_eq!(found.iter().any(|n| n.is_whole()), whole, "{low} {high}");
            assert_eq!(found.iter().any(|n| !n.is_whole()), fraction, "{low} {high}");
            assert!(found.iter().all(|n| *n > number(low) && *n < number(high)), "{low} {high}");
        }
        assert!(between(None, None, false).len() == 2);
    }
}
