//! The ladder: where a robot and the broker were, and what it proves that the robot came nowhere. Each rung's result is a file,
//! `target/ladder/RUNG.json`, and a line among what the test says.

use serde_json::{Value, json};
use std::path::Path;
use std::process::Command;

/// From namespaces on one kernel to hardware. SECURITY: only the last may be called isolation by hardware.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rung {
    RunAsUser,
    RunAsRoot,
    LockedNamespace,
    EmulatedGuests,
    KvmGuests,
}

impl Rung {
    const fn name(self) -> &'static str {
        match self {
            Self::RunAsUser => "run-as-user",
            Self::RunAsRoot => "run-as-root",
            Self::LockedNamespace => "locked-namespace",
            Self::EmulatedGuests => "two-guests-emulated",
            Self::KvmGuests => "two-guests-kvm",
        }
    }

    const fn proves(self) -> &'static str {
        match self {
            Self::RunAsUser | Self::RunAsRoot => {
                "function: namespaces and a filter of system calls, on a shared kernel"
            }
            Self::LockedNamespace => {
                "function: a network namespace behind rules of the kernel that it shares"
            }
            Self::EmulatedGuests => {
                "function: two kernels, emulated by QEMU (TCG), which is no security boundary"
            }
            Self::KvmGuests => "isolation by hardware: two kernels, each in a machine of KVM",
        }
    }

    /// QEMU's word, for the rungs that are machines.
    pub(crate) const fn accelerator(self) -> &'static str {
        if matches!(self, Self::KvmGuests) { "kvm" } else { "tcg" }
    }

    /// Says where this is, and what it will have proved.
    #[expect(clippy::print_stderr, reason = "names the rung in what the test says")]
    pub(crate) fn say(self) {
        eprintln!("rung {}: {}", self.name(), self.proves());
    }

    /// Writes what came of it.
    pub(crate) fn record(self, result: &Value) {
        let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/ladder");
        std::fs::create_dir_all(&directory).unwrap();
        let document = json!({ "rung": self.name(), "proves": self.proves(), "result": result });
        let text = serde_json::to_string_pretty(&document).unwrap();
        std::fs::write(directory.join(format!("{}.json", self.name())), text).unwrap();
    }
}

/// Whether KVM runs this kernel here, on a processor that keeps its machines apart; else why it is left out. `cloakroom doctor` boots it.
pub(crate) fn kvm_runs(kernel: &Path) -> Result<(), String> {
    let data = tempfile::tempdir().unwrap();
    let mut doctor = Command::new(crate::support::BINARY);
    doctor.args(["doctor", "--json", "--data"]).arg(data.path()).arg("--kernel").arg(kernel);
    let output = doctor.output().unwrap();
    let found: Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{output:?}"));
    let findings = found["findings"].as_array().unwrap();
    let of = |check: &str| findings.iter().find(|finding| finding["check"] == check).unwrap();
    // The trial itself can tell: the same kernel does run where every instruction is emulated.
    let emulated = of("rung: machines emulated (TCG)");
    assert_eq!(emulated["standing"], "good", "{emulated}");
    assert!(emulated["found"].as_str().unwrap().contains("no security boundary"), "{emulated}");
    let by_kvm = of("rung: machines by KVM");
    let words = by_kvm["found"].as_str().unwrap().to_owned();
    if by_kvm["standing"] == "good" {
        assert!(words.contains("isolation by hardware") && has_hardware(), "{by_kvm}");
        return Ok(());
    }
    assert!(!words.contains("isolation by hardware"), "{by_kvm}");
    Err(words)
}

fn has_hardware() -> bool {
    let cpu = std::fs::read_to_string("/proc/cpuinfo").unwrap();
    cpu.split_whitespace().any(|flag| flag == "vmx" || flag == "svm")
}
