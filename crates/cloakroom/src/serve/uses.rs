//! Counting the uses of placeholders anew at a start: the journal has the truth, the rows are a copy. And whether all of it is an
//! older copy: then nothing is used before an operator has looked.

use super::open::of_store;
use crate::data_dir::{DataDir, read_if_there};
use crate::failure::Failure;
use cloakroom_model::{Change, EventKind, Life, Rows, SecurityEvent, Timestamp};
use cloakroom_store::journal::{self, Entry, Head, Journal};
use cloakroom_store::{Epoch, EpochError, Events, Found, Recounted, Store, Uses};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The epoch file, and how the journal stands to it.
pub(super) struct Kept {
    epoch: Option<Epoch>,
    older: Option<String>,
    /// Says that the directory was restored from a backup, until that is seen to.
    restored: Option<PathBuf>,
}

/// What the journal adds up to, before anything is appended to it.
pub(super) async fn recount(
    data: &DataDir,
    journal: &Journal,
    store: &dyn Store,
    rows: &Rows,
) -> Result<Recounted, Failure> {
    let books = store.books().await.map_err(of_store)?;
    let last = journal.head()?.records;
    Ok(cloakroom_store::recount(&data.journal(), last, books, &rows.placeholders)?)
}

/// Opens the epoch file, where one is configured, and holds the journal against it. Before anything is appended.
pub(super) fn epoch(
    data: &DataDir,
    file: Option<&Path>,
    journal: &Journal,
    recounted: &Recounted,
) -> Result<Kept, Failure> {
    let path = data.path().join("restored");
    let said = read_if_there(&path)?;
    let restored = said.as_ref().map(|_| path);
    let said = said.map(|said| String::from_utf8_lossy(&said).into_owned());
    let Some(file) = file else {
        if recounted.had_epoch {
            tracing::warn!(
                "an epoch file was kept before, and [epoch] names none: an older copy would not be noticed"
            );
        }
        return Ok(Kept { epoch: None, older: said, restored });
    };
    let file = std::path::absolute(file).map_err(|error| Failure::file("find", file, &error))?;
    if file.starts_with(data.path()) {
        return Err(Failure::bad_input("the epoch file is inside the data directory").hinting(
            "name a file elsewhere, best on another disk: a copy of the directory would bring its own epoch",
        ));
    }
    let key = data.journal().join("key.pub");
    let identity = std::fs::read(&key).map_err(|error| Failure::file("read", &key, &error))?;
    let (epoch, found) = Epoch::open(&file, &identity).map_err(of_epoch)?;
    let older = match found {
        Found::Reached(known) => parted(data, journal.head()?, known),
        // It was there before: whoever took it away may have taken more.
        Found::Nothing if recounted.had_epoch => Some("no epoch file where there was one".into()),
        Found::Nothing => None,
    };
    // A file that knows of nothing beyond the restored journal proves that nothing was used after the backup: no counted call goes out before
    // the file knows of it.
    let older = older.or(said.filter(|_| found == Found::Nothing));
    Ok(Kept { epoch: Some(epoch), older, restored })
}

/// How the journal differs from what the epoch file knows of it. One that has grown as long again is no less an older copy.
fn parted(data: &DataDir, now: Head, known: Head) -> Option<String> {
    if now.records < known.records {
        return Some(format!("{} records of {}", now.records, known.records));
    }
    match journal::root(&data.journal(), known.records) {
        Ok(root) if root == known.root => None,
        Ok(_) => Some(format!("other records among the first {}", known.records)),
        Err(error) => Some(error.to_string()),
    }
}

/// Says what did not agree, and brings the rows up to date: from here on they do.
pub(super) async fn begin(
    recounted: Recounted,
    Kept { epoch, older, restored }: Kept,
    journal: &Arc<Journal>,
    store: &dyn Store,
    events: &Events,
) -> Result<Arc<Uses>, Failure> {
    for disagreement in &recounted.disagreements {
        tracing::error!(%disagreement, "the store and the journal disagree about uses; the higher count holds");
        let event = SecurityEvent::new(EventKind::RecordsDisagree);
        events.raise(event.with(|event| event.placeholder = disagreement.placeholder()));
    }
    if let Some(how) = older {
        if restored.is_some() {
            tracing::error!(%how, "the data directory was restored from a backup: every placeholder is frozen until it is thawed");
        } else {
            tracing::error!(%how, "the data directory is an older copy than the epoch file knows: every placeholder is frozen until it is thawed");
        }
        events.raise(SecurityEvent::new(EventKind::RolledBack));
        freeze(journal, store, &how).await?;
    }
    if let Some(path) = restored {
        // Only now: a start that dies before finds it again.
        std::fs::remove_file(&path).map_err(|error| Failure::file("remove", &path, &error))?;
    }
    if let Some(epoch) = &epoch {
        // Only now: a start that dies before finds the same again.
        epoch.begin_at(journal.on_disk()).await.map_err(of_epoch)?;
    }
    let uses = Uses::new(Arc::clone(journal), recounted, epoch);
    uses.copy_to(store).await.map_err(|error| Failure::failed(error.to_string()))?;
    Ok(uses)
}

/// Freezes whatever counts or could be granted: what was spent or revoked since the copy was made is not known any more.
async fn freeze(journal: &Journal, store: &dyn Store, how: &str) -> Result<(), Failure> {
    let at = Timestamp::now();
    let entry = Entry::Act {
        at,
        act: "placeholders frozen".into(),
        subject: format!("all: {how}"),
        name: None,
        by: "epoch".into(),
    };
    journal.durable(journal.append(&entry)?).await?;
    let rows = store.load().await.map_err(of_store)?;
    let freezes = |life: Life| {
        life.after(Change::Freeze, at).is_some_and(|next| life.frozen().is_none() && next != life)
    };
    let standing = rows.placeholders.iter().filter(|row| freezes(row.life())).map(|row| row.id).collect();
    store.note_rollback(at).await.map_err(of_store)?;
    store.change_placeholders(standing, Change::Freeze, at).await.map_err(of_store)
}

fn of_epoch(error: EpochError) -> Failure {
    let hint = match &error {
        EpochError::Failed { .. } => {
            "[epoch] file names a file that the broker's user can write, outside the data directory"
        }
        EpochError::Another(_) => "give each broker an epoch file of its own",
        EpochError::Damaged(_) => {
            "if you know that the data directory is the latest, move the file away: the start then freezes all placeholders, and you thaw what you trust"
        }
    };
    Failure::failed(error.to_string()).hinting(hint)
}
