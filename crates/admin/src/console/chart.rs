//! The chart of calls over time: bars for calls, refusals and failures, a line for how long answers took. Drawn here as SVG, without
//! scripts and without inline styles; what it shows also stands in words.

use super::index::Cell;
use super::look::number;
use cloakroom_model::Timestamp;
use maud::{Markup, html};

const WIDTH: u64 = 960;
const LEFT: u64 = 52;
const BARS: u64 = 120;
const LINE: u64 = 60;
const GAP: u64 = 28;
const HEIGHT: u64 = 12 + BARS + GAP + LINE + 22;

/// How far back it goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Range {
    Hour,
    Day,
    Week,
    Month,
}

impl Range {
    pub(super) const ALL: [Self; 4] = [Self::Hour, Self::Day, Self::Week, Self::Month];

    pub(super) fn named(word: &str) -> Self {
        Self::ALL.into_iter().find(|one| one.word() == word).unwrap_or(Self::Hour)
    }

    pub(super) const fn word(self) -> &'static str {
        match self {
            Self::Hour => "hour",
            Self::Day => "day",
            Self::Week => "week",
            Self::Month => "month",
        }
    }

    pub(super) const fn label(self) -> &'static str {
        match self {
            Self::Hour => "the last hour",
            Self::Day => "the last day",
            Self::Week => "the last week",
            Self::Month => "the last 30 days",
        }
    }

    /// Minutes of one bar.
    pub(super) const fn width(self) -> u64 {
        match self {
            Self::Hour => 1,
            Self::Day => 30,
            Self::Week => 180,
            Self::Month => 720,
        }
    }

    pub(super) const fn count(self) -> u64 {
        match self {
            Self::Hour | Self::Month => 60,
            Self::Day => 48,
            Self::Week => 56,
        }
    }

    pub(super) const fn minutes(self) -> u64 {
        self.width() * self.count()
    }
}

/// The chart, with its figures in words.
pub(super) fn draw(spans: &[(Timestamp, Cell)], range: Range) -> Markup {
    let mut all = Cell::default();
    spans.iter().for_each(|(_, cell)| all.add(cell));
    let words = words(&all, range);
    let top = spans.iter().map(|(_, cell)| height(cell)).max().unwrap_or(0).max(4);
    let slowest = spans.iter().filter_map(|(_, cell)| cell.within(0.95)).max().unwrap_or(0).max(10);
    let base = 12 + BARS;
    html! {
        figure .chart {
            figcaption { (words) }
            svg viewBox={ "0 0 " (WIDTH) " " (HEIGHT) } role="img" aria-label=(words) {
                (axis(12, base, &number(top), ""))
                @for (at, (begins, cell)) in spans.iter().enumerate() { (bar(at, spans.len(), *begins, cell, top, base)) }
                (axis(base + GAP, base + GAP + LINE, &number(slowest), " ms"))
                polyline .slow points=(line(spans, slowest, base + GAP + LINE)) {}
                (dots(spans, slowest, base + GAP + LINE))
                text .tick x=(LEFT) y=(HEIGHT - 4) { (label(spans.first(), range)) }
                text .tick .end x=(WIDTH) y=(HEIGHT - 4) { "now" }
            }
            ul .legend {
                li .ok { "calls" } li .refused { "refused" } li .failed { "failed" } li .slow { "95 % of the answers took no longer" }
            }
        }
    }
}

fn words(all: &Cell, range: Range) -> String {
    let [calls, refused, failed] = [all.calls, all.refused, all.failed].map(|count| number(count.into()));
    let counted = format!("In {}: {calls} calls, {refused} refused, {failed} failed", range.label());
    match (all.within(0.5), all.within(0.95)) {
        (Some(half), Some(most)) => {
            format!(
                "{counted}; half of the answers within {} ms, 95 % within {} ms.",
                number(half),
                number(most)
            )
        }
        _ => format!("{counted}."),
    }
}

