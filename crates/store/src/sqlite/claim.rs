//! Placeholders that wait to be fetched.

use super::read::Fields;
use super::write;
use crate::StoreError;
use cloakroom_model::{
    ApprovalRecord, ClaimRecord, Claimed, KeyedHash, PlaceholderId, PlaceholderRecord, Timestamp,
};
use rusqlite::{Connection, OptionalExtension, Params, params};

/// The placeholder, its approval and its claim: all or none.
pub(super) fn add(
    db: &Connection,
    row: &PlaceholderRecord,
    approval: &ApprovalRecord,
    claim: &ClaimRecord,
) -> Result<(), StoreError> {
    if claim.placeholder != row.id {
        return Err(StoreError::Conflict(format!("the claim is for {}", claim.placeholder)));
    }
    write::add_placeholder(db, row, approval)?;
    let sql = "INSERT INTO claim (code, placeholder, sealed, created, expires) VALUES (?1, ?2, ?3, ?4, ?5)";
    let values = params![
        claim.code.to_string(),
        claim.placeholder.to_string(),
        claim.sealed,
        write::millis(claim.created),
        write::millis(claim.expires),
    ];
    write::insert(db, sql, "claim", values)
}

pub(super) fn by_code(db: &Connection, code: KeyedHash) -> Result<Option<ClaimRecord>, StoreError> {
    one(db, "SELECT *, code AS id FROM claim WHERE code = ?1", [code.to_string()])
}

pub(super) fn of(db: &Connection, placeholder: PlaceholderId) -> Result<Option<ClaimRecord>, StoreError> {
    one(db, "SELECT *, code AS id FROM claim WHERE placeholder = ?1", [placeholder.to_string()])
}

/// What was sealed, to whoever comes first; `None` for everybody else.
pub(super) fn take(
    db: &Connection,
    code: KeyedHash,
    claimed: &Claimed,
) -> Result<Option<Vec<u8>>, StoreError> {
    let sql = "SELECT sealed FROM claim WHERE code = ?1 AND claimed IS NULL";
    let sealed = db.prepare_cached(sql)?.query_row([code.to_string()], |row| row.get(0)).optional()?;
    let sql =
        "UPDATE claim SET sealed = NULL, claimed = ?2, claimed_by = ?3 WHERE code = ?1 AND claimed IS NULL";
    let values = params![code.to_string(), write::millis(claimed.at), claimed.by];
    match db.prepare_cached(sql)?.execute(values)? {
        1 => Ok(sealed),
        _ => Ok(None),
    }
}

fn one(db: &Connection, sql: &str, values: impl Params) -> Result<Option<ClaimRecord>, StoreError> {
    let mut statement = db.prepare_cached(sql)?;
    let mut rows = statement.query(values)?;
    let Some(row) = rows.next()? else { return Ok(None) };
    let row = Fields(row);
    let at: Option<Timestamp> = row.optional_time("claimed")?;
    let by: Option<String> = row.plain("claimed_by")?;
    Ok(Some(ClaimRecord {
        code: row.text("code", TryInto::try_into)?,
        placeholder: row.text("placeholder", |text| text.parse())?,
        sealed: row.plain("sealed")?,
        created: row.time("created")?,
        expires: row.time("expires")?,
        claimed: at.zip(by).map(|(at, by)| Claimed { at, by }),
    }))
}
