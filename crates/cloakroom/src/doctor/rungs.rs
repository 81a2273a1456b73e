//! How far apart workload and broker can be here, from the same kernel to hardware of their own. Only the last rung is hardware isolation.

use super::{Finding, Standing, program};
use crate::data_dir::DataDir;
use std::fs::OpenOptions;

pub(super) fn look(data: &DataDir) -> Vec<Finding> {
    vec![stands(data), namespaces(), machines()]
}

/// Where the broker of this data directory is.
fn stands(data: &DataDir) -> Finding {
    const CHECK: &str = "isolation";
    if data.path().join("appliance.toml").exists() {
        return Finding::good(CHECK, "the broker is an appliance, a machine of its own").remedied_by(
            "under TCG it is one in function only: say -accel kvm, and see the rungs of that host",
        );
    }
    Finding::new(
        CHECK,
        Standing::Note,
        "the broker is a process of this machine: it shares a kernel with whatever else runs here",
    )
    .remedied_by("for hardware isolation make it an appliance: docs/appliance.md")
}

fn namespaces() -> Finding {
    const CHECK: &str = "rung: namespaces";
    let most = std::fs::read_to_string("/proc/sys/user/max_user_namespaces").unwrap_or_default();
    match program("bwrap") {
        None => Finding::new(CHECK, Standing::Note, "cloakroom run is not to be had: there is no bubblewrap")
            .remedied_by("install the package bubblewrap"),
        Some(_) if most.trim() == "0" => Finding::new(
            CHECK,
            Standing::Note,
            "cloakroom run is not to be had: this kernel makes no user namespaces",
        )
        .remedied_by("sysctl user.max_user_namespaces=10000"),
        Some(_) => {
            Finding::good(CHECK, "cloakroom run: the workload in namespaces of its own, on this kernel")
        }
    }
}

fn machines() -> Finding {
    const CHECK: &str = "rung: machines";
    let qemu = format!("qemu-system-{}", std::env::consts::ARCH);
    let opens = OpenOptions::new().read(true).write(true).open("/dev/kvm");
    match (program(&qemu), opens) {
        (_, Ok(_)) => Finding::good(
            CHECK,
            "KVM: virtual machines of their own, by hardware (whether this KVM runs a guest is not tried)",
        ),
        (Some(_), Err(_)) => Finding::new(
            CHECK,
            Standing::Note,
            "TCG: virtual machines in function only, no security boundary",
        )
        .remedied_by("use a host whose /dev/kvm this user may open"),
        (None, Err(_)) => Finding::new(CHECK, Standing::Note, "none: neither /dev/kvm nor QEMU")
            .remedied_by("install QEMU for the function, use a host with KVM for the boundary"),
    }
}
