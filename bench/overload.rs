//! Beyond saturation: an open loop at multiples of what a closed loop gets, and how many calls still get their answer in time.

use crate::bed::Bed;
use crate::candidate::{Field, INTERCEPTION, SMALL};
use crate::load::{Load, Pace};
use crate::report::{Plan, Report};

/// Connections of every loop.
const CONNECTIONS: usize = 64;
/// Multiples of the rate at which the closed loop was saturated.
const MULTIPLES: [u32; 3] = [1, 2, 4];
/// The ways in that are loaded, and the yardstick.
const WHO: [&str; 2] = ["nginx, reverse proxy", INTERCEPTION];

/// Ramps the load up on each of them, once.
pub(crate) fn run(bed: &Bed, plan: &Plan, report: &mut Report) {
    let field = Field::new(bed);
    report.section(
        "Beyond saturation",
        &format!(
            "{CONNECTIONS} connections. 1x is what a closed loop gets; then calls become due at multiples of that, whether or not \
             earlier ones are done. Answered: complete answers in each second (goodput), and their part of 1x."
        ),
        "| | closed loop, calls/s | 1x: answered/s | 2x | 4x | failed |",
    );
    for candidate in field.candidates.iter().filter(|it| WHO.contains(&it.name)) {
        let routes = [candidate.route(SMALL)];
        let closed = Load::run(&routes, CONNECTIONS, Pace::Closed, plan.time);
        report.check(candidate.name, &closed);
        let (full, mut failed, mut part) = (closed.rate(), 0, f64::NAN);
        let cells = MULTIPLES.map(|multiple| {
            let rate = (full as u32).saturating_mul(multiple).max(1);
            let load = Load::run(&routes, CONNECTIONS, Pace::Open(rate), plan.time);
            failed += load.errors;
            part = load.rate() / full;
            format!("{:.0} ({part:.2})", load.rate())
        });
        report.row(&format!("| {} | {full:.0} | {} | {failed} |", candidate.name, cells.join(" | ")));
        if candidate.name == INTERCEPTION {
            report.hold("overload", part);
        }
    }
}
