//! Makes a backup; a broker may run or not.

use super::{FORMAT, MANIFEST, Manifest};
use crate::broker::Broker;
use crate::cli::BackupArguments;
use crate::data_dir::DataDir;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::Output;
use crate::{Outcome, tar};
use cloakroom_admin::wire::CheckpointDocument;
use cloakroom_egress::age::Sealer;
use cloakroom_egress::custody::made_with;
use cloakroom_model::Timestamp;
use cloakroom_store::{copy_database, journal};
use serde_json::json;
use std::fs::{File, OpenOptions};
use std::io::{BufWriter, ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

/// A small file: its name in the directory, and its bytes.
type Small = (String, Zeroizing<Vec<u8>>);

/// Writes the archive.
pub(crate) fn make(data: &DataDir, options: &BackupArguments, output: &Output) -> Outcome {
    if !data.database().exists() {
        return Err(Failure::failed(format!("there is no store in {}", data.path().display()))
            .hinting("name the data directory: --data DIR"));
    }
    let manifest = Manifest {
        format: FORMAT,
        version: env!("CARGO_PKG_VERSION").into(),
        made: Timestamp::now().to_string(),
        checkpoint: checkpoint(data),
    };
    let small = small_files(data)?;
    let database = Snapshot::of(data)?;
    let segments = journal_files(data)?;
    let failed = |error: &std::io::Error| Failure::file("write", &options.file, error);
    let fresh = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&options.file);
    let file = fresh.map_err(|error| match error.kind() {
        ErrorKind::AlreadyExists => failed(&error).hinting("name another file: no backup is written over"),
        _ => failed(&error),
    })?;
    let written = write(data, options, file, &manifest, &small, &database, &segments);
    let kept = written.and_then(|()| unchanged(data, &small));
    if let Err(failure) = kept {
        // Half a backup is none. That it cannot be removed is the lesser evil: it does not open.
        let _ = std::fs::remove_file(&options.file);
        return Err(failure);
    }
    let document = json!({ "file": options.file, "made": manifest.made, "checkpoint": manifest.checkpoint });
    output.data(&document, || {
        format!("{} holds the data directory as of {}", options.file.display(), manifest.made)
    })?;
    Ok(Exit::Done)
}

fn write(
    data: &DataDir,
    options: &BackupArguments,
    file: File,
    manifest: &Manifest,
    small: &[Small],
    database: &Snapshot,
    segments: &[PathBuf],
) -> Result<(), Failure> {
    let failed = |error: std::io::Error| Failure::file("write", &options.file, &error);
    let sealer = Sealer::begin(&options.recipients, BufWriter::new(file));
    let mut to = sealer.map_err(|error| Failure::failed(error.to_string()))?;
    let text = serde_json::to_vec_pretty(manifest).map_err(|error| Failure::failed(error.to_string()))?;
    tar::write_file(&mut to, MANIFEST, text.len() as u64, &text[..]).map_err(failed)?;
    for (name, bytes) in small {
        tar::write_file(&mut to, name, bytes.len() as u64, &bytes[..]).map_err(failed)?;
    }
    add(&mut to, "cloakroom.db", &database.0)?;
    for path in segments {
        add(&mut to, &name_of(data, path)?, path)?;
    }
    to.write_all(&tar::END).map_err(failed)?;
    let file = to.finish().map_err(failed)?;
    let file = file.into_inner().map_err(|error| failed(error.into_error()))?;
    file.sync_all().map_err(failed)
}

/// A file that may grow meanwhile, as long as it is now.
fn add(to: &mut impl Write, name: &str, path: &Path) -> Result<(), Failure> {
    let failed = |error: std::io::Error| Failure::file("read", path, &error);
    let file = File::open(path).map_err(failed)?;
    let size = file.metadata().map_err(failed)?.len();
    tar::write_file(to, name, size, file).map_err(failed)
}

/// The head of the journal: signed anew where a broker runs.
fn checkpoint(data: &DataDir) -> Option<String> {
    let asked = Broker::of(data).and_then(|broker| broker.tell::<CheckpointDocument>("checkpoint"));
    asked
        .map(|document| document.checkpoint)
        .ok()
        .or_else(|| journal::latest_checkpoint(&data.journal()).ok())
}

/// The store as it is at one moment, in a file of its own that is gone afterwards.
struct Snapshot(PathBuf);

