//! How far this broker's journal has come, kept outside its data directory: an older copy of the directory has come less far.

use crate::fault;
use crate::journal::{Hash, Head};
use cloakroom_model::hexadecimal;
use std::fs::{File, OpenOptions};
use std::io::ErrorKind;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::sync::Mutex;
use tokio::task::JoinHandle;

use aws_lc_rs::digest;

/// One of the two places in the file. They are written in turn, so a write that is cut short leaves the other.
const SLOT: usize = 512;
const WORD: &str = "cloakroom-epoch-2";

/// The file, open for as long as the broker runs.
///
/// ```text
/// cloakroom-epoch-2 BROKER RECORDS ROOT SHA-256\n    512 bytes, twice; the one with more records counts
/// ```
pub struct Epoch {
    path: PathBuf,
    file: Arc<File>,
    broker: String,
    /// Records that the file knows of.
    reached: AtomicU64,
    turn: Mutex<Turn>,
}

#[derive(Default)]
struct Turn {
    /// Slots that were written: which one is next.
    written: u64,
    /// A write that has not ended, because whoever wanted it waits for it, or has given up.
    under_way: Option<JoinHandle<std::io::Result<()>>>,
}

impl Turn {
    /// Waits for the write that is under way. A wait that is given up leaves it there for the next.
    async fn settle(&mut self) -> std::io::Result<()> {
        let Some(write) = &mut self.under_way else { return Ok(()) };
        let ended = write.await.unwrap_or_else(|_| Err(ErrorKind::Interrupted.into()));
        self.under_way = None;
        self.written += u64::from(ended.is_ok());
        ended
    }
}

/// What stood in the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found {
    /// There was no file.
    Nothing,
    /// The journal had come so far, at least.
    Reached(Head),
}

/// Why the file cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EpochError {
    /// It cannot be opened, read or written.
    #[error("the epoch file {file} cannot be {what}: {error}")]
    Failed {
        /// Which file.
        file: String,
        /// What was tried.
        what: &'static str,
        /// What the operating system said.
        error: String,
    },
    /// Another broker's.
    #[error("the epoch file {0} belongs to another broker")]
    Another(String),
    /// Neither of its two places can be read.
    #[error("the epoch file {0} is damaged")]
    Damaged(String),
}

impl Epoch {
    /// Opens the file, or makes it. `identity` is what tells this broker from others.
    ///
    /// # Errors
    /// When it cannot be used. Nothing was changed then.
    pub fn open(path: &Path, identity: &[u8]) -> Result<(Self, Found), EpochError> {
        let failed = |what, error: std::io::Error| EpochError::Failed {
            file: path.display().to_string(),
            what,
            error: error.to_string(),
        };
        let broker = hexadecimal(digest::digest(&digest::SHA256, identity).as_ref());
        let mut options = OpenOptions::new();
        options.read(true).write(true).mode(0o600);
        let (file, found) = match options.open(path) {
            Ok(file) => {
                let head = read(&file, path, &broker, |error| failed("read", error))?;
                (file, Found::Reached(head))
            }
            Err(error) if error.kind() == ErrorKind::NotFound => {
                let made = options.create_new(true).open(path).map_err(|error| failed("made", error))?;
                let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
                let directory = File::open(parent.unwrap_or(Path::new(".")));
                directory
                    .and_then(|directory| directory.sync_all())
                    .map_err(|error| failed("made", error))?;
                (made, Found::Nothing)
            }
            Err(error) => return Err(failed("opened", error)),
        };
        let reached = AtomicU64::new(if let Found::Reached(head) = found { head.records } else { 0 });
        let epoch =
            Self { path: path.to_owned(), file: Arc::new(file), broker, reached, turn: Mutex::default() };
        Ok((epoch, found))
    }

    /// Waits until the file says that the journal has `records`. Those who wait share a write: whoever comes first writes how far it
    /// has come by then, which is as far or further.
    ///
    /// # Errors
    /// When it cannot be written. What needs it must not happen.
    pub async fn reach(&self, records: u64, latest: impl Fn() -> Head) -> Result<(), EpochError> {
        if self.reached.load(Ordering::Acquire) >= records {
            return Ok(());
        }
        let mut turn = self.turn.lock().await;
        if self.reached.load(Ordering::Acquire) >= records {
            return Ok(());
        }
        self.write(&mut turn, latest()).await?;
        fault::point("epoch");
        Ok(())
    }

    /// Says that the journal has come so far, though the file may have known of more: whatever was to be done about it is done.
    ///
    /// # Errors
    /// When it cannot be written.
    pub async fn begin_at(&self, head: Head) -> Result<(), EpochError> {
        let mut turn = self.turn.lock().await;
        self.write(&mut turn, head).await?;
        self.write(&mut turn, head).await
    }

    async fn write(&self, turn: &mut Turn, head: Head) -> Result<(), EpochError> {
        // One that was given up may be under way: of two at once the older could end last. What came of it, the next one shows.
        let _ = turn.settle().await;
        let slot = slot(&self.broker, head);
        let (file, offset) = (Arc::clone(&self.file), turn.written % 2 * SLOT as u64);
        // The file may be on a slow disk of its own; other calls of this thread go on meanwhile.
        turn.under_way = Some(tokio::task::spawn_blocking(move || {
            file.write_all_at(&slot, offset)?;
            file.sync_data()
        }));
        turn.settle().await.map_err(|error| EpochError::Failed {
            file: self.path.display().to_string(),
            what: "written",
            error: error.to_string(),
        })?;
        self.reached.store(head.records, Ordering::Release);
        Ok(())
    }
}

