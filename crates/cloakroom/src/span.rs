//! Spans of time as people write them: `90s`, `30m`, `24h`, `30d`, `2w`.

use std::time::Duration;

/// Parses a span: a whole number above zero and a unit.
pub(crate) fn parse(text: &str) -> Result<Duration, String> {
    let wrong = || format!("{text:?} is not a span: write a number and s, m, h, d or w, such as 24h");
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit = match &text[digits.len()..] {
        "s" => 1,
        "m" => 60,
        "h" => 3_600,
        "d" => 86_400,
        "w" => 604_800,
        _ => return Err(wrong()),
    };
    let plain = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
    let number: u64 = if plain { digits.parse().map_err(|_| wrong())? } else { return Err(wrong()) };
    match number.checked_mul(unit) {
        Some(0) => Err("a span is longer than nothing".into()),
        // A hundred years is a typing error; "never" says what is meant.
        Some(seconds) if seconds <= 100 * 366 * 86_400 => Ok(Duration::from_secs(seconds)),
        _ => Err("a span is at most 100 years; write \"never\" where no end is meant".into()),
    }
}

/// Parses a span or `now`.
pub(crate) fn parse_or_now(text: &str) -> Result<Duration, String> {
    if text == "now" { Ok(Duration::ZERO) } else { parse(text) }
}

/// When a placeholder ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Expiry {
    /// It does not.
    Never,
    /// This long from now.
    After(Duration),
}

/// Parses a span or `never`.
pub(crate) fn parse_expiry(text: &str) -> Result<Expiry, String> {
    if text == "never" { Ok(Expiry::Never) } else { parse(text).map(Expiry::After) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_is_a_number_and_a_unit() {
        for (text, seconds) in
            [("90s", 90), ("30m", 1800), ("24h", 86_400), ("30d", 2_592_000), ("2w", 1_209_600)]
        {
            assert_eq!(parse(text), Ok(Duration::from_secs(seconds)), "{text}");
        }
        assert_eq!(parse_expiry("never"), Ok(Expiry::Never));
    }

    #[test]
    fn a_span_one_step_wrong_is_refused() {
        for text in [
            "",
            "h",
            "24",
            "24 h",
            "-1h",
            "+1h",
            "1.5h",
            "0s",
            "24H",
            "1y",
            "99999999999999999999d",
            "200000d",
            "²h",
        ] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
