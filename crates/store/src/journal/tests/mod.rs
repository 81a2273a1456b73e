//! The journal under crashes, full disks and tampering.

mod browse;
mod concurrency;
mod faults;
mod faulty;
mod lines;
mod merkle;
mod notes;
mod proofs;
mod retention;
mod stalls;
mod tamper;
mod torn;

use super::{Entry, Journal, JournalError, JournalSettings, Keep, Position, Recovery};
use cloakroom_model::Timestamp;
use std::path::PathBuf;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;
use tempfile::TempDir;

/// A journal directory of its own, and the settings it is opened with.
struct Bench {
    root: TempDir,
    settings: JournalSettings,
}

impl Bench {
    fn new(segment_bytes: u64, checkpoint_every: u64) -> Self {
        let settings = JournalSettings {
            segment_bytes,
            flush_every: Duration::from_millis(5),
            checkpoint_every,
            checkpoint_within: Duration::from_secs(3600),
            write_timeout: Duration::from_secs(60),
            keep: Keep { records: 0, ..Keep::default() },
        };
        Self { root: tempfile::tempdir().unwrap(), settings }
    }

    fn roomy() -> Self {
        Self::new(1 << 30, 1_000_000)
    }

    /// One whose files are flushed only on demand: no flush meets a file that a test has moved away.
    fn unhurried() -> Self {
        let mut bench = Self::roomy();
        bench.settings.flush_every = Duration::from_secs(3600);
        bench
    }

    fn dir(&self) -> PathBuf {
        self.root.path().join("journal")
    }

    fn key(&self) -> PathBuf {
        self.root.path().join("key")
    }

    fn segment(&self, number: u32) -> PathBuf {
        self.dir().join(format!("{number:08}.seg"))
    }

    fn try_open(&self) -> Result<(Arc<Journal>, Recovery), JournalError> {
        Journal::open(&self.dir(), &self.key(), self.settings.clone())
    }

    fn open(&self) -> Arc<Journal> {
        self.try_open().unwrap().0
    }

    /// Writes `count` entries and leaves as a crash would: without a last checkpoint.
    fn filled(self, count: u64) -> Self {
        let journal = self.open();
        for number in 1..=count {
            put(&journal, &act(number)).unwrap();
        }
        drop(journal);
        self
    }
}

/// Appends and waits until the record is written: on whatever thread, with no runtime.
fn put(journal: &Journal, entry: &Entry) -> Result<Position, JournalError> {
    let position = journal.append(entry)?;
    block_on(journal.written(position)).map(|()| position)
}

/// Waits on this thread, without a runtime.
fn block_on<T>(future: impl Future<Output = T>) -> T {
    struct Unpark(std::thread::Thread);
    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let mut future = std::pin::pin!(future);
    let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
            return output;
        }
        std::thread::park();
    }
}

fn act(number: u64) -> Entry {
    Entry::Act {
        at: Timestamp::from_millis(1_700_000_000_000 + number),
        act: "credential added".into(),
        subject: format!("cred_{number}"),
        name: None,
        by: "operator".into(),
    }
}

fn acts(numbers: std::ops::RangeInclusive<u64>) -> Vec<Entry> {
    numbers.map(act).collect()
}

/// Where the first record of a segment stands.
fn start_of(segment: &[u8]) -> usize {
    super::frame::Header::decode(segment).unwrap().1
}

fn entries(bench: &Bench) -> Vec<Entry> {
    super::read(&bench.dir(), 0).unwrap().into_iter().map(|record| record.entry).collect()
}

#[test]
fn what_was_appended_is_read_back_in_order_across_openings_and_segments() {
    let bench = Bench::new(900, 3).filled(10);
    let (journal, recovery) = bench.try_open().unwrap();
    assert_eq!(recovery.truncated_bytes, 0);
    assert!(recovery.records > 10, "checkpoints count too");
    journal.append(&act(11)).unwrap();
    journal.close().unwrap();
    drop(journal);
    assert_eq!(entries(&bench), acts(1..=11));
    let verdict = super::verify(&bench.dir()).unwrap();
    assert!(verdict.ok && verdict.segments > 3 && verdict.checkpoints > 3, "{verdict:?}");
    assert_eq!(verdict.signed, verdict.records - 1, "closing signs all there is");
    assert_eq!(verdict.root, bench.open().head().unwrap().root.to_string());
}

#[test]
fn reading_since_a_position_leaves_out_what_came_before() {
    let bench = Bench::new(900, 3).filled(20);
    let all = super::read(&bench.dir(), 0).unwrap();
    for record in &all {
        let later = super::read(&bench.dir(), record.sequence).unwrap();
        let expected = all.iter().filter(|other| other.sequence > record.sequence).count();
        assert_eq!(later.len(), expected);
    }
}

#[test]
fn a_closed_journal_refuses_records() {
    let bench = Bench::roomy();
    let journal = bench.open();
    let position = journal.append(&act(1)).unwrap();
    journal.close().unwrap();
    assert_eq!(block_on(journal.written(position)), Ok(()));
    assert!(matches!(journal.append(&act(2)), Err(JournalError::Failed(_))));
    journal.close().unwrap();
    assert_eq!(entries(&bench), acts(1..=1));
}

#[test]
fn two_brokers_cannot_have_one_journal() {
    let bench = Bench::roomy();
    let first = bench.open();
    assert!(matches!(bench.try_open(), Err(JournalError::Busy { .. })));
    first.append(&act(1)).unwrap();
    drop(first);
    bench.open();
}

#[test]
fn files_are_private_and_a_key_that_others_can_read_is_refused() {
    use std::os::unix::fs::PermissionsExt;
    let bench = Bench::roomy().filled(1);
    let mode = |path: PathBuf| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(bench.dir()), mode(bench.key()), mode(bench.segment(1))), (0o700, 0o600, 0o600));
    std::fs::set_permissions(bench.key(), std::fs::Permissions::from_mode(0o640)).unwrap();
    assert!(matches!(bench.try_open(), Err(JournalError::Key { .. })));
}

#[test]
fn a_lost_or_another_signing_key_is_not_replaced_in_silence() {
    let bench = Bench::roomy().filled(1);
    std::fs::rename(bench.key(), bench.root.path().join("aside")).unwrap();
    assert!(matches!(bench.try_open(), Err(JournalError::Key { .. })));
    let other = Bench::roomy().filled(1);
    std::fs::rename(other.key(), bench.key()).unwrap();
    assert!(matches!(bench.try_open(), Err(JournalError::Key { .. })));
    std::fs::rename(bench.root.path().join("aside"), bench.key()).unwrap();
    bench.open();
}

#[test]
fn a_record_has_a_longest_length_and_the_next_one_is_written() {
    let bench = Bench::roomy();
    let journal = bench.open();
    let long = Entry::Start { at: Timestamp::from_millis(1), version: "v".repeat(super::frame::LONGEST) };
    assert!(matches!(journal.append(&long), Err(JournalError::Failed(_))));
    put(&journal, &act(1)).unwrap();
    assert_eq!(journal.head().unwrap().records, 1);
    assert_eq!(entries(&bench), acts(1..=1));
}
