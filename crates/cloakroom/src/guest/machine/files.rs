//! The machine's files: its host's as a root that cannot be written, rooms in memory, and the directories that the command works in.

use super::{Plan, Share};
use crate::failure::Failure;
use crate::init::mounts::PLAIN;
use crate::run::environment::{AUTHORITY, KEY_STORE};
use crate::run::key_store;
use rustix::mount::{MountFlags, mount, mount_move};
use rustix::process::{Pid, Signal, kill_process};
use std::ffi::{CStr, CString};
use std::io;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

/// Where the new root stands before it is the root.
const ROOT: &str = "/root";
/// What programs expect beside the devices themselves.
const LINKS: [(&str, &str); 4] = [
    ("/dev/fd", "/proc/self/fd"),
    ("/dev/stdin", "/proc/self/fd/0"),
    ("/dev/stdout", "/proc/self/fd/1"),
    ("/dev/stderr", "/proc/self/fd/2"),
];
/// 9P over virtio (Documentation/filesystems/9p.rst). What cannot be written is kept in memory; what can is written at once.
const KEPT: &CStr = c"trans=virtio,version=9p2000.L,msize=262144,cache=loose";
const AT_ONCE: &CStr = c"trans=virtio,version=9p2000.L,msize=262144,cache=mmap";

/// Makes the new root, and moves into it.
pub(super) fn enter(plan: &Plan) -> Result<(), Failure> {
    let (root, others) = plan.shares.split_first().ok_or_else(|| Failure::failed("the plan has no root"))?;
    share(root)?;
    kernels_own()?;
    for room in &plan.rooms {
        let owner = format!("uid={},gid={},mode={}", plan.user.uid, plan.user.gid, mode_of(room));
        let owner = CString::new(owner).unwrap_or_default();
        put("tmpfs", "tmpfs", room, MountFlags::NOSUID | MountFlags::NODEV, &owner)?;
    }
    for other in others {
        let place = inside(&other.at);
        std::fs::create_dir_all(&place).map_err(|error| Failure::file("create", &place, &error))?;
        share(other)?;
    }
    write_authority(&plan.authority)?;
    let moved = || -> io::Result<()> {
        std::env::set_current_dir(ROOT)?;
        mount_move(".", "/")?;
        std::os::unix::fs::chroot(".")?;
        std::env::set_current_dir("/")
    };
    moved().map_err(|error| Failure::file("move to", Path::new(ROOT), &error))
}

/// What the kernel shows of itself.
fn kernels_own() -> Result<(), Failure> {
    let devices = MountFlags::NOSUID | MountFlags::NOEXEC;
    put("proc", "proc", Path::new("/proc"), PLAIN, c"")?;
    put("sysfs", "sysfs", Path::new("/sys"), PLAIN, c"")?;
    put("devtmpfs", "devtmpfs", Path::new("/dev"), devices, c"mode=0755")?;
    for directory in ["/dev/pts", "/dev/shm"] {
        let _ = std::fs::create_dir(inside(Path::new(directory)));
    }
    put("devpts", "devpts", Path::new("/dev/pts"), devices, c"ptmxmode=0666,mode=0620")?;
    put("tmpfs", "tmpfs", Path::new("/dev/shm"), PLAIN, c"mode=1777")?;
    for (link, to) in LINKS {
        let _ = symlink(to, inside(Path::new(link)));
    }
    Ok(())
}

fn share(share: &Share) -> Result<(), Failure> {
    let plain = MountFlags::NOSUID | MountFlags::NODEV;
    let (flags, how) = if share.is_writable { (plain, AT_ONCE) } else { (plain | MountFlags::RDONLY, KEPT) };
    put(&share.tag, "9p", &share.at, flags, how)
}

fn put(source: &str, kind: &str, at: &Path, flags: MountFlags, how: &CStr) -> Result<(), Failure> {
    let place = inside(at);
    mount(source, &place, kind, flags, Some(how))
        .map_err(|error| Failure::file("mount", at, &io::Error::from(error)))
}

/// As it is called until the new root is the root.
fn inside(path: &Path) -> PathBuf {
    Path::new(ROOT).join(path.strip_prefix("/").unwrap_or(path))
}

/// What everybody shares is everybody's.
fn mode_of(room: &Path) -> &'static str {
    if room.ends_with("tmp") { "1777" } else { "0755" }
}

fn write_authority(pem: &str) -> Result<(), Failure> {
    let store = key_store::of(pem)?;
    for (file, bytes) in [(AUTHORITY, pem.as_bytes()), (KEY_STORE, &store)] {
        let file = inside(Path::new(file));
        let write = || -> io::Result<()> {
            std::fs::create_dir_all(file.parent().unwrap_or(&file))?;
            std::fs::write(&file, bytes)
        };
        write().map_err(|error| Failure::file("write", &file, &error))?;
    }
    Ok(())
}

/// Ends every process but this one.
pub(super) fn end_all() {
    let own = rustix::process::getpid();
    let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let numbers = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    for pid in numbers.filter_map(Pid::from_raw).filter(|pid| *pid != own) {
        let _ = kill_process(pid, Signal::KILL);
    }
}
