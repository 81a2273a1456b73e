//! Restores a backup into a new data directory. What was spent or revoked since it was made is not in it: the next start says so, and freezes
//! every placeholder, unless the epoch file proves that nothing came after.

use super::{FORMAT, MANIFEST, Manifest};
use crate::cli::RestoreArguments;
use crate::data_dir::{DataDir, read_if_there};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::Output;
use crate::{Outcome, tar};
use cloakroom_egress::age::{Identity, Opener};
use cloakroom_store::journal::{self, PublicKey, Verdict, Witness};
use serde_json::json;
use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{BufReader, Error, ErrorKind, Read, Result as IoResult};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Component, Path, PathBuf};

/// Reads the archive.
pub(crate) fn restore(data: &DataDir, options: &RestoreArguments, output: &Output) -> Outcome {
    require_nothing_there(data.path())?;
    let text = read_if_there(&options.identity)?.ok_or_else(|| {
        Failure::bad_input(format!("there is no {}", options.identity.display()))
            .hinting("name the file that age-keygen wrote")
    })?;
    let identities = Identity::all(&text).map_err(|error| Failure::bad_input(error.to_string()))?;
    let stage = stage_of(data.path())?;
    let restored = extract(&options.file, &identities, &stage).and_then(|manifest| {
        let verdict = verified(&stage, &manifest)?;
        // INVARIANT: with the rows and before they are in place: no start finds the one without the other.
        let said = format!("a backup of {}", manifest.made);
        crate::data_dir::write_private(&stage.join("restored"), said.as_bytes())?;
        std::fs::rename(&stage, data.path())
            .map_err(|error| Failure::file("put in place", data.path(), &error))?;
        Ok((manifest, verdict))
    });
    let (manifest, verdict) = restored.inspect_err(|_| drop(std::fs::remove_dir_all(&stage)))?;
    let document = json!({ "data": data.path(), "made": manifest.made, "records": verdict.records, "root": verdict.root });
    output.data(&document, || {
        format!(
            "{} is as it was at {}, with {} records",
            data.path().display(),
            manifest.made,
            verdict.records
        )
    })?;
    output.hint("the first start freezes every placeholder, unless [epoch] file proves that nothing came after; see docs/backup.md");
    Ok(Exit::Done)
}

fn require_nothing_there(directory: &Path) -> Result<(), Failure> {
    let is_empty = match std::fs::read_dir(directory) {
        Err(error) if error.kind() == ErrorKind::NotFound => true,
        Err(error) => return Err(Failure::file("read", directory, &error)),
        Ok(mut entries) => entries.next().is_none(),
    };
    is_empty.then_some(()).ok_or_else(|| {
        Failure::failed(format!("{} is not empty", directory.display()))
            .hinting("restore into a new directory: --data DIR; nothing that is there is overwritten")
    })
}

/// Beside the directory, so that it is put in place by one rename.
fn stage_of(directory: &Path) -> Result<PathBuf, Failure> {
    let mut name = directory.file_name().unwrap_or_default().to_owned();
    name.push(".restoring");
    let stage = directory.with_file_name(name);
    DirBuilder::new().mode(0o700).create(&stage).map_err(|error| {
        Failure::file("create", &stage, &error).hinting("remove what an earlier restore left there")
    })?;
    Ok(stage)
}

fn extract(file: &Path, identities: &[Identity], stage: &Path) -> Result<Manifest, Failure> {
    let opened = File::open(file).map_err(|error| Failure::file("read", file, &error))?;
    let opener = Opener::begin(identities, BufReader::new(opened));
    let mut from = opener.map_err(|error| {
        Failure::failed(format!("{}: {error}", file.display()))
            .hinting("name an identity that it was encrypted to")
    })?;
    let mut manifest = None;
    let read = tar::read_files(&mut from, |name, content| {
        if name == MANIFEST {
            let mut text = Vec::new();
            content.take(64 * 1024).read_to_end(&mut text)?;
            manifest = Some(serde_json::from_slice::<Manifest>(&text)?);
            return Ok(());
        }
        put(stage, name, content)
    });
    read.map_err(|error| Failure::file("restore from", file, &error))?;
    manifest.filter(|manifest| manifest.format == FORMAT).ok_or_else(|| {
        Failure::failed(format!("{} is no backup of a data directory", file.display()))
            .hinting("the program and the backup may be of different versions")
    })
}

/// SECURITY: whoever knows the recipient can make an archive: a name in it leads nowhere but below the directory.
fn put(stage: &Path, name: &str, content: &mut dyn Read) -> IoResult<()> {
    let path = Path::new(name);
    let is_plain = path.components().all(|part| matches!(part, Component::Normal(_)));
    if !is_plain || name.is_empty() {
        return Err(Error::new(ErrorKind::InvalidData, "a name in the archive leads out of the directory"));
    }
    let path = stage.join(path);
    if let Some(directory) = path.parent() {
        DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path)?;
    std::io::copy(content, &mut file)?;
    file.sync_all()
}

/// The journal of the archive, held against the head that the archive names.
fn verified(stage: &Path, manifest: &Manifest) -> Result<Verdict, Failure> {
    let directory = stage.join("journal");
    let path = directory.join("key.pub");
    let text = std::fs::read_to_string(&path).map_err(|error| Failure::file("read", &path, &error))?;
    let unreadable = || Failure::failed(format!("{} is no key of a journal", path.display()));
    let key = PublicKey::parse(text.trim()).ok_or_else(unreadable)?;
    let checkpoints = manifest.checkpoint.as_deref().map(|note| journal::checkpoints_in(note, &key).0);
    let witness = Witness { key: Some(key), checkpoints: checkpoints.unwrap_or_default() };
    let verdict = journal::verify_against(&directory, witness, &mut |_| {})?;
    match &verdict.first_bad {
        None => Ok(verdict),
        Some(bad) => Err(Failure::failed(format!(
            "the journal in the backup does not verify: {} at offset {}: {}",
            bad.segment, bad.offset, bad.why
        ))
        .hinting("take another backup")),
    }
}
