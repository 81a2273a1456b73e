//! Takes needles out of a stream, however it is cut into chunks.

use super::Fit;
use super::finder::{Finder, Next};
use bytes::Bytes;
use std::sync::Arc;
use zeroize::Zeroizing;

/// What is held is decided with this much of the next chunk at a time: the rest of the chunk goes on uncopied.
const BRIDGE: usize = 256;

/// Replaces needles in a stream. Holds back only bytes from the first position where a needle may have begun.
pub(crate) struct Scrubber {
    finder: Arc<Finder>,
    fit: Fit,
    held: Zeroizing<Vec<u8>>,
    replaced: u64,
}

impl Scrubber {
    /// A scrubber for one body.
    pub(crate) fn new(finder: Arc<Finder>, fit: Fit) -> Self {
        Self { finder, fit, held: Zeroizing::default(), replaced: 0 }
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

    /// Takes the next chunk and returns what may go on: of what was held, and of the chunk, which goes on uncopied where
    /// it has no needle.
    pub(crate) fn push(&mut self, mut chunk: Bytes) -> [Bytes; 2] {
        let mut front = Vec::new();
        while !self.held.is_empty() && !chunk.is_empty() {
            let bridge = chunk.split_to(chunk.len().min(BRIDGE));
            self.hold(&bridge);
            self.scan_held(false, &mut front);
        }
        [front.into(), self.push_fresh(chunk)]
    }

    /// Ends the stream and returns what was held back.
    pub(crate) fn finish(&mut self) -> Bytes {
        let mut clean = Vec::new();
        self.scan_held(true, &mut clean);
        clean.into()
    }

    fn push_fresh(&mut self, chunk: Bytes) -> Bytes {
        match self.finder.find(&chunk, 0, false) {
            Next::Clean => chunk,
            Next::Open(at) => {
                self.hold(&chunk[at..]);
                chunk.slice(..at)
            }
            found @ Next::Found(_) => {
                let mut clean = Vec::with_capacity(chunk.len());
                let used = self.scan(&chunk, found, false, &mut clean);
                self.hold(&chunk[used..]);
                clean.into()
            }
        }
    }

    /// Holds more bytes.
    fn hold(&mut self, bytes: &[u8]) {
        let length = self.held.len() + bytes.len();
        if self.held.capacity() < length {
            // SECURITY: a vector that grows by itself leaves its bytes behind unwiped.
            let mut roomier = Zeroizing::new(Vec::with_capacity(length.next_power_of_two()));
            roomier.extend_from_slice(&self.held);
            self.held = roomier;
        }
        self.held.extend_from_slice(bytes);
    }

    fn scan_held(&mut self, ended: bool, clean: &mut Vec<u8>) {
        let mut held = std::mem::take(&mut self.held);
        let first = self.finder.find(&held, 0, ended);
        let used = self.scan(&held, first, ended, clean);
        held.drain(..used);
        self.held = held;
    }

    /// Copies `text` without its needles, of which `next` is the first, and returns how much of it is decided.
    fn scan(&mut self, text: &[u8], mut next: Next, ended: bool, clean: &mut Vec<u8>) -> usize {
        let mut at = 0;
        loop {
            match next {
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
                    self.fit.put(&find.replacement, find.end - find.start, clean);
                    self.replaced += 1;
                    at = find.end;
                    next = self.finder.find(text, at, ended);
                }
            }
        }
    }
}
