//! The chart of calls over time: bars for calls, refusals and failures, a line for how long answers took. Drawn here as SVG, without
//! scripts and without inline styles; what it shows also stands in words.

use super::index::Cell;
use super::look::number;
use cloakroom_model::Timestamp;
use maud::{Markup, html};

/// One span's place in the drawing, which is stretched to the page's width; the bar in it leaves a gap.
const EACH: u64 = 16;
const BAR: u64 = 12;
const BARS: u64 = 120;
const LINE: u64 = 60;

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

/// The chart, with its figures in words. Its scales are text of the page, so they are legible at every width.
pub(super) fn draw(spans: &[(Timestamp, Cell)], range: Range) -> Markup {
    let mut all = Cell::default();
    spans.iter().for_each(|(_, cell)| all.add(cell));
    let words = words(&all, range);
    let top = spans.iter().map(|(_, cell)| height(cell)).max().unwrap_or(0).max(4);
    let slowest = spans.iter().filter_map(|(_, cell)| cell.within(0.95)).max().unwrap_or(0).max(10);
    let width = EACH * spans.len().max(1) as u64;
    html! {
        figure .chart {
            figcaption { (words) }
            div .plot role="img" aria-label=(words) {
                (scale(&number(top), ""))
                svg .bars viewBox={ "0 0 " (width) " " (BARS) } preserveAspectRatio="none" {
                    @for (at, (begins, cell)) in spans.iter().enumerate() { (bar(at, *begins, cell, top)) }
                }
                (scale(&number(slowest), " ms"))
                svg .line viewBox={ "0 0 " (width) " " (LINE) } preserveAspectRatio="none" {
                    polyline points=(line(spans, slowest)) {}
                    // A line of no length with round ends: a dot that no stretching makes an egg.
                    @for (x, y) in points(spans, slowest) { path d={ "M" (x) " " (y) "h0" } {} }
                }
                div .ends { span { (label(spans.first(), range)) } span { "now" } }
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

fn scale(most: &str, unit: &str) -> Markup {
    html! { div .scale { span { (most) (unit) } span { "0" } } }
}

/// Calls at the bottom, failures among them, refusals on top.
fn bar(at: usize, begins: Timestamp, cell: &Cell, top: u64) -> Markup {
    let x = at as u64 * EACH + (EACH - BAR) / 2;
    let scaled = |value: u32| u64::from(value) * BARS / top;
    let failed = cell.failed.min(cell.calls);
    let (good, bad, refused) = (scaled(cell.calls - failed), scaled(failed), scaled(cell.refused));
    let part = |class: &str, below: u64, height: u64| {
        html! { rect class=(class) x=(x) width=(BAR) y=(BARS.saturating_sub(below + height)) height=(height) {} }
    };
    html! {
        @if height(cell) > 0 {
            g {
                title { (begins) ": " (cell.calls) " calls, " (cell.refused) " refused, " (cell.failed) " failed" }
                (part("ok", 0, good)) (part("failed", good, bad)) (part("refused", good + bad, refused))
            }
        }
    }
}

fn points(spans: &[(Timestamp, Cell)], slowest: u64) -> impl Iterator<Item = (u64, u64)> {
    spans.iter().enumerate().filter_map(move |(at, (_, cell))| {
        let millis = cell.within(0.95)?;
        Some((at as u64 * EACH + EACH / 2, LINE - millis.min(slowest) * LINE / slowest))
    })
}

fn line(spans: &[(Timestamp, Cell)], slowest: u64) -> String {
    points(spans, slowest).map(|(x, y)| format!("{x},{y}")).collect::<Vec<_>>().join(" ")
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
            assert!(height <= BARS, "{height}");
        }
        assert!(!drawn.contains("style="), "no inline style");
    }
}
