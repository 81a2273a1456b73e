//! Requests per second and CPU time per request over kept connections.

use crate::bed::Bed;
use crate::candidate::{BASE_URL, Candidate, Field, INTERCEPTION, RELAY, SMALL};
use crate::chart;
use crate::load::{Load, Pace};
use crate::process;
use crate::report::{Plan, Report};
use crate::spread::Spread;
use std::time::Duration;

/// Connections of the two closed loops.
const CONNECTIONS: [usize; 2] = [16, 64];

#[derive(Clone, Default)]
struct Figures {
    rate: Spread,
    cpu: Spread,
    ratio: Spread,
}

/// Measures everybody, in turn, so many times.
pub(crate) fn run(bed: &Bed, field: &Field, plan: &Plan, report: &mut Report) {
    let mut all = vec![[Figures::default(), Figures::default()]; field.candidates.len()];
    let (mut made, mut calls) = (0, 0);
    for _ in 0..plan.runs {
        for (round, connections) in CONNECTIONS.into_iter().enumerate() {
            let mut yardstick = f64::NAN;
            for (index, candidate) in field.candidates.iter().enumerate() {
                let accepted = bed.upstream.accepted();
                let Some((rate, cpu)) = once(candidate, connections, plan.time, report) else { continue };
                if candidate.name.starts_with("nginx") {
                    yardstick = cpu;
                }
                if candidate.name == INTERCEPTION && connections == CONNECTIONS[1] {
                    made += bed.upstream.accepted() - accepted;
                    calls += (rate * plan.time.as_secs_f64()) as u64;
                }
                let figures = &mut all[index][round];
                figures.rate.push(rate);
                if candidate.pid.is_some() {
                    figures.cpu.push(cpu);
                    figures.ratio.push(cpu / yardstick);
                }
            }
        }
    }
    report.section(
        "Requests over kept connections",
        "Closed loop, 1 KiB of JSON, TLS in and out unless it says otherwise. CPU µs per request, and its ratio to nginx's in \
         the same run: median [range].",
        "| | c=16: requests/s | CPU µs | to nginx | c=64: requests/s | CPU µs | to nginx |",
    );
    let mut bars = Vec::new();
    for (candidate, figures) in field.candidates.iter().zip(&all) {
        let cells: Vec<String> = figures
            .iter()
            .map(|one| format!("{:.0} | {} | {}", one.rate.median(), one.cpu.show(1), one.ratio.show(2)))
            .collect();
        report.row(&format!("| {} | {} |", candidate.name, cells.join(" | ")));
        if candidate.pid.is_some() {
            bars.push((candidate.name, figures[0].ratio.median()));
        }
    }
    let of = |name: &str| {
        let found = field.candidates.iter().zip(&all).find(|(candidate, _)| candidate.name == name);
        found.map(|(_, figures)| figures.each_ref().map(|one| (one.ratio.median(), one.cpu.median())))
    };
    if let (Some(connect), Some(base), Some(relay)) = (of(INTERCEPTION), of(BASE_URL), of(RELAY)) {
        report.hold("T2 c=16", base[0].0);
        report.hold("T2 c=64", base[1].0);
        report.hold("T3 c=16", connect[0].0);
        report.hold("T3 c=64", connect[1].0);
        report.hold("T7", connect[0].1 - relay[0].1);
        report.hold("T18", 100.0 * (1.0 - made as f64 / calls.max(1) as f64));
    }
    chart::write(
        &plan.directory.join("requests.svg"),
        "CPU per request, as a multiple of nginx's (c=16)",
        &bars,
    );
}

fn once(
    candidate: &Candidate,
    connections: usize,
    time: Duration,
    report: &mut Report,
) -> Option<(f64, f64)> {
    let routes = [candidate.route(SMALL)];
    Load::run(&routes, connections, Pace::Closed, Duration::from_millis(400));
    let before = candidate.pid.map(process::cpu);
    let load = Load::run(&routes, connections, Pace::Closed, time);
    report.check(candidate.name, &load);
    let spent = candidate.pid.zip(before).map(|(pid, before)| process::cpu(pid).saturating_sub(before));
    let cpu = spent.map_or(f64::NAN, |spent| spent.as_secs_f64() * 1e6 / load.calls() as f64);
    (load.calls() > 0).then(|| (load.rate(), cpu))
}
