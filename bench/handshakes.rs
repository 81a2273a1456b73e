//! New connections: TCP, `CONNECT` where it is one, TLS, one call.

use crate::candidate::{Field, INTERCEPTION, SMALL};
use crate::connection::Sessions;
use crate::load::{Load, Pace};
use crate::process;
use crate::report::{Plan, Report};
use crate::spread::Spread;

/// New connections at once.
const AT_ONCE: usize = 8;

/// Measures everybody, in turn, so many times.
pub(crate) fn run(field: &Field, plan: &Plan, report: &mut Report) {
    let candidates: Vec<_> = field.plain_calls().collect();
    let kinds = [Sessions::Fresh, Sessions::Resumed];
    let mut all = vec![[(); 2].map(|()| [(); 4].map(|()| Spread::default())); candidates.len()];
    for _ in 0..plan.runs {
        for (kind, sessions) in kinds.into_iter().enumerate() {
            let mut yardstick = f64::NAN;
            for (index, candidate) in candidates.iter().enumerate() {
                let routes = [candidate.route(SMALL).with(sessions)];
                Load::run(&routes, AT_ONCE, Pace::Fresh, plan.time / 8);
                let before = candidate.pid.map(process::cpu);
                let load = Load::run(&routes, AT_ONCE, Pace::Fresh, plan.time);
                report.check(candidate.name, &load);
                let cpu = candidate.pid.zip(before).map_or(f64::NAN, |(pid, before)| {
                    process::cpu(pid).saturating_sub(before).as_secs_f64() * 1e6 / load.calls() as f64
                });
                if candidate.name.starts_with("nginx") {
                    yardstick = cpu;
                }
                let figures = [load.rate(), cpu, cpu / yardstick, load.latencies.micros(99.0) / 1e3];
                for (spread, figure) in all[index][kind].iter_mut().zip(figures) {
                    spread.push(figure);
                }
            }
        }
    }
    report.section(
        "New connections",
        &format!(
            "{AT_ONCE} at once, each with one call; the leaf for the host is known already. *Full*: no session is taken up again; \
             *resumed*: with tickets. CPU µs per connection, its ratio to nginx's in the same run, and the p99 of connection and \
             call together in ms (a 40 ms mode would be Nagle's)."
        ),
        "| | full: conn/s | CPU µs | to nginx | p99 ms | resumed: conn/s | CPU µs | to nginx | p99 ms |",
    );
    let mut yardstick = f64::NAN;
    for (candidate, kinds) in candidates.iter().zip(&all) {
        let cells = kinds.each_ref().map(|[rate, cpu, ratio, p99]| {
            let own = candidate.pid.is_some();
            let shown = |spread: &Spread, decimals| if own { spread.show(decimals) } else { "–".into() };
            format!("{:.0} | {} | {} | {}", rate.median(), shown(cpu, 0), shown(ratio, 2), p99.show(1))
        });
        report.row(&format!("| {} | {} |", candidate.name, cells.join(" | ")));
        let [rate, cpu, ..] = &kinds[0];
        if candidate.name.starts_with("nginx") {
            yardstick = rate.median();
        }
        if candidate.name == INTERCEPTION {
            report.hold("T8 rate", rate.median() / yardstick);
            report.hold("T8 cpu", cpu.median());
        }
    }
}