fn height(cell: &Cell) -> u64 {
    u64::from(cell.calls) + u64::from(cell.refused)
}

fn axis(top: u64, bottom: u64, most: &str, unit: &str) -> Markup {
    html! {
        line .grid x1=(LEFT) x2=(WIDTH) y1=(top) y2=(top) {}
        line .axis x1=(LEFT) x2=(WIDTH) y1=(bottom) y2=(bottom) {}
        text .tick .end x=(LEFT - 6) y=(top + 4) { (most) (unit) }
        text .tick .end x=(LEFT - 6) y=(bottom) { "0" }
    }
}

/// Calls at the bottom, failures among them, refusals on top.
fn bar(at: usize, count: usize, begins: Timestamp, cell: &Cell, top: u64, base: u64) -> Markup {
    let each = (WIDTH - LEFT) / (count.max(1) as u64);
    let x = LEFT + at as u64 * each + 1;
    let scaled = |value: u32| u64::from(value) * BARS / top;
    let failed = cell.failed.min(cell.calls);
    let (good, bad, refused) = (scaled(cell.calls - failed), scaled(failed), scaled(cell.refused));
    html! {
        @if height(cell) > 0 {
            g {
                title { (begins) ": " (cell.calls) " calls, " (cell.refused) " refused, " (cell.failed) " failed" }
                rect .ok x=(x) width=(each.saturating_sub(2)) y=(base - good) height=(good) {}
                rect .failed x=(x) width=(each.saturating_sub(2)) y=(base - good - bad) height=(bad) {}
                rect .refused x=(x) width=(each.saturating_sub(2)) y=(base.saturating_sub(good + bad + refused)) height=(refused) {}
            }
        }
    }
}

fn points(spans: &[(Timestamp, Cell)], slowest: u64, bottom: u64) -> impl Iterator<Item = (u64, u64)> {
    let each = (WIDTH - LEFT) / (spans.len().max(1) as u64);
    spans.iter().enumerate().filter_map(move |(at, (_, cell))| {
        let millis = cell.within(0.95)?;
        Some((LEFT + at as u64 * each + each / 2, bottom - millis.min(slowest) * LINE / slowest))
    })
}

fn line(spans: &[(Timestamp, Cell)], slowest: u64, bottom: u64) -> String {
    points(spans, slowest, bottom).map(|(x, y)| format!("{x},{y}")).collect::<Vec<_>>().join(" ")
}

fn dots(spans: &[(Timestamp, Cell)], slowest: u64, bottom: u64) -> Markup {
    html! { @for (x, y) in points(spans, slowest, bottom) { circle .slow cx=(x) cy=(y) r="2" {} } }
}

fn label(first: Option<&(Timestamp, Cell)>, range: Range) -> String {
    let Some((begins, _)) = first else { return String::new() };
    let text = begins.to_string();
    let (day, time) = text.split_once('T').unwrap_or((&text, ""));
    match range {
        Range::Hour | Range::Day => format!("{} {} UTC", day, time.get(..5).unwrap_or_default()),
        Range::Week | Range::Month => day.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chart_of_nothing_and_of_much_stays_within_its_frame() {
        let empty = draw(&[], Range::Hour).into_string();
        assert!(empty.contains("0 calls") && !empty.contains("NaN"), "{empty}");
        let mut much = Cell::default();
        (much.calls, much.refused, much.failed) = (u32::MAX, u32::MAX, u32::MAX);
        let spans: Vec<(Timestamp, Cell)> = (0..60)
            .map(|at| (Timestamp::from_millis(at * 60_000), if at == 7 { much } else { Cell::default() }))
            .collect();
        let drawn = draw(&spans, Range::Hour).into_string();
        for height in
            drawn.split("height=\"").skip(1).filter_map(|rest| rest.split('"').next()?.parse::<u64>().ok())
        {
            assert!(height <= HEIGHT, "{height}");
        }
        assert!(!drawn.contains("style="), "no inline style");
    }
}
