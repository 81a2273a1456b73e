//! The virtual machine of `run --vm`, from outside: what it is made of, and the QEMU that runs it. QEMU itself runs in the namespaces that any
//! command of `run` gets: whoever breaks out of the machine stands where a command without `--vm` would.
//!
//! ```text
//!  namespaces ┌───────────────────────────────────────────────────────┐
//!             │  QEMU ── guest: kernel, cloakroom as init, COMMAND     │
//!             │   │ virtio-net ─► 127.0.0.1:8480 (broker), :8479 (streams); nothing else is there
//!             │   │ 9P ─────────► /run/cloakroom/root, read-only; DIR, writable
//!             └───────────────────────────────────────────────────────┘
//! ```

use super::in_memory;
use crate::accelerator::Accelerator;
use crate::cli::RunArguments;
use crate::failure::Failure;
use crate::guest::User;
use crate::guest::machine::{PLAN, Plan, Share};
use crate::image::build::{CONSOLE, is_static};
use crate::image::cpio::{self, Node, Tree};
use crate::image::{MODULES, kernel, modules, read};
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::File;
use std::io::IsTerminal;
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};

/// What QEMU reads when it starts.
const PARTS: [&str; 2] = ["/run/cloakroom/vmlinux", "/run/cloakroom/initramfs.cpio"];
/// The files that the machine sees as its root.
pub(super) const ROOT: &str = "/run/cloakroom/root";
/// What the machine's kernel says, in memory.
pub(super) const SAID: &str = "/run/cloakroom/console";
const QEMU: &str = "qemu-system-x86_64";
/// More than these does no command good that waits for a network.
const MOST_PROCESSORS: usize = 4;

/// What the one line of `run` says of the machine.
pub(super) const fn says(accelerator: Accelerator) -> &'static str {
    match accelerator {
        Accelerator::Kvm => "a virtual machine of its own (KVM)",
        Accelerator::Tcg => {
            "an emulated machine of its own (QEMU TCG: it works as one, and is no security boundary)"
        }
    }
}

/// A machine, ready to be started.
pub(super) struct Machine {
    pub(super) accelerator: Accelerator,
    /// Kernel and first root, in the order of [`PARTS`]. SECURITY: in memory alone, for the plan has the workload's key: whenever this process ends,
    /// nothing of it lies anywhere.
    parts: [File; 2],
    memory: u32,
    shares: Vec<Share>,
}

/// What the machine shall see and do.
pub(super) struct Wanted<'w> {
    pub(super) asked: &'w RunArguments,
    pub(super) variables: &'w BTreeMap<OsString, OsString>,
    pub(super) directory: &'w Path,
    /// Directories that are empty inside.
    pub(super) hidden: &'w [PathBuf],
    /// Those that are seen all the same, and whether they can be written.
    pub(super) shown: &'w [(PathBuf, bool)],
    pub(super) authority: String,
}

impl Machine {
    /// Makes the machine's parts.
    ///
    /// # Errors
    /// Where one is missing. SECURITY: there is no fallback to namespaces alone.
    pub(super) fn plan(wanted: &Wanted<'_>) -> Result<Self, Failure> {
        if !cfg!(target_arch = "x86_64") {
            return Err(Failure::failed("machines for commands are made on x86-64 only"));
        }
        require_qemu()?;
        let parts = Parts::find(wanted.asked.machine.vm_parts.as_deref())?;
        let shares = shares(wanted.shown);
        let plan = Plan {
            command: wanted.asked.command.clone(),
            variables: wanted.variables.iter().map(|(name, value)| (name.clone(), value.clone())).collect(),
            user: User::own(),
            directory: wanted.directory.to_owned(),
            has_terminal: std::io::stdin().is_terminal() && std::io::stdout().is_terminal(),
            rooms: rooms(wanted.hidden),
            shares: shares.iter().map(Share::again).collect(),
            authority: wanted.authority.clone(),
        };
        let parts = [in_memory(&kernel::bootable(&parts.kernel)?)?, in_memory(&parts.root(&plan)?)?];
        Ok(Self {
            parts,
            accelerator: wanted.asked.machine.vm_accelerator.unwrap_or_else(Accelerator::here),
            memory: wanted.asked.machine.vm_memory,
            shares,
        })
    }

