//! The end of an appliance. Every way out of it leads here: the machine goes off, and a crash of its only process does the same through
//! the kernel's panic.

use rustix::system::{RebootCommand, reboot};
use std::path::Path;

/// Makes a panic of the kernel, which the death of the first process is, end the machine at once; likewise where memory runs out, so
/// that the kernel does not pick a thread to kill. Ctrl-Alt-Del, which some hypervisors send as "please stop", becomes SIGINT.
pub(crate) fn prepare() {
    for (setting, value) in [("kernel/panic", "-1"), ("kernel/panic_on_oops", "1"), ("vm/panic_on_oom", "1")]
    {
        if let Err(error) = std::fs::write(Path::new("/proc/sys").join(setting), value) {
            tracing::warn!(setting, %error, "the kernel does not take a setting");
        }
    }
    let _ = reboot(RebootCommand::CadOff);
}

/// Writes what is to be written and turns the machine off. Where the kernel knows no way to, it restarts: hypervisors are told to take
/// that for an end (`-no-reboot`; Firecracker always does).
pub(crate) fn off() -> ! {
    rustix::fs::sync();
    let has_acpi = Path::new("/sys/firmware/acpi/tables/DSDT").exists();
    let _ = reboot(if has_acpi { RebootCommand::PowerOff } else { RebootCommand::Restart });
    let _ = reboot(RebootCommand::Restart);
    // The first process must not end otherwise: the kernel panics then, and the machine goes off by that.
    std::process::exit(1)
}
