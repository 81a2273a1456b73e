//! The hashes of the Merkle tree, as RFC 6962 and RFC 9162 (section 2.1) have them: SHA-256, a leaf behind 0x00, an inner node behind 0x01.

use aws_lc_rs::digest::{Context, SHA256, digest};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use std::fmt;

/// How long a hash is, in bytes.
pub(super) const HASH: usize = 32;
/// What is hashed in front of a leaf.
pub(super) const LEAF: u8 = 0;
/// What is hashed in front of two nodes.
const NODE: u8 = 1;

/// A leaf, a node or the root of the tree. Shown in base64, as it stands in checkpoints.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Hash(pub(super) [u8; HASH]);

impl Hash {
    /// Plain SHA-256. Of no bytes at all it is the root of the empty tree.
    pub(super) fn of(bytes: &[u8]) -> Self {
        let mut hash = [0; HASH];
        hash.copy_from_slice(digest(&SHA256, bytes).as_ref());
        Self(hash)
    }

    pub(crate) fn leaf(record: &[u8]) -> Self {
        let mut context = Context::new(&SHA256);
        context.update(&[LEAF]);
        context.update(record);
        let mut hash = [0; HASH];
        hash.copy_from_slice(context.finish().as_ref());
        Self(hash)
    }

    pub(super) fn node(left: Self, right: Self) -> Self {
        let mut bytes = [NODE; 1 + 2 * HASH];
        bytes[1..=HASH].copy_from_slice(&left.0);
        bytes[1 + HASH..].copy_from_slice(&right.0);
        Self::of(&bytes)
    }

    /// Reads what [`fmt::Display`] writes, and no other spelling of it.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        STANDARD.decode(text).ok()?.try_into().ok().map(Self)
    }
}

impl fmt::Display for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&STANDARD.encode(self.0))
    }
}

impl fmt::Debug for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
