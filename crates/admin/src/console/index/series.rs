//! Calls, refusals, failures and how long answers took, by minute and by hour, for each workload and destination. Bounded: what is one
//! too many in a span of time is counted among the others.

use cloakroom_model::{Destination, Timestamp, WorkloadId};
use std::collections::{BTreeMap, HashMap};

/// Destinations that have a number of their own.
const DESTINATIONS: usize = 512;
/// Pairs of workload and destination that are told apart in one span.
const PAIRS: usize = 64;
/// Spans that are kept: a day and two hours by minutes, 31 days by hours.
const MINUTES: u64 = 26 * 60;
const HOURS: u64 = 31 * 24;
/// Classes of how long an answer took: two for each doubling, from 1 ms.
const CLASSES: usize = 36;

/// Who called whom. Absent: nobody was known, or one of the others.
pub(crate) type Pair = (Option<WorkloadId>, Option<u16>);

/// What happened in one span.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Cell {
    pub(crate) calls: u32,
    pub(crate) refused: u32,
    pub(crate) failed: u32,
    took: [u32; CLASSES],
}

impl Default for Cell {
    fn default() -> Self {
        Self { calls: 0, refused: 0, failed: 0, took: [0; CLASSES] }
    }
}

/// One fact to be counted.
#[derive(Clone, Copy, Debug)]
pub(super) enum Fact {
    Call,
    Refused,
    Failed,
    /// An answer ended so many milliseconds after its call was authorized.
    Took(u64),
}

/// All spans.
#[derive(Debug, Default)]
pub(crate) struct Series {
    destinations: Vec<Destination>,
    numbers: HashMap<Destination, u16>,
    minutes: BTreeMap<u64, HashMap<Pair, Cell>>,
    hours: BTreeMap<u64, HashMap<Pair, Cell>>,
}

impl Series {
    /// The number of a destination, while there are numbers.
    pub(super) fn number(&mut self, destination: &Destination) -> Option<u16> {
        if let Some(number) = self.numbers.get(destination) {
            return Some(*number);
        }
        let number = u16::try_from(self.destinations.len()).ok()?;
        (self.destinations.len() < DESTINATIONS).then(|| {
            self.destinations.push(destination.clone());
            self.numbers.insert(destination.clone(), number);
            number
        })
    }

    /// Destinations that were called or asked for.
    pub(crate) fn destinations(&self) -> &[Destination] {
        &self.destinations
    }

    /// Counts.
    pub(super) fn count(&mut self, at: Timestamp, pair: Pair, fact: Fact) {
        let minute = at.millis() / 60_000;
        put(&mut self.minutes, minute, MINUTES, pair, fact);
        put(&mut self.hours, minute / 60, HOURS, pair, fact);
    }

    /// Spans of `width` minutes that end with the one of `now`, oldest first, of the pairs that are wanted.
    pub(crate) fn spans(
        &self,
        now: Timestamp,
        width: u64,
        count: u64,
        wanted: &dyn Fn(&Pair) -> bool,
    ) -> Vec<(Timestamp, Cell)> {
        let (all, unit) = if width < 60 { (&self.minutes, 1) } else { (&self.hours, 60) };
        let width = width.max(unit);
        let last = now.millis() / 60_000 / width;
        let first = last.saturating_sub(count.saturating_sub(1));
        let begins = |span: u64| Timestamp::from_millis(span * width * 60_000);
        let mut spans: Vec<(Timestamp, Cell)> =
            (first..=last).map(|span| (begins(span), Cell::default())).collect();
        for (at, cells) in all.range(first * width / unit..) {
            let place = usize::try_from((at * unit / width).saturating_sub(first)).unwrap_or(usize::MAX);
            let Some((_, sum)) = spans.get_mut(place) else { continue };
            cells.iter().filter(|(pair, _)| wanted(pair)).for_each(|(_, cell)| sum.add(cell));
        }
        spans
    }

    /// Who called whom in the last so many minutes, and what came of it.
    pub(crate) fn pairs(&self, now: Timestamp, minutes: u64) -> HashMap<Pair, Cell> {
        let (all, unit) = if minutes <= MINUTES { (&self.minutes, 1) } else { (&self.hours, 60) };
        let since = (now.millis() / 60_000).saturating_sub(minutes) / unit;
        let mut sums: HashMap<Pair, Cell> = HashMap::new();
        for cells in all.range(since..).map(|(_, cells)| cells) {
            cells.iter().for_each(|(pair, cell)| sums.entry(*pair).or_default().add(cell));
        }
        sums
    }
}

