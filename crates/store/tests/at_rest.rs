//! What lies in the database in the clear is what SECURITY.md says, column by column.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use cloakroom_store::SqliteStore;
use rusqlite::Connection;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// `table` to its columns, each once: as the database has them.
fn schema() -> BTreeMap<String, BTreeSet<String>> {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("cloakroom.db");
    drop(SqliteStore::open(&file).unwrap());
    let db = Connection::open(&file).unwrap();
    let mut columns = db
        .prepare(
            "SELECT m.name, c.name FROM sqlite_schema m JOIN pragma_table_xinfo(m.name) c \
             WHERE m.type = 'table' AND m.name NOT LIKE 'sqlite_%'",
        )
        .unwrap();
    let mut tables: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for row in columns.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap() {
        let (table, column): (String, String) = row.unwrap();
        assert!(tables.entry(table).or_default().insert(column));
    }
    tables
}

/// The same, from the table below the heading, and which of them are said to be sealed.
fn written() -> (BTreeMap<String, BTreeSet<String>>, BTreeSet<String>) {
    let text =
        std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../SECURITY.md")).unwrap();
    let part = text.split("## What a stolen disk shows").nth(1).expect("SECURITY.md has the heading");
    let part = part.split("\n## ").next().unwrap();
    let words = |cell: &str| -> Vec<String> {
        cell.split(',')
            .map(|word| word.trim().trim_matches('`').to_owned())
            .filter(|word| !word.is_empty())
            .collect()
    };
    let (mut tables, mut sealed): (BTreeMap<String, BTreeSet<String>>, BTreeSet<String>) = Default::default();
    for line in part.lines().filter(|line| line.starts_with("| `")) {
        let cells: Vec<&str> = line.trim_matches('|').split('|').collect();
        let [table, clear, hashed, closed] = cells[..] else { panic!("not four cells: {line}") };
        let table = table.trim().trim_matches('`').to_owned();
        sealed.extend(words(closed).iter().map(|column| format!("{table}.{column}")));
        let columns = tables.entry(table).or_default();
        for column in [clear, hashed, closed].into_iter().flat_map(words) {
            assert!(columns.insert(column.clone()), "{column} is said twice: {line}");
        }
    }
    (tables, sealed)
}

#[test]
fn t87_every_column_of_the_database_is_listed_as_clear_hashed_or_sealed() {
    assert_eq!(schema(), written().0, "left: the database; right: SECURITY.md, What a stolen disk shows");
}

#[test]
fn t87_what_is_called_sealed_is_a_blob_and_every_blob_is() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("cloakroom.db");
    drop(SqliteStore::open(&file).unwrap());
    let db = Connection::open(&file).unwrap();
    let mut blobs = db
        .prepare(
            "SELECT m.name || '.' || c.name FROM sqlite_schema m JOIN pragma_table_xinfo(m.name) c \
             WHERE m.type = 'table' AND m.name NOT LIKE 'sqlite_%' AND c.type = 'BLOB'",
        )
        .unwrap();
    let blobs: BTreeSet<String> =
        blobs.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect();
    assert_eq!(blobs, written().1);
}
