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
    let refused = (1..10_000).find_map(|number| journal.append(&act(number)).err());
    assert!(matches!(refused, Some(JournalError::Failed(_))), "{refused:?}");
    let again = journal.append(&act(1));
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
    journal.append(&act(1_000_000)).unwrap();
    journal.close().unwrap();
    println!("refused, then recovered");
}

#[tokio::test]
async fn t91_a_failed_flush_refuses_records_until_one_succeeds_and_nothing_is_lost() {
    let mut bench = Bench::roomy();
    bench.settings.flush_every = Duration::from_secs(3600);
    let journal = bench.open();
    let first = journal.append(&act(1)).unwrap();
    journal.durable(first).await.unwrap();
    journal.fail_flushes(2);
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
fn t90_a_segment_that_is_deleted_while_in_use_is_noticed_at_the_next_record() {
    let bench = Bench::roomy();
    let journal = bench.open();
    journal.append(&act(1)).unwrap();
    std::fs::remove_file(bench.segment(1)).unwrap();
    let error = journal.append(&act(2)).unwrap_err().to_string();
    assert!(error.contains("deleted"), "{error}");
}

#[test]
fn t90_a_segment_that_is_cut_or_lengthened_while_in_use_is_noticed_at_the_next_record() {
    let bench = Bench::roomy();
    let journal = bench.open();
    journal.append(&act(1)).unwrap();
    let file = std::fs::OpenOptions::new().write(true).open(bench.segment(1)).unwrap();
    let length = file.metadata().unwrap().len();
    for other in [length - 1, length + 1] {
        file.set_len(other).unwrap();
        assert!(journal.append(&act(2)).is_err());
    }
}

#[tokio::test]
async fn t90_a_segment_that_is_moved_away_is_noticed_at_the_next_flush_and_may_be_moved_back() {
    let mut bench = Bench::roomy();
    bench.settings.flush_every = Duration::from_secs(3600);
    let journal = bench.open();
    let first = journal.append(&act(1)).unwrap();
    journal.durable(first).await.unwrap();
    let aside = bench.root.path().join("aside");
    std::fs::rename(bench.segment(1), &aside).unwrap();
    std::fs::copy(&aside, bench.segment(1)).unwrap();
    let second = journal.append(&act(2)).unwrap();
    assert!(journal.durable(second).await.is_err());
    assert!(journal.append(&act(3)).is_err());
    std::fs::rename(&aside, bench.segment(1)).unwrap();
    journal.durable(second).await.unwrap();
    journal.append(&act(3)).unwrap();
    assert_eq!(entries(&bench), acts(1..=3));
}
