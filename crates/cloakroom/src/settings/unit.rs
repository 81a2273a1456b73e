//! Durations and sizes as people write them in settings.

use serde::de::{Deserialize, Deserializer, Error};
use std::time::Duration;

/// `"10s"`, `"250ms"`, `"2m"`, `"1h"`, `"90d"`; more than zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Span(pub(super) Duration);

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let wrong =
            || D::Error::custom("a duration is a number above zero and ms, s, m, h or d, such as \"10s\"");
        let text = String::deserialize(deserializer)?;
        let (number, unit) = split(&text).ok_or_else(wrong)?;
        let millis = match unit {
            "ms" => Some(number),
            "s" => number.checked_mul(1_000),
            "m" => number.checked_mul(60_000),
            "h" => number.checked_mul(3_600_000),
            "d" => number.checked_mul(86_400_000),
            _ => None,
        };
        let millis = millis.filter(|millis| *millis > 0).ok_or_else(wrong)?;
        Ok(Self(Duration::from_millis(millis)))
    }
}

/// A number of bytes, or `"64KiB"`, `"64MiB"`; more than zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Size(pub(super) u64);

impl<'de> Deserialize<'de> for Size {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(serde::Deserialize)]
        #[serde(untagged)]
        enum Written {
            Number(u64),
            Text(String),
        }
        let bytes = match Written::deserialize(deserializer) {
            Ok(Written::Number(bytes)) => Some(bytes),
            Ok(Written::Text(text)) => split(&text).and_then(|(number, unit)| match unit {
                "KiB" => number.checked_mul(1 << 10),
                "MiB" => number.checked_mul(1 << 20),
                _ => None,
            }),
            Err(_) => None,
        };
        let bytes = bytes.filter(|bytes| *bytes > 0);
        bytes.map(Self).ok_or_else(|| {
            D::Error::custom(
                "a size is a number of bytes above zero, or a number and KiB or MiB, such as \"64KiB\"",
            )
        })
    }
}

fn split(text: &str) -> Option<(u64, &str)> {
    let digits = text.find(|c: char| !c.is_ascii_digit())?;
    Some((text[..digits].parse().ok()?, &text[digits..]))
}
