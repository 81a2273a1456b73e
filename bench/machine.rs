//! Which core does what, and how many files may be open.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::process::{Command, Stdio};

/// The core of the proxy under test.
pub(crate) const PROXY: &str = "0";
/// The core of the load client and the upstream.
pub(crate) const REST: &str = "1";

/// Files for ten thousand connections in and as many out.
const FILES: u64 = 65_536;

/// Lets this process, and whatever it starts, have many files; without the right to raise the limit, as many as is allowed.
pub(crate) fn raise_file_limit() {
    let wanted = Rlimit { current: Some(FILES), maximum: Some(FILES) };
    if setrlimit(Resource::Nofile, wanted).is_err() {
        let maximum = getrlimit(Resource::Nofile).maximum;
        let _ = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum });
    }
}

/// How many files a process may have.
pub(crate) fn files() -> u64 {
    getrlimit(Resource::Nofile).current.unwrap_or(FILES)
}

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
