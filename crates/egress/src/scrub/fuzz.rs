//! Bodies of fuzz targets: what strangers send, and what must hold.

use super::needles::Needles;
use super::reference::Reference;
use super::{Coding, Decoder, Finder, Fit, Scrubber, Target};
use bytes::Bytes;
use std::sync::Arc;

const SECRET: &str = "canary-7Q2mZ9xKp4Lw8RtY3vNc6HsD";
const PLACEHOLDER: &str = "placeholder";

/// However the text is cut, it comes out as the whole text does. The first byte of
/// `data` is the size of the chunks; in the rest, each byte 0xFF stands for eight bytes of the secret.
pub fn scrubbing_equals_the_reference(data: &[u8]) {
    let Some((size, rest)) = data.split_first() else { return };
    let mut text = Vec::new();
    let mut parts = SECRET.as_bytes().chunks(8).cycle();
    for byte in rest {
        match byte {
            0xFF => text.extend_from_slice(parts.next().unwrap_or_default()),
            other => text.push(*other),
        }
    }
    let expected = Reference::new(&[(SECRET, PLACEHOLDER)]).scrub(&text);
    let needles = Arc::new(Needles::new(SECRET.as_bytes(), None));
    let target = Target { needles, placeholder: PLACEHOLDER.into() };
    let finder = Arc::new(Finder::alone(vec![target]));
    let mut scrubber = Scrubber::new(Arc::clone(&finder), Fit::Free);
    let mut clean = Vec::new();
    for chunk in text.chunks(usize::from(*size).max(1)) {
        clean.extend(scrubber.push(Bytes::copy_from_slice(chunk)).concat());
    }
    clean.extend_from_slice(&scrubber.finish());
    assert!(clean == expected, "a cut changes what is found");
}

/// Whatever a body claims to be, decoding it ends, in bounds and without a panic. The first byte chooses the coding.
pub fn decoding_ends(data: &[u8]) {
    let Some((choice, body)) = data.split_first() else { return };
    let coding = [Coding::Gzip, Coding::Deflate, Coding::Brotli, Coding::Zstd][usize::from(choice & 3)];
    let mut decoder = Decoder::new(&[coding]);
    decoder.take(Bytes::copy_from_slice(body));
    while !decoder.is_idle() {
        if decoder.step().is_err() {
            return;
        }
    }
    // A body that ends early is a fault, which is as good an end as any.
    if let Ok(rest) = decoder.finish() {
        drop(rest);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn the_bodies_of_the_fuzz_targets_hold(
            text in prop::collection::vec(prop_oneof![3 => any::<u8>(), 2 => Just(0xFF), 1 => Just(b'\\'), 1 => Just(b'%')], 0..60),
            body in prop::collection::vec(any::<u8>(), 0..200),
        ) {
            scrubbing_equals_the_reference(&text);
            decoding_ends(&body);
        }
    }

    #[test]
    fn the_seeds_of_the_fuzz_target_hold() {
        let seeds = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus/scrub");
        let mut seen = 0;
        for entry in std::fs::read_dir(seeds).unwrap().flatten() {
            let bytes = std::fs::read(entry.path()).unwrap();
            scrubbing_equals_the_reference(&bytes);
            decoding_ends(&bytes);
            seen += 1;
        }
        assert!(seen > 0, "no seeds");
    }
}
