//! The changes, each inside a savepoint that the caller opened: an error rolls back all that it did.

use super::life;
use crate::{Decision, SealedRow, StoreError};
use cloakroom_model::{
    ApprovalId, ApprovalRecord, ApproverChange, Change, CredentialId, CredentialRecord, KeyedHash,
    PlaceholderId, PlaceholderRecord, SealedSecret, Shape, Signature, Timestamp, WorkloadId, WorkloadRecord,
};
use rusqlite::{Connection, OptionalExtension, Params, params};
use serde::Serialize;

type Done = Result<(), StoreError>;

pub(super) fn add_credential(db: &Connection, row: &CredentialRecord) -> Done {
    free(db, "credential", row.name.as_str())?;
    let sql = "INSERT INTO credential (id, name, kind, destinations, shape, generation, sealed, created, rotated, removed)
               VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)";
    insert(
        db,
        sql,
        "credential",
        params![
            row.id.to_string(),
            row.name.as_str(),
            row.kind.as_str(),
            json(&row.destinations)?,
            json(&row.shape)?,
            row.generation,
            row.sealed.0,
            millis(row.created),
            millis(row.rotated),
            row.removed.map(millis),
        ],
    )
}

pub(super) fn rotate_credential(
    db: &Connection,
    id: CredentialId,
    generation: u32,
    sealed: &SealedSecret,
    shape: &Shape,
    at: Timestamp,
) -> Done {
    let sql = "SELECT generation FROM credential WHERE id = ?1 AND removed IS NULL";
    let stored: Option<u32> = one(db, sql, [id.to_string()])?;
    let stored = stored.ok_or_else(|| StoreError::missing("credential", id))?;
    if stored.checked_add(1) != Some(generation) {
        let text =
            format!("credential {id} is at generation {stored}: it was rotated by someone else, try again");
        return Err(StoreError::Conflict(text));
    }
    let sql = "UPDATE credential SET generation = ?2, sealed = ?3, shape = ?4, rotated = ?5 WHERE id = ?1";
    changed(db, sql, params![id.to_string(), generation, sealed.0, json(shape)?, millis(at)])?;
    Ok(())
}

pub(super) fn reseal_credential(
    db: &Connection,
    id: CredentialId,
    generation: u32,
    sealed: &SealedSecret,
) -> Done {
    let sql = "UPDATE credential SET sealed = ?3 WHERE id = ?1 AND generation = ?2 AND removed IS NULL";
    match changed(db, sql, params![id.to_string(), generation, sealed.0])? {
        1 => Ok(()),
        _ => Err(StoreError::Conflict(format!("credential {id} was rotated or removed meanwhile"))),
    }
}

pub(super) fn rewrap(
    db: &Connection,
    row: SealedRow,
    old: &SealedSecret,
    new: &SealedSecret,
) -> Result<bool, StoreError> {
    let (sql, id) = match row {
        SealedRow::Credential(id) => {
            ("UPDATE credential SET sealed = ?3 WHERE id = ?1 AND sealed = ?2", id.to_string())
        }
        SealedRow::Captured(core) => {
            ("UPDATE captured SET sealed = ?3 WHERE core = ?1 AND sealed = ?2", core.to_string())
        }
        SealedRow::Lease(id) => {
            ("UPDATE lease SET sealed = ?3 WHERE id = ?1 AND sealed = ?2", id.to_string())
        }
    };
    Ok(changed(db, sql, params![id, old.0, new.0])? == 1)
}

pub(super) fn remove_credential(db: &Connection, id: CredentialId, at: Timestamp) -> Done {
    let sql = "UPDATE credential SET removed = ?2, sealed = x'' WHERE id = ?1 AND removed IS NULL";
    match changed(db, sql, params![id.to_string(), millis(at)])? {
        1 => Ok(()),
        _ => Err(StoreError::missing("credential", id)),
    }
}

pub(super) fn add_workload(db: &Connection, row: &WorkloadRecord) -> Done {
    free(db, "workload", row.name.as_str())?;
    let sql = "INSERT INTO workload (id, name, key, created, removed, certificate, uid, cid, boot, networks)
               VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)";
    insert(
        db,
        sql,
        "workload",
        params![
            row.id.to_string(),
            row.name.as_str(),
            row.key.to_string(),
            millis(row.created),
            row.removed.map(millis),
            row.marks.certificate.map(|print| print.to_string()),
            row.marks.uid,
            row.marks.guest.map(|guest| guest.cid.number()),
            row.marks.guest.map(|guest| guest.boot.to_string()),
            json(&row.marks.networks)?,
        ],
    )
}

