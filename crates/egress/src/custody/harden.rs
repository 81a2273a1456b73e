//! Keeping the process's memory to itself: no core dumps, no debugger of the same user.

use rustix::process::{Resource, Rlimit};

/// What [`harden_process`] could enforce.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hardening {
    /// The kernel writes no core dump (`RLIMIT_CORE` is 0, and cannot be raised again).
    pub no_core_dumps: bool,
    /// Other processes of the same user can neither attach nor read `/proc/PID/mem` (`PR_SET_DUMPABLE` is 0).
    pub not_dumpable: bool,
}

/// Forbids core dumps and debuggers. To be called first, before any secret is in memory.
pub fn harden_process() -> Hardening {
    let none = Rlimit { current: Some(0), maximum: Some(0) };
    let no_core_dumps = rustix::process::setrlimit(Resource::Core, none).is_ok()
        && rustix::process::getrlimit(Resource::Core).current == Some(0);
    Hardening { no_core_dumps, not_dumpable: forbid_dumps() }
}

#[cfg(target_os = "linux")]
fn forbid_dumps() -> bool {
    use rustix::process::{DumpableBehavior, dumpable_behavior, set_dumpable_behavior};
    set_dumpable_behavior(DumpableBehavior::NotDumpable).is_ok()
        && matches!(dumpable_behavior(), Ok(DumpableBehavior::NotDumpable))
}

#[cfg(not(target_os = "linux"))]
fn forbid_dumps() -> bool {
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn t88_a_hardened_process_says_what_it_enforces() {
        let hardening = harden_process();
        assert!(hardening.no_core_dumps);
        assert_eq!(hardening.not_dumpable, cfg!(target_os = "linux"));
        assert_eq!(rustix::process::getrlimit(Resource::Core).maximum, Some(0));
    }
}
