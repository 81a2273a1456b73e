//! T90: every edit is found, but one: whole records cut off the end, which only a witness shows.

use super::*;
use crate::journal::frame::{ChainHash, Frame, HASH, HEAD, Header, seal};
use crate::journal::{Verdict, Witness, verify, verify_against};
use proptest::prelude::*;
use std::path::Path;

/// Three segments, each but the last ending in a checkpoint, and a last checkpoint.
fn sample() -> Bench {
    let bench = Bench::new(1000, 4);
    let journal = bench.open();
    for number in 1..=9 {
        journal.append(&act(number)).unwrap();
    }
    journal.close().unwrap();
    assert_eq!(verify(&bench.dir()).unwrap().segments, 3);
    bench
}

/// The offsets at which records begin, and the end.
fn bounds(bytes: &[u8]) -> Vec<usize> {
    let header = Header::decode(bytes).unwrap();
    let (mut offset, mut sequence, mut hash) = (crate::journal::frame::HEADER, header.first, header.link());
    let mut bounds = vec![offset];
    while let Some(frame) = Frame::read(bytes, offset, sequence, hash).unwrap() {
        (offset, sequence, hash) = (frame.end(), sequence + 1, frame.hash);
        bounds.push(offset);
    }
    bounds
}

fn after(bench: &Bench, segment: &Path, bytes: &[u8]) -> Verdict {
    std::fs::write(segment, bytes).unwrap();
    verify(&bench.dir()).unwrap()
}

#[test]
fn t90_every_flipped_byte_is_found() {
    let bench = sample();
    for number in 1..=3 {
        let path = bench.segment(number);
        let whole = std::fs::read(&path).unwrap();
        for at in 0..whole.len() {
            let mut bytes = whole.clone();
            bytes[at] = !bytes[at];
            let verdict = after(&bench, &path, &bytes);
            let bad = verdict
                .first_bad
                .as_ref()
                .unwrap_or_else(|| panic!("segment {number}, byte {at}: {verdict:?}"));
            assert!(!verdict.ok && bad.offset <= at as u64 && bad.segment == format!("{number:08}.seg"));
        }
        std::fs::write(&path, &whole).unwrap();
    }
}

#[test]
fn t90_every_deleted_doubled_or_swapped_record_is_found() {
    let bench = sample();
    for number in 1..=3 {
        let path = bench.segment(number);
        let whole = std::fs::read(&path).unwrap();
        let bounds = bounds(&whole);
        for (index, pair) in bounds.windows(2).enumerate() {
            let (before, record, rest) = (&whole[..pair[0]], &whole[pair[0]..pair[1]], &whole[pair[1]..]);
            let last_of_all = number == 3 && rest.is_empty();
            assert_eq!(after(&bench, &path, &[before, rest].concat()).ok, last_of_all, "deleted {index}");
            assert!(!after(&bench, &path, &[before, record, record, rest].concat()).ok, "doubled {index}");
            if let Some(next) = bounds.get(index + 2) {
                let swapped = [before, &whole[pair[1]..*next], record, &whole[*next..]].concat();
                assert!(!after(&bench, &path, &swapped).ok, "swapped {index}");
            }
        }
        std::fs::write(&path, &whole).unwrap();
    }
}

#[test]
fn t90_a_segment_that_is_missing_swapped_copied_or_replaced_is_found() {
    let bench = sample();
    let content: Vec<_> = (1..=3).map(|number| std::fs::read(bench.segment(number)).unwrap()).collect();
    for missing in [1, 2] {
        std::fs::remove_file(bench.segment(missing)).unwrap();
        let bad = verify(&bench.dir()).unwrap().first_bad.unwrap();
        assert_eq!(
            (bad.segment, bad.why.as_str()),
            (format!("{missing:08}.seg"), "the segment file is missing")
        );
        std::fs::write(bench.segment(missing), &content[missing as usize - 1]).unwrap();
    }
    for (number, other) in [(1, 2), (2, 1), (2, 3), (3, 2), (4, 3), (4, 1)] {
        assert!(!after(&bench, &bench.segment(number), &content[other - 1]).ok, "{other} as {number}");
        match content.get(number as usize - 1) {
            Some(content) => std::fs::write(bench.segment(number), content).unwrap(),
            None => std::fs::remove_file(bench.segment(number)).unwrap(),
        }
    }
    let foreign = sample();
    assert!(!after(&bench, &bench.segment(2), &std::fs::read(foreign.segment(2)).unwrap()).ok);
}

