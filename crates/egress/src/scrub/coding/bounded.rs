//! Bounds on what decoding may produce: a reply of a few bytes must not become gigabytes (T96).

use bytes::Bytes;
use std::io::{self, Write};

/// Output up to this needs no input to justify it.
const FREE: u64 = 1 << 20;
/// Beyond [`FREE`], this many bytes of output for each byte of input at most. gzip itself reaches 1032.
const RATIO: u64 = 1000;
/// No decoded body is longer.
const LONGEST: u64 = 4 << 30;

/// The bytes are not of the coding their label says, or grow beyond the bounds.
#[derive(Debug)]
pub(super) struct Undecodable;

impl From<io::Error> for Undecodable {
    fn from(_: io::Error) -> Self {
        Self
    }
}

/// What a body may still grow by.
#[derive(Default)]
pub(super) struct Budget {
    taken: u64,
    given: u64,
}

impl Budget {
    pub(super) fn taken(&mut self, bytes: usize) {
        self.taken += bytes as u64;
    }

    pub(super) fn given(&mut self, bytes: usize) {
        self.given += bytes as u64;
    }

    /// How many bytes the next step may produce.
    pub(super) fn room(&self) -> u64 {
        let allowed = FREE.saturating_add(self.taken.saturating_mul(RATIO)).min(LONGEST);
        allowed.saturating_sub(self.given)
    }
}

/// Collects decoded bytes and refuses more than there is room for.
#[derive(Default)]
pub(super) struct Bounded {
    bytes: Vec<u8>,
    pub(super) room: u64,
}

impl Bounded {
    pub(super) fn take(&mut self) -> Bytes {
        std::mem::take(&mut self.bytes).into()
    }
}

impl Write for Bounded {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if (self.bytes.len() + bytes.len()) as u64 > self.room {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        self.bytes.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
