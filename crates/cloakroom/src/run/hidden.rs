//! What must not be seen by a command that runs as a workload.

use super::listeners;
use crate::data_dir::DataDir;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// The directories that are empty inside.
pub(super) struct Hidden {
    /// Where brokers keep things: nothing of them is ever shown.
    brokers: Vec<PathBuf>,
    /// All of them, those of brokers and where people keep things.
    all: Vec<PathBuf>,
    /// Sockets that somebody is bound to, wherever they lie: they are covered where their directory is shown.
    sockets: BTreeSet<PathBuf>,
    /// What is made empty: those that are not below another. One that goes away meanwhile, as in `/tmp`, is then in nobody's way.
    pub(super) paths: Vec<PathBuf>,
}

impl Hidden {
    /// Symbolic links are resolved here; what is not there needs no hiding.
    pub(super) fn of(data: &DataDir) -> Self {
        let (homes, sockets) = (homes(), listeners::bound());
        let real = |paths: Vec<PathBuf>| paths.into_iter().filter_map(|path| path.canonicalize().ok());
        let mut brokers: Vec<PathBuf> = real(brokers(data, &homes)).collect();
        brokers.extend(running(&sockets));
        let elsewhere: Vec<PathBuf> = brokers.iter().flat_map(|broker| led_elsewhere(broker)).collect();
        brokers.extend(elsewhere);
        let rooms = ["/root", "/home", "/run", "/var/run", "/tmp", "/var/tmp"].map(PathBuf::from);
        let mut all = brokers.clone();
        all.extend(real(homes.into_iter().chain(rooms).collect()));
        let is_below = |path: &PathBuf| all.iter().any(|other| path != other && path.starts_with(other));
        let mut paths: Vec<PathBuf> = all.iter().filter(|path| !is_below(path)).cloned().collect();
        paths.sort();
        paths.dedup();
        Self { brokers, all, sockets, paths }
    }

    /// The sockets that would be seen, where these directories are shown. What is below the kernel's own places is not seen anyway.
    pub(super) fn seen_sockets<'s>(&'s self, shown: &'s [(PathBuf, bool)]) -> impl Iterator<Item = &'s Path> {
        let own = ["/dev", "/proc", "/sys"].map(Path::new);
        let is_below = |socket: &Path, places: &[&Path]| places.iter().any(|place| socket.starts_with(place));
        self.sockets.iter().map(PathBuf::as_path).filter(move |socket| {
            let is_hidden = self.paths.iter().any(|path| socket.starts_with(path));
            let is_shown = shown.iter().any(|(path, _)| socket.starts_with(path));
            !is_below(socket, &own) && (is_shown || !is_hidden)
        })
    }

    /// SECURITY: a directory that is shown shows all below it; and below a broker's there is nothing to be shown.
    pub(super) fn is_shown_by(&self, shown: &Path) -> Option<&Path> {
        let above = self.all.iter().find(|hidden| hidden.starts_with(shown));
        above.or_else(|| self.brokers.iter().find(|broker| shown.starts_with(broker))).map(PathBuf::as_path)
    }
}

/// Where brokers of this machine are known to keep things: this one, those beside it, that of the environment, the default ones.
fn brokers(data: &DataDir, homes: &[PathBuf]) -> Vec<PathBuf> {
    let mut brokers = vec![data.path().to_path_buf()];
    brokers.extend(["/var/lib/cloakroom", "/etc/cloakroom"].map(PathBuf::from));
    brokers.extend(std::env::var_os("CLOAKROOM_DATA").map(PathBuf::from).filter(|path| path.is_absolute()));
    brokers.extend(DataDir::find(None).ok().map(|data| data.path().to_path_buf()));
    brokers.extend(homes.iter().map(|home| home.join(".local/share/cloakroom")));
    let real = data.path().canonicalize().ok();
    for parent in [Some(data.path()), real.as_deref()].into_iter().flatten().filter_map(Path::parent) {
        let beside = std::fs::read_dir(parent).into_iter().flatten().flatten().map(|entry| entry.path());
        brokers.extend(beside.filter(|path| DataDir::is_at(path)));
    }
    brokers.sort();
    brokers.dedup();
    brokers
}

/// Those of brokers that run now, whatever place they were given: each has its admin socket there.
fn running(sockets: &BTreeSet<PathBuf>) -> impl Iterator<Item = PathBuf> {
    let admin = sockets.iter().filter(|socket| socket.file_name().is_some_and(|name| name == "admin.sock"));
    admin.filter_map(|socket| socket.parent()).filter(|place| DataDir::is_at(place)).map(Path::to_owned)
}

/// The directories that symbolic links in a data directory lead to, such as a journal on a disk of its own.
fn led_elsewhere(data: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(data).into_iter().flatten().flatten();
    let links = entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_symlink()));
    links.filter_map(|link| link.path().canonicalize().ok()).filter(|target| target.is_dir()).collect()
}

/// The caller's, as the environment and as the machine's list of users has it: a service is often told none.
fn homes() -> Vec<PathBuf> {
    let said = std::env::var_os("HOME").map(PathBuf::from);
    let users = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    let listed = home_of(rustix::process::getuid().as_raw(), &users);
    let homes = said.into_iter().chain(listed);
    homes.filter(|home| home.is_absolute() && home != Path::new("/")).collect()
}

/// The home of a user by number (passwd(5)).
fn home_of(uid: u32, users: &str) -> Option<PathBuf> {
    let mut rows = users.lines().map(|line| line.split(':').collect::<Vec<&str>>());
    let row = rows.find(|row| row.get(2).and_then(|number| number.parse().ok()) == Some(uid))?;
    row.get(5).map(PathBuf::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A directory that a broker seems to keep things in.
    fn broker(parent: &Path, name: &str) -> PathBuf {
        let path = parent.join(name);
        std::fs::create_dir_all(path.join("keys")).unwrap();
        std::fs::write(path.join("cloakroom.db"), "").unwrap();
        path
    }

    #[test]
    fn nothing_above_or_below_a_brokers_directory_is_shown_nor_one_beside_it_nor_what_its_links_lead_to() {
        let place = tempfile::tempdir().unwrap();
        let root = place.path().canonicalize().unwrap();
        let (own, beside, disk) = (broker(&root, "own"), broker(&root, "beside"), root.join("disk"));
        for name in ["disk/journal", "project"] {
            std::fs::create_dir_all(root.join(name)).unwrap();
        }
        std::os::unix::fs::symlink(disk.join("journal"), own.join("journal")).unwrap();
        std::os::unix::fs::symlink(&own, root.join("link")).unwrap();
        let hidden = Hidden::of(&DataDir::find(Some(&root.join("link"))).unwrap());
        for path in [&own, &beside, &disk.join("journal")] {
            assert!(hidden.paths.iter().any(|hidden| path.starts_with(hidden)), "{}", path.display());
        }
        for shown in [&root, &own, &own.join("keys"), &beside.join("keys"), &disk, &disk.join("journal")] {
            assert!(hidden.is_shown_by(shown).is_some(), "{}", shown.display());
        }
        assert_eq!(hidden.is_shown_by(&root.join("project")), None);
    }

    #[test]
    fn the_home_of_a_user_is_found_by_number() {
        let users = "root:x:0:0:root:/root:/bin/sh\nodd\nagent:x:1000:1000::/srv/agent:/bin/sh\n";
        assert_eq!(home_of(1000, users), Some("/srv/agent".into()));
        assert_eq!(home_of(7, users), None);
    }
}
