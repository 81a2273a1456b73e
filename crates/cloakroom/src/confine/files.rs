//! Which files the broker can open at all, kept by the kernel (Landlock): its data directory, what the settings name, and what a start reads of
//! the system. It is put on before there is a second thread, so that none is beside it; the listeners were opened before, for by the same means
//! no TCP port can be taken any more.

use super::{Held, LayerState};
use crate::data_dir::DataDir;
use crate::failure::Failure;
use crate::settings::{CertificateSetting, KekSetting, NotifySetting, Settings};
use cloakroom_tpm::Address;
use landlock::{
    ABI, Access, AccessFs, AccessNet, BitFlags, CompatLevel, Compatible, PathBeneath, PathFd, Ruleset,
    RulesetAttr, RulesetCreated, RulesetCreatedAttr, RulesetError, RulesetStatus, Scope,
};
use std::collections::BTreeSet;
use std::io::ErrorKind;
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};

/// What is asked of the kernel; an older one gives what it has. 6 (Linux 6.12) has files, TCP ports, and signals to processes outside.
const WANTED: ABI = ABI::V6;

/// What a start reads of the system, where it is there: authorities that upstreams are checked with (`rustls-native-certs`), resolvers, how many
/// processors it may use, random bytes for SQLite.
const SYSTEM: [&str; 19] = [
    "/etc/ssl/certs",
    "/etc/ssl/cert.pem",
    "/etc/ssl/ca-bundle.pem",
    "/etc/pki",
    "/etc/ca-certificates",
    "/usr/share/ca-certificates",
    "/usr/local/share/ca-certificates",
    "/usr/share/pki",
    "/var/lib/ca-certificates",
    "/etc/resolv.conf",
    "/etc/hosts",
    "/proc/self/cgroup",
    "/proc/self/mountinfo",
    "/proc/self/status",
    "/sys/fs/cgroup",
    "/sys/devices/system/cpu",
    "/dev/urandom",
    // A static build, which cannot look the call up, waits here until the kernel has gathered enough.
    "/dev/random",
    "/dev/null",
];

/// What may be opened, and below it everything.
#[derive(Debug, Default)]
pub(crate) struct Files {
    system: BTreeSet<PathBuf>,
    read: BTreeSet<PathBuf>,
    write: BTreeSet<PathBuf>,
}

impl Files {
    /// What this broker opens, now and later. A new setting that names a file belongs here.
    pub(crate) fn of(data: &DataDir, settings: &Settings) -> Self {
        let mut files = Self { system: SYSTEM.iter().map(PathBuf::from).collect(), ..Self::default() };
        let named = ["SSL_CERT_FILE", "SSL_CERT_DIR"].map(std::env::var_os);
        files.system.extend(named.into_iter().flatten().map(PathBuf::from));
        files.write.insert(data.path().to_owned());
        files.write.extend(led_elsewhere(data.path()));
        files.read.extend(settings.upstream.anchors.iter().cloned());
        files.read.extend(settings.source_directories.iter().cloned());
        for shown in [&settings.certificate, &settings.console_certificate] {
            match shown {
                // Both are read again at SIGHUP, and renewed by putting new files in their place.
                Some(CertificateSetting::Given { certificate, key }) => {
                    files.read.extend([certificate, key].into_iter().flat_map(|file| around(file)));
                }
                Some(CertificateSetting::Acme(acme)) => files.read.extend(acme.ca.clone()),
                Some(CertificateSetting::Own(_)) | None => {}
            }
        }
        match &settings.kek {
            KekSetting::Passphrase(Some(file)) => drop(files.read.insert(file.clone())),
            // Replaced while the broker runs.
            KekSetting::Transit(transit, _) => files.read.extend(around(&transit.secret)),
            KekSetting::AwsKms(kms, _) => files.read.extend(around(&kms.credentials)),
            // What reaches a token is another process.
            _ => {}
        }
        let of_root = if let KekSetting::Tpm { address, .. } = &settings.kek { Some(address) } else { None };
        let tpms = of_root.into_iter().chain(&settings.attestation);
        files.write.extend(tpms.filter_map(Address::device).map(Path::to_owned));
        // What it was started with, for what the TPM vouches for.
        files.read.extend(settings.attestation.iter().map(|_| PathBuf::from("/proc/cmdline")));
        // What systemd hands over, read again when custody is looked after.
        files.read.extend(std::env::var_os("CREDENTIALS_DIRECTORY").map(PathBuf::from));
        if let Some(webhook) = &settings.webhook {
            files.read.insert(webhook.secret_file.clone());
        }
        files.read.extend(settings.notify.iter().flat_map(NotifySetting::secrets).cloned());
        if let Some(operator) = settings.appliance.as_ref().and_then(|wires| wires.operator.as_ref()) {
            files.read.insert(operator.trusted.clone());
        }
        let made = [settings.unix.as_deref(), settings.epoch.as_deref()];
        let witness = settings.witness.as_ref();
        let made = made.into_iter().chain([witness.and_then(|witness| witness.file.as_deref())]);
        files.write.extend(made.flatten().map(beside));
        files.write.extend(witness.and_then(|witness| witness.git.clone()));
        files
    }

