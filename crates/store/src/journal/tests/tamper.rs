//! T90: every edit is found, but one: whole records cut off the end, which only a witness shows.

use super::*;
use crate::journal::frame::{Frame, HEAD, Header, seal};
use crate::journal::hash::HASH;
use crate::journal::tree::Frontier;
use crate::journal::{
    PublicKey, Verdict, Witness, checkpoints_in, latest_checkpoint, verify, verify_against,
};
use proptest::prelude::*;
use std::path::Path;

/// Three segments with checkpoints in and between them, and a last checkpoint.
fn sample() -> Bench {
    let bench = Bench::new(1400, 4);
    let journal = bench.open();
    for number in 1..=13 {
        journal.append(&act(number)).unwrap();
    }
    journal.close().unwrap();
    assert_eq!(verify(&bench.dir()).unwrap().segments, 3);
    bench
}

/// What a witness has that was sent the last checkpoint.
fn witness(bench: &Bench) -> Witness {
    let key = PublicKey::open_file(&bench.dir().join("key.pub")).unwrap();
    let (checkpoints, unreadable) = checkpoints_in(&latest_checkpoint(&bench.dir()).unwrap(), &key);
    assert_eq!((checkpoints.len(), unreadable), (1, 0));
    Witness { key: Some(key), checkpoints }
}

