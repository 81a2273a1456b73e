//! Segments that leave the journal, in order: the signed word that they did goes before them, and the tree stays whole.

use super::key::{SigningKey, create};
use super::note::PublicKey;
use super::segment::{self, MISSING, Segment};
use super::tail::Tail;
use super::tree::Frontier;
use super::{Entry, JournalError, JournalSettings};
use cloakroom_model::Timestamp;
use std::io::ErrorKind;
use std::path::Path;
use std::time::{Duration, SystemTime};

/// A signed checkpoint of all that has left, and up to which segment, beside the segments.
pub(super) const RETIRED: &str = "retired";
/// Begins the line that names that segment.
pub(super) const UPTO: &str = "retired up to ";

/// Which finished segments stay. Without bounds all do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Keep {
    /// The oldest leave while all together are larger than this.
    pub bytes: Option<u64>,
    /// Those leave that were finished longer ago than this.
    pub age: Option<Duration>,
    /// So many of the latest records stay in any case: a start counts uses from the last two tallies on.
    pub records: u64,
}

impl Default for Keep {
    fn default() -> Self {
        Self { bytes: None, age: None, records: 1 << 16 }
    }
}

impl Keep {
    /// How many of the finished segments, oldest first, have to leave: each with its size and when it was written last.
    fn surplus(&self, finished: &[(u64, SystemTime)], now: SystemTime) -> usize {
        let mut total: u64 = finished.iter().map(|(bytes, _)| bytes).sum();
        let mut leaving = 0;
        for (bytes, written) in finished {
            let too_much = self.bytes.is_some_and(|most| total > most);
            let age = now.duration_since(*written).unwrap_or_default();
            if !too_much && self.age.is_none_or(|longest| age <= longest) {
                break;
            }
            total -= bytes;
            leaving += 1;
        }
        leaving
    }
}

impl Tail {
    /// Lets the oldest segments go that need not be kept. What comes first survives what comes later: the record that says so, signed and
    /// flushed; the note beside the segments; and only then do the files go.
    pub(super) fn retire(
        &mut self,
        settings: &JournalSettings,
        key: &SigningKey,
    ) -> Result<(), JournalError> {
        if settings.keep.bytes.is_none() && settings.keep.age.is_none() {
            return Ok(());
        }
        let dir = self.segment.path.parent().unwrap_or(Path::new(".")).to_owned();
        let mut segments = segment::list(&dir)?;
        segments.retain(|segment| segment.number < self.segment.number);
        let look = |segment: &Segment| {
            let found = self.disk.stat(&segment.path).and_then(|found| Ok((found.len(), found.modified()?)));
            found.map_err(|error| JournalError::at("read", &segment.path, &error))
        };
        let finished = segments.iter().map(look).collect::<Result<Vec<_>, _>>()?;
        segments.truncate(settings.keep.surplus(&finished, SystemTime::now()));
        while let Some(last) = segments.last() {
            let gone = Segment::new(&dir, last.number + 1).header()?.before;
            if gone.size() + settings.keep.records <= self.size() {
                return self.let_go(&dir, &segments, &gone, key);
            }
            segments.pop();
        }
        Ok(())
    }

    fn let_go(
        &mut self,
        dir: &Path,
        leaving: &[Segment],
        gone: &Frontier,
        key: &SigningKey,
    ) -> Result<(), JournalError> {
        let Some(last) = leaving.last() else { return Ok(()) };
        let (segment, records, root) = (last.name.clone(), gone.size(), gone.root().to_string());
        self.write_one(&Entry::Retired { at: Timestamp::now(), segment, records, root })?;
        self.checkpoint(key)?;
        self.flush_here()?;
        let note = key.sign(gone, &format!("{UPTO}{}\n", last.name));
        create(&dir.join(RETIRED), 0o600, note.as_bytes())?;
        for segment in leaving {
            std::fs::remove_file(&segment.path)
                .map_err(|error| JournalError::at("remove", &segment.path, &error))?;
        }
        tracing::info!(upto = last.name, records = gone.size(), "journal segments were retired");
        Ok(())
    }
}

/// Checks that the segments before `first` left in order. Someone who merely deletes them has no signature for it.
pub(super) fn require_beginning(dir: &Path, first: &Segment, key: &PublicKey) -> Result<(), JournalError> {
    if first.number == 1 {
        return Ok(());
    }
    let missing = |why: &str| Segment::new(dir, first.number - 1).damaged(0, 0, why);
    let path = dir.join(RETIRED);
    let note = match std::fs::read_to_string(&path) {
        Ok(note) => note,
        Err(error) if error.kind() == ErrorKind::NotFound => return Err(missing(MISSING)),
        Err(error) => return Err(JournalError::at("read", &path, &error)),
    };
    let bad = |why: &str| missing(&format!("{MISSING}, and \"{RETIRED}\" does not say that it left: {why}"));
    let text = key.open(&note).map_err(bad)?;
    let checkpoint = key.checkpoint(&note).map_err(bad)?;
    let upto =
        text.lines().find_map(|line| line.strip_prefix(UPTO)?.strip_suffix(".seg")?.parse::<u32>().ok());
    let header = first.header()?;
    match upto {
        Some(upto) if upto >= first.number - 1 && checkpoint.size >= header.before.size() => Ok(()),
        _ => Err(bad("it is about fewer segments")),
    }
}
