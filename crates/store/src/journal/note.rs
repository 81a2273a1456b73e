//! Signed notes and checkpoints: the text formats of c2sp.org/signed-note and c2sp.org/tlog-checkpoint, so that other programs can
//! read, check and countersign what this journal signs.

use super::hash::Hash;
use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use cloakroom_model::hexadecimal;
use std::fmt;

/// The one kind of signature that is made and checked here.
const ED25519_KIND: u8 = 1;
/// More signatures than that no note has.
const MOST_SIGNATURES: usize = 100;
/// What begins a signature's line: an em dash and a space.
const DASH: &str = "\u{2014} ";

/// Verifies notes of one signer: name and Ed25519 public key, written `NAME+ID+KEY` (a signed-note verifier key).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublicKey {
    name: String,
    key: [u8; 32],
}

impl PublicKey {
    /// The key of the journal that signs with `pair`. The name is made of the key: nobody has to think of one that no other journal has.
    pub(super) fn of_journal(pair: &Ed25519KeyPair) -> Self {
        let mut key = [0; 32];
        key.copy_from_slice(pair.public_key().as_ref());
        let name = format!("cloakroom/journal/{}", hexadecimal(&digest(&SHA256, &key).as_ref()[..8]));
        Self { name, key }
    }

    /// Reads what [`fmt::Display`] writes. `None` for any other text: also where name and id do not belong to the key.
    pub fn parse(text: &str) -> Option<Self> {
        let (name, rest) = text.split_once('+')?;
        let (id, key) = rest.split_once('+')?;
        let bytes = STANDARD.decode(key).ok()?;
        let (kind, key) = bytes.split_first()?;
        let key = Self { name: name.into(), key: key.try_into().ok()? };
        let known = is_name(name) && *kind == ED25519_KIND && id == key.id_in_hex();
        known.then_some(key)
    }

    /// The signer's name, and the origin of its checkpoints.
    pub fn name(&self) -> &str {
        &self.name
    }

    fn id(&self) -> [u8; 4] {
        let hashed = [self.name.as_bytes(), b"\n", &[ED25519_KIND], &self.key].concat();
        let mut id = [0; 4];
        id.copy_from_slice(&digest(&SHA256, &hashed).as_ref()[..4]);
        id
    }

    fn id_in_hex(&self) -> String {
        hexadecimal(&self.id())
    }

    /// The text of a note that this signer signed, its last line break included. Signatures of others are left alone.
    pub(super) fn open<'n>(&self, note: &'n str) -> Result<&'n str, &'static str> {
        let (text, signatures) = parts(note)?;
        let mut signed = false;
        for line in signatures {
            let (name, id, signature) = signature(line)?;
            // Of several by one key the first one counts.
            if name != self.name || id != self.id() || signed {
                continue;
            }
            UnparsedPublicKey::new(&ED25519, self.key)
                .verify(text.as_bytes(), &signature)
                .map_err(|_| "the signature does not verify with the journal's public key")?;
            signed = true;
        }
        if signed { Ok(text) } else { Err("it is not signed by the journal's key") }
    }

    /// The checkpoint in a note that this signer signed.
    pub(super) fn checkpoint(&self, note: &str) -> Result<Checkpoint, &'static str> {
        Checkpoint::parse(self.open(note)?, &self.name)
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let key = STANDARD.encode([&[ED25519_KIND][..], &self.key].concat());
        write!(f, "{}+{}+{key}", self.name, self.id_in_hex())
    }
}

/// Whether it can be a signer's name: not empty, no space of any kind, no plus.
fn is_name(name: &str) -> bool {
    !name.is_empty() && !name.contains(|c: char| c.is_whitespace() || c.is_control() || c == '+')
}

const MALFORMED: &str = "it is not a signed note";

/// A note's text and the lines of its signatures.
fn parts(note: &str) -> Result<(&str, Vec<&str>), &'static str> {
    if note.contains(|c: char| c < ' ' && c != '\n') {
        return Err(MALFORMED);
    }
    let blank = note.rfind("\n\n").ok_or(MALFORMED)?;
    let (text, signatures) = (&note[..=blank], &note[blank + 2..]);
    let lines: Vec<&str> = signatures.strip_suffix('\n').ok_or(MALFORMED)?.split('\n').collect();
    if lines.len() > MOST_SIGNATURES { Err(MALFORMED) } else { Ok((text, lines)) }
}

fn signature(line: &str) -> Result<(&str, [u8; 4], Vec<u8>), &'static str> {
    let (name, encoded) = line.strip_prefix(DASH).and_then(|rest| rest.split_once(' ')).ok_or(MALFORMED)?;
    let bytes = STANDARD.decode(encoded).map_err(|_| MALFORMED)?;
    let (id, signature) = bytes.split_first_chunk().ok_or(MALFORMED)?;
    if !is_name(name) || signature.is_empty() {
        return Err(MALFORMED);
    }
    Ok((name, *id, signature.to_vec()))
}

/// A note of `text`, which ends in a line break, signed.
pub(super) fn sign(text: &str, pair: &Ed25519KeyPair, as_key: &PublicKey) -> String {
    let signature = pair.sign(text.as_bytes());
    let signed = STANDARD.encode([&as_key.id()[..], signature.as_ref()].concat());
    format!("{text}\n{DASH}{} {signed}\n", as_key.name)
}

/// What a checkpoint says: that the tree of the first `size` records has this root.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    /// How many records.
    pub size: u64,
    /// The root of their tree.
    pub root: Hash,
}

impl Checkpoint {
    /// Its text, and `extension` lines, each ended by a line break.
    pub(super) fn text(&self, origin: &str, extension: &str) -> String {
        let Self { size, root } = self;
        format!("{origin}\n{size}\n{root}\n{extension}")
    }

    /// Reads the text of a note; the error says what does not hold.
    pub(super) fn parse(text: &str, origin: &str) -> Result<Self, &'static str> {
        let mut lines = text.strip_suffix('\n').ok_or(NO_CHECKPOINT)?.split('\n');
        let mut next = || lines.next().ok_or(NO_CHECKPOINT);
        let (named, size, root) = (next()?, next()?, next()?);
        if named != origin {
            return Err("the checkpoint is one of another journal");
        }
        let canonical = size.parse::<u64>().ok().filter(|number| number.to_string() == size);
        let (size, root) = (canonical.ok_or(NO_CHECKPOINT)?, Hash::parse(root).ok_or(NO_CHECKPOINT)?);
        // Extension lines say nothing about the tree, but none is empty.
        if lines.any(str::is_empty) { Err(NO_CHECKPOINT) } else { Ok(Self { size, root }) }
    }
}

const NO_CHECKPOINT: &str = "it is not a checkpoint: origin, size and root hash, a line each";
