//! System calls that the command may not make: ways out of a network namespace, and ways to speak through the caller's terminal.
//!
//! Network namespaces do not scope every family of sockets: `AF_VSOCK` reaches the host of a virtual machine from inside of one. Only local,
//! IPv4, IPv6 and routing-information sockets are let through. `io_uring` can open sockets without the calls that a filter sees, so it is
//! said not to exist; programs fall back to ordinary calls. Keyrings are not in any namespace.

use crate::confine::calls::{KEYS, LOCAL, NETWORK, RINGS, ROUTES, SOCKETS};
use crate::confine::filter::{self, Answer, Argument, Calls, Is};
use seccompiler::{BackendError, BpfProgram};

/// `TIOCSTI` types into the terminal, `TIOCLINUX` pastes there.
const TERMINAL: [u64; 2] = [0x5412, 0x541C];

/// Puts the filters on this process and all it will start. They cannot be taken off.
///
/// # Errors
/// When the kernel refuses: the command must not be started then.
pub(super) fn apply() -> Result<(), seccompiler::Error> {
    filter::apply(&programs()?)
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
    fn the_filters_can_be_made() {
        assert!(super::programs().unwrap().iter().all(|program| program.len() > 4));
    }
}
