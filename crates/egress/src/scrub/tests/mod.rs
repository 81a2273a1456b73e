//! Scrubbing tried on every listed encoding, every cut and every coding, against a reference that sees the whole text.

pub(crate) mod codings;
mod encodings;
mod streams;

use super::needles::Needles;
use super::{BasicHalf, Finder, Fit, Scrubber, Target};
use bytes::Bytes;
use std::sync::Arc;

pub(crate) const CANARY: &str = "canary-7Q2mZ9xKp4Lw8RtY3vNc6HsD";
pub(crate) const PLACEHOLDER: &str = "canary-PLACEHOLDERplaceholder00";

pub(crate) fn finder(secret: &str, placeholder: &str, basic: Option<BasicHalf<'_>>) -> Arc<Finder> {
    let needles = Arc::new(Needles::new(secret.as_bytes(), basic));
    Arc::new(Finder::alone(vec![Target { needles, placeholder: placeholder.into() }]))
}

/// Scrubs a stream of chunks.
pub(super) fn scrub<'a>(finder: &Arc<Finder>, chunks: impl Iterator<Item = &'a [u8]>) -> Vec<u8> {
    let mut scrubber = Scrubber::new(Arc::clone(finder), Fit::Free);
    let mut clean = Vec::new();
    for chunk in chunks {
        clean.extend(scrubber.push(Bytes::copy_from_slice(chunk)).concat());
    }
    clean.extend_from_slice(&scrubber.finish());
    clean
}

pub(super) fn contains(text: &[u8], part: &[u8]) -> bool {
    memchr::memmem::find(text, part).is_some()
}
