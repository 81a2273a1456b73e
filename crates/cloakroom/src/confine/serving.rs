//! What the running broker may ask of the kernel: the list of `calls.rs`, and what some calls may be asked for by their arguments.
//!
//! What no broker ever does and an intruder does first (start a program, look into another process, listen, mount, load code into the kernel)
//! ends the process at once: there is no second attempt, the service manager sees `SIGSYS`, and the kernel's log names the call. Anything else
//! that is not on the list is said not to exist, which is what libraries are prepared for.

use super::calls::{Group, HOUSE, KERNEL, KEYS, LOCAL, NETWORK, OTHERS, PROGRAMS, SERVING, THREAD};
use super::filter::{Answer, Argument, Calls, Is};
use libc::*;
use seccompiler::{BackendError, BpfProgram};

/// What is asked of descriptors beside reading and writing: not to wait, not to be inherited, and whether they are a terminal.
const REQUESTS: [u64; 5] = [FIONBIO, FIOCLEX, FIONREAD, TCGETS, TIOCGWINSZ];
/// What a thread asks of itself: its name, the name of its memory, and what is forbidden to it. SECURITY: nothing that would permit dumps again.
const OWN: [u64; 6] = [
    PR_SET_NAME as u64,
    PR_GET_NAME as u64,
    PR_SET_VMA as u64,
    PR_GET_DUMPABLE as u64,
    PR_GET_SECCOMP as u64,
    PR_GET_NO_NEW_PRIVS as u64,
];
/// What the first process of an appliance does at its end.
const POWER: &[Group] = &[&[SYS_reboot, SYS_sync]];

/// Both filters. `is_appliance`: this process may turn the machine off.
///
/// # Errors
/// Where one gets too long for the kernel.
pub(super) fn programs(is_appliance: bool) -> Result<[BpfProgram; 2], BackendError> {
    Ok([never()?, always(is_appliance)?])
}

/// What ends the process.
fn never() -> Result<BpfProgram, BackendError> {
    let calls = [PROGRAMS, OTHERS, HOUSE, KERNEL, KEYS].into_iter().fold(Calls::new(), Calls::all);
    calls
        .all(&[&[SYS_listen]])
        .when(&[&[SYS_clone]], &[Argument(0, Is::Without(THREAD))])?
        .are(Answer::Killed)
}

/// What is let through.
fn always(is_appliance: bool) -> Result<BpfProgram, BackendError> {
    let own = u64::from(std::process::id());
    let mut calls = Calls::new()
        .all(SERVING)
        // SECURITY: no memory is both written and executed, and none becomes executable.
        .when(&[&[SYS_mmap, SYS_mprotect]], &[Argument(2, Is::Without(PROT_EXEC as u64))])?
        .when(&[&[SYS_clone]], &[Argument(0, Is::With(THREAD))])?
        // The bounds are read, and stay.
        .when(&[&[SYS_prlimit64]], &[Argument(2, Is::Null)])?
        .when(&[&[SYS_tgkill, SYS_kill]], &[Argument(0, Is::Exactly(own))])?
        .when(&[&[SYS_socketpair]], &[Argument(0, Is::Exactly(LOCAL))])?;
    // SECURITY: no local sockets. Landlock does not scope those that have a path, and behind some of them programs are started.
    for family in NETWORK {
        calls = calls.when(&[&[SYS_socket]], &[Argument(0, Is::Exactly(family))])?;
    }
    for request in REQUESTS {
        calls = calls.when(&[&[SYS_ioctl]], &[Argument(1, Is::Exactly(request))])?;
    }
    for option in OWN {
        calls = calls.when(&[&[SYS_prctl]], &[Argument(0, Is::Exactly(option))])?;
    }
    if is_appliance {
        calls = calls.all(POWER);
    }
    // musl ends a process that is beyond help by this.
    if cfg!(target_env = "musl") {
        calls = calls.all(&[&[SYS_tkill]]);
    }
    calls.are_all_there_is(Answer::Absent)
}