pub(super) fn begin_boot(db: &Connection, id: WorkloadId, boot: KeyedHash) -> Done {
    let sql = "UPDATE workload SET boot = ?2 WHERE id = ?1 AND removed IS NULL AND cid IS NOT NULL";
    match changed(db, sql, params![id.to_string(), boot.to_string()])? {
        1 => Ok(()),
        _ => Err(StoreError::missing("workload", id)),
    }
}

pub(super) fn remove_workload(db: &Connection, id: WorkloadId, at: Timestamp) -> Done {
    let sql = "UPDATE workload SET removed = ?2 WHERE id = ?1 AND removed IS NULL";
    match changed(db, sql, params![id.to_string(), millis(at)])? {
        1 => Ok(()),
        _ => Err(StoreError::missing("workload", id)),
    }
}

pub(super) fn add_placeholder(db: &Connection, row: &PlaceholderRecord, approval: &ApprovalRecord) -> Done {
    if approval.placeholder != row.id {
        return Err(StoreError::Conflict(format!("approval {} is for another placeholder", approval.id)));
    }
    present(db, "credential", row.credential)?;
    present(db, "workload", row.workload)?;
    let sql = "INSERT INTO placeholder (id, credential, workload, core, text, policy, created, expires, uses, used, state, on_misuse,
                                        not_before, frozen, parent, holder, daily, ended)
               VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18)";
    insert(
        db,
        sql,
        "placeholder",
        params![
            row.id.to_string(),
            row.credential.to_string(),
            row.workload.to_string(),
            row.core.to_string(),
            row.text.to_string(),
            row.policy,
            millis(row.created),
            row.expires.map(millis),
            row.uses,
            row.used,
            row.state.as_str(),
            row.on_misuse.as_str(),
            row.not_before.map(millis),
            row.frozen.map(millis),
            row.parent.map(|id| id.to_string()),
            row.holder.to_string(),
            row.daily.map(|hours| hours.to_string()),
            row.end.map(cloakroom_model::End::as_str),
        ],
    )?;
    add_approval(db, approval)
}

fn add_approval(db: &Connection, row: &ApprovalRecord) -> Done {
    let sql = "INSERT INTO approval (id, placeholder, created, decided, signature, gathered, denied, requester, generation,
                                     withdrawn, expires)
               VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)";
    let signatures = if row.signatures.is_empty() { None } else { Some(json(&row.signatures)?) };
    let (granted, gathered) = if row.decided.is_some() { (signatures, None) } else { (None, signatures) };
    insert(
        db,
        sql,
        "approval",
        params![
            row.id.to_string(),
            row.placeholder.to_string(),
            millis(row.created),
            row.decided.map(millis),
            granted,
            gathered,
            row.denied,
            row.requester,
            row.generation,
            row.withdrawn.map(millis),
            row.expires.map(millis),
        ],
    )
}

pub(super) fn decide_approval(db: &Connection, id: ApprovalId, decision: &Decision, at: Timestamp) -> Done {
    let placeholder = undecided(db, id)?;
    match decision {
        Decision::Signed(signatures) => return gather(db, id, &placeholder, signatures),
        Decision::Granted(_) => life::change(db, &placeholder, Change::Grant, at)?,
        // What is over already stays what it is.
        Decision::Denied => drop(life::change_if_possible(db, &placeholder, Change::Deny, at)?),
    }
    let signatures = match decision {
        Decision::Granted(signatures) => Some(json(signatures)?),
        _ => None,
    };
    let sql = "UPDATE approval SET decided = ?2, signature = ?3, gathered = NULL, denied = ?4 WHERE id = ?1";
    changed(db, sql, params![id.to_string(), millis(at), signatures.as_ref(), signatures.is_none()])?;
    Ok(())
}

fn gather(db: &Connection, id: ApprovalId, placeholder: &str, signatures: &[Signature]) -> Done {
    let sql = "UPDATE approval SET gathered = ?2 WHERE id = ?1
               AND EXISTS (SELECT 1 FROM placeholder WHERE id = approval.placeholder AND state = 'pending')";
    match changed(db, sql, params![id.to_string(), json(&signatures)?])? {
        1 => Ok(()),
        _ => Err(not_pending(placeholder)),
    }
}

fn not_pending(placeholder: &str) -> StoreError {
    StoreError::Conflict(format!("placeholder {placeholder} is no longer pending: it cannot be granted"))
}

