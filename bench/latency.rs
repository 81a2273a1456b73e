//! Added latency: client, proxy and upstream on one core, because a wake-up across cores costs more than a proxy.

use crate::bed::Bed;
use crate::candidate::{Field, INTERCEPTION, SMALL};
use crate::load::{Load, Pace};
use crate::machine::{self, PROXY, REST};
use crate::report::{Plan, Report};
use crate::spread::Spread;

/// Connections and calls per second of the open loop.
const PACED: (usize, u32) = (8, 1_000);

/// Measures everybody, in turn, so many times.
pub(crate) fn run(bed: &Bed, field: &Field, plan: &Plan, report: &mut Report) {
    let (own, upstream) = (std::process::id(), bed.upstream.pid());
    machine::pin(own, PROXY);
    machine::pin(upstream, PROXY);
    let mut all =
        vec![[const { Vec::new() }; 4].map(|_: Vec<f64>| Spread::default()); field.candidates.len()];
    for _ in 0..plan.runs {
        let mut direct = [f64::NAN; 2];
        for (index, candidate) in field.candidates.iter().enumerate() {
            let routes = [candidate.route(SMALL)];
            Load::run(&routes, PACED.0, Pace::Open(PACED.1), plan.time / 8);
            let load = Load::run(&routes, PACED.0, Pace::Open(PACED.1), plan.time);
            report.check(candidate.name, &load);
            let latencies = &load.latencies;
            let [p50, p99] = [latencies.micros(50.0), latencies.micros(99.0)];
            if index == 0 {
                direct = [p50, p99];
            }
            let figures = [p50, p50 - direct[0], p99 - direct[1], latencies.micros(99.9)];
            for (spread, figure) in all[index].iter_mut().zip(figures) {
                spread.push(figure);
            }
        }
    }
    machine::pin(own, REST);
    machine::pin(upstream, REST);
    report.section(
        "Latency, one core",
        &format!(
            "Open loop, {} calls/s over {} connections, from the time a call was due; client, proxy and upstream on one core. \
             *Added* is over the first row of the same run. µs, median [range].",
            PACED.1, PACED.0
        ),
        "| | p50 | added p50 | added p99 | p99.9 |",
    );
    let mut yardstick = [f64::NAN; 2];
    for (candidate, [p50, added50, added99, p999]) in field.candidates.iter().zip(&all) {
        let cells = [p50, added50, added99, p999].map(|spread| spread.show(0)).join(" | ");
        report.row(&format!("| {} | {cells} |", candidate.name));
        if candidate.name.starts_with("nginx") {
            yardstick = [added50.median(), added99.median()];
        }
        if candidate.name == INTERCEPTION {
            report.hold("T4", added50.median() / yardstick[0]);
            report.hold("T5", added99.median() / yardstick[1]);
        }
    }
}
