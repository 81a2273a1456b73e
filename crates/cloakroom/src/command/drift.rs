//! `cloakroom drift`: how what is permitted grew, from the rows and the journal.

use super::recorded::Recorded;
use crate::Outcome;
use crate::broker::Broker;
use crate::cli::{DriftArguments, Period};
use crate::data_dir::DataDir;
use crate::exit::Exit;
use crate::output::{Output, table};
use cloakroom_admin::wire::GrantedView;
use cloakroom_model::{PlaceholderId, Timestamp};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};

/// No more unused permits are shown to people.
const SHOWN: usize = 20;
const DAY: u64 = 86_400_000;

/// What counted at the end of a period, or counts now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
struct Row {
    /// Its first day.
    begins: String,
    placeholders: usize,
    tuples: usize,
    destinations: usize,
    writes: usize,
    unused_permits: usize,
    /// Calls that were made in it.
    calls: u64,
}

/// A permit that nobody uses.
#[derive(Debug, PartialEq, Eq, Serialize)]
struct Unused {
    placeholder: PlaceholderId,
    credential: Option<String>,
    workload: Option<String>,
    permit: String,
    /// When a call used it last, as far as the journal goes back.
    last_use: Option<String>,
}

#[derive(Serialize)]
struct Report {
    by: &'static str,
    periods: Vec<Row>,
    unused: Vec<Unused>,
    /// Placeholders that ended at a time that is nowhere on record: they are not counted.
    ended_unrecorded: usize,
}

pub(super) fn run(data: &DataDir, options: &DriftArguments, output: &Output) -> Outcome {
    let granted: Vec<GrantedView> = Broker::of(data)?.read("tuples")?;
    let recorded = Recorded::read(&super::journal::directory(data)?, 0)?;
    let house = House::new(granted, &recorded);
    let now = Timestamp::now().millis();
    let window = u64::try_from(options.unused.as_millis()).unwrap_or(u64::MAX);
    let mut periods = Vec::new();
    for (begins, ends) in spans(options.by, now, usize::from(options.last)) {
        periods.push(house.row(begins, ends.min(now), window));
    }
    let report = Report {
        by: if options.by == Period::Week { "week" } else { "month" },
        periods,
        unused: house.unused(now, window),
        ended_unrecorded: house.unrecorded,
    };
    output.data(&report, || text(&report))?;
    Ok(Exit::Done)
}

/// A placeholder and the time in which it counts.
struct Held {
    granted: GrantedView,
    begins: u64,
    ends: u64,
}

struct House {
    held: Vec<Held>,
    /// Each use of a permit of a placeholder, in order.
    uses: BTreeMap<(PlaceholderId, String), Vec<u64>>,
    calls: Vec<u64>,
    unrecorded: usize,
}

impl House {
    fn new(granted: Vec<GrantedView>, recorded: &Recorded) -> Self {
        let mut house = Self { held: Vec::new(), uses: BTreeMap::new(), calls: Vec::new(), unrecorded: 0 };
        for intent in &recorded.intents {
            house.calls.push(intent.at.millis());
            for used in &intent.uses {
                let key = (used.placeholder, used.permit.clone());
                house.uses.entry(key).or_default().push(intent.at.millis());
            }
        }
        for one in granted {
            let Some(begins) = one.begins else { continue };
            let id = one.id.to_string();
            let revoked =
                recorded.revoked.iter().filter(|(subject, _)| *subject == id).map(|(_, at)| at.millis());
            let ends = one.ends.into_iter().chain(revoked).min();
            match (one.state.as_str(), ends) {
                ("active", _) | (_, Some(_)) => {
                    house.held.push(Held { begins, ends: ends.unwrap_or(u64::MAX), granted: one });
                }
                (_, None) => house.unrecorded += 1,
            }
        }
        house
    }

    /// Those that count at this time.
    fn at(&self, time: u64) -> impl Iterator<Item = &Held> {
        self.held.iter().filter(move |held| held.begins <= time && time < held.ends)
    }

