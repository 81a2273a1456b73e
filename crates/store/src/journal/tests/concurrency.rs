//! Many writers, many waiters, a reader beside them.

use super::*;
use std::cell::Cell;
use std::rc::Rc;
use std::sync::Mutex;

#[test]
fn concurrent_records_each_get_their_own_position_and_become_durable() {
    let bench = Bench::new(20_000, 50);
    let journal = bench.open();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(4).build().unwrap();
    let mut positions: Vec<u64> = runtime.block_on(async {
        let tasks: Vec<_> = (1..=400)
            .map(|number| {
                let journal = Arc::clone(&journal);
                tokio::spawn(async move {
                    let position = journal.append(&act(number)).unwrap();
                    journal.durable(position).await.unwrap();
                    position.0
                })
            })
            .collect();
        let mut positions = Vec::new();
        for task in tasks {
            positions.push(task.await.unwrap());
        }
        positions
    });
    positions.sort_unstable();
    positions.dedup();
    assert_eq!(positions.len(), 400);
    journal.close().unwrap();
    let verdict = crate::journal::verify(&bench.dir()).unwrap();
    assert!(verdict.ok && verdict.segments > 2, "{verdict:?}");
    assert_eq!(entries(&bench).len(), 400);
}

#[test]
fn verifying_beside_a_running_writer_never_finds_damage() {
    let bench = Bench::new(8_000, 7);
    let journal = bench.open();
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| {
            let appended = (1..=1500).all(|number| match number % 5 {
                0 => put(&journal, &act(number)).is_ok(),
                _ => journal.append(&act(number)).is_ok(),
            });
            appended && journal.write_out().is_ok()
        });
        let mut rounds = 0;
        while !writer.is_finished() || rounds == 0 {
            let verdict = crate::journal::verify(&bench.dir()).unwrap();
            assert!(verdict.ok, "{verdict:?}");
            crate::journal::read(&bench.dir(), 3).unwrap();
            rounds += 1;
        }
        assert!(writer.join().unwrap());
    });
    assert_eq!(entries(&bench), acts(1..=1500));
}

#[tokio::test]
async fn a_position_that_does_not_exist_is_not_waited_for() {
    let bench = Bench::roomy();
    let journal = bench.open();
    assert!(journal.durable(Position(7)).await.is_err());
}

#[tokio::test]
async fn what_was_written_before_closing_is_durable_after_it() {
    let bench = Bench::roomy();
    let journal = bench.open();
    let position = journal.append(&act(1)).unwrap();
    journal.close().unwrap();
    journal.durable(position).await.unwrap();
}

/// Prints what a record costs: `cargo test -p cloakroom-store --release a_record_costs -- --nocapture`.
#[test]
#[expect(clippy::print_stdout, reason = "a figure for people, asserted nowhere")]
fn a_record_costs() {
    let bench = Bench::new(64 << 20, 1000);
    let journal = bench.open();
    let rounds = 20_000;
    let start = std::time::Instant::now();
    for number in 0..rounds {
        put(&journal, &act(number)).unwrap();
    }
    let each = start.elapsed().as_nanos() / u128::from(rounds);
    println!("append and wait: {each} ns a record, checkpoints and flushes in the background included");
    assert_eq!(entries(&bench).len() as u64, rounds);
}

