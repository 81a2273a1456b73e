//! System calls that the command may not make: ways out of a network namespace, and ways to speak through the caller's terminal.
//!
//! Network namespaces do not scope every family of sockets: `AF_VSOCK` reaches the host of a virtual machine from inside of one. Only local,
//! IPv4, IPv6 and routing-information sockets are let through. `io_uring` can open sockets without the calls that a filter sees, so it is
//! said not to exist; programs fall back to ordinary calls. Keyrings are not in any namespace.

use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule,
    TargetArch,
};
use std::collections::BTreeMap;

/// `AF_UNIX`, `AF_INET`, `AF_INET6`, `AF_NETLINK`.
const FAMILIES: [u64; 4] = [1, 2, 10, 16];
/// `TIOCSTI` types into the terminal, `TIOCLINUX` pastes there.
const TERMINAL: [u64; 2] = [0x5412, 0x541C];

const EPERM: u32 = 1;
const ENOSYS: u32 = 38;
const EAFNOSUPPORT: u32 = 97;

/// The numbers of the calls on one architecture.
struct Numbers {
    socket: &'static [i64],
    socketpair: &'static [i64],
    ioctl: &'static [i64],
    io_uring_setup: &'static [i64],
    keys: &'static [i64],
}

/// x86-64, and the same calls by their x32 numbers (`include/uapi/asm-generic/unistd.h`, `arch/x86/entry/syscalls/syscall_64.tbl`).
#[cfg(target_arch = "x86_64")]
const NUMBERS: Numbers = Numbers {
    socket: &[41, 0x4000_0029],
    socketpair: &[53, 0x4000_0035],
    ioctl: &[16, 0x4000_0202],
    io_uring_setup: &[425, 0x4000_01A9],
    keys: &[248, 249, 250, 0x4000_00F8, 0x4000_00F9, 0x4000_00FA],
};
#[cfg(target_arch = "x86_64")]
const ARCHITECTURE: TargetArch = TargetArch::x86_64;

#[cfg(target_arch = "aarch64")]
const NUMBERS: Numbers = Numbers {
    socket: &[198],
    socketpair: &[199],
    ioctl: &[29],
    io_uring_setup: &[425],
    keys: &[217, 218, 219],
};
#[cfg(target_arch = "aarch64")]
const ARCHITECTURE: TargetArch = TargetArch::aarch64;

/// Puts the filters on this process and all it will start. They cannot be taken off.
///
/// # Errors
/// When the kernel refuses: the command must not be started then.
pub(super) fn apply() -> Result<(), seccompiler::Error> {
    for program in programs()? {
        seccompiler::apply_filter_all_threads(&program)?;
    }
    Ok(())
}

/// One program for each answer; the kernel takes the strictest.
fn programs() -> Result<Vec<BpfProgram>, seccompiler::BackendError> {
    let foreign = || -> Result<Vec<SeccompRule>, _> {
        let conditions: Result<Vec<_>, _> =
            FAMILIES.iter().map(|family| argument(0, SeccompCmpOp::Ne, *family)).collect();
        Ok(vec![SeccompRule::new(conditions?)?])
    };
    let terminal = || -> Result<Vec<SeccompRule>, _> {
        let rule = |request: &u64| SeccompRule::new(vec![argument(1, SeccompCmpOp::Eq, *request)?]);
        TERMINAL.iter().map(rule).collect()
    };
    let mut sockets = BTreeMap::new();
    for number in NUMBERS.socket.iter().chain(NUMBERS.socketpair) {
        sockets.insert(*number, foreign()?);
    }
    let mut denied = BTreeMap::new();
    for number in NUMBERS.ioctl {
        denied.insert(*number, terminal()?);
    }
    denied.extend(NUMBERS.keys.iter().map(|number| (*number, Vec::new())));
    let absent = NUMBERS.io_uring_setup.iter().map(|number| (*number, Vec::new())).collect();
    [(sockets, EAFNOSUPPORT), (denied, EPERM), (absent, ENOSYS)]
        .into_iter()
        .map(|(rules, answer)| {
            SeccompFilter::new(rules, SeccompAction::Allow, SeccompAction::Errno(answer), ARCHITECTURE)?
                .try_into()
        })
        .collect()
}

fn argument(index: u8, op: SeccompCmpOp, value: u64) -> Result<SeccompCondition, seccompiler::BackendError> {
    // The kernel looks at the lower half only: so does the comparison.
    SeccompCondition::new(index, SeccompCmpArgLen::Dword, op, value)
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_filters_can_be_made() {
        assert_eq!(super::programs().unwrap().len(), 3);
    }
}
