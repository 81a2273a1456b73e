//! Prometheus' text format (version 0.0.4), written family by family.

use cloakroom_model::Spread;
use std::fmt::{Display, Write};

/// Text that grows by whole families.
#[derive(Default)]
pub(super) struct Exposition(String);

/// How a family counts.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// It only grows.
    Counter,
    /// It is what it is.
    Gauge,
}

impl Exposition {
    pub(super) fn into_text(self) -> String {
        self.0
    }

    /// A family with one sample.
    pub(super) fn one(&mut self, kind: Kind, name: &str, help: &str, value: u64) {
        self.head(name, kind.word(), help);
        let _ = writeln!(self.0, "{name} {value}");
    }

    /// A family with a sample for each value of one label. Labels and values are our own words.
    pub(super) fn each(
        &mut self,
        kind: Kind,
        name: &str,
        help: &str,
        label: &str,
        counts: impl IntoIterator<Item = (impl Display, u64)>,
    ) {
        self.head(name, kind.word(), help);
        for (value, count) in counts {
            let _ = writeln!(self.0, "{name}{{{label}=\"{value}\"}} {count}");
        }
    }

    /// A histogram of durations in seconds, for each value of a label; no label for one alone.
    pub(super) fn durations(
        &mut self,
        name: &str,
        help: &str,
        label: &str,
        spreads: impl IntoIterator<Item = (&'static str, Spread)>,
    ) {
        self.head(name, "histogram", help);
        for (value, spread) in spreads {
            let own = if value.is_empty() { String::new() } else { format!("{label}=\"{value}\",") };
            for (end, count) in spread.cumulated() {
                let end = end.map_or_else(|| "+Inf".into(), seconds);
                let _ = writeln!(self.0, "{name}_bucket{{{own}le=\"{end}\"}} {count}");
            }
            let own = own.trim_end_matches(',');
            let own = if own.is_empty() { String::new() } else { format!("{{{own}}}") };
            let _ = writeln!(self.0, "{name}_sum{own} {}", seconds(spread.nanoseconds));
            let _ = writeln!(self.0, "{name}_count{own} {}", spread.count());
        }
    }

    fn head(&mut self, name: &str, kind: &str, help: &str) {
        let _ = writeln!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}");
    }
}

impl Kind {
    const fn word(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
        }
    }
}

/// Exactly, without a float in between.
fn seconds(nanoseconds: u64) -> String {
    let text = format!("{}.{:09}", nanoseconds / 1_000_000_000, nanoseconds % 1_000_000_000);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use cloakroom_model::Histogram;
    use std::time::Duration;

    #[test]
    fn a_histogram_is_cumulated_and_its_sum_is_exact() {
        let histogram = Histogram::default();
        for nanoseconds in [1, 4096, 4097] {
            histogram.observe(Duration::from_nanos(nanoseconds));
        }
        let mut out = Exposition::default();
        out.durations("x_seconds", "Help.", "stage", [("send", histogram.read())]);
        out.durations("y_seconds", "Help.", "", [("", Spread::default())]);
        let text = out.into_text();
        for line in [
            "# TYPE x_seconds histogram",
            "x_seconds_bucket{stage=\"send\",le=\"0.000004096\"} 2",
            "x_seconds_bucket{stage=\"send\",le=\"0.000008192\"} 3",
            "x_seconds_bucket{stage=\"send\",le=\"34.359738368\"} 3",
            "x_seconds_bucket{stage=\"send\",le=\"+Inf\"} 3",
            "x_seconds_sum{stage=\"send\"} 0.000008194",
            "x_seconds_count{stage=\"send\"} 3",
            "y_seconds_bucket{le=\"+Inf\"} 0",
            "y_seconds_sum 0",
            "y_seconds_count 0",
        ] {
            assert!(text.lines().any(|have| have == line), "{line}\n{text}");
        }
    }
}
