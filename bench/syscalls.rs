//! System calls per request, counted by strace.

use crate::candidate::{Field, INTERCEPTION, SMALL};
use crate::load::{Load, Pace};
use crate::report::{Plan, Report};
use std::process::{Command, Stdio};
use std::time::Duration;

/// Connections of the closed loop.
const CONNECTIONS: usize = 16;

/// Counts for everybody.
pub(crate) fn run(field: &Field, plan: &Plan, report: &mut Report) {
    if Command::new("strace").arg("-V").stdout(Stdio::null()).status().is_err() {
        report.absent("system calls: strace is not installed");
        return;
    }
    report.section(
        "System calls",
        &format!("Per request over {CONNECTIONS} kept connections, counted by strace, which slows everything: read nothing else from this."),
        "| | per request | of these |",
    );
    for candidate in &field.candidates {
        let Some(pid) = candidate.pid else { continue };
        let routes = [candidate.route(SMALL)];
        Load::run(&routes, CONNECTIONS, Pace::Closed, Duration::from_millis(300));
        let file = plan.directory.join("strace.txt");
        let mut strace = Command::new("strace")
            .args(["-c", "-f", "-q", "-S", "calls", "-p", &pid.to_string(), "-o"])
            .arg(&file)
            .stderr(Stdio::null())
            .spawn()
            .expect("strace runs");
        // It says nowhere that it is attached.
        std::thread::sleep(Duration::from_millis(500));
        let load = Load::run(&routes, CONNECTIONS, Pace::Closed, Duration::from_secs(2));
        report.check(candidate.name, &load);
        let pid = rustix::process::Pid::from_child(&strace);
        rustix::process::kill_process(pid, rustix::process::Signal::INT).expect("strace is still there");
        strace.wait().expect("strace ends");
        let text = std::fs::read_to_string(&file).unwrap_or_default();
        let counts: Vec<(&str, f64)> = text.lines().filter_map(counted).collect();
        let calls = load.calls().max(1) as f64;
        let total =
            counts.iter().find(|(name, _)| *name == "total").map_or(f64::NAN, |(_, count)| count / calls);
        let largest: Vec<String> = counts
            .iter()
            .filter(|(name, count)| *name != "total" && count / calls >= 0.05)
            .map(|(name, count)| format!("{name} {:.1}", count / calls))
            .collect();
        report.row(&format!("| {} | {total:.1} | {} |", candidate.name, largest.join(", ")));
        if candidate.name == INTERCEPTION {
            report.hold("T6", total);
        }
    }
}

/// The name and the number of a line of strace's table.
fn counted(line: &str) -> Option<(&str, f64)> {
    let words: Vec<&str> = line.split_ascii_whitespace().collect();
    let count = words.get(3)?.parse().ok()?;
    Some((*words.last()?, count))
}
