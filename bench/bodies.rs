//! A large answer over one connection.

use crate::candidate::{Field, INTERCEPTION, LARGE};
use crate::load::{Load, Pace};
use crate::process;
use crate::report::{Plan, Report};
use crate::spread::Spread;
use std::time::Duration;

/// How large.
pub(crate) const BYTES: u64 = 100 << 20;

/// Measures everybody, in turn, so many times.
pub(crate) fn run(field: &Field, plan: &Plan, report: &mut Report) {
    let candidates: Vec<_> = field.plain_calls().collect();
    let mut all = vec![[(); 3].map(|()| Spread::default()); candidates.len()];
    for _ in 0..plan.runs {
        let mut yardstick = f64::NAN;
        for (index, candidate) in candidates.iter().enumerate() {
            let before = candidate.pid.map(process::cpu);
            let load = Load::run(&[candidate.route(LARGE)], 1, Pace::Once, Duration::from_secs(60));
            report.check(candidate.name, &load);
            let cpu = candidate.pid.zip(before).map_or(f64::NAN, |(pid, before)| {
                process::cpu(pid).saturating_sub(before).as_secs_f64() * 1e3
            });
            if candidate.name.starts_with("nginx") {
                yardstick = cpu;
            }
            for (spread, figure) in
                all[index].iter_mut().zip([load.rate() * BYTES as f64 / 1e6, cpu, cpu / yardstick])
            {
                spread.push(figure);
            }
        }
    }
    report.section(
        "A body of 100 MiB",
        "One connection, JSON. The broker scrubs it, as it scrubs every answer to a call into which it put a secret. CPU ms for the \
         whole body, and its ratio to nginx's in the same run.",
        "| | MB/s | CPU ms | to nginx |",
    );
    for (candidate, [rate, cpu, ratio]) in candidates.iter().zip(&all) {
        let own = candidate.pid.is_some();
        let shown = |spread: &Spread, decimals| if own { spread.show(decimals) } else { "–".into() };
        report.row(&format!(
            "| {} | {} | {} | {} |",
            candidate.name,
            rate.show(0),
            shown(cpu, 0),
            shown(ratio, 2)
        ));
        if candidate.name == INTERCEPTION {
            report.hold("T12", ratio.median());
        }
    }
}