#[test]
fn t90_a_journal_cut_short_passes_only_at_the_end_of_a_record_and_a_witness_still_finds_it() {
    let bench = sample();
    let intact = verify(&bench.dir()).unwrap();
    let witness = Witness { key: None, head: Some((intact.records, intact.head.clone())) };
    assert!(verify_against(&bench.dir(), &witness).unwrap().ok);
    let path = bench.segment(3);
    let whole = std::fs::read(&path).unwrap();
    let bounds = bounds(&whole);
    for cut in 0..whole.len() {
        let verdict = after(&bench, &path, &whole[..cut]);
        assert_eq!(verdict.ok, cut >= bounds[0], "cut at {cut}: {verdict:?}");
        assert_eq!(verdict.ok && verdict.unfinished_bytes == 0, bounds.contains(&cut));
        assert!(!verify_against(&bench.dir(), &witness).unwrap().ok, "the witness knows more than {cut}");
    }
    std::fs::remove_file(&path).unwrap();
    assert!(verify(&bench.dir()).unwrap().ok, "so does a whole last segment");
    assert!(!verify_against(&bench.dir(), &witness).unwrap().ok);
}

#[test]
fn t90_a_chain_that_is_made_anew_does_not_pass_the_signed_checkpoints() {
    let bench = sample();
    let path = bench.segment(1);
    let whole = std::fs::read(&path).unwrap();
    let header = Header::decode(&whole).unwrap();
    let (mut hash, mut forged, mut old) = (header.link(), header.encode().to_vec(), header.link());
    for (sequence, pair) in (1..).zip(bounds(&whole).windows(2)) {
        let frame = Frame::read(&whole, pair[0], sequence, old).unwrap().unwrap();
        old = frame.hash;
        let payload = String::from_utf8(frame.payload.to_vec()).unwrap().replace("cred_1", "cred_X");
        let length = u32::try_from(payload.len()).unwrap().to_le_bytes();
        let mut bytes = [&hash.0[..], &length, &[0; HEAD - 4], payload.as_bytes(), &[0; HASH]].concat();
        seal(&mut bytes, sequence);
        hash = ChainHash(*bytes.last_chunk().unwrap());
        forged.extend_from_slice(&bytes[HASH..]);
    }
    let bad = after(&bench, &path, &forged).first_bad.unwrap();
    assert!(bad.why.contains("signature"), "{bad:?}");
}

#[test]
fn a_journal_made_anew_under_another_key_passes_only_with_the_key_beside_it() {
    let (bench, forged) = (sample(), sample());
    let known = crate::journal::PublicKey::open(&bench.dir().join("key.pub")).unwrap();
    let witness = Witness { key: Some(known), head: None };
    assert!(verify(&forged.dir()).unwrap().ok);
    assert!(verify_against(&bench.dir(), &witness).unwrap().ok);
    assert!(!verify_against(&forged.dir(), &witness).unwrap().ok);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn a_segment_of_any_bytes_is_parsed_without_panic(mut bytes in proptest::collection::vec(any::<u8>(), 0..600), framed: bool) {
        if framed {
            let header = Header { number: 1, first: 1, previous: ChainHash::ORIGIN };
            bytes.splice(0..0, header.encode());
        }
        crate::journal::parse(&bytes);
    }

    #[test]
    fn a_mutated_segment_never_reads_as_more_or_other_records(
        edits in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4)
    ) {
        let bench = Bench::roomy().filled(4);
        let whole = std::fs::read(bench.segment(1)).unwrap();
        let mut bytes = whole.clone();
        for (at, byte) in &edits {
            *at.get_mut(&mut bytes) = *byte;
        }
        let (records, bad) = crate::journal::parse(&bytes);
        prop_assert_eq!(bad.is_none(), bytes == whole);
        prop_assert!(records <= 4);
    }
}
