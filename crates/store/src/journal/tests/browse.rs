//! Reading a piece at a time: the same records as all at once, over segments, over growth, and not past damage.

use super::{Bench, act, put};
use crate::journal::{Follower, JournalError, Mark, Record, Seen, read};

fn all(follower: &mut Follower, most: usize) -> Vec<Record> {
    let mut records = Vec::new();
    while follower
        .read_on(most, &mut |_, record| {
            records.push(record);
            Seen::More
        })
        .unwrap()
    {}
    records
}

fn numbers(records: &[Record]) -> Vec<u64> {
    records.iter().map(|record| record.sequence).collect()
}

#[test]
fn a_follower_sees_over_segments_what_a_reader_of_everything_sees_and_then_what_comes() {
    let bench = Bench::new(2000, 7);
    let journal = bench.open();
    let mut follower = Follower::new(&bench.dir());
    (1..=60).for_each(|number| assert!(put(&journal, &act(number)).is_ok()));
    journal.write_out().unwrap();
    let (whole, seen) = (read(&bench.dir(), 0).unwrap(), all(&mut follower, 1));
    assert_eq!(numbers(&seen), numbers(&whole));
    assert!(
        whole.iter().zip(&seen).all(|(one, other)| one.entry == other.entry && one.offset == other.offset)
    );
    assert!(bench.segment(3).exists(), "over several segments");
    assert!(all(&mut follower, 1 << 20).is_empty());
    (61..=90).for_each(|number| assert!(put(&journal, &act(number)).is_ok()));
    journal.write_out().unwrap();
    let whole = read(&bench.dir(), seen.last().unwrap().sequence).unwrap();
    assert_eq!(numbers(&all(&mut follower, 1 << 20)), numbers(&whole));
}

#[test]
fn reading_goes_on_from_a_place_that_was_seen_and_stops_where_it_is_enough() {
    let bench = Bench::new(2000, 7).filled(60);
    let mut marks: Vec<(Mark, u64)> = Vec::new();
    let mut follower = Follower::new(&bench.dir());
    while follower
        .read_on(1 << 20, &mut |mark, record| {
            marks.push((mark, record.sequence));
            Seen::More
        })
        .unwrap()
    {}
    for (mark, sequence) in marks {
        follower.go_to(mark);
        let mut seen = Vec::new();
        follower
            .read_on(1 << 20, &mut |_, record| {
                seen.push(record.sequence);
                Seen::Enough
            })
            .unwrap();
        assert_eq!(seen, [sequence]);
    }
}

#[test]
fn a_follower_stops_at_a_record_that_was_changed() {
    let bench = Bench::roomy().filled(9);
    let file = bench.segment(1);
    let mut bytes = std::fs::read(&file).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&file, bytes).unwrap();
    let mut seen = 0;
    let ended = Follower::new(&bench.dir()).read_on(1 << 20, &mut |_, _| {
        seen += 1;
        Seen::More
    });
    assert!(matches!(ended, Err(JournalError::Damaged { .. })), "{ended:?}");
    assert!(seen > 0 && seen < 9);
}
