//! Commits to a git repository by writing its objects: the broker runs no programs. One file, one branch, each commit on the last one.

use crate::failure::Failure;
use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use cloakroom_model::{Timestamp, hexadecimal};
use std::fs::OpenOptions;
use std::io::{Error, ErrorKind, Result, Write};
use std::path::{Path, PathBuf};

const BRANCH: &str = "refs/heads/checkpoints";
/// What the committed file is called.
const FILE: &str = "checkpoint";

/// A repository, bare or not.
pub(super) struct Repository(PathBuf);

/// An object's name.
#[derive(Clone, Copy)]
struct Id([u8; 20]);

impl Id {
    fn hex(self) -> String {
        hexadecimal(&self.0)
    }
}

impl Repository {
    /// Finds it, and that it is of a kind that can be written to here.
    pub(super) fn open(path: &Path) -> std::result::Result<Self, Failure> {
        let inner = path.join(".git");
        let repository = Self(if inner.is_dir() { inner } else { path.to_owned() });
        let config = std::fs::read_to_string(repository.0.join("config")).unwrap_or_default();
        if !repository.0.join("objects").is_dir() || !repository.0.join("HEAD").exists() {
            return Err(Failure::bad_input(format!(
                "[journal.witness] {} is no git repository",
                path.display()
            ))
            .hinting("make one: git init --bare PATH"));
        }
        if config.to_lowercase().contains("objectformat") || config.to_lowercase().contains("refstorage") {
            let text = format!("[journal.witness] {} has another object or reference format", path.display());
            return Err(Failure::bad_input(text)
                .hinting("make one with SHA-1 names and reference files: git init --bare --object-format=sha1 --ref-format=files PATH"));
        }
        Ok(repository)
    }

    /// Commits the checkpoint, unless the last commit has it.
    pub(super) fn commit(&self, note: &str) -> Result<()> {
        let parent = self.branch()?;
        let blob = self.store("blob", note.as_bytes())?;
        let tree = [format!("100644 {FILE}\0").as_bytes(), &blob.0].concat();
        let tree = self.store("tree", &tree)?;
        let seconds = Timestamp::now().millis() / 1000;
        let who = format!("cloakroom <cloakroom@localhost> {seconds} +0000");
        let parents = parent.as_ref().map(|parent| format!("parent {parent}\n")).unwrap_or_default();
        let size = note.lines().nth(1).unwrap_or_default();
        let commit = format!(
            "tree {}\n{parents}author {who}\ncommitter {who}\n\nCheckpoint of {size} records\n",
            tree.hex()
        );
        let commit = self.store("commit", commit.as_bytes())?;
        self.advance(commit)
    }

    /// What the branch stands at.
    fn branch(&self) -> Result<Option<String>> {
        match std::fs::read_to_string(self.0.join(BRANCH)) {
            Ok(text) => return Ok(Some(text.trim().to_owned())),
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
            Err(_) => {}
        }
        let packed = match std::fs::read_to_string(self.0.join("packed-refs")) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            other => other?,
        };
        let find = |line: &str| {
            line.split_once(' ').filter(|(_, name)| *name == BRANCH).map(|(id, _)| id.to_owned())
        };
        Ok(packed.lines().find_map(find))
    }

    /// Moves the branch, under the lock file that git takes too.
    fn advance(&self, commit: Id) -> Result<()> {
        let branch = self.0.join(BRANCH);
        let lock = branch.with_extension("lock");
        if let Some(parent) = branch.parent() {
            std::fs::create_dir_all(parent)?;
        }
        let mut file = OpenOptions::new().write(true).create_new(true).open(&lock)?;
        let written = writeln!(file, "{}", commit.hex()).and_then(|()| file.sync_all());
        written.and_then(|()| std::fs::rename(&lock, &branch)).inspect_err(|_| {
            let _ = std::fs::remove_file(&lock);
        })
    }

    /// Writes a loose object, unless it is there.
    fn store(&self, kind: &str, content: &[u8]) -> Result<Id> {
        let whole = [format!("{kind} {}\0", content.len()).as_bytes(), content].concat();
        let mut id = Id([0; 20]);
        // SPEC: git names its objects by SHA-1; nothing here relies on it: the checkpoint is signed.
        id.0.copy_from_slice(digest(&SHA1_FOR_LEGACY_USE_ONLY, &whole).as_ref());
        let name = id.hex();
        let (first, rest) = name.split_at(2);
        let directory = self.0.join("objects").join(first);
        let path = directory.join(rest);
        if path.exists() {
            return Ok(id);
        }
        std::fs::create_dir_all(&directory)?;
        let fresh = directory.join(format!("tmp_obj_{rest}"));
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).open(&fresh)?;
        file.write_all(&stored(&whole).ok_or_else(|| Error::from(ErrorKind::InvalidInput))?)?;
        file.sync_all()?;
        std::fs::rename(&fresh, &path)?;
        Ok(id)
    }
}

/// A zlib stream (RFC 1950) of one stored block (RFC 1951): a checkpoint is too short to be worth compressing.
fn stored(bytes: &[u8]) -> Option<Vec<u8>> {
    let length = u16::try_from(bytes.len()).ok()?;
    let (mut low, mut high) = (1_u32, 0_u32);
    for byte in bytes {
        low = (low + u32::from(*byte)) % 65_521;
        high = (high + low) % 65_521;
    }
    let checksum = (high << 16 | low).to_be_bytes();
    Some(
        [&[0x78, 0x01, 0x01][..], &length.to_le_bytes(), &(!length).to_le_bytes(), bytes, &checksum].concat(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    fn git(repository: &Path, arguments: &[&str]) -> String {
        let output = Command::new("git").arg("-C").arg(repository).args(arguments).output().unwrap();
        assert!(output.status.success(), "{arguments:?}: {output:?}");
        String::from_utf8(output.stdout).unwrap()
    }

    #[test]
    fn git_reads_what_is_committed_each_on_the_last_also_after_it_has_packed_everything() {
        for kind in [&["init", "-q", "--bare"][..], &["init", "-q"]] {
            let dir = tempfile::tempdir().unwrap();
            git(dir.path(), kind);
            let repository = Repository::open(dir.path()).unwrap();
            for size in 1..=3 {
                repository.commit(&format!("origin\n{size}\nroot\n")).unwrap();
                if size == 2 {
                    git(dir.path(), &["gc", "-q"]);
                }
            }
            git(dir.path(), &["fsck", "--strict"]);
            assert_eq!(git(dir.path(), &["rev-list", "--count", "checkpoints"]).trim(), "3");
            assert_eq!(git(dir.path(), &["show", "checkpoints:checkpoint"]), "origin\n3\nroot\n");
            assert_eq!(git(dir.path(), &["show", "checkpoints~2:checkpoint"]), "origin\n1\nroot\n");
        }
    }

    #[test]
    fn what_is_no_repository_or_one_of_another_format_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        assert!(Repository::open(dir.path()).is_err());
        git(dir.path(), &["init", "-q", "--bare", "--object-format=sha256"]);
        assert!(Repository::open(dir.path()).is_err());
    }
}