fn slot(broker: &str, Head { records, root }: Head) -> [u8; SLOT] {
    let said = format!("{WORD} {broker} {records} {root}");
    let line = format!("{said} {}\n", hexadecimal(digest::digest(&digest::SHA256, said.as_bytes()).as_ref()));
    let mut slot = [b' '; SLOT];
    slot[..line.len()].copy_from_slice(line.as_bytes());
    slot[SLOT - 1] = b'\n';
    slot
}

fn read(
    file: &File,
    path: &Path,
    broker: &str,
    failed: impl Fn(std::io::Error) -> EpochError,
) -> Result<Head, EpochError> {
    let mut slots = Vec::new();
    for index in 0..2 {
        let mut bytes = [0; SLOT];
        match file.read_exact_at(&mut bytes, index * SLOT as u64) {
            Ok(()) => slots.extend(parse(&bytes)),
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => {}
            Err(error) => return Err(failed(error)),
        }
    }
    match slots.into_iter().max_by_key(|(head, _)| head.records) {
        Some((head, whose)) if whose == broker => Ok(head),
        Some(_) => Err(EpochError::Another(path.display().to_string())),
        None => Err(EpochError::Damaged(path.display().to_string())),
    }
}

/// How far the broker of one slot had come, where the slot is whole.
fn parse(bytes: &[u8; SLOT]) -> Option<(Head, String)> {
    let text = std::str::from_utf8(bytes).ok()?.lines().next()?;
    let (said, sum) = text.rsplit_once(' ')?;
    if sum != hexadecimal(digest::digest(&digest::SHA256, said.as_bytes()).as_ref()) {
        return None;
    }
    let mut words = said.strip_prefix(WORD)?.split_ascii_whitespace();
    let (broker, records, root) = (words.next()?, words.next()?, words.next()?);
    let head = Head { records: records.parse().ok()?, root: Hash::parse(root)? };
    words.next().is_none().then(|| (head, broker.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(records: u64) -> Head {
        Head { records, root: Hash::leaf(&records.to_le_bytes()) }
    }

    #[tokio::test]
    async fn what_was_reached_is_found_again_and_a_torn_write_leaves_what_was_there() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("epoch");
        let (epoch, found) = Epoch::open(&path, b"one").unwrap();
        assert_eq!(found, Found::Nothing);
        epoch.begin_at(head(3)).await.unwrap();
        for records in [5, 4, 9] {
            epoch.reach(records, || head(records)).await.unwrap();
        }
        drop(epoch);
        let found = |path: &Path| Epoch::open(path, b"one").map(|(_, found)| found);
        assert_eq!(found(&path), Ok(Found::Reached(head(9))));
        // 3 3 5 9: the second place is the last one written.
        let mut bytes = std::fs::read(&path).unwrap();
        bytes[SLOT + 90] ^= 1;
        std::fs::write(&path, &bytes).unwrap();
        assert_eq!(found(&path), Ok(Found::Reached(head(5))));
        bytes[20] ^= 1;
        std::fs::write(&path, &bytes).unwrap();
        assert_eq!(found(&path), Err(EpochError::Damaged(path.display().to_string())));
        std::fs::write(&path, "").unwrap();
        assert_eq!(found(&path), Err(EpochError::Damaged(path.display().to_string())));
    }

    #[tokio::test]
    async fn another_brokers_file_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("epoch");
        Epoch::open(&path, b"one").unwrap().0.begin_at(head(3)).await.unwrap();
        let another = Epoch::open(&path, b"two").map(|(_, found)| found);
        assert_eq!(another, Err(EpochError::Another(path.display().to_string())));
    }

    #[tokio::test]
    async fn those_who_wait_share_a_write() {
        let dir = tempfile::tempdir().unwrap();
        let (epoch, _) = Epoch::open(&dir.path().join("epoch"), b"one").unwrap();
        futures_join((1..=64).map(|records| epoch.reach(records, || head(64)))).await;
        assert_eq!(epoch.turn.lock().await.written, 1);
    }

    #[tokio::test]
    async fn a_write_that_nobody_waits_for_any_more_ends_before_the_next_begins() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("epoch");
        let (epoch, _) = Epoch::open(&path, b"one").unwrap();
        let (release, held) = std::sync::mpsc::channel::<()>();
        let stuck = tokio::task::spawn_blocking(move || {
            let _ = held.recv();
            Ok(())
        });
        epoch.turn.lock().await.under_way = Some(stuck);
        for _ in 0..2 {
            let wait = tokio::time::timeout(std::time::Duration::from_millis(1), epoch.reach(7, || head(7)));
            assert!(wait.await.is_err());
            assert_eq!(std::fs::read(&path).unwrap(), b"");
        }
        release.send(()).unwrap();
        epoch.reach(7, || head(7)).await.unwrap();
        assert_eq!(Epoch::open(&path, b"one").map(|(_, found)| found), Ok(Found::Reached(head(7))));
    }

    async fn futures_join<F: Future<Output = Result<(), EpochError>>>(all: impl Iterator<Item = F>) {
        for one in all {
            one.await.unwrap();
        }
    }
}
