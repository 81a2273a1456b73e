//! A crash in mid-write: the record cut short goes, everything before it stays.

use super::*;

#[test]
fn a_tail_torn_at_any_byte_is_removed_and_the_records_before_it_remain() {
    let bench = Bench::roomy().filled(3);
    let whole = std::fs::read(bench.segment(1)).unwrap();
    let record = (whole.len() - start_of(&whole)) / 3;
    for cut in whole.len() - record + 1..whole.len() {
        std::fs::write(bench.segment(1), &whole[..cut]).unwrap();
        let unfinished = (cut - (whole.len() - record)) as u64;
        let verdict = crate::journal::verify(&bench.dir()).unwrap();
        assert!(verdict.ok && verdict.unfinished_bytes == unfinished, "{cut}: {verdict:?}");
        assert_eq!(entries(&bench), acts(1..=2));
        let (journal, recovery) = bench.try_open().unwrap();
        assert_eq!(recovery, Recovery { records: 2, truncated_bytes: unfinished });
        put(&journal, &act(3)).unwrap();
        assert_eq!(journal.head().unwrap().records, 3);
        drop(journal);
        assert_eq!(std::fs::read(bench.segment(1)).unwrap(), whole, "the same record again: the same bytes");
    }
}

#[test]
fn a_tail_that_the_file_system_left_as_zeros_is_removed() {
    let bench = Bench::roomy().filled(3);
    let whole = std::fs::read(bench.segment(1)).unwrap();
    let record = (whole.len() - start_of(&whole)) / 3;
    for (kept, zeros) in [(0, 1), (0, 4096), (5, 4096), (16, 4096), (record - 1, 512)] {
        let mut bytes = whole[..whole.len() - record + kept].to_vec();
        bytes.resize(bytes.len() + zeros, 0);
        std::fs::write(bench.segment(1), &bytes).unwrap();
        let (journal, recovery) = bench.try_open().unwrap();
        assert_eq!(recovery, Recovery { records: 2, truncated_bytes: (kept + zeros) as u64 });
        drop(journal);
    }
}

#[test]
fn a_complete_record_that_was_changed_is_not_mistaken_for_a_torn_one() {
    let bench = Bench::roomy().filled(3);
    let whole = std::fs::read(bench.segment(1)).unwrap();
    for at in start_of(&whole)..whole.len() {
        let mut bytes = whole.clone();
        bytes[at] ^= 0x80;
        std::fs::write(bench.segment(1), &bytes).unwrap();
        assert!(matches!(bench.try_open(), Err(JournalError::Damaged { .. })), "byte {at}");
        assert_eq!(std::fs::read(bench.segment(1)).unwrap(), bytes, "damage is left as it is");
    }
}

#[test]
fn the_error_about_damage_names_segment_offset_sequence_and_remedy() {
    let bench = Bench::roomy().filled(2);
    let mut bytes = std::fs::read(bench.segment(1)).unwrap();
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    std::fs::write(bench.segment(1), &bytes).unwrap();
    let Err(error) = bench.try_open() else { panic!("damage was not noticed") };
    let text = error.to_string();
    assert!(
        text.contains("00000001.seg") && text.contains("sequence 2") && text.contains("offset "),
        "{text}"
    );
    assert!(error.hint().unwrap().contains("cloakroom journal verify"));
}

#[test]
fn a_segment_half_made_is_made_again() {
    let bench = Bench::roomy().filled(1);
    std::fs::write(bench.dir().join("00000002.new"), b"cloak").unwrap();
    let journal = bench.open();
    put(&journal, &act(2)).unwrap();
    assert_eq!(entries(&bench), acts(1..=2));
}

#[test]
fn t90_a_journal_without_its_segments_is_not_begun_anew_in_silence() {
    let bench = Bench::roomy().filled(2);
    std::fs::rename(bench.segment(1), bench.root.path().join("aside")).unwrap();
    assert!(matches!(bench.try_open(), Err(JournalError::Damaged { .. })));
    assert!(!bench.segment(1).exists());
    std::fs::rename(bench.root.path().join("aside"), bench.segment(1)).unwrap();
    bench.open();
}

#[test]
fn t91_a_pipe_in_the_place_of_a_segment_is_refused_and_not_read_for_ever() {
    let bench = Bench::roomy().filled(1);
    assert!(std::process::Command::new("mkfifo").arg(bench.segment(2)).status().unwrap().success());
    assert!(matches!(bench.try_open(), Err(JournalError::Damaged { .. })));
    assert!(!crate::journal::verify(&bench.dir()).is_ok_and(|verdict| verdict.ok));
}
