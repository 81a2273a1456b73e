//! Uses against a real journal and a real database.

#[path = "../../tests/conformance/rows.rs"]
#[expect(dead_code, reason = "the conformance suite needs more of it")]
mod rows;

use super::*;
use crate::journal::{JournalSettings, read};
use crate::{Books, SqliteStore, Store};
use cloakroom_model::{CredentialId, IntentUse, PlaceholderState, Way, WorkloadId};
use rusqlite::Connection;
use std::path::{Path, PathBuf};

fn at(millis: u64) -> Timestamp {
    Timestamp::from_millis(millis)
}

/// The id of the placeholder with this number.
pub(super) fn placeholder(number: u8) -> PlaceholderId {
    let somebody = (CredentialId::new(at(1), [1; 10]), WorkloadId::new(at(1), [1; 10]));
    rows::placeholder(number.into(), somebody.0, somebody.1, None).0.id
}

/// A data directory with placeholders that have so many uses.
pub(super) struct House {
    dir: tempfile::TempDir,
    pub(super) uses: Arc<Uses>,
    pub(super) journal: Arc<Journal>,
    pub(super) store: SqliteStore,
    pub(super) found: Vec<Disagreement>,
    requests: u64,
}

impl House {
    pub(super) async fn with(uses: &[Option<u32>]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let store = SqliteStore::open(&dir.path().join("cloakroom.db")).unwrap();
        fill(&store, uses).await;
        drop(store);
        Self::open(dir).await
    }

    pub(super) async fn open(dir: tempfile::TempDir) -> Self {
        let (journal, _) =
            Journal::open(&dir.path().join("journal"), &dir.path().join("key"), JournalSettings::default())
                .unwrap();
        let store = SqliteStore::open(&dir.path().join("cloakroom.db")).unwrap();
        let rows = store.load().await.unwrap().placeholders;
        let last = journal.head().unwrap().records;
        let recounted =
            recount(&dir.path().join("journal"), last, store.books().await.unwrap(), &rows).unwrap();
        let found = recounted.disagreements.clone();
        let uses = Uses::new(Arc::clone(&journal), recounted, None);
        uses.copy_to(&store).await.unwrap();
        let rows = store.load().await.unwrap().placeholders;
        uses.hold(&rows).unwrap();
        Self { dir, uses, journal, store, found, requests: last }
    }

    /// As after a kill: nothing is tallied, nothing closed in order. `meanwhile` may touch the files.
    pub(super) async fn again(self, meanwhile: impl FnOnce(&Path)) -> Self {
        let Self { dir, uses, journal, store, .. } = self;
        // What was appended and not waited for would be lost by a kill or not: here it is written.
        journal.write_out().unwrap();
        drop((uses, journal, store));
        meanwhile(dir.path());
        Self::open(dir).await
    }

    pub(super) fn intent(&mut self, numbers: &[u8]) -> Intent {
        self.requests += 1;
        Intent {
            request: RequestId::new(at(self.requests), [0; 10]),
            at: at(5),
            workload: WorkloadId::new(at(1), [1; 10]),
            peer: None,
            way: Way::Connect,
            destination: "https://api.example.com".parse().unwrap(),
            method: "GET".into(),
            path: "/".into(),
            uses: numbers
                .iter()
                .map(|number| IntentUse {
                    placeholder: placeholder(*number),
                    credential: CredentialId::new(at(1), [1; 10]),
                    permit: "one".into(),
                    counted: true,
                })
                .collect(),
            repeats: None,
        }
    }

    pub(super) async fn spend(&mut self, numbers: &[u8]) -> Result<Spent, NotSpent> {
        let intent = self.intent(numbers);
        let spent = self.uses.spend(&intent)?;
        Ok(self.uses.durable(spent).await?)
    }

    pub(super) fn used(&self, number: u8) -> u32 {
        self.uses.book().unwrap().of(placeholder(number)).0
    }

    async fn rows(&self) -> Vec<u32> {
        self.store.load().await.unwrap().placeholders.iter().map(|row| row.used).collect()
    }

    fn files(&self) -> PathBuf {
        self.dir.path().join("journal")
    }
}

pub(super) async fn fill(store: &SqliteStore, uses: &[Option<u32>]) {
    let (credential, workload) = (rows::credential(1, "c"), rows::workload(1, "w"));
    let (of_credential, of_workload) = (credential.id, workload.id);
    store.add_credential(credential).await.unwrap();
    store.add_workload(workload).await.unwrap();
    for (number, uses) in (1..).zip(uses) {
        let (row, approval) = rows::placeholder(number, of_credential, of_workload, *uses);
        store
            .add_placeholder(PlaceholderRecord { state: PlaceholderState::Active, ..row }, approval)
            .await
            .unwrap();
    }
}

fn edit(dir: &Path, sql: &str) {
    Connection::open(dir.join("cloakroom.db")).unwrap().execute_batch(sql).unwrap();
}

