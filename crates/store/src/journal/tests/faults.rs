//! Full disks, failing flushes, files taken away (T91).

use super::*;
use std::process::Command;

const CHILD: &str = "CLOAKROOM_TEST_FULL_DISK";

/// The limit on file size stands in for a full disk: the kernel cuts the write short, then refuses it. It is per process
/// and cannot be lifted by accident, so the test runs itself again in a child whose shell sets it.
#[test]
fn t91_a_full_disk_refuses_records_and_writing_goes_on_when_there_is_room() {
    let bench = Bench::roomy().filled(3);
    let name = "journal::tests::faults::the_child_that_meets_a_full_disk";
    let program = std::env::current_exe().unwrap();
    // XFSZ ignored: the write fails with EFBIG instead of killing the process. The soft limit (in blocks of 512 or 1024
    // bytes, as the shell counts) can be raised again by the child, as room returns to a disk.
    let script = "trap '' XFSZ; ulimit -S -f 8; exec \"$0\" \"$@\"";
    let output = Command::new("sh")
        .args(["-c", script])
        .arg(program)
        .args(["--exact", name, "--nocapture", "--test-threads=1"])
        .env(CHILD, bench.root.path())
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text}\n{}", String::from_utf8_lossy(&output.stderr));
    assert!(text.contains("refused, then recovered"), "the child did not run its part: {text}");
    let verdict = crate::journal::verify(&bench.dir()).unwrap();
    assert!(verdict.ok && verdict.unfinished_bytes == 0, "{verdict:?}");
    assert_eq!(entries(&bench).last(), Some(&act(1_000_000)));
}

/// Does nothing unless the test above runs it in a child.
#[test]
#[expect(clippy::print_stdout, reason = "tells the parent that this part ran")]
fn the_child_that_meets_a_full_disk() {
    let Ok(root) = std::env::var(CHILD) else { return };
    let (dir, key) = (format!("{root}/journal"), format!("{root}/key"));
    let settings = Bench::roomy().settings;
    let (journal, _) = Journal::open(dir.as_ref(), key.as_ref(), settings).unwrap();
    let refused = (1..10_000).find_map(|number| put(&journal, &act(number)).err());
    assert!(matches!(refused, Some(JournalError::Failed(_))), "{refused:?}");
    let again = put(&journal, &act(1));
    assert!(again.is_err(), "nothing has changed, so nothing is accepted");
    let read = crate::journal::verify(dir.as_ref()).unwrap();
    assert!(read.ok && read.unfinished_bytes == 0, "the failed write left nothing behind: {read:?}");
    rustix::process::setrlimit(
        rustix::process::Resource::Fsize,
        rustix::process::Rlimit {
            current: None,
            ..rustix::process::getrlimit(rustix::process::Resource::Fsize)
        },
    )
    .unwrap();
    put(&journal, &act(1_000_000)).unwrap();
    journal.close().unwrap();
    println!("refused, then recovered");
}

#[tokio::test]
async fn t91_a_failed_flush_refuses_records_until_one_succeeds_and_nothing_is_lost() {
    let (bench, disk) = (Bench::unhurried(), faulty::Faulty::new());
    let (journal, _) =
        Journal::open_on(Arc::clone(&disk) as Arc<_>, &bench.dir(), &bench.key(), bench.settings.clone())
            .unwrap();
    let first = journal.append(&act(1)).unwrap();
    journal.durable(first).await.unwrap();
    disk.fail(faulty::Step::Sync, 2);
    let second = journal.append(&act(2)).unwrap();
    assert!(journal.durable(second).await.is_err());
    assert!(journal.append(&act(9)).is_err(), "unflushed records may be lost: no more may build on them");
    assert!(journal.durable(second).await.is_err());
    journal.durable(second).await.unwrap();
    journal.append(&act(3)).unwrap();
    journal.close().unwrap();
    assert_eq!(entries(&bench), acts(1..=3));
    assert!(crate::journal::verify(&bench.dir()).unwrap().ok);
}

#[test]
fn t90_a_segment_that_is_deleted_while_in_use_is_noticed_at_the_next_record_and_put_back() {
    let bench = Bench::unhurried();
    let journal = bench.open();
    put(&journal, &act(1)).unwrap();
    std::fs::remove_file(bench.segment(1)).unwrap();
    let error = put(&journal, &act(9)).unwrap_err().to_string();
    assert!(error.contains("deleted"), "{error}");
    assert_eq!(entries(&bench), acts(1..=1), "what was acknowledged is there again");
    put(&journal, &act(2)).unwrap();
    journal.close().unwrap();
    assert_eq!(entries(&bench), acts(1..=2));
    assert!(crate::journal::verify(&bench.dir()).unwrap().ok);
}

