//! How far apart workload and broker can be here, from the same kernel to hardware of their own. Only the last rung is hardware isolation.

use super::{Finding, Standing, program};
use crate::accelerator::{self, Accelerator, Trial, trial};
use crate::data_dir::DataDir;
use std::path::Path;

/// What virtual machines are run by.
const QEMU: &str = "qemu-system-x86_64";

pub(super) fn look(data: &DataDir, kernel: Option<&Path>) -> Vec<Finding> {
    let mut findings = vec![stands(data), namespaces()];
    findings.extend(machines(kernel));
    findings
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

/// What virtual machines are made of here, by what it takes to know: the files alone, or a kernel that was booted.
fn machines(kernel: Option<&Path>) -> Vec<Finding> {
    match kernel {
        None => vec![untried()],
        Some(kernel) => vec![by_kvm(kernel), emulated(kernel)],
    }
}

fn untried() -> Finding {
    const CHECK: &str = "rung: machines";
    let note = |found: &str| Finding::new(CHECK, Standing::Note, found);
    match (accelerator::may_use_kvm(), accelerator::has_hardware(), program(QEMU)) {
        (true, true, _) => Finding::good(
            CHECK,
            "KVM, on a processor that virtualises: virtual machines of their own, by hardware (whether it runs one was not tried)",
        )
        .remedied_by("try it: cloakroom doctor --kernel VMLINUZ"),
        (true, false, _) => note(
            "there is a /dev/kvm, but this processor virtualises nothing (it has neither VMX nor SVM), so it is no boundary of hardware",
        )
        .remedied_by("see what it runs: cloakroom doctor --kernel VMLINUZ; for the boundary use a host with KVM"),
        (false, _, Some(_)) => note("TCG: virtual machines in function only, no security boundary")
            .remedied_by("use a host whose /dev/kvm this user may open"),
        (false, _, None) => note("none: neither /dev/kvm nor QEMU")
            .remedied_by("install QEMU for the function, use a host with KVM for the boundary"),
    }
}

/// SECURITY: only a KVM that runs machines, on a processor that keeps them apart, is called hardware isolation.
fn by_kvm(kernel: &Path) -> Finding {
    const CHECK: &str = "rung: machines by KVM";
    let note = |found: String| Finding::new(CHECK, Standing::Note, found);
    if !accelerator::may_use_kvm() {
        return note("there is no /dev/kvm that this user may open".into())
            .remedied_by("for the boundary use a host with KVM, as a user of its group");
    }
    match (trial(Accelerator::Kvm, kernel), accelerator::has_hardware()) {
        (Ok(Trial::Runs(took)), true) => Finding::good(
            CHECK,
            format!("it ran a program after {:.1} s: isolation by hardware", took.as_secs_f64()),
        ),
        (Ok(Trial::Runs(took)), false) => note(format!(
            "it ran a program after {:.1} s, but this processor virtualises nothing (it has neither VMX nor SVM): KVM in software, no boundary of hardware",
            took.as_secs_f64()
        )),
        (Ok(Trial::Fails(why)), _) => note(format!("it does not run that kernel: {why}"))
            .remedied_by("for the boundary use a host with KVM"),
        (Err(failure), _) => Finding::of_failure(CHECK, Standing::Note, &failure),
    }
}

fn emulated(kernel: &Path) -> Finding {
    const CHECK: &str = "rung: machines emulated (TCG)";
    match trial(Accelerator::Tcg, kernel) {
        Ok(Trial::Runs(took)) => Finding::good(
            CHECK,
            format!(
                "it ran a program after {:.1} s: function only, no security boundary",
                took.as_secs_f64()
            ),
        ),
        Ok(Trial::Fails(why)) => {
            Finding::new(CHECK, Standing::Weak, format!("it does not run that kernel: {why}"))
                .remedied_by("name a vmlinuz of a distribution, for x86-64")
        }
        Err(failure) => Finding::of_failure(CHECK, Standing::Note, &failure),
    }
}
