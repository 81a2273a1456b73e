//! The SQLite store: the conformance suite, and what only a file can get wrong.

#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod conformance;

use cloakroom_store::{SqliteStore, Store, StoreError};
use conformance::rows::{at, credential};
use rusqlite::Connection;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tempfile::TempDir;

fn place() -> (TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("cloakroom.db");
    (dir, path)
}

fn unusable(path: &Path) -> (String, String) {
    match SqliteStore::open(path) {
        Err(StoreError::Unusable { what, hint }) => (what, hint),
        Err(other) => panic!("another error: {other}"),
        Ok(_) => panic!("the database was opened"),
    }
}

#[test]
fn sqlite_does_what_every_store_must() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(4).build().unwrap();
    for (name, case) in conformance::CASES {
        eprintln!("{name}");
        let (_dir, path) = place();
        let store: Arc<dyn Store> = Arc::new(SqliteStore::open(&path).unwrap());
        runtime.block_on(case(store));
    }
}

#[tokio::test]
async fn rows_are_still_there_after_opening_again() {
    let (_dir, path) = place();
    let store = SqliteStore::open(&path).unwrap();
    store.add_credential(credential(1, "stripe")).await.unwrap();
    let before = store.load().await.unwrap();
    drop(store);
    assert_eq!(SqliteStore::open(&path).unwrap().load().await.unwrap(), before);
}

#[tokio::test]
async fn the_files_are_private_even_where_they_were_not() {
    use std::os::unix::fs::PermissionsExt;
    let (dir, path) = place();
    std::fs::write(&path, b"").unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
    let store = SqliteStore::open(&path).unwrap();
    store.add_credential(credential(1, "stripe")).await.unwrap();
    let files: Vec<_> = std::fs::read_dir(dir.path()).unwrap().map(Result::unwrap).collect();
    assert!(files.len() >= 3, "database, log and index");
    for file in files {
        assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600, "{:?}", file.path());
    }
}

#[tokio::test]
async fn t87_erased_ciphertext_is_gone_from_every_file() {
    let (dir, path) = place();
    let store = SqliteStore::open(&path).unwrap();
    let holds = |needle: &[u8]| {
        let files =
            std::fs::read_dir(dir.path()).unwrap().map(|file| std::fs::read(file.unwrap().path()).unwrap());
        files.into_iter().any(|bytes| bytes.windows(needle.len()).any(|window| window == needle))
    };
    let row = credential(1, "stripe");
    store.add_credential(row.clone()).await.unwrap();
    assert!(holds(&row.sealed.0), "the search works");
    let next = cloakroom_model::SealedSecret(b"ciphertext-1-of-generation-2".to_vec());
    store.rotate_credential(row.id, 2, next.clone(), row.shape.clone(), at(2)).await.unwrap();
    assert!(holds(&next.0) && !holds(&row.sealed.0));
    store.remove_credential(row.id, at(3)).await.unwrap();
    assert!(!holds(&next.0));
}

#[test]
fn a_damaged_file_is_refused_with_a_remedy_and_left_as_it_is() {
    let (_dir, path) = place();
    std::fs::write(&path, b"this is not a database, it is a text that someone put here".repeat(100)).unwrap();
    let before = std::fs::read(&path).unwrap();
    let (what, hint) = unusable(&path);
    assert!(
        what.contains("damaged") && what.contains("cloakroom.db") && hint.contains("backup"),
        "{what}; {hint}"
    );
    assert_eq!(std::fs::read(&path).unwrap(), before);
}

#[tokio::test]
async fn a_page_overwritten_in_the_middle_is_found_at_start() {
    let (_dir, path) = place();
    let store = SqliteStore::open(&path).unwrap();
    for number in 0..200 {
        store.add_credential(credential(number, &format!("c{number}"))).await.unwrap();
    }
    drop(store);
    let mut bytes = std::fs::read(&path).unwrap();
    let last = bytes.len() / 4096 - 1;
    bytes[last * 4096..].fill(0xA5);
    std::fs::write(&path, bytes).unwrap();
    assert!(unusable(&path).0.contains("damaged"));
}

#[test]
fn a_database_of_another_program_is_refused_unchanged() {
    let (_dir, path) = place();
    Connection::open(&path).unwrap().execute_batch("CREATE TABLE theirs (x)").unwrap();
    let before = std::fs::read(&path).unwrap();
    assert!(unusable(&path).0.contains("another program"));
    assert_eq!(std::fs::read(&path).unwrap(), before);
}

