//! Many writers, many waiters, a reader beside them.

use super::*;

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
        let writer = scope.spawn(|| (1..=1500).all(|number| journal.append(&act(number)).is_ok()));
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
        journal.append(&act(number)).unwrap();
    }
    let each = start.elapsed().as_nanos() / u128::from(rounds);
    println!("append: {each} ns a record, checkpoints and flushes in the background included");
    assert_eq!(entries(&bench).len() as u64, rounds);
}
