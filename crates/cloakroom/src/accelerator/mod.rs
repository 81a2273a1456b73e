//! What runs a virtual machine here: the processor, by KVM, or QEMU, which emulates every instruction. Only the first keeps a machine apart.

mod trial;

pub(crate) use trial::{Trial, trial};

use clap::ValueEnum;
use std::fs::File;

/// What speeds a machine up, and whether that is a boundary.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Accelerator {
    /// The processor keeps it apart.
    Kvm,
    /// Every instruction is emulated.
    Tcg,
}

impl Accelerator {
    /// What this machine's processor and kernel offer. Whether that KVM runs a machine takes a [`trial()`] to know.
    pub(crate) fn here() -> Self {
        if has_hardware() && may_use_kvm() { Self::Kvm } else { Self::Tcg }
    }

    /// QEMU's words for the smallest machine that it has.
    pub(crate) const fn machine(self) -> [&'static str; 6] {
        let (accelerator, cpu) = match self {
            Self::Kvm => ("kvm", "host"),
            Self::Tcg => ("tcg", "max"),
        };
        ["-M", "microvm,rtc=on,pit=off,pic=off", "-accel", accelerator, "-cpu", cpu]
    }

    /// What the kernel has to be told besides: nothing else tells an emulated machine how fast its clock is.
    pub(crate) const fn clock(self) -> &'static str {
        match self {
            Self::Kvm => "",
            Self::Tcg => " tsc_early_khz=2000000 mitigations=off",
        }
    }
}

/// Whether the processor virtualises: a `/dev/kvm` without that is a piece of software that does as if.
pub(crate) fn has_hardware() -> bool {
    let cpu = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    cpu.split_whitespace().any(|flag| flag == "vmx" || flag == "svm")
}

/// Whether this user may open `/dev/kvm`.
pub(crate) fn may_use_kvm() -> bool {
    File::options().read(true).write(true).open("/dev/kvm").is_ok()
}