/// The offsets at which records begin, and the end.
fn bounds(bytes: &[u8]) -> Vec<usize> {
    let (header, mut offset) = Header::decode(bytes).unwrap();
    let (mut sequence, mut bounds) = (header.first(), vec![offset]);
    while let Some(frame) = Frame::read(bytes, offset, sequence).unwrap() {
        (offset, sequence) = (frame.end(), sequence + 1);
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
        assert!(matches!(bench.try_open(), Err(JournalError::Damaged { .. })), "nor does a broker start");
        let bad = verify(&bench.dir()).unwrap().first_bad.unwrap();
        assert_eq!(
            (bad.segment, bad.why.as_str()),
            (format!("{missing:08}.seg"), "the segment file is missing")
        );
        std::fs::write(bench.segment(missing), &content[missing as usize - 1]).unwrap();
    }
    for (number, other) in [(1u32, 2), (2, 1), (2, 3), (3, 2), (4, 3), (4, 1)] {
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
    let witness = witness(&bench);
    let known = witness.checkpoints[0].size;
    assert_eq!(verify_against(&bench.dir(), witness.clone(), &mut |_| {}).unwrap().witnessed, Some(known));
    let path = bench.segment(3);
    let whole = std::fs::read(&path).unwrap();
    let bounds = bounds(&whole);
    let last = bounds[bounds.len() - 2];
    for cut in 0..whole.len() {
        let verdict = after(&bench, &path, &whole[..cut]);
        assert_eq!(verdict.ok, cut >= bounds[0], "cut at {cut}: {verdict:?}");
        assert_eq!(verdict.ok && verdict.unfinished_bytes == 0, bounds.contains(&cut));
        // The last record is the checkpoint itself: it signs what is before it.
        let found = verify_against(&bench.dir(), witness.clone(), &mut |_| {}).unwrap();
        assert_eq!(found.ok, cut >= last, "the witness knows more than {cut}");
        assert!(found.ok || cut < bounds[0] || found.first_bad.unwrap().why.contains("cut off the end"));
    }
    std::fs::remove_file(&path).unwrap();
    assert!(verify(&bench.dir()).unwrap().ok, "so does a whole last segment");
    assert!(!verify_against(&bench.dir(), witness, &mut |_| {}).unwrap().ok);
}

/// Somebody who knows the format changes a record and mends its hash, but has no key.
#[test]
fn t90_a_record_that_is_changed_with_its_hash_does_not_pass_the_next_checkpoint() {
    let bench = sample();
    let path = bench.segment(1);
    let whole = std::fs::read(&path).unwrap();
    let bounds = bounds(&whole);
    let mut forged = whole.clone();
    let payload = bounds[1] + HEAD..bounds[2] - HASH;
    let text = String::from_utf8(whole[payload.clone()].to_vec()).unwrap();
    assert!(text.contains("cred_2"));
    forged[payload].copy_from_slice(text.replace("cred_2", "cred_9").as_bytes());
    seal(&mut forged[bounds[1] - 1..bounds[2]], 2);
    let bad = after(&bench, &path, &forged).first_bad.unwrap();
    assert!((2..=5).contains(&bad.sequence), "at the first checkpoint behind it: {bad:?}");
    assert!(bad.why.contains("from 1 on"), "{bad:?}");
}

/// The unsigned end can be rewritten by somebody who knows the format; what a witness has of it cannot.
#[test]
fn t90_what_is_rewritten_behind_the_last_checkpoint_differs_from_what_a_witness_knows() {
    let bench = sample();
    let witness = witness(&bench);
    let path = bench.segment(3);
    let whole = std::fs::read(&path).unwrap();
    let bounds = bounds(&whole);
    let (header, _) = Header::decode(&whole).unwrap();
    let mut forged = whole[..bounds[1]].to_vec();
    let text = String::from_utf8(whole[bounds[0] + HEAD..bounds[1] - HASH].to_vec()).unwrap();
    forged[bounds[0] + HEAD..bounds[1] - HASH]
        .copy_from_slice(text.replace("operator", "approver").as_bytes());
    seal(&mut forged[bounds[0] - 1..bounds[1]], header.first());
    assert!(after(&bench, &path, &forged).ok, "nobody signed it yet");
    let mut tree = header.before.clone();
    tree.push(Frame::read(&forged, bounds[0], header.first()).unwrap().unwrap().hash);
    let short = Witness {
        checkpoints: vec![crate::journal::Checkpoint { size: tree.size(), root: tree.root() }],
        ..witness.clone()
    };
    assert!(verify_against(&bench.dir(), short, &mut |_| {}).unwrap().ok);
    let mut honest = Frontier::clone(&header.before);
    honest.push(Frame::read(&whole, bounds[0], header.first()).unwrap().unwrap().hash);
    let known = crate::journal::Checkpoint { size: honest.size(), root: honest.root() };
    let bad = verify_against(&bench.dir(), Witness { checkpoints: vec![known], ..witness }, &mut |_| {})
        .unwrap()
        .first_bad
        .unwrap();
    assert!(bad.why.contains("not those that the witness knows"), "{bad:?}");
}

/// Swapping payloads under the heads of two records of one length is no exchange of whole records.
#[test]
fn t90_every_exchange_of_two_regions_of_one_length_is_found() {
    let bench = sample();
    for number in 1..=3 {
        let path = bench.segment(number);
        let whole = std::fs::read(&path).unwrap();
        let bounds = bounds(&whole);
        for width in [16, 32, 48, bounds[1] - bounds[0]] {
            for (first, second) in bounds.iter().zip(&bounds[1..]).map(|(a, b)| (a + 16, b + 16)) {
                if second + width > whole.len() || first + width > second {
                    continue;
                }
                let mut bytes = whole.clone();
                let (left, right) = bytes.split_at_mut(second);
                left[first..first + width].swap_with_slice(&mut right[..width]);
                let verdict = after(&bench, &path, &bytes);
                assert_eq!(verdict.ok, bytes == whole, "{number}: {width} bytes at {first} and {second}");
            }
        }
        std::fs::write(&path, &whole).unwrap();
    }
}

#[test]
fn a_journal_made_anew_under_another_key_passes_only_with_the_key_beside_it() {
    let (bench, forged) = (sample(), sample());
    let known = PublicKey::open_file(&bench.dir().join("key.pub")).unwrap();
    let witness = Witness { key: Some(known), checkpoints: Vec::new() };
    assert!(verify(&forged.dir()).unwrap().ok);
    assert!(verify_against(&bench.dir(), witness.clone(), &mut |_| {}).unwrap().ok);
    assert!(!verify_against(&forged.dir(), witness, &mut |_| {}).unwrap().ok);
}

#[test]
fn a_journal_of_the_format_before_is_refused_with_its_name_and_left_as_it_is() {
    let bench = Bench::roomy().filled(1);
    let mut old = std::fs::read(bench.segment(1)).unwrap();
    old[8] = 1;
    std::fs::write(bench.segment(1), &old).unwrap();
    let error = bench.try_open().err().unwrap();
    assert!(matches!(error, JournalError::Old { .. }) && error.to_string().contains("version 1"), "{error}");
    assert!(matches!(verify(&bench.dir()), Err(JournalError::Old { .. })));
    std::fs::write(bench.dir().join("key.pub"), "ed25519 AAAA\n").unwrap();
    assert!(matches!(bench.try_open(), Err(JournalError::Old { .. })));
    assert!(matches!(verify(&bench.dir()), Err(JournalError::Old { .. })));
    assert_eq!(std::fs::read(bench.segment(1)).unwrap(), old);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn a_segment_of_any_bytes_is_parsed_without_panic(mut bytes in proptest::collection::vec(any::<u8>(), 0..600), framed: bool) {
        if framed {
            let header = Header { number: 1, before: Frontier::default(), note: String::new() };
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