    fn row(&self, begins: u64, at: u64, window: u64) -> Row {
        let tuples = || self.at(at).flat_map(|held| &held.granted.tuples);
        Row {
            begins: day(begins),
            placeholders: self.at(at).count(),
            tuples: tuples().count(),
            destinations: tuples().map(|tuple| &tuple.to).collect::<BTreeSet<_>>().len(),
            writes: tuples().filter(|tuple| tuple.writes).count(),
            unused_permits: self.unused(at, window).len(),
            calls: self.calls.iter().filter(|time| begins <= **time && **time < at).count() as u64,
        }
    }

    /// Permits that count at this time, could have been used for the whole window, and were not.
    fn unused(&self, at: u64, window: u64) -> Vec<Unused> {
        let since = at.saturating_sub(window);
        let mut unused = Vec::new();
        for held in self.at(at).filter(|held| held.begins <= since) {
            let permits: BTreeSet<&str> =
                held.granted.tuples.iter().map(|tuple| tuple.permit.as_str()).collect();
            for permit in permits {
                let uses = self.uses.get(&(held.granted.id, permit.to_owned()));
                let last = uses.into_iter().flatten().filter(|time| **time <= at).max().copied();
                if last.is_none_or(|last| last < since) {
                    unused.push(Unused {
                        placeholder: held.granted.id,
                        credential: held.granted.credential.as_ref().map(ToString::to_string),
                        workload: held.granted.workload.as_ref().map(ToString::to_string),
                        permit: permit.to_owned(),
                        last_use: last.map(|last| Timestamp::from_millis(last).to_string()),
                    });
                }
            }
        }
        unused
    }
}

/// The first instants of the last periods and of those after them, the present one last.
fn spans(by: Period, now: u64, last: usize) -> Vec<(u64, u64)> {
    let mut begins = match by {
        // 1 January 1970 was a Thursday.
        Period::Week => ((now / DAY + 3) / 7 * 7).saturating_sub(3) * DAY,
        Period::Month => month(now),
    };
    let mut ends = match by {
        Period::Week => begins.saturating_add(7 * DAY),
        Period::Month => month(begins + 32 * DAY),
    };
    let mut spans = Vec::new();
    while spans.len() < last && begins > 0 {
        spans.push((begins, ends));
        ends = begins;
        begins = match by {
            Period::Week => begins.saturating_sub(7 * DAY),
            Period::Month => month(begins - DAY),
        };
    }
    spans.reverse();
    spans
}

/// The first instant of the month.
fn month(at: u64) -> u64 {
    let date = day(at);
    let of_month: u64 = date.rsplit('-').next().and_then(|day| day.parse().ok()).unwrap_or(1);
    (at / DAY).saturating_sub(of_month - 1) * DAY
}

/// The day, in UTC.
fn day(at: u64) -> String {
    Timestamp::from_millis(at).to_string().chars().take(10).collect()
}

