//! Unix sockets with a path that somebody is bound to now. A name space of the network does not scope them: whoever sees the file and may write
//! to it can connect. So a command must not see them.

use std::collections::BTreeSet;
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};

/// Their paths, symbolic links resolved: of this network namespace, and of those of other processes that this user may look at.
pub(super) fn bound() -> BTreeSet<PathBuf> {
    let mut seen = BTreeSet::new();
    let mut bound = BTreeSet::new();
    let processes = std::fs::read_dir("/proc").into_iter().flatten().flatten().map(|entry| entry.path());
    for process in std::iter::once(PathBuf::from("/proc/self")).chain(processes) {
        // Each namespace once: all of its processes list the same.
        let Ok(namespace) = std::fs::read_link(process.join("ns/net")) else { continue };
        if seen.insert(namespace) {
            let listed = std::fs::read(process.join("net/unix")).unwrap_or_default();
            let paths = String::from_utf8_lossy(&listed);
            bound.extend(paths.lines().filter_map(path_of).filter_map(there));
        }
    }
    bound
}

/// The last column (proc_net_unix(5)): number, references, protocol, flags, type, state, inode, path. An abstract name begins with `@`, and is
/// scoped by the namespace.
fn path_of(line: &str) -> Option<&Path> {
    let mut rest = line;
    for _ in 0..7 {
        rest = rest.trim_start().split_once(' ')?.1;
    }
    let path = rest.trim_start_matches(' ');
    path.starts_with('/').then(|| Path::new(path))
}

/// Where it really is. The file of a socket that is closed stays, and nobody is bound to one whose file is gone.
fn there(path: &Path) -> Option<PathBuf> {
    let path = path.canonicalize().ok()?;
    let is_socket = path.symlink_metadata().is_ok_and(|metadata| metadata.file_type().is_socket());
    is_socket.then_some(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_path_of_a_socket_is_read_with_its_spaces_and_an_abstract_name_is_none() {
        let of = |line: &'static str| path_of(line).map(|path| path.to_str().unwrap());
        assert_eq!(
            of("0000000000000000: 00000002 00000000 00010000 0001 01 29114 /var/lib/a b/s"),
            Some("/var/lib/a b/s")
        );
        assert_eq!(of("0000000000000000: 00000002 00000000 00000000 0002 01   911 /s"), Some("/s"));
        for other in [
            "0000000000000000: 00000003 00000000 00000000 0001 03 29110",
            "0000000000000000: 00000002 00000000 00010000 0001 01 29111 @/tmp/.X11-unix/X0",
            "Num       RefCount Protocol Flags    Type St Inode Path",
            "",
        ] {
            assert_eq!(of(other), None, "{other}");
        }
    }

    #[test]
    fn a_listener_of_this_process_is_among_them_until_its_file_is_gone() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().canonicalize().unwrap().join("s");
        let listener = std::os::unix::net::UnixListener::bind(&path).unwrap();
        assert!(bound().contains(&path));
        std::fs::remove_file(&path).unwrap();
        assert!(!bound().contains(&path));
        drop(listener);
    }
}
