//! How long things took: counted into classes that double in width, without a lock and without a division.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// The first class ends at 2^12 ns (4 µs), the last that has an end at 2^35 ns (34 s).
const FIRST: u32 = 12;
/// Classes, the one without an end included.
pub const CLASSES: usize = 25;

/// Durations, counted by class.
#[derive(Debug, Default)]
pub struct Histogram {
    classes: [AtomicU64; CLASSES],
    nanoseconds: AtomicU64,
}

/// What a histogram stood at.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Spread {
    /// How many durations there were of each class.
    pub classes: [u64; CLASSES],
    /// All of them together.
    pub nanoseconds: u64,
}

impl Histogram {
    /// Counts one duration.
    pub fn observe(&self, took: Duration) {
        let nanoseconds = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        self.classes[class(nanoseconds)].fetch_add(1, Relaxed);
        self.nanoseconds.fetch_add(nanoseconds, Relaxed);
    }

    /// Adds what it stands at to `spread`.
    pub fn add_to(&self, spread: &mut Spread) {
        for (sum, class) in spread.classes.iter_mut().zip(&self.classes) {
            *sum += class.load(Relaxed);
        }
        spread.nanoseconds = spread.nanoseconds.wrapping_add(self.nanoseconds.load(Relaxed));
    }

    /// What it stands at.
    pub fn read(&self) -> Spread {
        let mut spread = Spread::default();
        self.add_to(&mut spread);
        spread
    }
}

impl Spread {
    /// How many durations there were.
    pub fn count(&self) -> u64 {
        self.classes.iter().sum()
    }

    /// The end of each class in nanoseconds, and how many durations were not longer; the last class has no end.
    pub fn cumulated(&self) -> impl Iterator<Item = (Option<u64>, u64)> {
        let mut sum = 0;
        self.classes.iter().enumerate().map(move |(at, count)| {
            sum += count;
            ((at + 1 < CLASSES).then(|| 1 << (FIRST as usize + at)), sum)
        })
    }
}

/// The class whose end is not below.
fn class(nanoseconds: u64) -> usize {
    let above = nanoseconds.saturating_sub(1) >> FIRST;
    ((u64::BITS - above.leading_zeros()) as usize).min(CLASSES - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_is_in_the_class_whose_end_it_does_not_pass() {
        for (nanoseconds, of) in [
            (0, 0),
            (1, 0),
            (1 << 12, 0),
            ((1 << 12) + 1, 1),
            (1 << 13, 1),
            (1 << 35, 23),
            ((1 << 35) + 1, 24),
            (u64::MAX, 24),
        ] {
            assert_eq!(class(nanoseconds), of, "{nanoseconds}");
        }
    }

    #[test]
    fn classes_are_cumulated_as_far_as_they_have_an_end() {
        let histogram = Histogram::default();
        for nanoseconds in [1, 5_000, 5_000, u64::MAX / 2] {
            histogram.observe(Duration::from_nanos(nanoseconds));
        }
        let spread = histogram.read();
        let all: Vec<_> = spread.cumulated().collect();
        assert_eq!(
            (all.len(), all[0], all[1], all[23]),
            (25, (Some(4096), 1), (Some(8192), 3), (Some(1 << 35), 3))
        );
        assert_eq!((all[24], spread.count()), ((None, 4), 4));
    }
}
