//! Exact decimal numbers: what a policy bounds and what a body says, without the roundings of floating point.

use serde::{Deserialize, Serialize};
use std::cmp::Ordering;
use std::fmt;

/// Beyond this, programs that keep numbers as doubles read another number than was written.
const LARGEST: i64 = 1 << 53;
/// Digits after the point; more than money, rates and coordinates need.
const MOST_DIGITS: u32 = 9;

/// `coefficient / 10^scale`, without trailing zeros: one value, one representation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub(crate) struct Number {
    coefficient: i64,
    scale: u32,
}

impl Number {
    /// Parses a plain decimal: `-?(0|[1-9][0-9]*)(\.[0-9]+)?`. `None` for exponents, `-0`, more than 2^53, more than
    /// nine digits after the point, leading zeros and a leading plus.
    ///
    /// SECURITY: what is left out is what parsers disagree on (T31).
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (negative, digits) = match text.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        let (whole, fraction) = match digits.split_once('.') {
            Some((_, "")) => return None,
            Some((whole, fraction)) => (whole, fraction),
            None => (digits, ""),
        };
        let plain = |part: &str| part.bytes().all(|b| b.is_ascii_digit());
        if whole.is_empty()
            || !plain(whole)
            || !plain(fraction)
            || (whole.len() > 1 && whole.starts_with('0'))
        {
            return None;
        }
        let number = Self::from_digits(whole, fraction.trim_end_matches('0'))?;
        match (negative, number.coefficient) {
            (true, 0) => None,
            (true, coefficient) => Some(Self { coefficient: -coefficient, ..number }),
            (false, _) => Some(number),
        }
    }

    /// A whole number within 2^53.
    pub(crate) fn from_integer(value: i64) -> Option<Self> {
        (-LARGEST..=LARGEST).contains(&value).then_some(Self { coefficient: value, scale: 0 })
    }

    fn from_digits(whole: &str, fraction: &str) -> Option<Self> {
        let scale = u32::try_from(fraction.len()).ok().filter(|scale| *scale <= MOST_DIGITS)?;
        let coefficient: i64 = format!("{whole}{fraction}").parse().ok()?;
        (coefficient <= LARGEST).then_some(Self { coefficient, scale })
    }

    /// Whether there are no digits after the point.
    pub(crate) fn is_whole(self) -> bool {
        self.scale == 0
    }

    /// The next number with at most so many digits after the point, above or below. `None` where it cannot be written.
    pub(crate) fn beside(self, digits: u32, above: bool) -> Option<Self> {
        let digits = digits.min(MOST_DIGITS);
        let (exact, unit) = (i128::from(self.coefficient) * 10i128.pow(digits), 10i128.pow(self.scale));
        let mut coefficient =
            if above { exact.div_euclid(unit) + 1 } else { -((-exact).div_euclid(unit)) - 1 };
        let mut scale = digits;
        while scale > 0 && coefficient % 10 == 0 {
            coefficient /= 10;
            scale -= 1;
        }
        let coefficient = i64::try_from(coefficient).ok()?;
        (coefficient.abs() <= LARGEST).then_some(Self { coefficient, scale })
    }

    fn scaled(self, scale: u32) -> i128 {
        i128::from(self.coefficient) * 10i128.pow(scale - self.scale)
    }
}

impl Ord for Number {
    fn cmp(&self, other: &Self) -> Ordering {
        let scale = self.scale.max(other.scale);
        self.scaled(scale).cmp(&other.scaled(scale))
    }
}

impl PartialOrd for Number {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.coefficient < 0 { "-" } else { "" };
        let digits = self.coefficient.unsigned_abs();
        let one = 10u64.pow(self.scale);
        match self.scale {
            0 => write!(f, "{sign}{digits}"),
            scale => write!(f, "{sign}{}.{:0width$}", digits / one, digits % one, width = scale as usize),
        }
    }
}

impl TryFrom<String> for Number {
    type Error = &'static str;
    fn try_from(text: String) -> Result<Self, Self::Error> {
        Self::parse(&text).ok_or("not a plain decimal number within 2^53")
    }
}

impl From<Number> for String {
    fn from(number: Number) -> String {
        number.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_value_has_one_representation() {
        for (written, canonical) in [
            ("0", "0"),
            ("5", "5"),
            ("5.0", "5"),
            ("5.10", "5.1"),
            ("-0.05", "-0.05"),
            ("9007199254740992", "9007199254740992"),
        ] {
            assert_eq!(Number::parse(written).map(|n| n.to_string()).as_deref(), Some(canonical));
        }
    }

    #[test]
    fn t31_numbers_that_parsers_disagree_on_are_none() {
        for text in [
            "",
            "-",
            "-0",
            "-0.0",
            "00",
            "01",
            "+1",
            "1.",
            ".5",
            "1e3",
            "1E400",
            "9007199254740993",
            "1e400",
            "0x10",
            "1_000",
            "NaN",
            "Infinity",
            " 1",
            "1 ",
            "5000.00000000000000001",
            "٣",
        ] {
            assert_eq!(Number::parse(text), None, "{text:?}");
        }
    }

    #[test]
    fn order_is_exact() {
        let number = |text| Number::parse(text).unwrap();
        assert!(number("5000.000000001") > number("5000"));
        assert!(number("-1") < number("-0.5"));
        assert!(number("0.3") == number("0.30"));
    }
}
