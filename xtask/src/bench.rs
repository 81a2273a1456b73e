//! `cargo xtask bench`: builds in release and runs the bench bed in `bench/`.

use crate::fault::Fault;
use crate::shell::{self, command, step, target};
use crate::tools;

/// Measures, `seconds` for each loop.
pub(crate) fn run(seconds: u64) -> Result<(), Fault> {
    step("tools", tools::ensure_for_bench)?;
    step("build", || {
        shell::run(command(&[
            "cargo",
            "build",
            "--release",
            "--quiet",
            "--package",
            "cloakroom",
            "--bin",
            "cloakroom",
        ]))?;
        shell::run(command(&[
            "cargo",
            "build",
            "--release",
            "--quiet",
            "--package",
            "cloakroom-testkit",
            "--example",
            "bench",
        ]))
    })?;
    let release = target().join("release");
    let report = target().join("bench/report.md");
    step("measure", || {
        shell::run(command(&[
            &release.join("examples/bench").to_string_lossy(),
            &release.join("cloakroom").to_string_lossy(),
            &report.to_string_lossy(),
            &seconds.to_string(),
        ]))
    })
}
