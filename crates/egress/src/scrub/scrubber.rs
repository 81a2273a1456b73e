//! Takes needles out of a stream, however it is cut into chunks.

use super::finder::{Finder, Next};
use bytes::Bytes;
use std::sync::Arc;
use zeroize::Zeroizing;

/// Replaces needles in a stream. Holds back only bytes from the first position where a needle may have begun.
pub(crate) struct Scrubber {
    finder: Arc<Finder>,
    held: Zeroizing<Vec<u8>>,
    replaced: u64,
}

impl Scrubber {
    /// A scrubber for one body.
    pub(crate) fn new(finder: Arc<Finder>) -> Self {
        Self { finder, held: Zeroizing::default(), replaced: 0 }
    }

    /// How many needles were replaced so far.
    pub(crate) fn replaced(&self) -> u64 {
        self.replaced
    }

    /// How many bytes are held back.
    #[cfg(test)]
    pub(crate) fn held(&self) -> usize {
        self.held.len()
    }

    /// Takes the next chunk and returns what may go on. A chunk without needles goes on uncopied.
    pub(crate) fn push(&mut self, chunk: Bytes) -> Bytes {
        if !self.held.is_empty() {
            self.held.extend_from_slice(&chunk);
            return self.scan_held(false);
        }
        match self.finder.find(&chunk, 0, false) {
            Next::Clean => chunk,
            Next::Open(at) => {
                self.held.extend_from_slice(&chunk[at..]);
                chunk.slice(..at)
            }
            Next::Found(_) => {
                let mut clean = Vec::with_capacity(chunk.len());
                let used = self.scan(&chunk, false, &mut clean);
                self.held.extend_from_slice(&chunk[used..]);
                clean.into()
            }
        }
    }

    /// Ends the stream and returns what was held back.
    pub(crate) fn finish(&mut self) -> Bytes {
        self.scan_held(true)
    }

    fn scan_held(&mut self, ended: bool) -> Bytes {
        let mut held = std::mem::take(&mut self.held);
        let mut clean = Vec::with_capacity(held.len());
        let used = self.scan(&held, ended, &mut clean);
        held.drain(..used);
        self.held = held;
        clean.into()
    }

    /// Copies `text` without its needles and returns how much of it is decided.
    fn scan(&mut self, text: &[u8], ended: bool, clean: &mut Vec<u8>) -> usize {
        let mut at = 0;
        loop {
            match self.finder.find(text, at, ended) {
                Next::Clean => {
                    clean.extend_from_slice(&text[at..]);
                    return text.len();
                }
                Next::Open(start) => {
                    clean.extend_from_slice(&text[at..start]);
                    return start;
                }
                Next::Found(find) => {
                    clean.extend_from_slice(&text[at..find.start]);
                    clean.extend_from_slice(&find.replacement);
                    self.replaced += 1;
                    at = find.end;
                }
            }
        }
    }
}