impl Snapshot {
    fn of(data: &DataDir) -> Result<Self, Failure> {
        let snapshot = Self(data.path().join(format!("backup-{}.db", std::process::id())));
        copy_database(&data.database(), &snapshot.0).map_err(crate::serve::of_store)?;
        Ok(snapshot)
    }
}

impl Drop for Snapshot {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

/// Every other file but the store and the journal: keys, certificates, the approvers. The root keys come first: what is read after them opens
/// with them, or they have changed and [`unchanged`] says so.
fn small_files(data: &DataDir) -> Result<Vec<Small>, Failure> {
    let mut files = Vec::new();
    let roots = data.key("root.json");
    let mut paths = files_below(data.path(), &data.journal())?;
    paths.sort_by_key(|path| *path != roots);
    for path in paths {
        let name = name_of(data, &path)?;
        if is_left_out(&name) {
            continue;
        }
        let bytes = std::fs::read(&path).map_err(|error| Failure::file("read", &path, &error))?;
        files.push((name, Zeroizing::new(bytes)));
    }
    require_key(data, &files)?;
    Ok(files)
}

/// Whatever the secrets are sealed under has to be in it, as far as that is a file of this directory.
fn require_key(data: &DataDir, files: &[Small]) -> Result<(), Failure> {
    let made = made_with(&data.key("")).map_err(|error| Failure::failed(error.to_string()))?;
    let key = match made.as_deref() {
        Some("passphrase") => "keys/kek.salt",
        Some("file") | None => "keys/kek",
        Some(_) => return Ok(()),
    };
    if files.iter().any(|(name, _)| name == key) {
        return Ok(());
    }
    Err(Failure::failed(format!("{key} is missing: a backup without it would open nothing"))
        .hinting("put the file back where it was; the broker does not start without it either"))
}

/// What belongs to the process, is in the snapshot, is half a file, or is a backup itself.
fn is_left_out(name: &str) -> bool {
    name == "lock"
        || name.starts_with("cloakroom.db")
        || name.starts_with("backup-")
        || name.ends_with(".new")
        || name.ends_with(".fresh")
        || name.ends_with(".age")
}

/// The journal's files, in order: the last segment may grow, and none after it is taken.
fn journal_files(data: &DataDir) -> Result<Vec<PathBuf>, Failure> {
    let mut files = files_below(&data.journal(), Path::new(""))?;
    files.retain(|path| path.extension().is_none_or(|end| end != "new"));
    files.sort();
    Ok(files)
}

fn files_below(directory: &Path, without: &Path) -> Result<Vec<PathBuf>, Failure> {
    let failed = |error: std::io::Error| Failure::file("read", directory, &error);
    let mut files = Vec::new();
    for entry in std::fs::read_dir(directory).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let (path, kind) = (entry.path(), entry.file_type().map_err(failed)?);
        if kind.is_dir() && path != without {
            files.extend(files_below(&path, without)?);
        } else if !kind.is_dir() {
            match std::fs::metadata(&path) {
                // Also behind a link: a key may lie on another disk.
                Ok(found) if found.is_file() => files.push(path),
                Ok(found) if found.is_dir() => return Err(linked(&path)),
                // A socket, or a link to nothing.
                _ => {}
            }
        }
    }
    Ok(files)
}

/// What lies behind could be anything, and the disk itself.
fn linked(path: &Path) -> Failure {
    Failure::failed(format!("{} is a link to a directory, which no backup follows", path.display()))
        .hinting("mount what it leads to in its place, or move it back")
}

fn name_of(data: &DataDir, path: &Path) -> Result<String, Failure> {
    let name = path.strip_prefix(data.path()).ok().and_then(Path::to_str);
    name.map(str::to_owned)
        .ok_or_else(|| Failure::failed(format!("{} cannot be named in an archive", path.display())))
}

/// The rows are sealed under the root keys that were read before them; had those changed meanwhile, some might not open.
fn unchanged(data: &DataDir, small: &[Small]) -> Result<(), Failure> {
    let path = data.key("root.json");
    let before = small.iter().find(|(name, _)| name == "keys/root.json").map(|(_, bytes)| &bytes[..]);
    let now = std::fs::read(&path).ok();
    if before == now.as_deref() {
        return Ok(());
    }
    Err(Failure::failed("the root keys were changed while the backup was made").hinting("run it again"))
}
