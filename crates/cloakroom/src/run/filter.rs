//! System calls that the command may not make: ways out of a network namespace, and ways to speak through the caller's terminal.
//!
//! Network namespaces do not scope every family of sockets: `AF_VSOCK` reaches the host of a virtual machine from inside of one. Only local,
//! IPv4, IPv6 and routing-information sockets are let through. `io_uring` can open sockets without the calls that a filter sees, so it is
//! said not to exist; programs fall back to ordinary calls. Keyrings are not in any namespace.
//!
//! Bubblewrap, the first process of the namespace, is under the filters too: it has the command's user, so the command may trace it, and would
//! have it make the calls instead.

use super::in_memory;
use crate::confine::calls::{KEYS, LOCAL, NETWORK, RINGS, ROUTES, SOCKETS};
use crate::confine::filter::{self, Answer, Argument, Calls, Is};
use crate::failure::Failure;
use seccompiler::{BackendError, BpfProgram};
use std::fs::File;

/// `TIOCSTI` types into the terminal, `TIOCLINUX` pastes there.
const TERMINAL: [u64; 2] = [0x5412, 0x541C];

/// Puts the filters on this process and all it will start. They cannot be taken off.
///
/// # Errors
/// When the kernel refuses: the command must not be started then.
pub(super) fn apply() -> Result<(), seccompiler::Error> {
    filter::apply(&programs()?)
}

/// The filters as bubblewrap takes them (`--add-seccomp-fd`), each in a file of memory that the programs that are started inherit.
///
/// # Errors
/// Where there is no memory for them.
pub(super) fn files() -> Result<Vec<File>, Failure> {
    let programs =
        programs().map_err(|error| Failure::failed(format!("no filter of system calls: {error}")))?;
    // struct sock_filter (seccomp(2)), as the kernel has it in memory.
    let bytes = |program: &BpfProgram| -> Vec<u8> {
        let one = |filter: &seccompiler::sock_filter| {
            let (code, k) = (filter.code.to_ne_bytes(), filter.k.to_ne_bytes());
            [&code[..], &[filter.jt, filter.jf], &k].concat()
        };
        program.iter().flat_map(one).collect()
    };
    programs.iter().map(|program| in_memory(&bytes(program))).collect()
}

/// One program for each answer.
fn programs() -> Result<[BpfProgram; 3], BackendError> {
    let [four, six] = NETWORK;
    let foreign = [LOCAL, four, six, ROUTES].map(|family| Argument(0, Is::Not(family)));
    let mut denied = Calls::new().all(KEYS);
    for request in TERMINAL {
        denied = denied.when(&[&[libc::SYS_ioctl]], &[Argument(1, Is::Exactly(request))])?;
    }
    Ok([
        Calls::new().when(SOCKETS, &foreign)?.are(Answer::NoFamily)?,
        denied.are(Answer::Refused)?,
        Calls::new().all(RINGS).are(Answer::Absent)?,
    ])
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_filters_can_be_made_and_handed_on() {
        use std::io::Read;
        let programs = super::programs().unwrap();
        assert!(programs.iter().all(|program| program.len() > 4));
        for (program, mut file) in programs.iter().zip(super::files().unwrap()) {
            let mut bytes = Vec::new();
            file.read_to_end(&mut bytes).unwrap();
            assert_eq!(bytes.len(), 8 * program.len());
        }
    }
}
