//! The data directory: whether it is there, whose it is, who else may look, and whether there is room.

use super::{Finding, Standing};
use crate::data_dir::DataDir;
use rustix::fs::statvfs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// Below this no journal can be written for long.
const LEAST: u64 = 64 << 20;
/// Below this it is time to look.
const LITTLE: u64 = 1 << 30;
/// What everybody may read: certificates are for workloads, the journal's public key for whoever checks it.
const OPEN: [&str; 4] = ["ca.pem", "workloads.pem", "link.pem", "key.pub"];

pub(super) fn look(data: &DataDir) -> Vec<Finding> {
    let Ok(found) = std::fs::metadata(data.path()) else {
        let none = format!("there is no {}", data.path().display());
        return vec![
            Finding::new("data directory", Standing::Broken, none)
                .remedied_by("start a broker: cloakroom serve; or name its directory: --data DIR"),
        ];
    };
    vec![permissions(data.path(), found.uid()), room(data.path())]
}

/// Keys, rows and record are their owner's alone.
fn permissions(directory: &Path, owner: u32) -> Finding {
    const CHECK: &str = "file permissions";
    let mut files = vec![directory.to_owned()];
    files.extend(["", "keys", "journal", "kits"].iter().flat_map(|below| listed(&directory.join(below))));
    let is_open = |path: &Path| path.file_name().is_some_and(|name| OPEN.iter().any(|open| name == *open));
    for path in &files {
        let Ok(found) = std::fs::symlink_metadata(path) else { continue };
        if !is_open(path) && !found.is_symlink() && found.permissions().mode() & 0o077 != 0 {
            return Finding::new(CHECK, Standing::Broken, format!("{} is open to others", path.display()))
                .remedied_by(format!(
                    "chmod go= {}; and take what it holds for known to others",
                    path.display()
                ));
        }
        if found.uid() != owner {
            return Finding::new(
                CHECK,
                Standing::Broken,
                format!("{} belongs to another user", path.display()),
            )
            .remedied_by(format!("chown -R --reference={0} {0}", directory.display()));
        }
    }
    match std::fs::read_dir(directory) {
        Ok(_) => {
            Finding::good(CHECK, format!("{} files and directories are their owner's alone", files.len()))
        }
        Err(error) => Finding::new(
            CHECK,
            Standing::Weak,
            format!("they cannot be seen: {}", crate::failure::plain(&error)),
        )
        .remedied_by("run the command as the broker's user, or as root"),
    }
}

fn listed(directory: &Path) -> Vec<PathBuf> {
    std::fs::read_dir(directory).into_iter().flatten().flatten().map(|entry| entry.path()).collect()
}

fn room(directory: &Path) -> Finding {
    const CHECK: &str = "disk space";
    let disk = match statvfs(directory) {
        Ok(disk) => disk,
        Err(error) => return Finding::new(CHECK, Standing::Weak, format!("it cannot be asked: {error}")),
    };
    let free = disk.f_bavail.saturating_mul(disk.f_frsize);
    let standing = match free {
        ..LEAST => Standing::Broken,
        LEAST..LITTLE => Standing::Weak,
        _ if disk.f_files > 0 && disk.f_favail == 0 => Standing::Broken,
        _ => return Finding::good(CHECK, format!("{} MiB are free", free >> 20)),
    };
    let found = format!(
        "{} MiB and {} files are free; when the journal cannot be written, calls are refused",
        free >> 20,
        disk.f_favail
    );
    Finding::new(CHECK, standing, found)
        .remedied_by("make room, or let finished segments leave: journal.keep-size, journal.keep-age")
}
