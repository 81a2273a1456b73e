//! Records in the making: serialised one behind the other, with room for what is added when they are written.

use super::error::JournalError;
use super::frame::{FRAME, HEAD, LONGEST, seal};
use super::hash::{HASH, Hash};
use super::json;
use serde::Serialize;

/// Frames whose sequence, checksum and hash are still open.
///
/// ```text
/// ┌──────┬────────┬───────────┬─────────┬──────────────┬────────┬ …
/// │ lent │ length │ 12 open   │ payload │ hash, open   │ length │
/// │ 1    │ u32    │           │         │ 32           │        │
/// └──────┴────────┴───────────┴─────────┴──────────────┴────────┴ …
/// ```
///
/// There is a byte in front of each frame that hashing may borrow: of its own before the first, the end of another before the rest.
#[derive(Default)]
pub(super) struct Drafts {
    bytes: Vec<u8>,
}

impl Drafts {
    /// Where the first draft begins.
    pub(super) const START: usize = 1;

    /// Where the next draft would begin.
    pub(super) fn end(&self) -> usize {
        self.bytes.len().max(Self::START)
    }

    /// Forgets them all, and keeps the memory unless a burst has made it much larger than `usual`.
    pub(super) fn clear(&mut self, usual: usize) {
        self.bytes.clear();
        self.bytes.shrink_to(usual);
    }

    /// Adds one. An error leaves everything as it was.
    pub(super) fn push(&mut self, entry: &impl Serialize) -> Result<(), JournalError> {
        let start = self.end();
        self.write(start, entry).inspect_err(|_| self.bytes.truncate(start))
    }

    fn write(&mut self, start: usize, entry: &impl Serialize) -> Result<(), JournalError> {
        self.bytes.resize(start + HEAD, 0);
        json::write(&mut self.bytes, entry)
            .map_err(|error| JournalError::Failed(format!("cannot be written as JSON: {error}")))?;
        let length = self.bytes.len() - start - HEAD;
        let short = u32::try_from(length).ok().filter(|_| length <= LONGEST);
        let short = short
            .ok_or_else(|| JournalError::Failed(format!("a journal record has at most {LONGEST} bytes")))?;
        self.bytes[start..start + 4].copy_from_slice(&short.to_le_bytes());
        self.bytes.resize(self.bytes.len() + HASH, 0);
        Ok(())
    }

    /// How long the frame at `at` is; 0 at the end.
    pub(super) fn size(&self, at: usize) -> usize {
        let length = self.bytes.get(at..).and_then(|rest| rest.first_chunk::<4>());
        length.map_or(0, |length| u32::from_le_bytes(*length) as usize + FRAME)
    }

    /// Completes the frame at `at`. Returns where the next one begins.
    pub(super) fn seal(&mut self, at: usize, sequence: u64) -> usize {
        let end = at + self.size(at);
        seal(&mut self.bytes[at - 1..end], sequence);
        end
    }

    /// The leaves of the sealed frames from `at` to `end`.
    pub(super) fn leaves(&self, at: usize, end: usize) -> impl Iterator<Item = Hash> + '_ {
        let mut at = at;
        std::iter::from_fn(move || {
            let size = self.size(at);
            at += size;
            let hash = self.bytes[..at.min(end)].last_chunk().copied().map(Hash);
            hash.filter(|_| size > 0 && at <= end)
        })
    }

    /// Sealed frames.
    pub(super) fn frames(&self, from: usize, to: usize) -> &[u8] {
        &self.bytes[from..to]
    }
}
