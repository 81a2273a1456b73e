//! `cargo xtask appliance`: what an image is built from: the program without libraries, and a distribution's kernel; and, for the tests,
//! the program of the hostile guest.
//!
//! The program is the ordinary build, linked once more: static linking is a matter of the last step, so nothing else is compiled anew.

use crate::fault::Fault;
use crate::shell::{capture, command, run, target};
use crate::tools;
use std::path::{Path, PathBuf};

/// The kernel of the day: the package whose dependency names it, and where it is unpacked.
struct Kernel {
    package: &'static str,
    place: &'static str,
}

/// The appliance's: small, for virtual machines.
const OF_APPLIANCE: Kernel = Kernel { package: "linux-image-cloud-amd64", place: "kernel" };
/// That of a workload's machine: a distribution's ordinary one, which reads its host's files over 9P.
const OF_WORKLOAD: Kernel = Kernel { package: "linux-image-amd64", place: "workload/kernel" };

/// Where everything is put.
pub(crate) fn directory() -> PathBuf {
    target().join("appliance")
}

/// Whether an appliance can be built for this machine.
pub(crate) fn is_possible() -> bool {
    cfg!(all(target_arch = "x86_64", target_os = "linux"))
}

/// Makes what the tests need.
pub(crate) fn for_tests() -> Result<(), Fault> {
    tools::ensure_for_appliance()?;
    link("dev", "cloakroom", "cloakroom")?;
    link("dev", "cloakroom-testkit", "robot")?;
    OF_APPLIANCE.unpack()?;
    workload()?;
    vsock_device()
}

/// Makes the program for an image, in one of Cargo's profiles, and says how to go on.
pub(crate) fn build(profile: &str) -> Result<(), Fault> {
    if !is_possible() {
        return Err(Fault::new("an appliance is built on x86-64 Linux"));
    }
    tools::ensure_for_appliance()?;
    link(profile, "cloakroom", "cloakroom")?;
    OF_APPLIANCE.unpack()?;
    workload()?;
    let directory = directory();
    let bytes = std::fs::metadata(directory.join("cloakroom"))?.len();
    println!("    {} has {:.1} MiB ({profile})", directory.join("cloakroom").display(), to_mib(bytes));
    println!(
        "    next: {0}/cloakroom image build --out IMAGE --kernel {0}/kernel/vmlinuz --modules {0}/kernel/modules",
        directory.display()
    );
    Ok(())
}

#[expect(clippy::cast_precision_loss, reason = "for people")]
fn to_mib(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}

/// Links a program statically and takes its symbols off.
fn link(profile: &str, package: &str, program: &str) -> Result<(), Fault> {
    run(command(&[
        "cargo",
        "rustc",
        "--quiet",
        "--profile",
        profile,
        "--package",
        package,
        "--bin",
        program,
        "--",
        "-C",
        "target-feature=+crt-static",
        // Its digest would cover the symbols that are taken off below, and these name directories.
        "-C",
        "link-arg=-Wl,--build-id=none",
    ]))?;
    let folder = if profile == "dev" { "debug" } else { profile };
    let built = target().join(folder).join(program);
    std::fs::create_dir_all(directory())?;
    let (from, to) = (built.to_string_lossy(), directory().join(program));
    run(command(&["strip", "-o", &to.to_string_lossy(), &from]))
}

/// What `cloakroom run --vm --vm-parts` takes: the same program, and the other kernel.
fn workload() -> Result<(), Fault> {
    OF_WORKLOAD.unpack()?;
    let (program, place) = (directory().join("cloakroom"), directory().join("workload/cloakroom"));
    let _ = std::fs::remove_file(&place);
    Ok(std::fs::hard_link(program, place)?)
}

/// The device that joins two guests by vsock where the host's kernel has none: what the tests of machines without a network card take.
fn vsock_device() -> Result<(), Fault> {
    const VERSION: &str = "0.3.0";
    let (directory, program) = (directory(), directory().join("vhost-device-vsock"));
    let says = || capture(command(&[&program.to_string_lossy(), "--version"])).unwrap_or_default();
    if says().trim().ends_with(VERSION) {
        return Ok(());
    }
    let root = directory.join("vsock");
    println!("    building vhost-device-vsock {VERSION}, once");
    let mut install =
        command(&["cargo", "install", "--quiet", "--locked", "--debug", "--no-track", "--force"]);
    install.args(["--version", VERSION, "--root"]).arg(&root).arg("vhost-device-vsock");
    run(install)?;
    Ok(std::fs::rename(root.join("bin/vhost-device-vsock"), program)?)
}

impl Kernel {
    /// Unpacks its package, without installing it: `vmlinuz` and `modules`.
    fn unpack(&self) -> Result<(), Fault> {
        let kernel = directory().join(self.place);
        if kernel.join("vmlinuz").exists() && kernel.join("modules").exists() {
            return Ok(());
        }
        let by_hand = format!(
            "unpack a kernel's vmlinuz and lib/modules/VERSION to {0}/vmlinuz and {0}/modules",
            kernel.display()
        );
        let unpacked = kernel.with_extension("new");
        let _ = std::fs::remove_dir_all(&unpacked);
        std::fs::create_dir_all(&unpacked)?;
        fetch(self.package, &unpacked).map_err(|fault| Fault::new(format!("{fault}\nby hand: {by_hand}")))?;
        let one = |directory: &Path, begin: &str| -> Result<PathBuf, Fault> {
            let mut entries = std::fs::read_dir(directory)?.flatten();
            let found = entries.find(|entry| entry.file_name().to_string_lossy().starts_with(begin));
            found.map(|entry| entry.path()).ok_or_else(|| Fault::new(format!("the package has no {begin}")))
        };
        std::fs::rename(one(&unpacked.join("boot"), "vmlinuz-")?, unpacked.join("vmlinuz"))?;
        std::fs::rename(one(&unpacked.join("lib/modules"), "")?, unpacked.join("modules"))?;
        let _ = std::fs::remove_dir_all(&kernel);
        Ok(std::fs::rename(&unpacked, &kernel)?)
    }
}

fn fetch(kernel: &str, into: &Path) -> Result<(), Fault> {
    let name = || -> Result<String, Fault> {
        let depends = capture(command(&["apt-cache", "depends", kernel]))?;
        let mut names = depends.lines().filter_map(|line| line.trim().strip_prefix("Depends: linux-image-"));
        let name = names.next().ok_or_else(|| Fault::new(format!("apt knows no {kernel}")))?;
        Ok(format!("linux-image-{name}"))
    };
    let download = || -> Result<(), Fault> {
        let mut apt = command(&["apt-get", "-q", "download", &name()?]);
        apt.current_dir(into);
        capture(apt).map(drop)
    };
    if download().is_err() {
        let _ = run(command(&["apt-get", "-o", "DPkg::Lock::Timeout=200", "-q", "update"]));
        download()?;
    }
    let mut entries = std::fs::read_dir(into)?.flatten();
    let package = entries.find(|entry| entry.path().extension().is_some_and(|end| end == "deb"));
    let package = package.ok_or_else(|| Fault::new("apt-get download left no package"))?.path();
    run(command(&["dpkg-deb", "-x", &package.to_string_lossy(), &into.to_string_lossy()]))?;
    Ok(std::fs::remove_file(package)?)
}
