//! Resident memory: idle, with many idle connections, and while one large answer goes through.

use crate::bed::Bed;
use crate::candidate::{BASE_URL, Candidate, Field, INTERCEPTION, LARGE, SMALL};
use crate::connection::Connection;
use crate::load::{Load, Pace};
use crate::process::rss_kib;
use crate::report::{Plan, Report};
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

/// Connections opened at a time.
const WAVE: usize = 50;

/// Memory of everybody, each started anew.
pub(crate) fn run(bed: &Bed, plan: &Plan, report: &mut Report) {
    let field = Field::new(bed);
    report.section(
        "Memory",
        &format!(
            "Resident: after the start, with {} idle connections that have each made one call (and what each of them takes), after \
             {} s of calls over 64 of them.",
            plan.idle,
            plan.time.as_secs()
        ),
        "| | after the start, MiB | idle connections, MiB | KiB for each | under load, MiB |",
    );
    for candidate in field.plain_calls() {
        let Some(pid) = candidate.pid else { continue };
        let start = rss_kib(pid);
        let (kept, failed) = idle(candidate, plan.idle, report);
        let with = rss_kib(pid);
        let load = Load::run(&[candidate.route(SMALL)], 64, Pace::Closed, plan.time);
        report.check(candidate.name, &load);
        let each = (with.saturating_sub(start)) as f64 / kept.len().max(1) as f64;
        let note = if failed > 0 { format!(" ({failed} failed)") } else { String::new() };
        report.row(&format!(
            "| {} | {} | {}{note} | {each:.1} | {} |",
            candidate.name,
            mib(start),
            mib(with),
            mib(rss_kib(pid))
        ));
        if candidate.name == INTERCEPTION {
            report.hold("T10 connect", each);
            report.hold("T11", start as f64 / 1024.0);
        }
        if candidate.name == BASE_URL {
            report.hold("T10 base", each);
        }
    }
}

/// Connections that have each made one call and stay open.
fn idle(candidate: &Candidate, number: usize, report: &mut Report) -> (Vec<Connection>, u64) {
    let (mut kept, mut failed) = (Vec::new(), 0);
    while kept.len() < number && failed == 0 {
        let wave = WAVE.min(number - kept.len());
        let load = Load::run(&[candidate.route(SMALL)], wave, Pace::Once, Duration::from_secs(20));
        report.check(candidate.name, &load);
        // One that is full answers the rest not at all.
        failed += (wave as u64).saturating_sub(load.calls());
        kept.extend(load.kept);
    }
    (kept, failed)
}

/// Streams at once: so many connections, so many in each.
const STREAMS: (usize, usize) = (4, 250);

/// Many streams of HTTP/2 at once, by h2load, to the base URL over TLS.
pub(crate) fn streams(bed: &Bed, plan: &Plan, report: &mut Report) {
    let field = Field::new(bed);
    let (ours, (connections, each)) = (&field.behind_tls, STREAMS);
    report.section(
        "Memory with many streams",
        &format!(
            "{connections} connections of HTTP/2 with {each} streams at once in each, for {} s.",
            plan.time.as_secs().max(1)
        ),
        "| | before, MiB | most, MiB | after, MiB | calls |",
    );
    let (authority, pid) = (&ours.request.authority, ours.broker.pid());
    let before = rss_kib(pid);
    let (output, most) = peak(pid, || {
        Command::new("h2load")
            .args(["-D", &plan.time.as_secs().max(1).to_string()])
            .args(["-c", &connections.to_string(), "-m", &each.to_string()])
            .args(["-H", &format!("cloakroom-workload: {}:{}", ours.robot.name, ours.robot.key)])
            .args(["-H", &format!("authorization: {}", ours.request.headers[0].1)])
            .arg(format!("https://{}/to/{authority}/v1/items/1", ours.broker.listen()))
            .output()
            .expect("h2load runs")
    });
    let text = String::from_utf8_lossy(&output.stdout);
    let status = text.lines().find(|line| line.starts_with("status codes: ")).unwrap_or("none");
    report.row(&format!(
        "| cloakroom, base URL | {} | {} | {} | {status} |",
        mib(before),
        mib(most),
        mib(rss_kib(pid))
    ));
}

/// What `work` gives, and the most memory that the process had meanwhile.
fn peak<T>(pid: u32, work: impl FnOnce() -> T) -> (T, u64) {
    let (ended, most) = (AtomicBool::new(false), AtomicU64::new(0));
    let done = std::thread::scope(|scope| {
        scope.spawn(|| {
            while !ended.load(Ordering::Relaxed) {
                most.fetch_max(rss_kib(pid), Ordering::Relaxed);
                std::thread::sleep(Duration::from_millis(50));
            }
        });
        let done = work();
        ended.store(true, Ordering::Relaxed);
        done
    });
    (done, most.into_inner())
}

/// One answer of many bytes through the broker: its memory must not follow.
pub(crate) fn stream(bed: &Bed, bytes: u64, report: &mut Report) {
    let field = Field::new(bed);
    report.section(
        "Memory while one answer goes through",
        &format!("An answer of {:.1} GB over one connection; resident memory before, the most while it went, after.", bytes as f64 / 1e9),
        "| | MB/s | before, MiB | most, MiB | after, MiB |",
    );
    for candidate in field.plain_calls() {
        let Some(pid) = candidate.pid.filter(|_| candidate.name.starts_with("cloakroom")) else { continue };
        Load::run(&[candidate.route(SMALL)], 1, Pace::Once, Duration::from_secs(20));
        let before = rss_kib(pid);
        let (load, most) =
            peak(pid, || Load::run(&[candidate.route(LARGE)], 1, Pace::Once, Duration::from_secs(280)));
        report.check(candidate.name, &load);
        let done = if load.calls() == 1 { "" } else { " (did not end)" };
        report.row(&format!(
            "| {}{done} | {:.0} | {} | {} | {} |",
            candidate.name,
            load.rate() * bytes as f64 / 1e6,
            mib(before),
            mib(most),
            mib(rss_kib(pid))
        ));
        if candidate.name == INTERCEPTION && load.calls() == 1 {
            report.hold("stream", most.saturating_sub(before) as f64 / 1024.0);
        }
    }
}

fn mib(kib: u64) -> String {
    format!("{:.1}", kib as f64 / 1024.0)
}
