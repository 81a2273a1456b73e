//! What this process can never do again: start another program, load code into the kernel, look into another process, mount, or speak over
//! anything but the network it was given. A filter of system calls and the loss of every privilege but two; whether it holds is tried
//! before anything listens.

use crate::failure::{Failure, plain};
use rustix::process::{Resource, Rlimit, setrlimit};
use rustix::thread::{CapabilitySet, CapabilitySets, set_capabilities};
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule,
    TargetArch,
};
use std::collections::BTreeMap;
use std::os::unix::process::CommandExt;
use std::process::Command;

/// `AF_UNIX`, `AF_INET`, `AF_INET6`.
const FAMILIES: [u64; 3] = [1, 2, 10];
const CLONE_THREAD: u64 = 0x1_0000;
const EPERM: u32 = 1;
const ENOSYS: u32 = 38;
const EAFNOSUPPORT: u32 = 97;
/// x32 system calls have this bit; Debian's kernel has them turned off.
#[cfg(target_arch = "x86_64")]
const X32: i64 = 0x4000_0000;

/// The numbers of the calls on one architecture.
struct Numbers {
    /// execve, execveat, fork, vfork; ptrace, process_vm_*; mount and its kin; modules, kexec, bpf, perf; namespaces; device nodes,
    /// ports; keyrings; handles; userfaultfd.
    denied: &'static [i64],
    /// Makes a process or, with `CLONE_THREAD`, a thread.
    clone: &'static [i64],
    /// clone3, whose arguments a filter cannot see (the C library falls back to clone), and io_uring_setup.
    absent: &'static [i64],
    socket: &'static [i64],
}

#[cfg(target_arch = "x86_64")]
const NUMBERS: Numbers = Numbers {
    denied: &[
        59,
        322,
        57,
        58,
        101,
        310,
        311,
        165,
        166,
        155,
        161,
        167,
        168,
        428,
        429,
        430,
        431,
        432,
        433,
        442,
        175,
        176,
        313,
        246,
        320,
        321,
        298,
        308,
        272,
        133,
        259,
        172,
        173,
        248,
        249,
        250,
        303,
        304,
        323,
        X32 | 520,
        X32 | 545,
        X32 | 521,
        X32 | 57,
        X32 | 58,
    ],
    clone: &[56, X32 | 56],
    absent: &[435, 425, X32 | 435, X32 | 425],
    socket: &[41, 53, X32 | 41, X32 | 53],
};
#[cfg(target_arch = "x86_64")]
const ARCHITECTURE: TargetArch = TargetArch::x86_64;

#[cfg(target_arch = "aarch64")]
const NUMBERS: Numbers = Numbers {
    denied: &[
        221, 281, 117, 270, 271, 40, 39, 41, 51, 224, 225, 428, 429, 430, 431, 432, 433, 442, 105, 106, 273,
        104, 294, 280, 241, 268, 97, 33, 217, 218, 219, 264, 265, 282,
    ],
    clone: &[220],
    absent: &[435, 425],
    socket: &[198, 199],
};
#[cfg(target_arch = "aarch64")]
const ARCHITECTURE: TargetArch = TargetArch::aarch64;

/// Connections and files that the broker may hold open: what a process of this machine may have at all (`fs.nr_open`).
const FILES: u64 = 1 << 20;

/// Closes the process, and tries the door.
pub(super) fn close() -> Result<(), Failure> {
    let refused = |error: seccompiler::Error| {
        Failure::failed(format!("the kernel does not take the filter of system calls: {error}"))
    };
    let files = Rlimit { current: Some(FILES), maximum: Some(FILES) };
    // Fewer will do: the broker says what they are enough for.
    let _ = setrlimit(Resource::Nofile, files);
    drop_privileges()?;
    for program in programs().map_err(|error| refused(error.into()))? {
        seccompiler::apply_filter_all_threads(&program).map_err(refused)?;
    }
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
    let denied = |error: &std::io::Error| error.raw_os_error() == Some(EPERM.cast_signed());
    if started.as_ref().is_err_and(denied) && denied(&become_it) {
        tracing::info!("closed: no program can be started");
        return Ok(());
    }
    Err(Failure::failed("the filter of system calls does not hold: a program could be started"))
}

/// One program for each answer; the kernel takes the strictest.
fn programs() -> Result<Vec<BpfProgram>, seccompiler::BackendError> {
    let always = |numbers: &[i64]| numbers.iter().map(|number| (*number, Vec::new())).collect::<Vec<_>>();
    let mut denied: BTreeMap<i64, Vec<SeccompRule>> = always(NUMBERS.denied).into_iter().collect();
    for number in NUMBERS.clone {
        let process =
            SeccompCondition::new(0, SeccompCmpArgLen::Qword, SeccompCmpOp::MaskedEq(CLONE_THREAD), 0)?;
        denied.insert(*number, vec![SeccompRule::new(vec![process])?]);
    }
    let mut sockets = BTreeMap::new();
    for number in NUMBERS.socket {
        let other =
            |family: &u64| SeccompCondition::new(0, SeccompCmpArgLen::Dword, SeccompCmpOp::Ne, *family);
        let conditions: Vec<_> = FAMILIES.iter().map(other).collect::<Result<_, _>>()?;
        sockets.insert(*number, vec![SeccompRule::new(conditions)?]);
    }
    let absent = always(NUMBERS.absent).into_iter().collect();
    [(denied, EPERM), (sockets, EAFNOSUPPORT), (absent, ENOSYS)]
        .into_iter()
        .map(|(rules, answer)| {
            SeccompFilter::new(rules, SeccompAction::Allow, SeccompAction::Errno(answer), ARCHITECTURE)?
                .try_into()
        })
        .collect()
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_filters_can_be_made() {
        assert_eq!(super::programs().unwrap().len(), 3);
    }
}
