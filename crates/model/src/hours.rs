//! The hours of a day in which a placeholder counts.

use crate::Timestamp;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// Minutes of a day.
const DAY: i64 = 24 * 60;
/// The offsets in use lie between -12:00 and +14:00.
const WEST: i64 = -12 * 60;
const EAST: i64 = 14 * 60;

/// From one minute of the day up to, not including, another; over midnight where the second is the smaller. Written
/// `08:00-18:00` in UTC, or `08:00-18:00+02:00` with the offset of the place whose clock is meant.
///
/// The offset is fixed: a place that changes its clocks twice a year has other hours then, because the text that was signed
/// does not change by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Hours {
    from: i64,
    to: i64,
    offset: i64,
}

impl Hours {
    /// Whether this time is within the hours.
    pub fn hold(self, now: Timestamp) -> bool {
        self.since_beginning(now) < self.length()
    }

    /// Seconds until they begin again; 0 within them.
    pub fn seconds_until(self, now: Timestamp) -> u32 {
        if self.hold(now) {
            return 0;
        }
        let into_minute = (now.millis() % 60_000).div_ceil(1000);
        let minutes = u64::try_from(DAY - self.since_beginning(now)).unwrap_or_default();
        u32::try_from((minutes * 60).saturating_sub(into_minute)).unwrap_or(u32::MAX).max(1)
    }

    /// Whether the other hours lie within these, whatever their offsets.
    pub fn contain(self, other: Self) -> bool {
        let later = (other.beginning() - self.beginning()).rem_euclid(DAY);
        later + other.length() <= self.length()
    }

    /// Minutes of the day in UTC.
    fn beginning(self) -> i64 {
        (self.from - self.offset).rem_euclid(DAY)
    }

    /// Minutes; at least 1, less than a day.
    fn length(self) -> i64 {
        (self.to - self.from).rem_euclid(DAY)
    }

    /// Whole minutes since they last began.
    fn since_beginning(self, now: Timestamp) -> i64 {
        let minute = i64::try_from(now.millis() / 60_000).unwrap_or_default();
        (minute - self.beginning()).rem_euclid(DAY)
    }
}

/// Why a text is no [`Hours`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "write hours as 08:00-18:00 (in UTC) or 08:00-18:00+02:00, with two different times; over midnight as 22:00-06:00"
)]
pub struct HoursError;

impl FromStr for Hours {
    type Err = HoursError;
    fn from_str(text: &str) -> Result<Self, HoursError> {
        let (span, offset) = text.split_at_checked(11).ok_or(HoursError)?;
        let (from, to) = span.split_once('-').ok_or(HoursError)?;
        let (from, to) = (minutes(from)?, minutes(to)?);
        let offset = match offset.split_at_checked(1) {
            None => 0,
            Some(("+", east)) => minutes(east)?,
            Some(("-", west)) => -minutes(west)?,
            Some(_) => return Err(HoursError),
        };
        let fine = from != to && (WEST..=EAST).contains(&offset);
        if fine { Ok(Self { from, to, offset }) } else { Err(HoursError) }
    }
}

/// `HH:MM`, from `00:00` to `23:59`.
fn minutes(text: &str) -> Result<i64, HoursError> {
    let digits = |text: &str, below: i64| {
        let fine = text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_digit());
        let number: Option<i64> = text.parse().ok();
        number.filter(|number| fine && *number < below).ok_or(HoursError)
    };
    let (hours, minutes) = text.split_once(':').ok_or(HoursError)?;
    Ok(digits(hours, 24)? * 60 + digits(minutes, 60)?)
}

impl fmt::Display for Hours {
    /// With its offset, always: one spelling for one meaning.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let clock = |minutes: i64| format!("{:02}:{:02}", minutes / 60, minutes % 60);
        let sign = if self.offset < 0 { '-' } else { '+' };
        write!(f, "{}-{}{sign}{}", clock(self.from), clock(self.to), clock(self.offset.abs()))
    }
}

