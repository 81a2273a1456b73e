//! The file systems of an appliance: the kernel's own, and two small ones in memory. Nothing but the root holds programs, and the root
//! becomes read-only.

use crate::failure::Failure;
use rustix::mount::{MountFlags, mount, mount_remount};
use std::io;
use std::path::Path;

/// What is never needed on them.
pub(crate) const PLAIN: MountFlags = MountFlags::NOSUID.union(MountFlags::NODEV).union(MountFlags::NOEXEC);

/// Mounts what the kernel offers, and room in memory.
pub(super) fn system() -> Result<(), Failure> {
    let devices = MountFlags::NOSUID.union(MountFlags::NOEXEC);
    at("proc", "/proc", PLAIN, c"")?;
    at("sysfs", "/sys", PLAIN, c"")?;
    at("devtmpfs", "/dev", devices, c"mode=0755")?;
    at("tmpfs", "/run", PLAIN, c"mode=0700,size=1m")?;
    at("tmpfs", "/tmp", PLAIN, c"mode=0700,size=16m")
}

/// Mounts what the kernel itself makes.
pub(crate) fn at(kind: &str, place: &str, flags: MountFlags, data: &std::ffi::CStr) -> Result<(), Failure> {
    match mount(kind, place, kind, flags, Some(data)) {
        // The kernel may have mounted /dev itself (CONFIG_DEVTMPFS_MOUNT).
        Err(rustix::io::Errno::BUSY) if kind == "devtmpfs" => Ok(()),
        other => other.map_err(|error| Failure::file("mount", Path::new(place), &io::Error::from(error))),
    }
}

/// Makes the root read-only.
pub(super) fn close() -> Result<(), Failure> {
    mount_remount("/", MountFlags::RDONLY, "").map_err(|error| {
        Failure::failed(format!(
            "the root cannot be made read-only: {}",
            crate::failure::plain(&error.into())
        ))
    })
}
