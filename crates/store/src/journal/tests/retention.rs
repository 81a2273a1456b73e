//! Old segments leave, and what stays still proves itself.

use super::*;
use crate::journal::{PublicKey, checkpoints_in, consistency, latest_checkpoint, prove, read, verify};

/// Six thousand bytes of finished segments stay.
fn kept(count: u64) -> Bench {
    let mut bench = Bench::new(2_000, 5);
    bench.settings.keep.bytes = Some(6_000);
    let journal = bench.open();
    for number in 1..=count {
        put(&journal, &act(number)).unwrap();
    }
    journal.close().unwrap();
    bench
}

#[test]
fn the_oldest_segments_leave_in_order_and_the_rest_verifies() {
    let bench = kept(100);
    let verdict = verify(&bench.dir()).unwrap();
    assert!(verdict.ok && verdict.retired > 10 && verdict.records > 100, "{verdict:?}");
    assert!((3..=5).contains(&verdict.segments), "{verdict:?}");
    let records = read(&bench.dir(), 0).unwrap();
    assert!(records.iter().any(|record| matches!(&record.entry, Entry::Retired { .. })), "it is on record");
    assert_eq!(records.iter().filter(|record| record.entry == act(100)).count(), 1);
    let journal = bench.open();
    put(&journal, &act(101)).unwrap();
    journal.close().unwrap();
    assert!(verify(&bench.dir()).unwrap().ok);
}

#[test]
fn what_stays_is_proved_and_what_left_is_named_as_gone() {
    let bench = kept(100);
    let key = PublicKey::open_file(&bench.dir().join("key.pub")).unwrap();
    let retired = verify(&bench.dir()).unwrap().retired;
    for record in read(&bench.dir(), 0).unwrap() {
        assert!(record.sequence > retired);
        prove(&bench.dir(), record.sequence).unwrap().check(&key).unwrap();
    }
    let error = prove(&bench.dir(), retired).unwrap_err();
    assert!(error.to_string().contains("has left the journal"), "{error}");
    assert!(consistency(&bench.dir(), retired - 1, None).is_err());
    let (old, _) = checkpoints_in(&std::fs::read_to_string(bench.dir().join("retired")).unwrap(), &key);
    assert_eq!(old[0].size, retired, "what left is signed as a checkpoint");
    let new = consistency(&bench.dir(), old[0].size, None).unwrap().check(&old[0], &key).unwrap();
    assert_eq!(new, key.checkpoint(&latest_checkpoint(&bench.dir()).unwrap()).unwrap());
}

#[test]
fn t90_one_segment_more_than_the_note_says_is_missing_and_no_other_note_helps() {
    let bench = kept(100);
    let (note, first) = (bench.dir().join("retired"), first_of(&bench));
    let signed = std::fs::read_to_string(&note).unwrap();
    let fails = || {
        let verdict = verify(&bench.dir()).unwrap();
        !verdict.ok && verdict.first_bad.unwrap().why.contains("missing") && bench.try_open().is_err()
    };
    std::fs::remove_file(&note).unwrap();
    assert!(fails(), "without the note");
    std::fs::write(&note, signed.replace(&format!("{:08}.seg", first - 1), &format!("{first:08}.seg")))
        .unwrap();
    assert!(fails(), "a note that nobody signed");
    let key = PublicKey::open_file(&bench.dir().join("key.pub")).unwrap();
    std::fs::write(&note, latest_checkpoint(&bench.dir()).unwrap()).unwrap();
    assert!(key.open(&std::fs::read_to_string(&note).unwrap()).is_ok() && fails(), "an ordinary checkpoint");
    std::fs::write(&note, &signed).unwrap();
    assert!(verify(&bench.dir()).unwrap().ok);
    std::fs::remove_file(bench.segment(first)).unwrap();
    assert!(fails(), "a segment more");
}

fn first_of(bench: &Bench) -> u32 {
    (1..1000).find(|number| bench.segment(*number).exists()).unwrap()
}

#[test]
fn segments_leave_by_age_and_without_bounds_none_does() {
    let mut bench = Bench::new(2_000, 5);
    let journal = bench.open();
    for number in 1..=60 {
        put(&journal, &act(number)).unwrap();
    }
    drop(journal);
    let before = verify(&bench.dir()).unwrap();
    assert_eq!(before.retired, 0);
    let old = std::time::SystemTime::now() - Duration::from_secs(3600);
    for number in 1..=3 {
        std::fs::File::options().write(true).open(bench.segment(number)).unwrap().set_modified(old).unwrap();
    }
    bench.settings.keep.age = Some(Duration::from_secs(600));
    let journal = bench.open();
    put(&journal, &act(61)).unwrap();
    journal.close().unwrap();
    let verdict = verify(&bench.dir()).unwrap();
    assert!(verdict.ok && first_of(&bench) == 4, "{verdict:?}");
}

/// A crash at any step leaves a journal that verifies, and the next broker finishes.
#[test]
fn a_crash_while_segments_leave_is_made_good_at_the_next_start() {
    let mut bench = Bench::new(2_000, 5);
    let journal = bench.open();
    for number in 1..=60 {
        put(&journal, &act(number)).unwrap();
    }
    drop(journal);
    let saved: Vec<_> = (1..).map_while(|number| std::fs::read(bench.segment(number)).ok()).collect();
    bench.settings.keep.bytes = Some(4_000);
    bench.open().close().unwrap();
    let first = first_of(&bench);
    assert!(first > 3);
    // As if the last two that were to go were still there.
    for number in [first - 2, first - 1] {
        std::fs::write(bench.segment(number), &saved[number as usize - 1]).unwrap();
    }
    assert!(verify(&bench.dir()).unwrap().ok);
    let journal = bench.open();
    put(&journal, &act(61)).unwrap();
    journal.close().unwrap();
    assert!(verify(&bench.dir()).unwrap().ok && first_of(&bench) >= first);
}

#[test]
fn the_latest_records_stay_whatever_the_bounds_say() {
    let mut bench = Bench::new(2_000, 5);
    bench.settings.keep = Keep { bytes: Some(1), age: Some(Duration::from_nanos(1)), records: 40 };
    let journal = bench.open();
    for number in 1..=100 {
        put(&journal, &act(number)).unwrap();
    }
    journal.close().unwrap();
    let verdict = verify(&bench.dir()).unwrap();
    assert!(verdict.ok && verdict.retired > 0 && verdict.records - verdict.retired >= 40, "{verdict:?}");
    assert!(read(&bench.dir(), 0).unwrap().iter().any(|record| record.entry == act(80)));
}
