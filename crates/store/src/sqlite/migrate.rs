//! Numbered migrations, each applied once, recorded with its checksum.

use super::open::{APPLICATION, explained};
use crate::StoreError;
use aws_lc_rs::digest;
use cloakroom_model::{Timestamp, hexadecimal};
use rusqlite::{Connection, TransactionBehavior};
use std::path::Path;

struct Migration {
    version: i64,
    name: &'static str,
    sql: &'static str,
}

/// In order. A published migration is never edited: a change is a new file.
const MIGRATIONS: &[Migration] = &[
    Migration { version: 1, name: "rows", sql: include_str!("../../migrations/0001_rows.sql") },
    Migration { version: 2, name: "quorum", sql: include_str!("../../migrations/0002_quorum.sql") },
    Migration { version: 3, name: "on_misuse", sql: include_str!("../../migrations/0003_on_misuse.sql") },
    Migration { version: 4, name: "frozen", sql: include_str!("../../migrations/0004_frozen.sql") },
    Migration { version: 5, name: "family", sql: include_str!("../../migrations/0005_family.sql") },
    Migration { version: 6, name: "holder", sql: include_str!("../../migrations/0006_holder.sql") },
    Migration { version: 7, name: "claim", sql: include_str!("../../migrations/0007_claim.sql") },
    Migration { version: 8, name: "books", sql: include_str!("../../migrations/0008_books.sql") },
    Migration { version: 9, name: "approvers", sql: include_str!("../../migrations/0009_approvers.sql") },
    Migration { version: 10, name: "rollback", sql: include_str!("../../migrations/0010_rollback.sql") },
    Migration { version: 11, name: "ended", sql: include_str!("../../migrations/0011_ended.sql") },
    Migration { version: 12, name: "captured", sql: include_str!("../../migrations/0012_captured.sql") },
    Migration { version: 13, name: "lease", sql: include_str!("../../migrations/0013_lease.sql") },
    Migration { version: 14, name: "members", sql: include_str!("../../migrations/0014_members.sql") },
    Migration { version: 15, name: "owner", sql: include_str!("../../migrations/0015_owner.sql") },
    Migration { version: 16, name: "half", sql: include_str!("../../migrations/0016_half.sql") },
    Migration { version: 17, name: "guest", sql: include_str!("../../migrations/0017_guest.sql") },
];

const RECORD: &str = "CREATE TABLE IF NOT EXISTS migration (
    version  INTEGER NOT NULL PRIMARY KEY,
    name     TEXT    NOT NULL,
    checksum TEXT    NOT NULL,
    applied  INTEGER NOT NULL
) STRICT";

impl Migration {
    fn checksum(&self) -> String {
        hexadecimal(digest::digest(&digest::SHA256, self.sql.as_bytes()).as_ref())
    }
}

/// Refuses a database that another program made, before anything is changed.
pub(super) fn owned(db: &Connection, path: &Path) -> Result<(), StoreError> {
    let ask = || -> rusqlite::Result<(i64, i64)> {
        let application = db.pragma_query_value(None, "application_id", |row| row.get(0))?;
        let tables = db.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
        Ok((application, tables))
    };
    match ask().map_err(|error| explained(path, error))? {
        (APPLICATION, _) | (0, 0) => Ok(()),
        _ => Err(StoreError::Unusable {
            what: format!("{} is a database of another program", path.display()),
            hint: "point --data at Cloakroom's own directory".into(),
        }),
    }
}

/// Brings the schema up to date, in one transaction.
pub(super) fn up(db: &mut Connection, path: &Path) -> Result<(), StoreError> {
    let fail = |error| explained(path, error);
    let transaction = db.transaction_with_behavior(TransactionBehavior::Immediate).map_err(fail)?;
    transaction.execute_batch(RECORD).map_err(fail)?;
    let applied = applied(&transaction).map_err(fail)?;
    check(&applied, path)?;
    for migration in MIGRATIONS.iter().skip(applied.len()) {
        apply(&transaction, migration).map_err(fail)?;
    }
    transaction.pragma_update(None, "application_id", APPLICATION).map_err(fail)?;
    transaction.commit().map_err(fail)
}

fn applied(db: &Connection) -> rusqlite::Result<Vec<(i64, String)>> {
    let mut statement = db.prepare("SELECT version, checksum FROM migration ORDER BY version")?;
    let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
    rows.collect()
}

fn check(applied: &[(i64, String)], path: &Path) -> Result<(), StoreError> {
    for (index, (version, checksum)) in applied.iter().enumerate() {
        let Some(known) = MIGRATIONS.get(index) else {
            return Err(StoreError::Unusable {
                what: format!("{} was written by a newer Cloakroom (schema {version})", path.display()),
                hint: format!(
                    "this program knows schemas up to {}: start the newer program, or restore a backup made before",
                    MIGRATIONS.len()
                ),
            });
        };
        if known.version != *version || known.checksum() != *checksum {
            return Err(StoreError::Unusable {
                what: format!("schema {version} of {} is not the one this program knows", path.display()),
                hint: "the database was made by a changed build: use that build, or restore a backup".into(),
            });
        }
    }
    Ok(())
}

fn apply(db: &Connection, migration: &Migration) -> rusqlite::Result<()> {
    db.execute_batch(migration.sql)?;
    db.execute(
        "INSERT INTO migration (version, name, checksum, applied) VALUES (?1, ?2, ?3, ?4)",
        (migration.version, migration.name, migration.checksum(), Timestamp::now().millis().cast_signed()),
    )?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn migrations_are_numbered_from_one_without_gaps() {
        let versions: Vec<i64> = MIGRATIONS.iter().map(|migration| migration.version).collect();
        assert_eq!(versions, (1..=versions.len() as i64).collect::<Vec<_>>());
    }
}