    /// Closes this thread and all that it will start in with them, and tries the door.
    ///
    /// # Errors
    /// Where the kernel has this and does not do it.
    pub(crate) fn close_in(&self) -> Result<LayerState, Failure> {
        let refused = |error: RulesetError| {
            Failure::failed(format!("the kernel does not take the list of files: {error}"))
                .hinting("turn this layer off, and say why: [process.unconfined] files = \"…\"")
        };
        let mut rules = self.ruleset().map_err(refused)?;
        // SECURITY: no links that lead root's own commands elsewhere.
        let write = AccessFs::from_all(WANTED)
            & !(AccessFs::Execute | AccessFs::MakeChar | AccessFs::MakeBlock | AccessFs::MakeFifo)
            & !(AccessFs::IoctlDev | AccessFs::MakeSym);
        let read = AccessFs::ReadFile | AccessFs::ReadDir;
        for path in &self.system {
            rules = allow(rules, path, read, Missing::IsFine)?;
        }
        for path in &self.read {
            rules = allow(rules, path, read, Missing::IsSaid)?;
        }
        for path in &self.write {
            rules = allow(rules, path, write, Missing::IsSaid)?;
        }
        let status = rules.restrict_self().map_err(refused)?;
        let how = "the data directory, what the settings name, authorities and resolvers".to_owned();
        match status.ruleset {
            RulesetStatus::NotEnforced => Ok(LayerState::Missing("this kernel has no Landlock")),
            _ if !is_closed() => {
                Err(Failure::failed("the list of files does not hold: a directory beside it could be read"))
            }
            RulesetStatus::FullyEnforced => Ok(LayerState::Holds(Held::Whole, how)),
            RulesetStatus::PartiallyEnforced => Ok(LayerState::Holds(
                Held::InPart,
                format!("{how}; an older kernel, without all that Landlock has now"),
            )),
        }
    }

    fn ruleset(&self) -> Result<RulesetCreated, RulesetError> {
        Ruleset::default()
            .set_compatibility(CompatLevel::BestEffort)
            .handle_access(AccessFs::from_all(WANTED))?
            .handle_access(AccessNet::BindTcp)?
            .scope(Scope::from_all(WANTED))?
            .create()
    }
}

/// What is done where a path leads nowhere.
#[derive(Clone, Copy)]
enum Missing {
    /// It is one of several that some systems have.
    IsFine,
    /// Somebody wrote it down.
    IsSaid,
}

fn allow(
    rules: RulesetCreated,
    path: &Path,
    access: BitFlags<AccessFs>,
    missing: Missing,
) -> Result<RulesetCreated, Failure> {
    let refused = |why: String| {
        Failure::failed(format!("{} cannot be put on the list of files: {why}", path.display()))
    };
    match std::fs::metadata(path) {
        Ok(found) => {
            // A file is no directory: the kernel refuses rights that only those have.
            let access = if found.is_dir() { access } else { access & AccessFs::from_file(WANTED) };
            let opened = PathFd::new(path).map_err(|error| refused(error.to_string()))?;
            // A pipe that a shell passes as /dev/fd/N is in no directory: no rule can be made for it, and none keeps it away.
            let beside = found.file_type().is_fifo().then(|| rules.try_clone()).transpose();
            let beside = beside.map_err(|error| refused(error.to_string()))?;
            match (rules.add_rule(PathBeneath::new(opened, access)), beside) {
                (Err(_), Some(without)) => Ok(without),
                (with, _) => with.map_err(|error| refused(error.to_string())),
            }
        }
        Err(error) => {
            if let (Missing::IsSaid, true) = (missing, error.kind() == ErrorKind::NotFound) {
                tracing::warn!(path = %path.display(), "it is not there: what appears there later cannot be opened before the next start");
            }
            Ok(rules)
        }
    }
}

/// Where a file is made or replaced: its directory. SECURITY: never the root of everything.
fn beside(file: &Path) -> PathBuf {
    let file = &std::path::absolute(file).unwrap_or_else(|_| file.to_owned());
    let directory = file.parent().filter(|parent| parent.parent().is_some());
    directory.unwrap_or(file).to_owned()
}

/// The directory of a file, and of what it leads to by symbolic links: certificates are renewed by new links.
fn around(file: &Path) -> impl Iterator<Item = PathBuf> {
    let real = std::fs::canonicalize(file).ok();
    [Some(beside(file)), real.as_deref().map(beside)].into_iter().flatten()
}

/// Where an operator's symbolic links in the data directory lead, such as a journal on a disk of its own. SECURITY: the broker makes none, so what
/// is there at a start is the operator's.
fn led_elsewhere(directory: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(directory).into_iter().flatten().flatten();
    let links = entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_symlink()));
    let targets = links.filter_map(|link| std::fs::canonicalize(link.path()).ok());
    targets.map(|target| if target.is_dir() { target } else { beside(&target) }).collect()
}

/// Whether what is on no list cannot be read: the root of everything.
fn is_closed() -> bool {
    std::fs::read_dir("/").is_err_and(|error| error.kind() == ErrorKind::PermissionDenied)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_opens_its_directory_and_never_the_root_of_everything() {
        assert_eq!(beside(Path::new("/etc/cloakroom/epoch")), Path::new("/etc/cloakroom"));
        assert_eq!(beside(Path::new("/epoch")), Path::new("/epoch"));
        assert_eq!(beside(Path::new("epoch")), std::env::current_dir().unwrap());
    }
}
