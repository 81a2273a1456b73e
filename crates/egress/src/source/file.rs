//! A file that somebody else writes: a secret of Kubernetes (a projected volume) or a credential of systemd.
//!
//! Kubernetes replaces all files of a volume at once by swapping the symbolic link `..data`; a file is opened anew for each reading, so what is
//! read is one version. Links are followed only as long as they stay below the directory.

use super::desk::Desk;
use super::value;
use crate::mint::Failure;
use crate::secret::Secret;
use rustix::fs::{FileType, Mode, OFlags, ResolveFlags, fstat, open, openat2};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::fs::File;
use std::io::Read;
use std::path::{Component, Path, PathBuf};
use zeroize::Zeroizing;

/// The longest file, in bytes.
const LONGEST: usize = 64 * 1024;

/// Where the secret is.
#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SecretFile {
    path: PathBuf,
    /// The member of the JSON object that the file holds; else the whole file is the secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    field: Option<String>,
}

impl SecretFile {
    pub(super) fn check(&self) -> Result<(), &'static str> {
        check(&self.path)?;
        let named = self.field.as_deref().is_none_or(|field| !field.is_empty());
        named.then_some(()).ok_or("the field of a secret is a name")
    }

    /// As operators see it.
    pub(super) fn place(&self) -> String {
        let field = self.field.as_deref().map(|field| format!(", field {field}")).unwrap_or_default();
        format!("{}{field}", self.path.display())
    }

    pub(super) fn allowed(&self, desk: &Desk) -> Result<(), &'static str> {
        allowed(&self.path, desk)
    }

    pub(super) async fn fetch(&self, desk: &Desk) -> Result<Secret, Failure> {
        let text = read(&self.path, desk).await?;
        match &self.field {
            None => value::secret(&text),
            Some(field) => {
                let odd = |_| Failure::Unavailable("the file holds no JSON object", None);
                let document: Value = serde_json::from_str(&text).map_err(odd)?;
                value::secret(value::field(&document, field)?)
            }
        }
    }
}

const OUTSIDE: &str = "the file is in no directory that the settings name ([sources] directories)";

/// Whether the settings let it be read.
pub(super) fn allowed(path: &Path, desk: &Desk) -> Result<(), &'static str> {
    desk.below(path).map(drop).ok_or(OUTSIDE)
}

/// A path that has one reading.
pub(super) fn check(path: &Path) -> Result<(), &'static str> {
    let plain = |part: Component<'_>| matches!(part, Component::RootDir | Component::Normal(_));
    let fine = path.is_absolute()
        && path.components().all(plain)
        && path.to_str().is_some_and(|text| text.len() <= 1024);
    fine.then_some(()).ok_or("the path of a file is absolute, without \"..\"")
}

/// The whole of a short text file, without the line break at its end.
///
/// # Errors
/// [`Failure::Unavailable`]: it may be put right.
pub(super) async fn read(path: &Path, desk: &Desk) -> Result<Zeroizing<String>, Failure> {
    let (directory, rest) = desk.below(path).ok_or(Failure::Unavailable(OUTSIDE, None))?;
    let (directory, rest) = (directory.to_owned(), rest.to_owned());
    // A file of a network file system may take its time.
    let read = tokio::task::spawn_blocking(move || read_below(&directory, &rest)).await;
    let read = read.unwrap_or(Err("reading the file did not finish"));
    read.map_err(|reason| Failure::Unavailable(reason, None))
}

