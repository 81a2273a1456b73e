//! The journal's signing key, its public half beside the segments, and the records that it signs.

use super::JournalError;
use super::note::{self, Checkpoint, PublicKey};
use super::tree::Frontier;
use aws_lc_rs::signature::Ed25519KeyPair;
use cloakroom_model::Timestamp;
use serde::{Deserialize, Serialize};
use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// A record that signs all that came before it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename = "checkpoint")]
pub(super) struct Signed {
    pub(super) at: Timestamp,
    /// The signed note.
    pub(super) note: String,
}

impl Signed {
    /// Whether a payload is a checkpoint: the tag is always written first, and no entry has this kind.
    pub(super) fn recognises(payload: &[u8]) -> bool {
        payload.starts_with(br#"{"kind":"checkpoint","#)
    }
}

/// Signs checkpoints.
pub(super) struct SigningKey {
    pair: Ed25519KeyPair,
    public: PublicKey,
}

impl SigningKey {
    /// Reads the key, or makes it where neither it nor a public half exists.
    pub(super) fn open(file: &Path, public_file: &Path) -> Result<Self, JournalError> {
        let seed = match File::open(file) {
            Ok(found) => read_seed(found, file)?,
            Err(error) if error.kind() == ErrorKind::NotFound => make_seed(file, public_file)?,
            Err(error) => return Err(JournalError::at("open", file, &error)),
        };
        let pair = Ed25519KeyPair::from_seed_unchecked(&seed)
            .map_err(|_| unusable(file, "is not an Ed25519 seed", "restore it from a backup"))?;
        let key = Self { public: PublicKey::of_journal(&pair), pair };
        if public_file.exists() && PublicKey::open_file(public_file)? != key.public {
            return Err(unusable(public_file, "is the public half of another key", OTHER_KEY));
        }
        Ok(key)
    }

    pub(super) fn public(&self) -> &PublicKey {
        &self.public
    }

    /// A signed note of the checkpoint of this tree. `extension` is no line, or lines that each end in a line break.
    pub(super) fn sign(&self, tree: &Frontier, extension: &str) -> String {
        let checkpoint = Checkpoint { size: tree.size(), root: tree.root() };
        note::sign(&checkpoint.text(self.public.name(), extension), &self.pair, &self.public)
    }

    /// Puts the public half beside the segments, when there is one: where the public half is and no segment, some have gone.
    pub(super) fn publish(&self, file: &Path) -> Result<(), JournalError> {
        if file.exists() {
            return Ok(());
        }
        create(file, 0o644, format!("{}\n", self.public).as_bytes())
    }
}

const OTHER_KEY: &str =
    "restore keys/journal from a backup, or move the journal directory away to begin a new journal";

fn read_seed(mut found: File, file: &Path) -> Result<[u8; 32], JournalError> {
    let failed = |error| JournalError::at("read", file, &error);
    if found.metadata().map_err(failed)?.permissions().mode() & 0o077 != 0 {
        return Err(unusable(
            file,
            "can be read by others",
            "run \"chmod 600\" on it if nobody else had access",
        ));
    }
    let mut bytes = Vec::new();
    found.read_to_end(&mut bytes).map_err(failed)?;
    bytes.try_into().map_err(|_| unusable(file, "is not 32 bytes long", "restore it from a backup"))
}

fn make_seed(file: &Path, public_file: &Path) -> Result<[u8; 32], JournalError> {
    if public_file.exists() {
        return Err(unusable(file, "is missing, but the journal was signed with it", OTHER_KEY));
    }
    let mut seed = [0; 32];
    getrandom::fill(&mut seed).map_err(|error| JournalError::Failed(format!("no random bytes: {error}")))?;
    create(file, 0o600, &seed)?;
    Ok(seed)
}

/// Writes a new file whole and durably, or not at all.
pub(super) fn create(path: &Path, mode: u32, content: &[u8]) -> Result<(), JournalError> {
    let failed = |error| JournalError::at("create", path, &error);
    let fresh: PathBuf = path.with_extension("new");
    let mut options = OpenOptions::new();
    let mut file = options.write(true).create(true).truncate(true).mode(mode).open(&fresh).map_err(failed)?;
    file.write_all(content).and_then(|()| file.sync_all()).map_err(failed)?;
    std::fs::rename(&fresh, path).map_err(failed)?;
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(parent).and_then(|parent| parent.sync_all()).map_err(failed)
}

fn unusable(file: &Path, why: &str, hint: &str) -> JournalError {
    JournalError::Key { what: format!("the journal's key {} {why}", file.display()), hint: hint.into() }
}

impl PublicKey {
    /// Reads a `key.pub`.
    ///
    /// # Errors
    /// When the file cannot be read or does not hold a signed-note verifier key.
    pub fn open_file(file: &Path) -> Result<Self, JournalError> {
        let text = std::fs::read_to_string(file).map_err(|error| JournalError::at("read", file, &error))?;
        if text.starts_with("ed25519 ") {
            return Err(JournalError::Old { file: file.display().to_string() });
        }
        let key = text.strip_suffix('\n').and_then(Self::parse);
        key.ok_or_else(|| unusable(file, "does not hold a verifier key: NAME+ID+KEY", OTHER_KEY))
    }
}
