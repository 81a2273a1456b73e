//! A disk that fills up, fails or does not answer: whoever comes is refused in time, and nothing that was acknowledged is lost (T91).

use super::faulty::{Faulty, Step};
use super::*;
use cloakroom_model::{Code, RequestId};

/// A journal on a disk that obeys, and may take so long.
fn on_a_disk(that_may_take: Duration) -> (Bench, Arc<Faulty>, Arc<Journal>) {
    let mut bench = Bench::roomy();
    bench.settings.write_timeout = that_may_take;
    let disk = Faulty::new();
    let (journal, _) =
        Journal::open_on(Arc::clone(&disk) as Arc<_>, &bench.dir(), &bench.key(), bench.settings.clone())
            .unwrap();
    (bench, disk, journal)
}

const SHORT: Duration = Duration::from_millis(1500);
const LONG: Duration = Duration::from_secs(600);

fn refusal() -> Entry {
    let request: RequestId = "01HF0000000000000000000000".parse().unwrap();
    Entry::Failure { request, at: Timestamp::from_millis(7), code: Code::JournalUnavailable }
}

fn settle(journal: &Journal, entry: &Entry) -> Result<(), JournalError> {
    block_on(journal.durable(journal.append(entry)?))
}

/// Tries until the journal takes records again: nobody announces that.
fn recovered(journal: &Journal, entry: &Entry) {
    let began = std::time::Instant::now();
    while let Err(error) = settle(journal, entry) {
        assert!(began.elapsed() < Duration::from_secs(20), "not within 20 s: {error}");
        std::thread::yield_now();
    }
}

#[test]
fn t91_whatever_a_stalled_disk_holds_up_is_refused_in_time_and_what_was_acknowledged_is_there_afterwards() {
    for step in Step::ALL {
        let (bench, disk, journal) = on_a_disk(SHORT);
        settle(&journal, &act(1)).unwrap();
        disk.hold(step);
        let held_up = journal.append(&act(2)).unwrap();
        let error = block_on(journal.durable(held_up)).unwrap_err().to_string();
        assert!(error.contains("has not answered"), "{step:?}: {error}");
        let error = journal.append(&act(3)).unwrap_err().to_string();
        assert!(error.contains("has not answered"), "whoever comes now is told at once: {error}");
        assert!(block_on(journal.checkpoint()).is_err());
        let told = journal.append(&refusal()).unwrap();
        assert!(block_on(journal.written(told)).is_err(), "{step:?}: taken, not written");
        disk.release();
        recovered(&journal, &act(4));
        journal.close().unwrap();
        assert_eq!(entries(&bench), [act(1), act(2), refusal(), act(4)], "{step:?}");
        assert!(crate::journal::verify(&bench.dir()).unwrap().ok);
    }
}

#[test]
fn t91_a_slow_flush_within_its_time_is_waited_for() {
    let (bench, disk, journal) = on_a_disk(LONG);
    disk.hold(Step::Sync);
    std::thread::scope(|scope| {
        let slow = scope.spawn(|| settle(&journal, &act(1)));
        disk.wait_until_hanging();
        // Others are written meanwhile, and nobody is told that it is durable.
        put(&journal, &act(2)).unwrap();
        assert!(!slow.is_finished());
        disk.release();
        assert_eq!(slow.join().unwrap(), Ok(()));
    });
    assert_eq!(entries(&bench), acts(1..=2));
}

#[test]
fn t91_a_full_queue_before_a_stalled_disk_is_refused_and_takes_no_more_memory() {
    let (_bench, disk, journal) = on_a_disk(SHORT);
    disk.hold(Step::Write);
    let long = Entry::Start { at: Timestamp::from_millis(1), version: "v".repeat(50_000) };
    let refused = (0..1000).find_map(|_| journal.append(&long).err());
    assert!(refused.unwrap().to_string().contains("has not answered"));
    while journal.append(&refusal()).is_ok() {}
    assert!(journal.waiting_bytes() < crate::journal::queue::FULL + 60_000);
    disk.release();
    recovered(&journal, &act(1));
}

#[test]
fn t91_a_broker_that_stops_does_not_wait_for_ever_for_a_disk() {
    let (bench, disk, journal) = on_a_disk(SHORT);
    settle(&journal, &act(1)).unwrap();
    disk.hold(Step::Write);
    let _ = journal.append(&act(2)).unwrap();
    assert!(journal.close().is_err());
    drop(journal);
    assert!(matches!(bench.try_open(), Err(JournalError::Busy { .. })), "what hangs may still write");
    disk.release();
    let began = std::time::Instant::now();
    while bench.try_open().is_err() {
        assert!(began.elapsed() < Duration::from_secs(20));
    }
    assert_eq!(entries(&bench), acts(1..=2));
}

#[test]
fn t91_no_room_and_failing_writes_refuse_records_and_leave_no_trace() {
    let (bench, disk, journal) = on_a_disk(SHORT);
    settle(&journal, &act(1)).unwrap();
    let length = std::fs::metadata(bench.segment(1)).unwrap().len();
    for room in [length, length + 1, length + 20, length + 100] {
        disk.leave_room(Some(room));
        assert!(put(&journal, &act(9)).is_err(), "room for {}", room - length);
        assert_eq!(
            std::fs::metadata(bench.segment(1)).unwrap().len(),
            length,
            "the part that fitted is cut off"
        );
    }
    disk.leave_room(None);
    settle(&journal, &act(2)).unwrap();
    for step in [Step::Write, Step::Stat] {
        disk.fail(step, 1);
        assert!(put(&journal, &act(9)).is_err(), "{step:?}");
    }
    settle(&journal, &act(3)).unwrap();
    // Until it is seen: the flush that comes by itself could meet a single failure before this record waits for it.
    disk.fail(Step::Sync, u32::MAX);
    assert!(settle(&journal, &act(4)).is_err());
    disk.fail(Step::Sync, 0);
    recovered(&journal, &act(5));
    journal.close().unwrap();
    assert_eq!(entries(&bench), acts(1..=5), "what was not flushed was not taken back either");
    assert!(crate::journal::verify(&bench.dir()).unwrap().ok);
}

#[test]
fn those_who_wait_together_share_a_write() {
    let (bench, disk, journal) = on_a_disk(LONG);
    disk.hold(Step::Write);
    let first = journal.append(&act(0)).unwrap();
    std::thread::scope(|scope| {
        scope.spawn(|| block_on(journal.written(first)).unwrap());
        disk.wait_until_hanging();
        let before = disk.writes();
        let positions: Vec<_> = (1..=40).map(|number| journal.append(&act(number)).unwrap()).collect();
        let journal = &journal;
        let wait = |position| scope.spawn(move || block_on(journal.written(position)));
        let waiting: Vec<_> = positions.into_iter().map(wait).collect();
        disk.release();
        for waiter in waiting {
            waiter.join().unwrap().unwrap();
        }
        assert_eq!(disk.writes() - before, 2, "the one that hung, and one for forty");
    });
    assert_eq!(entries(&bench), acts(0..=40));
}
