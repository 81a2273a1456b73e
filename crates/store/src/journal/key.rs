//! The journal's signing key, its public half, and signed checkpoints.

use super::JournalError;
use super::frame::ChainHash;
use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use cloakroom_model::Timestamp;
use serde::{Deserialize, Serialize};
use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

const LABEL: &[u8] = b"cloakroom journal checkpoint v1\n";

/// A record that signs all that came before it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename = "checkpoint")]
pub(super) struct Checkpoint {
    at: Timestamp,
    signature: String,
}

impl Checkpoint {
    /// Whether a payload is a checkpoint: the tag is always written first, and no entry has this kind.
    pub(super) fn recognises(payload: &[u8]) -> bool {
        payload.starts_with(br#"{"kind":"checkpoint","#)
    }
}

fn signed_bytes(at: Timestamp, sequence: u64, before: ChainHash) -> Vec<u8> {
    [LABEL, &sequence.to_be_bytes(), &at.millis().to_be_bytes(), &before.0].concat()
}

/// Signs checkpoints.
pub(super) struct SigningKey(Ed25519KeyPair);

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
        let key = Self(pair);
        key.publish(public_file)?;
        Ok(key)
    }

    pub(super) fn sign(&self, at: Timestamp, sequence: u64, before: ChainHash) -> Checkpoint {
        let signature = self.0.sign(&signed_bytes(at, sequence, before));
        Checkpoint { at, signature: STANDARD.encode(signature.as_ref()) }
    }

    fn publish(&self, file: &Path) -> Result<(), JournalError> {
        let mine = self.0.public_key().as_ref();
        if file.exists() {
            return match PublicKey::open(file)?.0 == mine {
                true => Ok(()),
                false => Err(unusable(file, "is the public half of another key", OTHER_KEY)),
            };
        }
        let text = format!("ed25519 {}\n", STANDARD.encode(mine));
        create(file, 0o644, text.as_bytes())
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
fn create(path: &Path, mode: u32, content: &[u8]) -> Result<(), JournalError> {
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

/// Verifies checkpoints.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublicKey([u8; 32]);

impl PublicKey {
    /// Reads a `key.pub`.
    ///
    /// # Errors
    /// When the file cannot be read or does not hold `ed25519` and 32 bytes in base64.
    pub fn open(file: &Path) -> Result<Self, JournalError> {
        let text = std::fs::read_to_string(file).map_err(|error| JournalError::at("read", file, &error))?;
        let malformed = || unusable(file, "does not hold \"ed25519\" and 32 bytes in base64", OTHER_KEY);
        let encoded =
            text.strip_prefix("ed25519 ").and_then(|rest| rest.strip_suffix('\n')).ok_or_else(malformed)?;
        let bytes = STANDARD.decode(encoded).map_err(|_| malformed())?;
        bytes.try_into().map(Self).map_err(|_| malformed())
    }

    /// Checks that `payload` is a checkpoint, signed for exactly this place in the chain.
    pub(super) fn verify(
        &self,
        payload: &[u8],
        sequence: u64,
        before: ChainHash,
    ) -> Result<(), &'static str> {
        let checkpoint: Checkpoint =
            serde_json::from_slice(payload).map_err(|_| "the checkpoint cannot be read")?;
        let signature =
            STANDARD.decode(&checkpoint.signature).map_err(|_| "the checkpoint cannot be read")?;
        UnparsedPublicKey::new(&ED25519, self.0)
            .verify(&signed_bytes(checkpoint.at, sequence, before), &signature)
            .map_err(|_| "the checkpoint's signature does not verify with key.pub")
    }
}
