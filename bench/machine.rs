//! Which core does what.

use std::process::{Command, Stdio};

/// The core of the proxy under test.
pub(crate) const PROXY: &str = "0";
/// The core of the load client and the upstream.
pub(crate) const REST: &str = "1";

/// A command that runs on one core.
pub(crate) fn pinned(core: &str, program: &str) -> Command {
    let mut command = Command::new("taskset");
    command.args(["-c", core, program]);
    command
}

/// Moves a running process, all its threads, to one core.
pub(crate) fn pin(pid: u32, core: &str) {
    let moved = Command::new("taskset")
        .args(["-a", "-p", "-c", core, &pid.to_string()])
        .stdout(Stdio::null())
        .status()
        .unwrap_or_else(|error| panic!("cannot run taskset: {error}"));
    assert!(moved.success(), "cannot pin process {pid}");
}