impl From<Hours> for String {
    fn from(hours: Hours) -> String {
        hours.to_string()
    }
}

impl TryFrom<String> for Hours {
    type Error = HoursError;
    fn try_from(text: String) -> Result<Self, HoursError> {
        text.parse()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hours(text: &str) -> Hours {
        text.parse().unwrap()
    }

    /// A time of day in UTC, on some day, with seconds.
    fn at(hour: u64, minute: u64, second: u64) -> Timestamp {
        Timestamp::from_millis((20_000 * 86_400 + hour * 3600 + minute * 60 + second) * 1000)
    }

    #[test]
    fn hours_begin_with_their_first_minute_and_end_before_their_last() {
        for (text, inside, outside) in [
            ("08:00-18:00", [at(8, 0, 0), at(17, 59, 59)], [at(7, 59, 59), at(18, 0, 0)]),
            ("08:00-18:00+02:00", [at(6, 0, 0), at(15, 59, 59)], [at(5, 59, 59), at(16, 0, 0)]),
            ("22:00-06:00", [at(22, 0, 0), at(5, 59, 59)], [at(21, 59, 59), at(6, 0, 0)]),
            ("08:00-18:00-09:30", [at(17, 30, 0), at(3, 29, 59)], [at(17, 29, 59), at(3, 30, 0)]),
            ("00:00-00:01", [at(0, 0, 0), at(0, 0, 59)], [at(23, 59, 59), at(0, 1, 0)]),
        ] {
            assert!(inside.iter().all(|now| hours(text).hold(*now)), "{text}");
            assert!(!outside.iter().any(|now| hours(text).hold(*now)), "{text}");
        }
    }

    #[test]
    fn the_wait_ends_when_the_hours_begin() {
        let day = hours("08:00-18:00");
        assert_eq!(day.seconds_until(at(7, 59, 30)), 30);
        assert_eq!(day.seconds_until(at(18, 0, 0)), 14 * 3600);
        assert_eq!(day.seconds_until(at(12, 0, 0)), 0);
        for second in (0..86_400).step_by(61) {
            let now = at(0, 0, second);
            let then = now.plus(std::time::Duration::from_secs(day.seconds_until(now).into()));
            assert!(day.hold(then), "{now} {then}");
        }
    }

    #[test]
    fn hours_are_written_in_one_way_and_read_strictly() {
        assert_eq!(hours("08:00-18:00").to_string(), "08:00-18:00+00:00");
        assert_eq!(hours("22:00-06:00-05:30").to_string(), "22:00-06:00-05:30");
        for wrong in [
            "",
            "08:00",
            "8:00-18:00",
            "08:00-24:00",
            "08:60-18:00",
            "08:00-08:00",
            "08:00-18:00 ",
            "08:00-18:00Z",
            "08:00-18:00+2",
            "08:00-18:00+15:00",
            "08:00-18:00-13:00",
            "08:00-18:00++2:00",
            "+8:00-18:00",
            "08:00–18:00",
        ] {
            assert_eq!(wrong.parse::<Hours>(), Err(HoursError), "{wrong}");
        }
    }

    #[test]
    fn hours_contain_what_lies_within_them_on_every_clock() {
        let wide = hours("08:00-18:00");
        for within in ["08:00-18:00", "09:00-10:00", "10:00-20:00+02:00", "17:59-18:00"] {
            assert!(wide.contain(hours(within)), "{within}");
        }
        for beyond in ["07:59-18:00", "08:00-18:01", "18:00-08:00", "08:00-18:00+02:00", "17:00-09:00"] {
            assert!(!wide.contain(hours(beyond)), "{beyond}");
        }
        let night = hours("22:00-06:00");
        assert!(night.contain(hours("23:00-05:00")) && night.contain(hours("00:00-06:00")));
        assert!(!night.contain(hours("21:00-23:00")) && !night.contain(wide));
    }
}
