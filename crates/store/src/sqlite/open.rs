//! Opening the database: permissions, pragmas, soundness.

use super::migrate;
use crate::StoreError;
use rusqlite::config::DbConfig;
use rusqlite::{Connection, ErrorCode, OpenFlags};
use std::fs::{OpenOptions, Permissions};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;
use std::time::Duration;

/// `Clkr`: marks the file as ours.
pub(super) const APPLICATION: i64 = 0x436c_6b72;

/// Opens for writing, creating and migrating as needed.
pub(super) fn writer(path: &Path) -> Result<Connection, StoreError> {
    private_file(path).map_err(|error| cannot_open(path, &error))?;
    let explain = |error| explained(path, error);
    let mut db = connect(path, OpenFlags::SQLITE_OPEN_READ_WRITE).map_err(explain)?;
    migrate::owned(&db, path)?;
    write_pragmas(&db).map_err(explain)?;
    sound(&db, path)?;
    migrate::up(&mut db, path)?;
    Ok(db)
}

/// Opens for reading; the writer has made the file.
pub(super) fn reader(path: &Path) -> Result<Connection, StoreError> {
    let open = || {
        let db = connect(path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
        db.pragma_update(None, "query_only", true)?;
        Ok(db)
    };
    open().map_err(|error| explained(path, error))
}

/// Opens for reading what is a store of ours already; makes and changes nothing.
pub(super) fn reader_of_ours(path: &Path) -> Result<Connection, StoreError> {
    // VACUUM INTO writes elsewhere; `query_only` would forbid that too.
    let db = connect(path, OpenFlags::SQLITE_OPEN_READ_WRITE).map_err(|error| explained(path, error))?;
    migrate::owned(&db, path)?;
    Ok(db)
}

fn connect(path: &Path, access: OpenFlags) -> rusqlite::Result<Connection> {
    let db = Connection::open_with_flags(path, access | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    db.busy_timeout(Duration::from_secs(5))?;
    db.set_db_config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true)?;
    db.set_db_config(DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA, false)?;
    db.set_db_config(DbConfig::SQLITE_DBCONFIG_DQS_DML, false)?;
    db.set_db_config(DbConfig::SQLITE_DBCONFIG_DQS_DDL, false)?;
    // SECURITY: no rows in files elsewhere, where a confined process could not write either.
    db.pragma_update(None, "temp_store", "memory")?;
    db.pragma_update(None, "foreign_keys", true)?;
    Ok(db)
}

fn write_pragmas(db: &Connection) -> rusqlite::Result<()> {
    db.pragma_update(None, "journal_mode", "wal")?;
    // FULL flushes the log at each commit: what was answered survives a power cut.
    db.pragma_update(None, "synchronous", "full")?;
    // Erased ciphertext is overwritten, not merely unlinked from its page.
    db.pragma_update(None, "secure_delete", true)
}

/// SQLite gives its log and index files the mode of the database file, so the file is made before SQLite sees it.
fn private_file(path: &Path) -> std::io::Result<()> {
    let file = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(path)?;
    if file.metadata()?.permissions().mode() & 0o077 != 0 {
        file.set_permissions(Permissions::from_mode(0o600))?;
    }
    Ok(())
}

fn sound(db: &Connection, path: &Path) -> Result<(), StoreError> {
    let answer = db.query_row("PRAGMA quick_check(1)", [], |row| row.get::<_, String>(0));
    match answer {
        Ok(answer) if answer == "ok" => Ok(()),
        Ok(answer) => Err(damaged(path, &answer)),
        Err(error) => Err(explained(path, error)),
    }
}

/// Tells a damaged or foreign file from a passing failure.
pub(super) fn explained(path: &Path, error: rusqlite::Error) -> StoreError {
    match error.sqlite_error_code() {
        Some(ErrorCode::NotADatabase | ErrorCode::DatabaseCorrupt) => damaged(path, &error.to_string()),
        _ => cannot_open(path, &error),
    }
}

fn damaged(path: &Path, why: &str) -> StoreError {
    StoreError::Unusable {
        what: format!("the database {} is damaged: {}", path.display(), why.trim().replace('\n', "; ")),
        hint: "stop the broker, keep a copy of the file, and restore cloakroom.db from a backup; nothing was changed"
            .into(),
    }
}

fn cannot_open(path: &Path, error: &dyn std::fmt::Display) -> StoreError {
    StoreError::Unusable {
        what: format!("the database {} cannot be opened: {error}", path.display()),
        hint: "check that the directory exists, that this user may write to it, and that the disk has room"
            .into(),
    }
}