fn text(report: &Report) -> String {
    let mut before: Option<usize> = None;
    let row = |row: &Row| {
        let grown =
            before.replace(row.tuples).map(|old| i128::try_from(row.tuples).unwrap_or(0) - old as i128);
        vec![
            row.begins.clone(),
            row.placeholders.to_string(),
            row.tuples.to_string(),
            grown.map_or_else(|| "-".into(), |grown| format!("{grown:+}")),
            row.destinations.to_string(),
            row.writes.to_string(),
            row.unused_permits.to_string(),
            row.calls.to_string(),
        ]
    };
    let heading = match report.by {
        "week" => "WEEK OF",
        _ => "MONTH OF",
    };
    let rows: Vec<Vec<String>> = report.periods.iter().map(row).collect();
    let headings =
        [heading, "PLACEHOLDERS", "TUPLES", "GROWN", "DESTINATIONS", "WRITES", "UNUSED PERMITS", "CALLS"];
    let mut lines = vec![table(&headings, &rows)];
    for one in report.unused.iter().take(SHOWN) {
        let since = one.last_use.as_ref().map_or_else(|| "never used".into(), |at| format!("last used {at}"));
        lines.push(format!("unused: {} permit {:?}: {since}", one.placeholder, one.permit));
    }
    if report.unused.len() > SHOWN {
        lines.push(format!("{} more: --json has all", report.unused.len() - SHOWN));
    }
    if report.ended_unrecorded > 0 {
        lines.push(format!(
            "{} placeholders ended at a time that is not on record, and are not counted",
            report.ended_unrecorded
        ));
    }
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use cloakroom_model::Destination;
    use cloakroom_policy::Tuple;

    /// Sunday, 29 November 2026, 12:00.
    const NOW: u64 = 1_795_953_600_000;

    fn granted(number: u8, state: &str, begins: u64, ends: Option<u64>) -> GrantedView {
        let permits = [("read", "GET /a", false), ("write", "POST /a", true)];
        let to: Destination = "https://a.example".parse().unwrap();
        let tuples = permits.map(|(permit, call, writes)| Tuple {
            permit: permit.into(),
            to: to.clone(),
            call: call.into(),
            writes,
        });
        GrantedView {
            id: PlaceholderId::new(Timestamp::from_millis(1), [number; 10]),
            credential: None,
            workload: None,
            state: state.into(),
            begins: Some(begins),
            ends,
            policy: String::new(),
            tuples: tuples.to_vec(),
            destinations: vec![to],
        }
    }

    #[test]
    fn t80_what_counts_at_a_time_and_what_of_it_nobody_uses_is_counted() {
        let week = 7 * DAY;
        let all = vec![
            granted(1, "active", NOW - 4 * week, None),
            granted(2, "active", NOW - 2 * week, Some(NOW - week)),
            granted(3, "revoked", NOW - 3 * week, None),
            granted(4, "revoked", NOW - 3 * week, None),
        ];
        let (first, third) = (all[0].id, all[2].id);
        let mut recorded = Recorded::default();
        recorded.revoked.push((third.to_string(), Timestamp::from_millis(NOW - 2 * week)));
        let house = House::new(all, &recorded);
        assert_eq!(house.unrecorded, 1, "the fourth ended, and nobody knows when");
        let counted = |at: u64| {
            let row = house.row(at - week, at, week);
            (row.placeholders, row.tuples, row.writes, row.destinations, row.unused_permits)
        };
        assert_eq!(counted(NOW - 5 * week), (0, 0, 0, 0, 0));
        assert_eq!(counted(NOW - 5 * week / 2), (2, 4, 2, 1, 2), "the younger one could not be unused yet");
        assert_eq!(counted(NOW - 3 * week / 2), (2, 4, 2, 1, 2));
        assert_eq!(counted(NOW), (1, 2, 1, 1, 2));

        let mut house = house;
        house.uses.insert((first, "read".into()), vec![NOW - DAY]);
        let unused = house.unused(NOW, week);
        assert_eq!(unused.iter().map(|one| one.permit.as_str()).collect::<Vec<_>>(), ["write"]);
        house.uses.insert((first, "read".into()), vec![NOW - 2 * week]);
        assert_eq!(house.unused(NOW, week).len(), 2, "used, but too long ago");
    }

    #[test]
    fn periods_begin_on_mondays_and_on_the_first() {
        assert_eq!(Timestamp::from_millis(NOW).to_string(), "2026-11-29T12:00:00Z");
        let begins =
            |by| -> Vec<String> { spans(by, NOW, 3).into_iter().map(|(begins, _)| day(begins)).collect() };
        assert_eq!(begins(Period::Week), ["2026-11-09", "2026-11-16", "2026-11-23"]);
        assert_eq!(begins(Period::Month), ["2026-09-01", "2026-10-01", "2026-11-01"]);
        for by in [Period::Week, Period::Month] {
            let spans = spans(by, NOW, 40);
            assert!(spans.windows(2).all(|two| two[0].1 == two[1].0), "{spans:?}");
            assert!(spans.last().is_some_and(|(begins, ends)| *begins <= NOW && NOW < *ends));
        }
    }
}
