//! The budgets: what each figure may come to, and whether this machine keeps it. Figures of earlier runs stand until they are
//! measured again, so that the whole table can be filled piece by piece.

use crate::chart;
use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

/// What a figure has to be.
#[derive(Clone, Copy)]
enum Bound {
    AtMost(f64),
    AtLeast(f64),
}

use Bound::{AtLeast, AtMost};

/// The name of one, what is measured, what it has to be, and what measures it.
type Budget = (&'static str, &'static str, Bound, &'static str);

/// Ratios are to nginx in the same run. Hudsucker, to which T3 is held, is not in the bed: it took 0.96 of nginx's CPU.
const BUDGETS: [Budget; 28] = [
    ("T1", "instructions of a request by CONNECT, to nginx", AtMost(0.90), "callgrind"),
    ("T1 SHA", "the same on a CPU with SHA instructions", AtMost(0.90), "callgrind"),
    ("T2 c=16", "CPU of a request by base URL over TLS, to nginx", AtMost(0.90), "--only requests"),
    ("T2 c=64", "the same over 64 connections", AtMost(0.90), "--only requests"),
    ("T3 c=16", "CPU of a request by CONNECT, to nginx", AtMost(0.96), "--only requests"),
    ("T3 c=64", "the same over 64 connections", AtMost(0.96), "--only requests"),
    ("T4", "added p50 by CONNECT, one core, to nginx's", AtMost(1.0), "--only latency"),
    ("T5", "added p99 by CONNECT, one core, to nginx's", AtMost(1.0), "--only latency"),
    ("T6", "system calls of a request by CONNECT", AtMost(5.0), "--only syscalls"),
    ("T7", "CPU µs by CONNECT beyond the bare relay", AtMost(5.0), "--only requests"),
    ("T8 rate", "new intercepted connections/s, to nginx's", AtLeast(2.0), "--only handshakes"),
    ("T8 cpu", "CPU µs of a new intercepted connection", AtMost(300.0), "--only handshakes"),
    ("T9", "CPU µs of the first contact with a host", AtMost(800.0), "--only contact"),
    ("T10 connect", "KiB of an idle connection by CONNECT", AtMost(16.0), "--only memory"),
    ("T10 base", "KiB of an idle connection by base URL", AtMost(16.0), "--only memory"),
    ("T11", "MiB resident after the start", AtMost(12.0), "--only memory"),
    ("T12", "CPU of 100 MiB by CONNECT, scrubbed, to nginx", AtMost(0.80), "--only bodies"),
    ("T13 K=1", "GB/s scrubbed, 1 secret, shared prefix here and there", AtLeast(4.0), "scrub"),
    ("T13 K=10", "the same, 10 secrets", AtLeast(3.0), "scrub"),
    ("T13 K=1000", "the same, 1,000 secrets", AtLeast(2.0), "scrub"),
    ("T14", "CPU with 1,000 secrets scrubbed, to none", AtMost(1.35), "no call has so many"),
    ("T15", "added p50 of an event of a stream, µs", AtMost(300.0), "events"),
    ("T16 rate", "durable single uses/s, 64 at once", AtLeast(20_000.0), "spends"),
    ("T16 p99", "p99 of those, ms", AtMost(5.0), "spends"),
    ("T17", "a durable use alone, to fdatasync", AtMost(2.0), "spends"),
    ("T18", "requests over kept connections to the upstream, %", AtLeast(99.9), "--only requests"),
    ("stream", "MiB that memory grew while 10 GB went through", AtMost(16.0), "stream"),
    ("overload", "answered at four times saturation, to saturation", AtLeast(0.9), "overload"),
];

/// Puts what was found beside what was found before, and writes the table and the chart; gives the table.
pub(crate) fn settle(directory: &Path, found: &BTreeMap<&'static str, f64>) -> String {
    let file = directory.join("budgets.tsv");
    let before = std::fs::read_to_string(&file).unwrap_or_default();
    let mut figures: BTreeMap<String, (f64, String)> = before.lines().filter_map(kept).collect();
    let now = now();
    for (name, value) in found {
        assert!(BUDGETS.iter().any(|budget| budget.0 == *name), "no budget is called {name:?}");
        figures.insert((*name).to_owned(), (*value, now.clone()));
    }
    let lines = figures.iter().map(|(name, (value, when))| format!("{name}\t{value}\t{when}\n"));
    std::fs::write(&file, lines.collect::<String>()).unwrap();
    let mut table = String::from(
        "\n## Budgets\n\nRatios are to nginx in the same run. *Of the budget*: 1.00 uses it up, more misses it.\n\n\
         | | figure | budget | measured | | of the budget | when |\n|---|---|---|---|---|---|---|\n",
    );
    let mut bars = Vec::new();
    for (name, figure, bound, how) in &BUDGETS {
        let (sign, limit) = match bound {
            AtMost(limit) => ("≤", limit),
            AtLeast(limit) => ("≥", limit),
        };
        let Some((value, when)) = figures.get(*name) else {
            table.push_str(&format!(
                "| {name} | {figure} | {sign} {limit} | – | not measured ({how}) | | |\n"
            ));
            continue;
        };
        let share = if let AtMost(_) = bound { value / limit } else { limit / value };
        let verdict = if share <= 1.0 { "met" } else { "**missed**" };
        table.push_str(&format!(
            "| {name} | {figure} | {sign} {limit} | {} | {verdict} | {share:.2} | {when} |\n",
            short(*value)
        ));
        bars.push((*name, share));
    }
    std::fs::write(directory.join("budgets.md"), table.trim_start()).unwrap();
    chart::write(
        &directory.join("budgets.svg"),
        "How much of each budget is used up (1.00: all of it)",
        &bars,
    );
    table
}

fn kept(line: &str) -> Option<(String, (f64, String))> {
    let mut words = line.split('\t');
    let (name, value, when) = (words.next()?, words.next()?, words.next()?);
    Some((name.to_owned(), (value.parse().ok()?, when.to_owned())))
}

fn short(value: f64) -> String {
    let decimals = if value >= 1_000.0 { 0 } else { 2 };
    format!("{value:.decimals$}")
}

/// The time of day, for whoever reads the table later.
fn now() -> String {
    let said = Command::new("date").args(["-u", "+%F %H:%M"]).output().expect("date runs");
    String::from_utf8_lossy(&said.stdout).trim().to_owned()
}
