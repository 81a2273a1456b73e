//! `cargo xtask test`: what continuous integration runs, and what you run.

use crate::fault::Fault;
use crate::shell::{self, command, step, works};
use crate::{appliance, clients, coverage, deps, tidy, tools};
use std::time::Instant;

/// Whether the real clients take part.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Clients {
    /// They are installed and used.
    Real,
    /// The person at the terminal left them out.
    Skipped,
}

/// Every step, in the order in which they fail fastest.
fn steps(clients: Clients) -> Result<(), Fault> {
    step("tools", tools::ensure_for_tests)?;
    step("format", || shell::run(command(&["cargo", "fmt", "--all", "--check"])))?;
    step("tidy", tidy::run)?;
    step("dependencies", deps::run)?;
    match clients {
        Clients::Real => step("clients", clients::install)?,
        Clients::Skipped => println!("==> clients: LEFT OUT by --no-clients; this run proves less"),
    }
    step("clippy", || {
        shell::run(command(&[
            "cargo",
            "clippy",
            "--quiet",
            "--workspace",
            "--all-targets",
            "--",
            "-D",
            "warnings",
        ]))
    })?;
    step("documentation", || {
        let mut doc = command(&["cargo", "doc", "--quiet", "--workspace", "--no-deps"]);
        doc.env("RUSTDOCFLAGS", "-D warnings");
        shell::run(doc)
    })?;
    step("coverage", coverage::run)?;
    step("doc tests", || shell::run(command(&["cargo", "test", "--quiet", "--workspace", "--doc"])))?;
    if appliance::is_possible() {
        step("appliance", appliance::for_tests)?;
    } else {
        println!("==> appliance: LEFT OUT on this kind of machine; this run proves less");
    }
    step("tests", || tests(clients))
}

fn tests(clients: Clients) -> Result<(), Fault> {
    let mut runner = match works(&["cargo", "nextest", "--version"]) {
        true => command(&["cargo", "nextest", "run", "--workspace", "--no-fail-fast"]),
        false => command(&["cargo", "test", "--workspace", "--lib", "--bins", "--tests", "--no-fail-fast"]),
    };
    match clients {
        Clients::Real => runner.env("CLOAKROOM_CLIENTS", clients::directory()),
        Clients::Skipped => runner.env("CLOAKROOM_CLIENTS", "left-out"),
    };
    let appliance = appliance::directory();
    runner.env("CLOAKROOM_APPLIANCE", if appliance::is_possible() { appliance } else { "left-out".into() });
    shell::run(runner)
}

/// Runs every step and says how long it took.
pub(crate) fn run(clients: Clients) -> Result<(), Fault> {
    let begin = Instant::now();
    let done = steps(clients);
    let seconds = begin.elapsed().as_secs();
    let word = if done.is_ok() { "everything passed" } else { "failed" };
    println!("==> {word} after {} min {} s", seconds / 60, seconds % 60);
    done
}
