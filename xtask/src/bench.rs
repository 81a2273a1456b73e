//! `cargo xtask bench`: builds with the bench profile and runs the bench bed in `bench/`.

use crate::fault::Fault;
use crate::shell::{self, command, step, target};
use crate::tools;

/// Runs one mode of the bed.
pub(crate) fn run(mode: &str, rest: &[&str]) -> Result<(), Fault> {
    step("tools", || tools::ensure_for_bench(mode == "callgrind"))?;
    step("build", || {
        build(&["--package", "cloakroom", "--bin", "cloakroom"])?;
        build(&["--package", "cloakroom-testkit", "--example", "bench", "--example", "relay"])
    })?;
    // The bench profile shares its directory with release.
    let release = target().join("release");
    let (bench, broker) = (release.join("examples/bench"), release.join("cloakroom"));
    let directory = target().join("bench");
    let words = [&bench.to_string_lossy(), mode, &broker.to_string_lossy(), &directory.to_string_lossy()];
    step("measure", || shell::run(command(&[&words[..], rest].concat())))
}

fn build(what: &[&str]) -> Result<(), Fault> {
    shell::run(command(&[&["cargo", "build", "--profile", "bench", "--quiet"], what].concat()))
}