#[tokio::test]
async fn a_spend_takes_all_or_none() {
    let mut house = House::with(&[Some(1), Some(3), None]).await;
    let one = placeholder(1);
    house.spend(&[1, 2]).await.unwrap();
    assert_eq!(house.spend(&[2, 1]).await.unwrap_err(), NotSpent::Gone(one), "in whatever order");
    assert_eq!(house.used(2), 1);
    assert_eq!(house.spend(&[2, 2, 2]).await.unwrap_err(), NotSpent::Gone(placeholder(2)), "three of two");
    assert_eq!(house.used(2), 1);
    house.spend(&[2, 2]).await.unwrap();
    // An intent calls it counted, and no row says how many uses it has: refused.
    assert_eq!(house.spend(&[3]).await.unwrap_err(), NotSpent::Gone(placeholder(3)));
    assert!(house.uses.has_left(placeholder(3)) && !house.uses.has_left(one));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn t63_two_hundred_concurrent_spends_succeed_as_often_as_there_are_uses() {
    let mut house = House::with(&[Some(1), Some(37)]).await;
    for (number, uses) in [(1, 1), (2, 37)] {
        let tasks: Vec<_> = (0..200)
            .map(|_| {
                let (counter, intent) = (Arc::clone(&house.uses), house.intent(&[number]));
                tokio::spawn(async move {
                    match counter.spend(&intent) {
                        Ok(spent) => counter.durable(spent).await.is_ok(),
                        Err(_) => false,
                    }
                })
            })
            .collect();
        let mut spent = 0;
        for task in tasks {
            spent += u32::from(task.await.unwrap());
        }
        assert_eq!(spent, uses);
    }
    let house = house.again(|_| {}).await;
    assert_eq!((house.used(1), house.used(2)), (1, 37));
}

#[tokio::test]
async fn t64_what_was_spent_is_spent_after_a_kill_though_no_row_knows_of_it() {
    let mut house = House::with(&[Some(1), Some(3)]).await;
    house.spend(&[1]).await.unwrap();
    house.spend(&[2]).await.unwrap();
    assert_eq!(house.rows().await, [0, 0]);
    let mut house = house.again(|_| {}).await;
    assert_eq!((house.used(1), house.used(2)), (1, 1));
    assert_eq!(house.rows().await, [1, 1], "the start brings the rows up to date");
    assert_eq!(house.found, []);
    assert!(house.spend(&[1]).await.is_err());
}

#[tokio::test]
async fn a_use_is_given_back_once_and_survives_a_kill_and_a_tally() {
    let mut house = House::with(&[Some(2)]).await;
    let first = house.spend(&[1]).await.unwrap();
    house.uses.give_back(first);
    assert_eq!(house.used(1), 0);
    let second = house.spend(&[1]).await.unwrap();
    // The tally counts it; what is returned afterwards is taken off it.
    house.uses.copy_to(&house.store).await.unwrap();
    house.uses.give_back(second);
    let mut house = house.again(|_| {}).await;
    assert_eq!((house.used(1), house.rows().await), (0, vec![0]));
    assert_eq!(house.found, []);
    house.spend(&[1]).await.unwrap();
    house.spend(&[1]).await.unwrap();
    assert!(house.spend(&[1]).await.is_err());
}

#[tokio::test]
async fn t64_a_use_whose_return_was_not_written_stays_spent() {
    let mut house = House::with(&[Some(1)]).await;
    let spent = house.spend(&[1]).await.unwrap();
    let length = std::fs::metadata(house.files().join("00000001.seg")).unwrap().len();
    house.uses.give_back(spent);
    assert_eq!(house.used(1), 0);
    let cut = |dir: &Path| {
        let segment = dir.join("journal/00000001.seg");
        std::fs::OpenOptions::new().write(true).open(segment).unwrap().set_len(length).unwrap();
    };
    assert_eq!(house.again(cut).await.used(1), 1);
}

#[tokio::test]
async fn without_a_journal_nothing_is_spent_and_what_is_owed_is_not_forgotten() {
    let mut house = House::with(&[Some(1)]).await;
    let spent = house.spend(&[1]).await.unwrap();
    house.journal.close().unwrap();
    house.uses.give_back(spent);
    assert_eq!(house.used(1), 1, "not before it is on record");
    assert_eq!(house.uses.book().unwrap().owed.len(), 1);
    let mut house = House::with(&[Some(1)]).await;
    house.journal.close().unwrap();
    assert!(matches!(house.spend(&[1]).await, Err(NotSpent::Journal(_))));
    assert_eq!(house.used(1), 0);
}

#[tokio::test]
async fn a_count_that_was_lowered_in_the_database_is_noticed_and_repaired() {
    let mut house = House::with(&[Some(1), Some(5)]).await;
    house.spend(&[1]).await.unwrap();
    house.spend(&[2]).await.unwrap();
    house.uses.copy_to(&house.store).await.unwrap();
    let lower = |dir: &Path| edit(dir, "UPDATE placeholder SET used = 0");
    let mut house = house.again(lower).await;
    let row = |number| Disagreement::Row { placeholder: placeholder(number), row: 0, journal: 1 };
    assert_eq!(house.found, [row(1), row(2)]);
    assert!(house.spend(&[1]).await.is_err());
    assert_eq!(house.rows().await, [1, 1]);
    // Repaired: the next start has nothing to say.
    assert_eq!(house.again(|_| {}).await.found, []);
}

#[tokio::test]
async fn an_older_database_is_noticed_and_a_longer_one_counts() {
    let house = House::with(&[Some(1), Some(5)]).await;
    let copy = std::fs::read(house.dir.path().join("cloakroom.db")).unwrap();
    let mut house = house.again(|_| {}).await;
    house.spend(&[1]).await.unwrap();
    for _ in 0..3 {
        house.uses.copy_to(&house.store).await.unwrap();
    }
    let older = |dir: &Path| {
        for name in ["cloakroom.db-wal", "cloakroom.db-shm"] {
            let _ = std::fs::remove_file(dir.join(name));
        }
        std::fs::write(dir.join("cloakroom.db"), &copy).unwrap();
    };
    let house = house.again(older).await;
    assert!(matches!(house.found[..], [Disagreement::Copy { .. }]), "{:?}", house.found);
    assert_eq!(house.used(1), 1);
    let house = house.again(|dir| edit(dir, "UPDATE placeholder SET used = 4 WHERE uses = 5")).await;
    assert_eq!(house.found, [Disagreement::Journal { placeholder: placeholder(2), row: 4, journal: 0 }]);
    assert_eq!(house.used(2), 4, "the higher count holds");
}

#[tokio::test]
async fn a_kill_between_a_tally_and_its_rows_is_no_disagreement() {
    let mut house = House::with(&[Some(5)]).await;
    for round in 0..4 {
        house.spend(&[1]).await.unwrap();
        house.uses.tally().unwrap();
        house = house.again(|_| {}).await;
        assert_eq!((house.used(1), &house.found[..]), (round + 1, &[][..]));
    }
}

#[tokio::test]
async fn before_there_were_tallies_the_rows_had_the_count() {
    let house = House::with(&[Some(5)]).await;
    let upgraded = |dir: &Path| {
        std::fs::remove_dir_all(dir.join("journal")).unwrap();
        edit(dir, "UPDATE placeholder SET used = 3; UPDATE books SET tally = 0");
    };
    let house = house.again(upgraded).await;
    assert_eq!((house.used(1), &house.found[..]), (3, &[][..]));
}

#[tokio::test]
async fn what_a_descendant_was_given_is_not_there_for_its_parent() {
    let house = House::with(&[Some(3), Some(2)]).await;
    let (parent, child) = (placeholder(1), placeholder(2));
    house.uses.endow(child, parent, 2).unwrap();
    assert_eq!(house.uses.endow(child, parent, 2), Err(NotSpent::Gone(parent)));
    let mut house = house.again(|_| {}).await;
    house.spend(&[1]).await.unwrap();
    assert!(house.spend(&[1]).await.is_err());
    house.spend(&[2, 2]).await.unwrap();
}

#[tokio::test]
async fn a_repeat_is_recorded_and_takes_nothing() {
    let mut house = House::with(&[Some(1)]).await;
    let first = house.spend(&[1]).await.unwrap();
    let mut repeat = house.intent(&[1]);
    repeat.repeats = Some(first.request);
    let again = house.uses.spend(&repeat).unwrap();
    assert_eq!(house.uses.durable(again).await.unwrap().count(), 0);
    assert_eq!(house.again(|_| {}).await.used(1), 1);
}

#[test]
fn a_tally_in_parts_counts_when_it_is_whole() {
    let dir = tempfile::tempdir().unwrap();
    let (files, key) = (dir.path().join("journal"), dir.path().join("key"));
    let (journal, _) = Journal::open(&files, &key, JournalSettings::default()).unwrap();
    let part = |number, part, used: &[(u8, u32)]| Entry::Tally {
        at: at(1),
        number,
        part,
        parts: 2,
        epoch: false,
        used: used.iter().map(|(number, used)| (placeholder(*number), *used)).collect(),
    };
    for entry in [part(1, 1, &[(1, 1)]), part(1, 2, &[(2, 2)]), part(2, 1, &[(1, 9)]), part(3, 2, &[(2, 9)])]
    {
        journal.append(&entry).unwrap();
    }
    journal.close().unwrap();
    let last = read(&files, 0).unwrap().len() as u64;
    let recounted = recount(&files, last, Books { tally: 1, ..Books::default() }, &[]).unwrap();
    assert_eq!((recounted.tally, recounted.disagreements.len()), (1, 0));
    assert_eq!(recounted.used, [(placeholder(1), 1), (placeholder(2), 2)].into());
}
