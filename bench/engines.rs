//! Parts of the broker without the broker: programs that are built beside the bench and say a figure in each line.

use crate::report::{Plan, Report};
use std::collections::HashMap;
use std::path::Path;
use std::process::Command;

/// Single uses, taken so that they survive a power cut.
pub(crate) fn spends(plan: &Plan, report: &mut Report) {
    let text = run("spends", &[&plan.directory]);
    let figures: HashMap<&str, f64> = text
        .lines()
        .filter_map(|line| line.split_once(' '))
        .filter_map(|(name, value)| Some((name, value.parse().ok()?)))
        .collect();
    let of = |name: &str| figures.get(name).copied().unwrap_or(f64::NAN);
    report.section(
        "Durable single uses",
        "The journal and the count of uses without the rest of the broker, on the disk of the directory of this report. *Flushes* are the \
         journal's own count. `fdatasync`: as many bytes behind a file of the same disk, in turn with the uses taken alone.",
        "| | uses/s | p50 µs | p99 µs | flushes | uses for each |",
    );
    report.row(&format!(
        "| 64 at once | {:.0} | {:.0} | {:.0} | {:.0} | {:.1} |",
        of("per_second"),
        of("p50_us"),
        of("p99_us"),
        of("flushes"),
        of("per_flush")
    ));
    report.row(&format!("| alone | | {:.0} | | | |", of("alone_p50_us")));
    report.row(&format!("| `fdatasync` | | {:.0} | | | |", of("fdatasync_p50_us")));
    report.hold("T16 rate", of("per_second"));
    report.hold("T16 p99", of("p99_us") / 1e3);
    report.hold("T17", of("alone_to_fdatasync"));
}

/// How fast replies are searched.
pub(crate) fn scrub(report: &mut Report) {
    let text = run("scrub", &[]);
    report.section("Scrubbing", "GB/s over 1 MiB, the best of nine runs.", "| | 1 secret | 10 | 1,000 |");
    let rows = text.lines().skip(2).take_while(|line| line.starts_with("| "));
    for row in rows {
        report.row(row);
        let mut cells = row.split('|').map(str::trim).skip(1);
        if cells.next() == Some("shared prefix here and there") {
            for name in ["T13 K=1", "T13 K=10", "T13 K=1000"] {
                report.hold(name, cells.next().and_then(|cell| cell.parse().ok()).unwrap_or(f64::NAN));
            }
        }
    }
}

fn run(program: &str, arguments: &[&Path]) -> String {
    let program = std::env::current_exe().unwrap().with_file_name(program);
    let output = Command::new("taskset").args(["-c", "0,1"]).arg(&program).args(arguments).output();
    let output = output.unwrap_or_else(|error| panic!("cannot run {}: {error}", program.display()));
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("figures are text")
}