#[test]
fn a_newer_schema_is_refused() {
    let (_dir, path) = place();
    drop(SqliteStore::open(&path).unwrap());
    let newer = "INSERT INTO migration (version, name, checksum, applied) VALUES (999, 'later', 'x', 0)";
    Connection::open(&path).unwrap().execute_batch(newer).unwrap();
    let (what, hint) = unusable(&path);
    assert!(
        what.contains("newer Cloakroom (schema 999)") && hint.contains("newer program"),
        "{what}; {hint}"
    );
}

#[test]
fn a_migration_with_another_checksum_is_refused() {
    let (_dir, path) = place();
    drop(SqliteStore::open(&path).unwrap());
    Connection::open(&path)
        .unwrap()
        .execute_batch("UPDATE migration SET checksum = 'x' WHERE version = 1")
        .unwrap();
    assert!(unusable(&path).0.contains("schema 1 "));
}

#[test]
fn a_path_that_cannot_be_opened_is_named() {
    let (_dir, path) = place();
    let (what, _) = unusable(&path.join("nowhere.db"));
    assert!(what.contains("nowhere.db"), "{what}");
    assert!(unusable(path.parent().unwrap()).0.contains("cannot be opened"));
}

#[tokio::test]
async fn an_edited_row_that_cannot_be_read_is_an_error_never_skipped() {
    let edits = [
        "UPDATE credential SET kind = 'master-key'",
        "UPDATE credential SET destinations = '[\"https://*\"]'",
        "UPDATE credential SET name = 'two words'",
        "UPDATE credential SET id = 'x'",
        "UPDATE credential SET created = -1",
        "UPDATE credential SET generation = 5000000000",
    ];
    for edit in edits {
        let (_dir, path) = place();
        let store = SqliteStore::open(&path).unwrap();
        store.add_credential(credential(1, "stripe")).await.unwrap();
        drop(store);
        Connection::open(&path).unwrap().execute_batch(edit).unwrap();
        let loaded = SqliteStore::open(&path).unwrap().load().await;
        assert!(matches!(&loaded, Err(StoreError::Unusable { .. })), "{edit}: {loaded:?}");
    }
}

#[tokio::test]
async fn a_change_whose_caller_went_away_is_made_whole() {
    let (_dir, path) = place();
    let store = SqliteStore::open(&path).unwrap();
    drop(store.add_credential(credential(1, "stripe")));
    drop(store);
    assert_eq!(SqliteStore::open(&path).unwrap().load().await.unwrap().credentials.len(), 1);
}

#[tokio::test]
async fn a_copy_is_taken_beside_a_store_that_writes_and_replaces_nothing() {
    use std::os::unix::fs::MetadataExt;
    let (dir, path) = place();
    let store = SqliteStore::open(&path).unwrap();
    store.add_credential(credential(1, "a")).await.unwrap();
    let copy = dir.path().join("copy.db");
    cloakroom_store::copy_database(&path, &copy).unwrap();
    store.add_credential(credential(2, "b")).await.unwrap();
    assert_eq!(std::fs::metadata(&copy).unwrap().mode() & 0o777, 0o600);
    let copied = SqliteStore::open(&copy).unwrap();
    let names = |rows: cloakroom_model::Rows| rows.credentials.into_iter().map(|row| row.name.to_string());
    assert_eq!(names(copied.load().await.unwrap()).collect::<Vec<_>>(), ["a"]);
    assert_eq!(names(store.load().await.unwrap()).collect::<Vec<_>>(), ["a", "b"]);
    assert!(cloakroom_store::copy_database(&path, &copy).is_err(), "what is there is not overwritten");
    assert_eq!(names(copied.load().await.unwrap()).collect::<Vec<_>>(), ["a"]);
    let none = dir.path().join("none.db");
    assert!(cloakroom_store::copy_database(&none, &dir.path().join("of-none.db")).is_err());
    assert!(!none.exists() && !dir.path().join("of-none.db").exists());
    let foreign = dir.path().join("foreign.db");
    Connection::open(&foreign).unwrap().execute_batch("CREATE TABLE t (x)").unwrap();
    let refused = cloakroom_store::copy_database(&foreign, &dir.path().join("of-foreign.db"));
    assert!(matches!(refused, Err(StoreError::Unusable { .. })));
}