fn read_below(directory: &Path, rest: &Path) -> Result<Zeroizing<String>, &'static str> {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC;
    let directory = open(directory, flags | OFlags::DIRECTORY, Mode::empty())
        .map_err(|_| "the directory of the file cannot be opened")?;
    // SECURITY: the kernel follows links only below the directory, whoever swaps them meanwhile. Without NONBLOCK a FIFO would be waited for.
    let beneath = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
    let file = openat2(&directory, rest, flags | OFlags::NONBLOCK | OFlags::NOCTTY, Mode::empty(), beneath)
        .map_err(|_| "the file cannot be opened, or leads out of its directory")?;
    let status = fstat(&file).map_err(|_| "the file cannot be looked at")?;
    if FileType::from_raw_mode(status.st_mode) != FileType::RegularFile {
        return Err("what is there is no file");
    }
    // SECURITY: what everybody can read or change is no secret.
    if status.st_mode & 0o027 != 0 {
        return Err(
            "the file is open to others: nobody but its owner may write it, nor others read it (mode 0440 or narrower)",
        );
    }
    let mut text = Zeroizing::new(String::with_capacity(LONGEST + 1));
    let read = File::from(file)
        .take(LONGEST as u64 + 1)
        .read_to_string(&mut text)
        .map_err(|_| "the file is no text")?;
    if read > LONGEST {
        return Err("the file is longer than 64 KiB");
    }
    if text.ends_with('\n') {
        text.pop();
        if text.ends_with('\r') {
            text.pop();
        }
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::{self, Permissions};
    use std::os::unix::fs::{PermissionsExt, symlink};

    const CANARY: &str = "canary-7Q2mZ9xKp4Lw8RtY3vNc6HsD";

    fn write(path: &Path, text: &str, mode: u32) {
        fs::write(path, text).unwrap();
        fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
    }

    fn read(directory: &Path, name: &str) -> Result<String, &'static str> {
        read_below(directory, Path::new(name)).map(|text| text.to_string())
    }

    #[test]
    fn a_volume_of_kubernetes_is_read_through_its_links_before_and_after_a_swap() {
        let volume = tempfile::tempdir().unwrap();
        let at = |name: &str| volume.path().join(name);
        for (version, text) in [("..2026_1", CANARY), ("..2026_2", "second-value\n")] {
            fs::create_dir(at(version)).unwrap();
            write(&at(version).join("token"), text, 0o440);
        }
        symlink("..2026_1", at("..data")).unwrap();
        symlink("..data/token", at("token")).unwrap();
        assert_eq!(read(volume.path(), "token").as_deref(), Ok(CANARY));
        symlink("..2026_2", at("..data_tmp")).unwrap();
        fs::rename(at("..data_tmp"), at("..data")).unwrap();
        assert_eq!(read(volume.path(), "token").as_deref(), Ok("second-value"));
    }

    #[test]
    fn one_step_wrong_is_refused() {
        let outer = tempfile::tempdir().unwrap();
        let inner = outer.path().join("inner");
        fs::create_dir(&inner).unwrap();
        write(&outer.path().join("outside"), CANARY, 0o400);
        let within = |name: &str| inner.join(name);
        symlink("../outside", within("out")).unwrap();
        symlink(outer.path().join("outside"), within("absolute")).unwrap();
        symlink("/proc/self/environ", within("magic")).unwrap();
        write(&within("others"), CANARY, 0o444);
        write(&within("group"), CANARY, 0o460);
        write(&within("long"), &"a".repeat(LONGEST + 1), 0o400);
        write(&within("good"), CANARY, 0o400);
        fs::create_dir(within("directory")).unwrap();
        rustix::fs::mknodat(rustix::fs::CWD, within("fifo"), FileType::Fifo, Mode::RUSR, 0).unwrap();
        fs::write(within("binary"), [0xFF, 0xFE]).unwrap();
        fs::set_permissions(within("binary"), Permissions::from_mode(0o400)).unwrap();
        for name in
            ["out", "absolute", "magic", "others", "group", "long", "directory", "fifo", "binary", "none"]
        {
            let refused = read(&inner, name).unwrap_err();
            assert!(!refused.contains(CANARY), "{name}");
        }
        assert_eq!(read(&inner, "good").as_deref(), Ok(CANARY));
    }

    #[test]
    fn a_path_has_one_reading() {
        assert!(check(Path::new("/run/secrets/a")).is_ok());
        for path in ["run/secrets/a", "/run/../a", "", "../a"] {
            assert!(check(Path::new(path)).is_err(), "{path}");
        }
    }
}
