//! `cargo xtask bench`: builds with the bench profile and runs the bench bed in `bench/`.

use crate::fault::Fault;
use crate::shell::{self, command, step, target};
use crate::tools;

/// Runs the bed with these words.
pub(crate) fn run(words: &[&str]) -> Result<(), Fault> {
    step("tools", || tools::ensure_for_bench(words.first() == Some(&"callgrind")))?;
    step("build", || {
        build("bench", &["--package", "cloakroom", "--bin", "cloakroom"])?;
        build("release", &["--package", "cloakroom-testkit", "--example", "bench", "--example", "relay"])?;
        match words.first() {
            Some(&"spends") => build("release", &["--package", "cloakroom-store", "--example", "spends"]),
            Some(&"scrub") => {
                let example = ["--package", "cloakroom-egress", "--features", "fuzz", "--example", "scrub"];
                build("release", &example)
            }
            _ => Ok(()),
        }
    })?;
    // The bench profile shares its directory with release.
    let release = target().join("release");
    let paths = [release.join("examples/bench"), release.join("cloakroom"), target().join("bench")];
    let paths = paths.each_ref().map(|path| path.to_string_lossy());
    let all: Vec<&str> = paths.iter().map(AsRef::as_ref).chain(words.iter().copied()).collect();
    step("measure", || shell::run(command(&all)))
}

/// The broker as it is shipped; what measures it without the minutes that this takes.
fn build(profile: &str, what: &[&str]) -> Result<(), Fault> {
    shell::run(command(&[&["cargo", "build", "--profile", profile, "--quiet"], what].concat()))
}