pub(super) fn withdraw_approval(db: &Connection, id: ApprovalId, at: Timestamp) -> Done {
    let sql =
        "UPDATE approval SET withdrawn = ?2 WHERE id = ?1 AND withdrawn IS NULL AND signature IS NOT NULL";
    if changed(db, sql, params![id.to_string(), millis(at)])? == 0 {
        return Err(StoreError::Conflict(format!("approval {id} was not granted, or is withdrawn already")));
    }
    let sql = "SELECT placeholder FROM approval WHERE id = ?1";
    let placeholder: Option<String> = one(db, sql, [id.to_string()])?;
    let placeholder = placeholder.ok_or_else(|| StoreError::missing("approval", id))?;
    life::change(db, &placeholder, Change::Revoke, at)
}

pub(super) fn change_approvers(db: &Connection, change: &ApproverChange, at: Timestamp) -> Done {
    let last: i64 =
        db.query_row("SELECT coalesce(max(sequence), 0) FROM approver_change", [], |row| row.get(0))?;
    if last.checked_add(1) != Some(i64::from(change.sequence)) {
        return Err(StoreError::Conflict("the approvers were changed meanwhile".into()));
    }
    let sql = "INSERT INTO approver_change (sequence, act, name, key, needed, signatures, made)
               VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)";
    let ApproverChange { sequence, act, name, key, needed, signatures } = change;
    let signatures = json(signatures)?;
    insert(
        db,
        sql,
        "change of approvers",
        params![sequence, act.as_str(), name, key, needed, signatures, millis(at)],
    )
}

/// The placeholder of an approval that nobody has decided.
fn undecided(db: &Connection, id: ApprovalId) -> Result<String, StoreError> {
    let sql = "SELECT placeholder, decided IS NULL FROM approval WHERE id = ?1";
    let mut statement = db.prepare_cached(sql)?;
    let found = statement.query_row([id.to_string()], |row| Ok((row.get(0)?, row.get(1)?))).optional()?;
    match found {
        Some((placeholder, true)) => Ok(placeholder),
        Some((_, false)) => Err(StoreError::Conflict(format!("approval {id} was decided before"))),
        None => Err(StoreError::missing("approval", id)),
    }
}

pub(super) fn note_rollback(db: &Connection, at: Timestamp) -> Done {
    changed(db, "UPDATE books SET rolled_back = ?1", [millis(at)])?;
    Ok(())
}

pub(super) fn note_uses(db: &Connection, tally: u64, used: &[(PlaceholderId, u32)]) -> Done {
    let sql = "UPDATE placeholder SET used = coalesce(min(?2, uses), ?2) WHERE id = ?1";
    for (id, used) in used {
        changed(db, sql, params![id.to_string(), used])?;
    }
    let number = i64::try_from(tally).unwrap_or(i64::MAX);
    changed(db, "UPDATE books SET tally = ?1", [number])?;
    Ok(())
}

/// `table` is a fixed word of this file, never outside text.
fn free(db: &Connection, table: &'static str, name: &str) -> Done {
    let sql = format!("SELECT 1 FROM {table} WHERE name = ?1 AND removed IS NULL");
    match one::<i64>(db, &sql, [name])? {
        Some(_) => Err(StoreError::Exists { what: table, name: name.into() }),
        None => Ok(()),
    }
}

fn present(db: &Connection, table: &'static str, id: impl ToString) -> Done {
    let id = id.to_string();
    let sql = format!("SELECT 1 FROM {table} WHERE id = ?1 AND removed IS NULL");
    match one::<i64>(db, &sql, [&id])? {
        Some(_) => Ok(()),
        None => Err(StoreError::missing(table, id)),
    }
}

fn one<T: rusqlite::types::FromSql>(
    db: &Connection,
    sql: &str,
    values: impl Params,
) -> Result<Option<T>, StoreError> {
    Ok(db.prepare_cached(sql)?.query_row(values, |row| row.get(0)).optional()?)
}

pub(super) fn changed(db: &Connection, sql: &str, values: impl Params) -> Result<usize, StoreError> {
    Ok(db.prepare_cached(sql)?.execute(values)?)
}

pub(super) fn insert(db: &Connection, sql: &str, what: &'static str, values: impl Params) -> Done {
    match db.prepare_cached(sql)?.execute(values) {
        Ok(_) => Ok(()),
        Err(error) if error.sqlite_error_code() == Some(rusqlite::ErrorCode::ConstraintViolation) => {
            Err(StoreError::Conflict(format!("the {what} does not fit the rows there are: {error}")))
        }
        Err(error) => Err(error.into()),
    }
}

pub(super) fn json(value: &impl Serialize) -> Result<String, StoreError> {
    serde_json::to_string(value)
        .map_err(|error| StoreError::Failed(format!("cannot be written as JSON: {error}")))
}

/// SQLite counts in 64 signed bits; a time beyond them (the year 292 million) is the last there is.
pub(super) fn millis(at: Timestamp) -> i64 {
    i64::try_from(at.millis()).unwrap_or(i64::MAX)
}
