//! Placeholders of tokens that replies brought.

use super::read::Fields;
use super::write::{changed, millis};
use crate::StoreError;
use cloakroom_model::{CapturedRecord, CoreId, SealedSecret, Timestamp};
use rusqlite::{Connection, params};
use std::time::Duration;

/// How long the placeholder of a token that has ended is still recognised.
const RECOGNISED: Duration = Duration::from_secs(24 * 3600);

pub(super) fn all(db: &Connection) -> Result<Vec<CapturedRecord>, StoreError> {
    super::read::all(db, "SELECT *, core AS id FROM captured ORDER BY made, core", captured)
}

pub(super) fn keep(db: &Connection, row: &CapturedRecord) -> Result<(), StoreError> {
    let sql = "DELETE FROM captured WHERE ends < ?1";
    changed(db, sql, params![millis(row.made.minus(RECOGNISED))])?;
    let sql = "UPDATE captured SET sealed = NULL WHERE ends <= ?1 AND sealed IS NOT NULL";
    changed(db, sql, params![millis(row.made)])?;
    // What was revoked or removed during the exchange had its triggers: what is sealed now would stay.
    let sql = "INSERT INTO captured (core, text, placeholder, token, sealed, made, ends) 
               SELECT ?1, ?2, ?3, ?4, CASE WHEN EXISTS (
                   SELECT 1 FROM placeholder JOIN credential ON credential.id = placeholder.credential
                   WHERE placeholder.id = ?3 AND placeholder.state NOT IN ('revoked', 'denied') AND credential.removed IS NULL
               ) THEN ?5 END, ?6, ?7 WHERE true
               ON CONFLICT (core) DO UPDATE SET sealed = excluded.sealed, made = excluded.made, ends = excluded.ends";
    let values = params![
        row.core.to_string(),
        row.text.to_string(),
        row.placeholder.to_string(),
        row.token.as_str(),
        row.sealed.as_ref().map(|sealed| &sealed.0),
        millis(row.made),
        row.ends.map(millis),
    ];
    changed(db, sql, values).map(drop)
}

pub(super) fn forget(db: &Connection, cores: &[CoreId]) -> Result<(), StoreError> {
    for core in cores {
        changed(db, "DELETE FROM captured WHERE core = ?1", [core.to_string()])?;
    }
    Ok(())
}

fn captured(row: &Fields<'_, '_>) -> Result<CapturedRecord, StoreError> {
    let made: Timestamp = row.time("made")?;
    Ok(CapturedRecord {
        core: row.text("core", TryInto::try_into)?,
        text: row.text("text", TryInto::try_into)?,
        placeholder: row.text("placeholder", |text| text.parse())?,
        token: row.text("token", |text| text.parse())?,
        sealed: row.plain::<Option<Vec<u8>>>("sealed")?.map(SealedSecret),
        made,
        ends: row.optional_time("ends")?,
    })
}