#[tokio::test]
async fn t90_a_segment_that_is_deleted_before_a_flush_is_put_back_by_the_next_one() {
    let bench = Bench::unhurried();
    let journal = bench.open();
    let first = journal.append(&act(1)).unwrap();
    journal.written(first).await.unwrap();
    std::fs::remove_file(bench.segment(1)).unwrap();
    assert!(journal.durable(first).await.is_err());
    assert!(journal.append(&act(9)).is_err());
    journal.durable(first).await.unwrap();
    let second = journal.append(&act(2)).unwrap();
    journal.durable(second).await.unwrap();
    assert_eq!(entries(&bench), acts(1..=2));
}

#[test]
fn t90_a_segment_that_is_cut_or_lengthened_while_in_use_is_noticed_at_the_next_record() {
    let bench = Bench::unhurried();
    let journal = bench.open();
    put(&journal, &act(1)).unwrap();
    let file = std::fs::OpenOptions::new().write(true).open(bench.segment(1)).unwrap();
    let length = file.metadata().unwrap().len();
    let whole = std::fs::read(bench.segment(1)).unwrap();
    for other in [length - 1, length + 1] {
        file.set_len(other).unwrap();
        assert!(put(&journal, &act(2)).is_err());
    }
    std::fs::write(bench.segment(1), whole).unwrap();
    put(&journal, &act(2)).unwrap();
    assert_eq!(entries(&bench), acts(1..=2));
}

#[test]
fn t90_something_else_in_the_place_of_a_segment_is_left_alone_and_refuses_records_until_it_goes() {
    let bench = Bench::unhurried();
    let journal = bench.open();
    put(&journal, &act(1)).unwrap();
    let aside = bench.root.path().join("aside");
    let refused = || put(&journal, &act(9)).unwrap_err().to_string();
    std::fs::rename(bench.segment(1), &aside).unwrap();
    std::fs::copy(&aside, bench.segment(1)).unwrap();
    assert!(refused().contains("replaced") && refused().contains("replaced"), "by a copy");
    std::fs::remove_file(bench.segment(1)).unwrap();
    std::fs::create_dir(bench.segment(1)).unwrap();
    assert!(refused().contains("replaced"), "by a directory");
    std::fs::remove_dir(bench.segment(1)).unwrap();
    assert!(Command::new("mkfifo").arg(bench.segment(1)).status().unwrap().success());
    assert!(refused().contains("replaced"), "by a pipe, which nobody reads");
    std::fs::rename(&aside, bench.segment(1)).unwrap();
    put(&journal, &act(2)).unwrap();
    std::fs::rename(bench.segment(1), &aside).unwrap();
    assert!(refused().contains("moved away"));
    put(&journal, &act(3)).unwrap();
    journal.close().unwrap();
    assert_eq!(entries(&bench), acts(1..=3));
    assert!(crate::journal::verify(&bench.dir()).unwrap().ok);
}

#[tokio::test]
async fn t90_a_segment_that_is_moved_away_before_a_flush_is_noticed_by_it() {
    let bench = Bench::unhurried();
    let journal = bench.open();
    let first = journal.append(&act(1)).unwrap();
    journal.written(first).await.unwrap();
    let aside = bench.root.path().join("aside");
    std::fs::rename(bench.segment(1), &aside).unwrap();
    std::fs::copy(&aside, bench.segment(1)).unwrap();
    assert!(journal.durable(first).await.is_err());
    assert!(journal.append(&act(3)).is_err());
    std::fs::rename(&aside, bench.segment(1)).unwrap();
    journal.durable(first).await.unwrap();
    let second = journal.append(&act(2)).unwrap();
    journal.durable(second).await.unwrap();
    assert_eq!(entries(&bench), acts(1..=2));
}

/// Nobody waits for it until it is lost: those who ask then are told.
#[tokio::test]
async fn t91_a_batch_that_cannot_be_written_is_lost_as_a_whole_and_the_next_one_goes_on() {
    let bench = Bench::unhurried().filled(1);
    let journal = bench.open();
    let aside = bench.root.path().join("aside");
    std::fs::rename(bench.segment(1), &aside).unwrap();
    std::fs::copy(&aside, bench.segment(1)).unwrap();
    let lost: Vec<_> = (10..20).map(|number| journal.append(&act(number)).unwrap()).collect();
    journal.write_out().unwrap();
    std::fs::rename(&aside, bench.segment(1)).unwrap();
    let kept = journal.append(&act(2)).unwrap();
    for position in lost {
        assert!(journal.written(position).await.is_err());
        assert!(journal.durable(position).await.is_err());
    }
    journal.written(kept).await.unwrap();
    journal.durable(kept).await.unwrap();
    journal.close().unwrap();
    assert_eq!(entries(&bench), acts(1..=2));
    let verdict = crate::journal::verify(&bench.dir()).unwrap();
    assert!(verdict.ok && verdict.records == 3, "two acts and a checkpoint: {verdict:?}");
}