fn put(all: &mut BTreeMap<u64, HashMap<Pair, Cell>>, span: u64, kept: u64, pair: Pair, fact: Fact) {
    let newest = all.last_key_value().map_or(span, |(newest, _)| *newest);
    if span + kept <= newest {
        return;
    }
    let cells = all.entry(span).or_default();
    let full = cells.len() >= PAIRS && !cells.contains_key(&pair);
    cells.entry(if full { (None, None) } else { pair }).or_default().count(fact);
    while all.first_key_value().is_some_and(|(oldest, _)| oldest + kept <= newest.max(span)) {
        all.pop_first();
    }
}

impl Cell {
    fn count(&mut self, fact: Fact) {
        match fact {
            Fact::Call => self.calls += 1,
            Fact::Refused => self.refused += 1,
            Fact::Failed => self.failed += 1,
            Fact::Took(millis) => self.took[class(millis)] += 1,
        }
    }

    pub(crate) fn add(&mut self, other: &Self) {
        self.calls = self.calls.saturating_add(other.calls);
        self.refused = self.refused.saturating_add(other.refused);
        self.failed = self.failed.saturating_add(other.failed);
        self.took.iter_mut().zip(other.took).for_each(|(sum, more)| *sum = sum.saturating_add(more));
    }

    /// Within how many milliseconds this share of the answers ended.
    pub(crate) fn within(&self, share: f64) -> Option<u64> {
        let all: u32 = self.took.iter().sum();
        let wanted = f64::from(all) * share;
        let mut sum = 0;
        let at = self.took.iter().position(|count| {
            sum += count;
            f64::from(sum) >= wanted
        });
        at.filter(|_| all > 0).map(upper)
    }
}

/// 1, 1.5, 2, 3, 4, 6, 8 … milliseconds.
fn upper(class: usize) -> u64 {
    let octave = 1_u64 << (class / 2).min(40);
    if class.is_multiple_of(2) { octave } else { octave + octave / 2 + (octave & 1) }
}

fn class(millis: u64) -> usize {
    (0..CLASSES).find(|class| millis <= upper(*class)).unwrap_or(CLASSES - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(minute: u64) -> Timestamp {
        Timestamp::from_millis(minute * 60_000 + 5)
    }

    #[test]
    fn calls_are_counted_in_their_span_for_whom_it_is_asked() {
        let mut series = Series::default();
        let (one, other) = (series.number(&"https://a.example".parse().unwrap()), Some(9));
        for (minute, pair) in [(100, (None, one)), (100, (None, other)), (107, (None, one))] {
            series.count(at(minute), pair, Fact::Call);
        }
        let calls =
            |spans: Vec<(Timestamp, Cell)>| spans.iter().map(|(_, cell)| cell.calls).collect::<Vec<_>>();
        assert_eq!(calls(series.spans(at(107), 1, 8, &|_| true)), [2, 0, 0, 0, 0, 0, 0, 1]);
        assert_eq!(calls(series.spans(at(107), 5, 2, &|pair| pair.1 == one)), [1, 1]);
        assert_eq!(calls(series.spans(at(107), 60, 2, &|_| true)), [0, 3]);
        assert_eq!(series.pairs(at(107), 3).len(), 1);
        assert_eq!(series.pairs(at(107), 30)[&(None, one)].calls, 2);
    }

    #[test]
    fn what_is_long_ago_or_one_pair_too_many_makes_it_no_larger() {
        let mut series = Series::default();
        for minute in 0..3 * MINUTES {
            series.count(at(minute), (None, None), Fact::Refused);
        }
        assert_eq!(series.minutes.len() as u64, MINUTES);
        for number in 0..128 {
            series.count(at(3 * MINUTES), (None, Some(number)), Fact::Call);
        }
        assert!(series.minutes[&(3 * MINUTES)].len() <= PAIRS + 1);
        let all = series.spans(at(3 * MINUTES), 1, 1, &|_| true);
        assert_eq!(all[0].1.calls, 128, "none is lost");
        series.count(at(1), (None, None), Fact::Call);
        assert!(!series.minutes.contains_key(&1), "a clock that went back brings nothing back");
        for number in 0..2 * DESTINATIONS {
            series.number(&format!("https://h{number}.example").parse().unwrap());
        }
        assert_eq!(series.destinations().len(), DESTINATIONS);
    }

    #[test]
    fn a_share_of_the_answers_ended_within_its_class() {
        let mut cell = Cell::default();
        assert_eq!(cell.within(0.5), None);
        for millis in [1, 3, 3, 90, 5000] {
            cell.count(Fact::Took(millis));
        }
        assert_eq!((cell.within(0.5), cell.within(0.8), cell.within(1.0)), (Some(3), Some(96), Some(6144)));
        let uppers: Vec<u64> = (0..CLASSES).map(upper).collect();
        assert!(uppers.windows(2).all(|pair| pair[0] <= pair[1]), "{uppers:?}");
    }
}
