//! The hostile guest: root of a machine whose only wire ends in the broker's machine, trying every other way out. First process of that
//! machine; says what it found on the console, a line for each try: `TRY name: nothing` or `TRY name: REACHED what`.
//!
//! What it knows stands in `/plan`. It is told nothing that it could not find out by looking at its own packets.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::cast_possible_truncation,
    reason = "a robot"
)]

mod plan;
mod quiet;
mod raw;
mod tries;

use plan::Plan;
use rustix::mount::{MountFlags, mount};
use std::process::{Command, Stdio};

fn main() {
    if let Some(part) = std::env::args().nth(1) {
        let plan = quiet::Plan::read().unwrap();
        return if part == "call" { plan.as_command() } else { plan.as_other() };
    }
    for (kind, place) in [("proc", "/proc"), ("sysfs", "/sys"), ("devtmpfs", "/dev")] {
        let _ = mount(kind, place, kind, MountFlags::empty(), None);
    }
    load_modules();
    if let Some(quiet) = quiet::Plan::read() {
        quiet.live();
    }
    let plan = Plan::read();
    network(&plan);
    say("UP");
    tries::all(&plan);
    say("DONE");
    // From here on until the machine is stopped from outside: every round says whether anything at all came through.
    for round in 0.. {
        say(&format!("ROUND {round} {}", tries::round(&plan)));
    }
}

fn load_modules() {
    let mut files: Vec<_> =
        std::fs::read_dir("/modules").unwrap().flatten().map(|entry| entry.path()).collect();
    files.sort();
    for file in files {
        if let Err(error) = rustix::system::finit_module(std::fs::File::open(&file).unwrap(), c"", 0) {
            say(&format!("module {}: {error}", file.display()));
        }
    }
}

fn network(plan: &Plan) {
    ip(&["link", "set", "lo", "up"]);
    ip(&["addr", "add", &plan.own, "dev", "eth0"]);
    ip(&["link", "set", "eth0", "up"]);
    ip(&["route", "add", "default", "via", &plan.broker.to_string()]);
}

/// Whether busybox's `ip` could do it.
fn ip(words: &[&str]) -> bool {
    busybox(&[&["ip"], words].concat())
}

fn busybox(words: &[&str]) -> bool {
    let mut command = Command::new("/bin/busybox");
    command.args(words).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

/// How a try went.
fn report(name: &str, found: Option<String>) {
    say(&match found {
        None => format!("TRY {name}: nothing"),
        Some(what) => format!("TRY {name}: REACHED {what}"),
    });
}

/// A line on the console, in one piece.
fn say(text: &str) {
    use std::io::Write;
    let _ = std::io::stdout().lock().write_all(format!("{text}\n").as_bytes());
}