    /// What bubblewrap shows besides: the machine's parts, and the same view once more as the machine's root.
    pub(super) fn view(&self, hidden: &[PathBuf]) -> Vec<OsString> {
        let mut arguments: Vec<OsString> = Vec::new();
        let mut add = |how: &str, words: &[&Path]| {
            arguments.push(how.into());
            arguments.extend(words.iter().map(|word| word.as_os_str().to_owned()));
        };
        add("--ro-bind", &[Path::new("/"), Path::new(ROOT)]);
        // SECURITY: /proc and /dev of the namespaces are QEMU's own; the machine has its kernel's.
        let own = ["/proc", "/sys", "/dev"].map(PathBuf::from);
        for path in hidden.iter().chain(&own) {
            add("--tmpfs", &[&Path::new(ROOT).join(path.strip_prefix("/").unwrap_or(path))]);
        }
        // Bubblewrap copies them from the descriptors that it is handed.
        for (part, place) in self.parts.iter().zip(PARTS) {
            add("--perms", &[Path::new("0400")]);
            add("--file", &[Path::new(&part.as_raw_fd().to_string()), Path::new(place)]);
        }
        if self.accelerator == Accelerator::Kvm {
            add("--dev-bind", &[Path::new("/dev/kvm"), Path::new("/dev/kvm")]);
        }
        arguments
    }

    /// What runs in the namespaces instead of the command.
    pub(super) fn command(&self) -> Vec<OsString> {
        // An emulated machine has the host's processors no faster for being told of several.
        let processors = if self.accelerator == Accelerator::Kvm { processors() } else { 1 };
        let line = format!(
            "console=ttyS0 quiet loglevel=1 reboot=t panic=-1 random.trust_cpu=on{}",
            self.accelerator.clock()
        );
        let (memory, processors) = (self.memory.to_string(), processors.to_string());
        let [kernel, root] = PARTS;
        let console = format!("file,id=console,path={SAID},append=on");
        let words = [
            "-m",
            &memory,
            "-smp",
            &processors,
            "-nodefaults",
            "-no-user-config",
            "-display",
            "none",
            "-no-reboot",
            "-sandbox",
            "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny",
            "-chardev",
            &console,
            "-serial",
            "chardev:console",
            "-kernel",
            kernel,
            "-initrd",
            root,
            "-append",
            &line,
            "-device",
            "virtio-rng-device",
            "-netdev",
            "user,id=wire,ipv6=off,net=10.0.2.0/24,host=10.0.2.2",
            "-device",
            "virtio-net-device,netdev=wire",
        ];
        let mut command: Vec<OsString> =
            [QEMU].iter().chain(&self.accelerator.machine()).chain(&words).map(OsString::from).collect();
        for share in &self.shares {
            command.extend(share.devices());
        }
        command
    }
}

/// The hidden directories, each once. One below another is not there: the other is empty.
fn rooms(hidden: &[PathBuf]) -> Vec<PathBuf> {
    let mut rooms: Vec<PathBuf> = hidden.to_vec();
    rooms.sort();
    rooms.dedup_by(|later, before| later.starts_with(before));
    rooms
}

/// The whole view without a right to write, and each directory that is shown by itself.
fn shares(shown: &[(PathBuf, bool)]) -> Vec<Share> {
    let root = Share { tag: "root".into(), at: "/".into(), is_writable: false };
    let others = shown.iter().enumerate().map(|(index, (at, is_writable))| Share {
        tag: format!("share{index}"),
        at: at.clone(),
        is_writable: *is_writable,
    });
    std::iter::once(root).chain(others).collect()
}

impl Share {
    fn again(&self) -> Self {
        Self { tag: self.tag.clone(), at: self.at.clone(), is_writable: self.is_writable }
    }

    /// QEMU's words for it.
    fn devices(&self) -> Vec<OsString> {
        let from = if self.at == Path::new("/") { Path::new(ROOT) } else { &self.at };
        // QEMU reads a comma as the end of a value, and two as one comma.
        let mut path = OsString::from(format!("local,id={},security_model=none,multidevs=remap", self.tag));
        if !self.is_writable {
            path.push(",readonly=on");
        }
        path.push(",path=");
        path.push(doubled(from));
        let device = format!("virtio-9p-device,fsdev={0},mount_tag={0}", self.tag);
        ["-fsdev".into(), path, "-device".into(), device.into()].into()
    }
}

fn doubled(path: &Path) -> OsString {
    use std::os::unix::ffi::{OsStrExt, OsStringExt};
    let bytes = path.as_os_str().as_bytes().iter();
    OsString::from_vec(
        bytes.flat_map(|byte| std::iter::repeat_n(*byte, if *byte == b',' { 2 } else { 1 })).collect(),
    )
}

fn processors() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from).min(MOST_PROCESSORS)
}

/// What a machine is made of.
struct Parts {
    program: PathBuf,
    kernel: PathBuf,
    modules: PathBuf,
}

