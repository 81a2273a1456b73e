//! Changes of a placeholder's life: read, changed as `Life::after` says, written back, in one savepoint.

use super::read::Fields;
use super::write::{changed, millis};
use crate::StoreError;
use cloakroom_model::{Change, Life, PlaceholderId, Timestamp};
use rusqlite::{Connection, params};

pub(super) fn change_each(
    db: &Connection,
    ids: &[PlaceholderId],
    change: Change,
    at: Timestamp,
) -> Result<(), StoreError> {
    ids.iter().try_for_each(|id| self::change(db, &id.to_string(), change, at))
}

/// Conflict where the change is not possible.
pub(super) fn change(db: &Connection, id: &str, change: Change, at: Timestamp) -> Result<(), StoreError> {
    match change_if_possible(db, id, change, at)? {
        Ok(()) => Ok(()),
        Err(life) => Err(StoreError::Conflict(format!(
            "placeholder {id} is {}: not possible any more: {}",
            life.stage(),
            change.act()
        ))),
    }
}

/// The life as it stays where the change is not possible.
pub(super) fn change_if_possible(
    db: &Connection,
    id: &str,
    change: Change,
    at: Timestamp,
) -> Result<Result<(), Life>, StoreError> {
    let life = of(db, id)?;
    let Some(next) = life.after(change, at) else { return Ok(Err(life)) };
    // The one statement that changes a life. Nobody writes between the look and this: there is one writer.
    let sql = "UPDATE placeholder SET state = ?2, frozen = ?3, ended = ?4 WHERE id = ?1";
    let (frozen, end) = (next.frozen().map(millis), next.end().map(|end| end.as_str()));
    changed(db, sql, params![id, next.state().as_str(), frozen, end])?;
    Ok(Ok(()))
}

fn of(db: &Connection, id: &str) -> Result<Life, StoreError> {
    let mut statement =
        db.prepare_cached("SELECT id, state, frozen, ended FROM placeholder WHERE id = ?1")?;
    let mut rows = statement.query([id])?;
    let row = rows.next()?.ok_or_else(|| StoreError::missing("placeholder", id))?;
    Fields(row).life()
}
