//! What sources have lent.

use super::read::{self, Fields};
use super::write;
use crate::StoreError;
use cloakroom_model::{LeaseId, LeaseRecord, LeaseState, SealedSecret};
use rusqlite::{Connection, params};

/// Every lease, in id order.
pub(super) fn all(db: &Connection) -> Result<Vec<LeaseRecord>, StoreError> {
    read::all(db, "SELECT * FROM lease ORDER BY id", record)
}

/// Adds the row, or puts it in place of the one with its id.
pub(super) fn keep(db: &Connection, row: &LeaseRecord) -> Result<(), StoreError> {
    let sql = "INSERT INTO lease (id, credential, generation, state, sealed, asked, expires, attempts, trouble)
               VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)
               ON CONFLICT (id) DO UPDATE SET state = ?4, sealed = ?5, expires = ?7, attempts = ?8, trouble = ?9";
    let values = params![
        row.id.to_string(),
        row.credential.to_string(),
        row.generation,
        row.state.as_str(),
        row.sealed.0,
        write::millis(row.asked),
        row.expires.map(write::millis),
        row.attempts,
        row.trouble,
    ];
    write::insert(db, sql, "lease", values)
}

/// Forgets a lease that is gone.
pub(super) fn end(db: &Connection, id: LeaseId) -> Result<(), StoreError> {
    match write::changed(db, "DELETE FROM lease WHERE id = ?1", [id.to_string()])? {
        0 => Err(StoreError::missing("lease", id)),
        _ => Ok(()),
    }
}

fn record(row: &Fields<'_, '_>) -> Result<LeaseRecord, StoreError> {
    let state = |text: String| {
        LeaseState::ALL.into_iter().find(|state| state.as_str() == text).ok_or("no state of a lease")
    };
    Ok(LeaseRecord {
        id: row.text("id", |text| text.parse())?,
        credential: row.text("credential", |text| text.parse())?,
        generation: row.number("generation")?,
        state: row.text("state", state)?,
        sealed: SealedSecret(row.plain("sealed")?),
        asked: row.time("asked")?,
        expires: row.optional_time("expires")?,
        attempts: row.number("attempts")?,
        trouble: row.plain("trouble")?,
    })
}
