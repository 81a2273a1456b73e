//! Which of the kernel's modules a machine needs, and in which order: each behind what it depends on, as the module itself says.

use crate::failure::Failure;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// The drivers of virtual machines, the data disk's file system and checksum, random numbers, the vsock. One that is built into the kernel is no file.
pub(crate) const OF_APPLIANCE: [&str; 8] = [
    "virtio_mmio",
    "virtio_pci",
    "virtio_net",
    "virtio_blk",
    "virtio_rng",
    "crc32c_generic",
    "ext4",
    "vmw_vsock_virtio_transport",
];
/// What the machine of a workload needs, which has a share of its host's files for a disk.
pub(crate) const OF_WORKLOAD: [&str; 5] = ["virtio_mmio", "virtio_net", "virtio_rng", "9pnet_virtio", "9p"];

/// Their files in the order in which they are loaded: name and content.
pub(crate) fn collect(directory: &Path, every: &[&str]) -> Result<Vec<(String, Vec<u8>)>, Failure> {
    let mut files = BTreeMap::new();
    find(directory, &mut files).map_err(|error| Failure::file("read", directory, &error))?;
    let builtin = std::fs::read_to_string(directory.join("modules.builtin")).unwrap_or_default();
    let builtin: Vec<String> = builtin.lines().map(|line| name_of(Path::new(line))).collect();
    let mut collected = Vec::new();
    for wanted in every {
        take(wanted, &files, &builtin, &mut collected)?;
    }
    Ok(collected)
}

fn take(
    name: &str,
    files: &BTreeMap<String, PathBuf>,
    builtin: &[String],
    collected: &mut Vec<(String, Vec<u8>)>,
) -> Result<(), Failure> {
    if builtin.iter().any(|builtin| builtin == name) || collected.iter().any(|(taken, _)| taken == name) {
        return Ok(());
    }
    let Some(path) = files.get(name) else {
        return Err(Failure::bad_input(format!("the kernel's module {name} is not there"))
            .hinting("--modules names the directory lib/modules/VERSION of the kernel's package, with modules.builtin; packed modules (.ko.xz) have to be unpacked"));
    };
    let content = super::read(path)?;
    for needed in depends(&content) {
        take(&needed, files, builtin, collected)?;
    }
    collected.push((name.to_owned(), content));
    Ok(())
}

/// What the module says in its section `.modinfo`: `depends=a,b`, then a zero.
fn depends(module: &[u8]) -> Vec<String> {
    let words = b"\0depends=";
    let Some(at) = module.windows(words.len()).position(|window| window == words) else { return Vec::new() };
    let list = module[at + words.len()..].split(|b| *b == 0).next().unwrap_or_default();
    let names = list.split(|b| *b == b',').filter(|name| !name.is_empty());
    names.map(|name| String::from_utf8_lossy(name).replace('-', "_")).collect()
}

fn find(directory: &Path, files: &mut BTreeMap<String, PathBuf>) -> std::io::Result<()> {
    for entry in std::fs::read_dir(directory)? {
        let entry = entry?;
        let path = entry.path();
        if entry.file_type()?.is_dir() {
            find(&path, files)?;
        } else if path.extension().is_some_and(|end| end == "ko") {
            files.insert(name_of(&path), path);
        }
    }
    Ok(())
}

/// Files are named with `-` or `_`, modules with `_`.
fn name_of(path: &Path) -> String {
    path.file_stem().unwrap_or_default().to_string_lossy().replace('-', "_")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modules_come_behind_what_they_depend_on() {
        let directory = tempfile::tempdir().unwrap();
        let write = |name: &str, depends: &str| {
            let module = format!("ELF\0license=GPL\0depends={depends}\0name=x\0");
            std::fs::write(directory.path().join(name), module).unwrap();
        };
        write("virtio.ko", "virtio_ring");
        write("virtio_ring.ko", "");
        write("virtio_mmio.ko", "virtio,virtio_ring");
        write("virtio-rng.ko", "virtio");
        write("virtio_net.ko", "virtio,net_failover");
        write("net_failover.ko", "failover");
        write("vsock.ko", "");
        write("vmw_vsock_virtio_transport_common.ko", "vsock");
        write("vmw_vsock_virtio_transport.ko", "vmw_vsock_virtio_transport_common,virtio,vsock");
        let builtin = "kernel/fs/ext4/ext4.ko\nkernel/a/virtio_pci.ko\nkernel/b/virtio_blk.ko\nkernel/c/crc32c_generic.ko\nkernel/d/failover.ko\n";
        std::fs::write(directory.path().join("modules.builtin"), builtin).unwrap();
        let names: Vec<String> =
            collect(directory.path(), &OF_APPLIANCE).unwrap().into_iter().map(|(name, _)| name).collect();
        let order = ["virtio_ring", "virtio", "virtio_mmio", "net_failover", "virtio_net", "virtio_rng"];
        let of_vsock = ["vsock", "vmw_vsock_virtio_transport_common", "vmw_vsock_virtio_transport"];
        assert_eq!(names, [&order[..], &of_vsock].concat());
        std::fs::remove_file(directory.path().join("net_failover.ko")).unwrap();
        assert!(collect(directory.path(), &OF_APPLIANCE).is_err());
    }
}
