//! What this process can never do again: start another program, load code into the kernel, look into another process, mount, or speak over
//! anything but the network it was given. A filter of system calls and the loss of every privilege but two; whether it holds is tried
//! before anything listens. `serve` closes itself further once it is ready.

use crate::confine::calls::{
    CLONE3, HOUSE, KERNEL, KEYS, LOCAL, NETWORK, OTHERS, PROGRAMS, RINGS, SOCKETS, THREAD, VSOCK,
};
use crate::confine::filter::{self, Answer, Argument, Calls, Is};
use crate::failure::{Failure, plain};
use rustix::process::{Resource, Rlimit, setrlimit};
use rustix::thread::{CapabilitySet, CapabilitySets, set_capabilities};
use seccompiler::{BackendError, BpfProgram};
use std::os::unix::process::CommandExt;
use std::process::Command;

/// Connections and files that the broker may hold open: what a process of this machine may have at all (`fs.nr_open`).
const FILES: u64 = 1 << 20;

/// Closes the process, and tries the door. `with_vsock`: a listener there is still to be opened.
pub(super) fn close(with_vsock: bool) -> Result<(), Failure> {
    let refused = |error: seccompiler::Error| {
        Failure::failed(format!("the kernel does not take the filter of system calls: {error}"))
    };
    let files = Rlimit { current: Some(FILES), maximum: Some(FILES) };
    // Fewer will do: the broker says what they are enough for.
    let _ = setrlimit(Resource::Nofile, files);
    drop_privileges()?;
    filter::apply(&programs(with_vsock).map_err(|error| refused(error.into()))?).map_err(refused)?;
    prove()
}

/// Keeps what turning the machine off and locking memory need.
fn drop_privileges() -> Result<(), Failure> {
    let kept = CapabilitySet::SYS_BOOT | CapabilitySet::IPC_LOCK | CapabilitySet::NET_BIND_SERVICE;
    let sets = CapabilitySets { effective: kept, permitted: kept, inheritable: CapabilitySet::empty() };
    set_capabilities(None, sets)
        .map_err(|error| Failure::failed(format!("privileges cannot be given up: {}", plain(&error.into()))))
}

/// Tries to become the only program there is, and to start it beside. If either works, this process is gone or wrong: both end the machine.
fn prove() -> Result<(), Failure> {
    let program = std::env::args_os().next().unwrap_or_else(|| "/init".into());
    let started = Command::new(&program).arg("--version").spawn();
    let become_it = Command::new(&program).arg("--version").exec();
    let denied = |error: &std::io::Error| error.raw_os_error() == Some(libc::EPERM);
    if started.as_ref().is_err_and(denied) && denied(&become_it) {
        tracing::info!("closed: no program can be started");
        return Ok(());
    }
    Err(Failure::failed("the filter of system calls does not hold: a program could be started"))
}

/// One program for each answer.
fn programs(with_vsock: bool) -> Result<[BpfProgram; 3], BackendError> {
    let denied = [PROGRAMS, OTHERS, HOUSE, KERNEL, KEYS].into_iter().fold(Calls::new(), Calls::all);
    let denied = denied.when(&[&[libc::SYS_clone]], &[Argument(0, Is::Without(THREAD))])?;
    let [four, six] = NETWORK;
    let families = [LOCAL, four, six].into_iter().chain(with_vsock.then_some(VSOCK));
    let foreign: Vec<Argument> = families.map(|family| Argument(0, Is::Not(family))).collect();
    Ok([
        denied.are(Answer::Refused)?,
        Calls::new().when(SOCKETS, &foreign)?.are(Answer::NoFamily)?,
        Calls::new().all(CLONE3).all(RINGS).are(Answer::Absent)?,
    ])
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_filters_can_be_made() {
        for with_vsock in [false, true] {
            assert!(super::programs(with_vsock).unwrap().iter().all(|program| program.len() > 4));
        }
    }
}
