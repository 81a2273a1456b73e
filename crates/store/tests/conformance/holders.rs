//! What becomes of credentials and workloads.

use super::rows::{at, credential, keys, workload};
use cloakroom_model::Guest;
use cloakroom_store::{Store, StoreError};
use std::sync::Arc;

pub(super) async fn removing_erases_the_ciphertext_and_happens_once(store: Arc<dyn Store>) {
    let (row, worker) = (credential(1, "stripe"), workload(1, "robot"));
    assert!(matches!(store.remove_credential(row.id, at(1)).await, Err(StoreError::Missing { .. })));
    assert!(matches!(store.remove_workload(worker.id, at(1)).await, Err(StoreError::Missing { .. })));
    store.add_credential(row.clone()).await.unwrap();
    store.add_workload(worker.clone()).await.unwrap();
    store.remove_credential(row.id, at(7)).await.unwrap();
    store.remove_workload(worker.id, at(8)).await.unwrap();
    assert!(matches!(store.remove_credential(row.id, at(9)).await, Err(StoreError::Missing { .. })));
    assert!(matches!(store.remove_workload(worker.id, at(9)).await, Err(StoreError::Missing { .. })));
    let rows = store.load().await.unwrap();
    assert_eq!((rows.credentials[0].removed, rows.credentials[0].sealed.0.len()), (Some(at(7)), 0));
    assert_eq!(rows.workloads[0].removed, Some(at(8)));
}

pub(super) async fn a_boot_takes_the_place_of_the_former_one_where_there_is_a_guest(store: Arc<dyn Store>) {
    let (first, mut elsewhere) = (workload(1, "robot"), workload(2, "elsewhere"));
    elsewhere.marks.guest = None;
    store.add_workload(first.clone()).await.unwrap();
    store.add_workload(elsewhere.clone()).await.unwrap();
    let boot = keys().boot_hash("the second");
    store.begin_boot(first.id, boot).await.unwrap();
    let guest = first.marks.guest.map(|guest| Guest { boot, ..guest });
    let rows = store.load().await.unwrap().workloads;
    assert_eq!([rows[0].marks.guest, rows[1].marks.guest], [guest, None]);
    let missing = |done| matches!(done, Err(StoreError::Missing { .. }));
    assert!(missing(store.begin_boot(elsewhere.id, boot).await), "it is in no guest");
    store.remove_workload(first.id, at(3)).await.unwrap();
    assert!(missing(store.begin_boot(first.id, boot).await), "it was removed");
}