/// Each task is a workload: it appends, waits, and only then acts. Its acts are what a crash must not outlive.
#[test]
fn t64_whatever_was_called_written_is_in_the_files_in_order_at_any_moment() {
    let bench = Bench::new(40_000, 97);
    let journal = bench.open();
    let written = Mutex::new(0);
    std::thread::scope(|scope| {
        for thread in 0..3 {
            let (journal, written) = (&journal, &written);
            scope.spawn(move || {
                let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
                let tasks = tokio::task::LocalSet::new();
                let calls = Rc::new(Cell::new(0));
                for task in 0..16 {
                    let (journal, calls) = (Arc::clone(journal), Rc::clone(&calls));
                    tasks.spawn_local(async move {
                        for call in 0..25 {
                            let number = 10_000 * (thread + 1) + 100 * task + call;
                            let position = journal.append(&act(number)).unwrap();
                            journal.written(position).await.unwrap();
                            journal.append(&act(number + 100_000)).unwrap();
                            calls.set(calls.get() + 1);
                        }
                    });
                }
                runtime.block_on(tasks);
                *written.lock().unwrap() += calls.get();
            });
        }
        // Copies of the files are what a crash at that moment would leave.
        let mut known: Vec<Entry> = Vec::new();
        loop {
            let done = *written.lock().unwrap() == 3 * 16 * 25;
            let now = entries(&bench);
            assert!(now.starts_with(&known), "what was once on record stays, in order");
            known = now;
            if done {
                break;
            }
        }
        let intents = known.iter().filter(|entry| at(entry) < 1_700_000_100_000).count();
        assert_eq!(intents, 3 * 16 * 25, "every record that was waited for");
    });
    journal.close().unwrap();
    let all = entries(&bench);
    assert_eq!(all.len(), 2 * 3 * 16 * 25);
    for task in (1..=3).flat_map(|thread| (0..16).map(move |task| 10_000 * thread + 100 * task)) {
        let number = |call: u64| [task + call, task + call + 100_000];
        let mine: Vec<_> = (0..25).flat_map(number).map(act).collect();
        let found: Vec<_> = all.iter().filter(|entry| mine.contains(entry)).cloned().collect();
        assert_eq!(found.len(), mine.len());
        assert!(found == mine, "the records of task {task} are out of order");
    }
    let verdict = crate::journal::verify(&bench.dir()).unwrap();
    assert!(verdict.ok && verdict.segments > 5 && verdict.checkpoints > 20, "{verdict:?}");
}

fn at(entry: &Entry) -> u64 {
    match entry {
        Entry::Act { at, .. } => at.millis(),
        _ => panic!("only acts were written"),
    }
}

#[test]
fn what_nobody_waits_for_is_written_soon_and_wakes_the_thread_again_after_it_slept() {
    let bench = Bench::unhurried();
    let journal = bench.open();
    for number in 1..=5 {
        journal.append(&act(number)).unwrap();
        let began = std::time::Instant::now();
        while entries(&bench).len() as u64 != number {
            assert!(began.elapsed() < Duration::from_secs(20), "record {number} is not written");
            std::thread::yield_now();
        }
        // Until the thread has gone to sleep.
        while journal.is_watched() {
            assert!(began.elapsed() < Duration::from_secs(20), "the thread looks for ever");
            std::thread::yield_now();
        }
    }
}

#[test]
fn a_queue_that_is_full_is_written_by_whoever_appends_next() {
    let bench = Bench::roomy();
    let journal = bench.open();
    let long = Entry::Start { at: Timestamp::from_millis(1), version: "v".repeat(100_000) };
    for _ in 0..100 {
        journal.append(&long).unwrap();
        let waiting = journal.waiting_bytes();
        assert!(waiting < crate::journal::queue::FULL + 101_000, "{waiting} bytes wait");
    }
    journal.close().unwrap();
    assert_eq!(entries(&bench).len(), 100);
}

/// As `now_or_never` does with a body that is ready or not.
#[test]
fn who_was_polled_in_passing_is_woken_where_it_is_awaited() {
    let bench = Bench::new(20_000, 50);
    let journal = bench.open();
    for number in 1..=20 {
        let position = journal.append(&act(number)).unwrap();
        let mut written = Box::pin(journal.written(position));
        let passing = written.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        if passing.is_pending() {
            block_on(written).unwrap();
        }
        let mut durable = Box::pin(journal.durable(position));
        if durable.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending() {
            block_on(durable).unwrap();
        }
    }
}