impl Parts {
    fn find(directory: Option<&Path>) -> Result<Self, Failure> {
        if let Some(directory) = directory {
            let part = |name: &str| directory.join(name);
            return Ok(Self {
                program: part("cloakroom"),
                kernel: part("kernel/vmlinuz"),
                modules: part("kernel/modules"),
            });
        }
        let uname = rustix::system::uname();
        let release = uname.release().to_string_lossy();
        Ok(Self {
            program: std::env::current_exe()?,
            kernel: format!("/boot/vmlinuz-{release}").into(),
            modules: format!("/lib/modules/{release}").into(),
        })
    }

    /// The machine's first root: this program, the drivers, and the plan.
    fn root(&self, plan: &Plan) -> Result<Vec<u8>, Failure> {
        let program = read(&self.program)?;
        if !is_static(&program) {
            return Err(Failure::bad_input(format!(
                "{} needs libraries, and a machine begins without any",
                self.program.display()
            ))
            .hinting(
                "make the parts of a machine, \"cargo xtask appliance\" does, and name them: --vm-parts DIR",
            ));
        }
        let drivers = modules::collect(&self.modules, &modules::OF_WORKLOAD).map_err(|failure| {
            let hint = "the machine sees its files over 9P: the kernel needs 9p and 9pnet_virtio, as a distribution's ordinary kernel has (Debian's linux-image-amd64, not its cloud kernel); name the parts of one: --vm-parts DIR";
            Failure::bad_input(failure.to_string()).hinting(hint)
        })?;
        let mut root: Tree =
            ["dev", "proc", "root", "sys"].map(|place| (place.to_owned(), Node::Directory(0o755))).into();
        root.insert("dev/console".into(), CONSOLE);
        cpio::add(&mut root, "init", 0o555, program);
        for (index, (name, content)) in drivers.into_iter().enumerate() {
            cpio::add(&mut root, &format!("{MODULES}/{index:02}-{name}.ko"), 0o444, content);
        }
        let plan = serde_json::to_vec(plan).map_err(|error| Failure::failed(error.to_string()))?;
        cpio::add(&mut root, PLAN, 0o400, plan);
        Ok(cpio::archive(&root))
    }
}

fn require_qemu() -> Result<(), Failure> {
    let found = super::sandbox::program(QEMU);
    found.map(drop).ok_or_else(|| {
        Failure::failed(format!("QEMU ({QEMU}) is not installed, and --vm runs nothing without it"))
            .hinting("install the package qemu-system-x86")
    })
}

/// To be called once QEMU has read them: from then on the machine has the only copy.
pub(super) fn forget_parts() {
    for part in PARTS {
        let _ = std::fs::remove_file(part);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_is_shared_as_it_is_called_with_or_without_a_right_to_write() {
        let shares = shares(&[("/srv/a,b".into(), true), ("/opt".into(), false)]);
        let words: Vec<String> =
            shares.iter().map(|share| share.devices()[1].to_string_lossy().into_owned()).collect();
        assert!(words[0].contains("readonly=on") && words[0].ends_with("path=/run/cloakroom/root"));
        assert!(!words[1].contains("readonly") && words[1].ends_with("path=/srv/a,,b"));
        assert!(words[2].contains("readonly=on") && words[2].ends_with("path=/opt"));
    }

    #[test]
    fn rooms_are_there_once_and_none_is_within_another() {
        let hidden = ["/tmp/data", "/root", "/home", "/root", "/tmp", "/tmpfs"].map(PathBuf::from);
        assert_eq!(rooms(&hidden), ["/home", "/root", "/tmp", "/tmpfs"].map(PathBuf::from));
    }

    #[test]
    fn a_kernel_without_the_file_system_of_hosts_is_refused_with_a_remedy() {
        let place = tempfile::tempdir().unwrap();
        let modules = place.path().to_owned();
        std::fs::write(
            modules.join("modules.builtin"),
            "a/virtio_mmio.ko\nb/virtio_net.ko\nc/virtio_rng.ko\n",
        )
        .unwrap();
        let program = place.path().join("program");
        let mut elf = vec![0u8; 64];
        elf[..6].copy_from_slice(b"\x7fELF\x02\x01");
        std::fs::write(&program, elf).unwrap();
        let parts = Parts { program, kernel: PathBuf::new(), modules };
        let plan = Plan {
            command: Vec::new(),
            variables: Vec::new(),
            user: User::own(),
            directory: "/".into(),
            has_terminal: false,
            rooms: Vec::new(),
            shares: Vec::new(),
            authority: String::new(),
        };
        let refused = parts.root(&plan).unwrap_err();
        assert!(
            refused.to_string().contains("9pnet_virtio") && refused.hint().unwrap().contains("--vm-parts")
        );
    }
}
