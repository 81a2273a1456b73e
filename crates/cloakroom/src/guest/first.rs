//! What nobody else does where this is the first process of a machine that has files of its own: the kernel's file systems, the drivers that lie
//! in `/modules`, the loopback, the one network card. When the command ends the machine goes off.

use super::say;
use crate::Outcome;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::init::{Address, modules, mounts, network, power};
use rustix::mount::MountFlags;
use std::path::Path;

/// What the kernel calls the first process namespace of a machine (`PROC_PID_INIT_INO`): a container has another.
const FIRST: &str = "pid:[4026531836]";

/// Whether a machine's kernel started this process, or what became this process, before all others.
pub(super) fn is_this() -> bool {
    let is_first = match std::fs::read_link("/proc/self/ns/pid") {
        Ok(namespace) => namespace == Path::new(FIRST),
        // Nobody mounted it yet. SECURITY: one of another process namespace, without this process, is not to be mounted over.
        Err(_) => !Path::new("/proc/version").exists(),
    };
    std::process::id() == 1 && is_first
}

/// Prepares the machine.
///
/// # Errors
/// When it lacks the card, or the kernel refuses.
pub(super) fn begin(card: Option<&Address>) -> Result<(), Failure> {
    let devices = MountFlags::NOSUID.union(MountFlags::NOEXEC);
    for (kind, place, proof, flags) in [
        ("proc", "/proc", "/proc/self", mounts::PLAIN),
        ("sysfs", "/sys", "/sys/kernel", mounts::PLAIN),
        ("devtmpfs", "/dev", "/dev/null", devices),
    ] {
        if !Path::new(proof).exists() {
            mounts::at(kind, place, flags, c"")?;
        }
    }
    let drivers = Path::new(crate::image::MODULES);
    if drivers.exists() {
        modules::load(drivers)?;
    }
    network::attach(card)
}

/// Ends the machine, and says why on its console.
pub(super) fn end(outcome: Outcome) -> ! {
    match outcome {
        Ok(Exit::OfCommand(code)) => say(&format!("the command ended with {code}")),
        Ok(_) => {}
        Err(failure) => {
            say(&failure.to_string());
            failure.hint().iter().for_each(|hint| say(hint));
        }
    }
    power::off()
}
