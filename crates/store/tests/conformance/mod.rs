//! What every store must do, checked through `&dyn Store` only. A second implementation runs `CASES` too.

mod holders;
pub(crate) mod rows;

use cloakroom_model::*;
use cloakroom_store::{Books, BoxFuture, Decision, Store, StoreError};
use holders::{
    a_boot_takes_the_place_of_the_former_one_where_there_is_a_guest,
    removing_erases_the_ciphertext_and_happens_once,
};
use rows::{
    api_token, at, credential, keys, lease, member, placeholder, session, session_of, signature, workload,
};
use std::sync::Arc;

/// A case gets an empty store.
pub(crate) type Case = fn(Arc<dyn Store>) -> BoxFuture<'static, ()>;

macro_rules! cases {
    ($($name:ident)*) => {
        /// Every case with its name, a sentence.
        pub(crate) const CASES: &[(&str, Case)] = &[$((stringify!($name), |store| Box::pin($name(store)))),*];
    };
}

cases! {
    an_empty_store_has_no_rows
    what_was_added_is_loaded_as_it_was
    a_name_is_taken_until_its_row_is_removed
    rotating_takes_the_next_generation_only
    resealing_stays_in_its_generation
    what_is_sealed_is_exchanged_only_where_it_is_what_was_read
    removing_erases_the_ciphertext_and_happens_once
    a_boot_takes_the_place_of_the_former_one_where_there_is_a_guest
    a_placeholder_needs_its_credential_and_workload
    a_placeholder_that_does_not_fit_leaves_no_trace
    an_approval_is_decided_once
    signatures_gather_until_they_are_enough
    what_was_granted_is_withdrawn_once
    the_approvers_change_one_change_after_the_other
    what_was_revoked_cannot_be_granted
    freezing_leaves_the_state
    a_captured_token_is_kept_replaced_and_erased_with_its_placeholder
    what_was_sealed_of_a_token_that_ended_is_erased
    a_claim_is_taken_once_and_what_was_sealed_is_gone_then
    many_are_revoked_or_none
    uses_are_noted_as_they_were_tallied
    a_lease_is_kept_as_it_is_now_until_it_is_gone
    a_member_has_a_name_and_a_passkey_of_its_own
    a_removed_members_sessions_and_api_tokens_end_and_nobody_elses
    a_session_is_found_by_its_hash_until_it_ends
    an_api_token_is_found_by_its_hash_and_revoked_once
    a_life_changes_as_the_model_says_and_in_no_other_way
    concurrent_changes_that_fail_do_not_disturb_their_neighbours
}

/// A credential, a workload, and an active placeholder with `uses`.
async fn active(store: &dyn Store, uses: &[Option<u32>]) -> Vec<PlaceholderId> {
    let (credential, workload) = (credential(1, "stripe"), workload(1, "robot"));
    let (credential_id, workload_id) = (credential.id, workload.id);
    store.add_credential(credential).await.unwrap();
    store.add_workload(workload).await.unwrap();
    let mut ids = Vec::new();
    for (number, uses) in (1..).zip(uses) {
        let (row, approval) = placeholder(number, credential_id, workload_id, *uses);
        ids.push(row.id);
        let id = approval.id;
        store.add_placeholder(row, approval).await.unwrap();
        store.decide_approval(id, Decision::Granted(vec![signature()]), at(50)).await.unwrap();
    }
    ids
}

async fn used(store: &dyn Store) -> Vec<u32> {
    store.load().await.unwrap().placeholders.iter().map(|row| row.used).collect()
}

fn is_conflict<T>(result: &Result<T, StoreError>) -> bool {
    matches!(result, Err(StoreError::Conflict(_)))
}

async fn a_captured_token_is_kept_replaced_and_erased_with_its_placeholder(store: Arc<dyn Store>) {
    let ids = active(&*store, &[None, None]).await;
    let rows = store.load().await.unwrap();
    let row = |index: usize, sealed: Option<u8>, ends: Option<u64>| CapturedRecord {
        core: rows.placeholders[index].core,
        text: rows.placeholders[index].text,
        placeholder: ids[index],
        token: Token::RefreshToken,
        sealed: sealed.map(|byte| SealedSecret(vec![byte])),
        made: at(60),
        ends: ends.map(at),
    };
    let (first, other) = (row(0, Some(1), None), row(1, None, Some(70)));
    store.keep_captured(first.clone()).await.unwrap();
    store.keep_captured(other.clone()).await.unwrap();
    assert_eq!(store.captured().await.unwrap().len(), 2);
    let replaced = row(0, Some(2), None);
    store.keep_captured(replaced.clone()).await.unwrap();
    let all = store.captured().await.unwrap();
    assert!(all.contains(&replaced) && all.contains(&other), "{all:?}");
    store.forget_captured(vec![other.core]).await.unwrap();
    assert_eq!(store.captured().await.unwrap(), std::slice::from_ref(&replaced));
    store.change_placeholders(vec![ids[0]], Change::Revoke, at(80)).await.unwrap();
    assert_eq!(store.captured().await.unwrap(), [CapturedRecord { sealed: None, ..replaced }]);
    let third = CapturedRecord { sealed: Some(SealedSecret(vec![3])), ..row(1, None, None) };
    store.keep_captured(third.clone()).await.unwrap();
    store.remove_credential(rows.placeholders[1].credential, at(90)).await.unwrap();
    assert!(store.captured().await.unwrap().contains(&CapturedRecord { sealed: None, ..third.clone() }));
    // What comes after the end is kept without what was sealed, new or in place of another.
    for (late, index) in [(4, 0), (5, 1)] {
        let late = CapturedRecord { sealed: Some(SealedSecret(vec![late])), ..row(index, None, None) };
        store.keep_captured(late.clone()).await.unwrap();
        store.forget_captured(vec![late.core]).await.unwrap();
        store.keep_captured(late.clone()).await.unwrap();
        assert!(store.captured().await.unwrap().contains(&CapturedRecord { sealed: None, ..late }));
    }
}

async fn what_was_sealed_of_a_token_that_ended_is_erased(store: Arc<dyn Store>) {
    let ids = active(&*store, &[None, None]).await;
    let rows = store.load().await.unwrap();
    let row = |index: usize, made: u64, ends: u64| CapturedRecord {
        core: rows.placeholders[index].core,
        text: rows.placeholders[index].text,
        placeholder: ids[index],
        token: Token::AccessToken,
        sealed: Some(SealedSecret(vec![7])),
        made: at(made),
        ends: Some(at(ends)),
    };
    let (first, next) = (row(0, 60, 70), row(1, 70, 90));
    store.keep_captured(first.clone()).await.unwrap();
    store.keep_captured(next.clone()).await.unwrap();
    let all = store.captured().await.unwrap();
    assert!(all.contains(&CapturedRecord { sealed: None, ..first }) && all.contains(&next), "{all:?}");
}

async fn a_claim_is_taken_once_and_what_was_sealed_is_gone_then(store: Arc<dyn Store>) {
    let (credential, workload) = (credential(1, "stripe"), workload(1, "robot"));
    let (row, approval) = placeholder(1, credential.id, workload.id, None);
    let (other, other_approval) = placeholder(2, credential.id, workload.id, None);
    store.add_credential(credential).await.unwrap();
    store.add_workload(workload).await.unwrap();
    let claim = ClaimRecord {
        code: row.text,
        placeholder: row.id,
        sealed: Some(vec![1, 2, 3]),
        created: at(1),
        expires: at(9),
        claimed: None,
    };
    // A claim for another placeholder leaves nothing behind.
    let added = store.add_placeholder_to_claim(other, other_approval, claim.clone()).await;
    assert!(is_conflict(&added) && store.load().await.unwrap().placeholders.is_empty());
    store.add_placeholder_to_claim(row.clone(), approval, claim.clone()).await.unwrap();
    assert_eq!(store.claim(claim.code).await, Ok(Some(claim.clone())));
    assert_eq!(store.claim_of(row.id).await, Ok(Some(claim.clone())));
    let claimed = |millis| Claimed { at: at(millis), by: "192.0.2.1".into() };
    let racers = (2..10).map(|millis| store.take_claim(claim.code, claimed(millis)));
    let mut taken = Vec::new();
    for racer in racers.collect::<Vec<_>>() {
        taken.push(racer.await.unwrap());
    }
    assert_eq!(taken.iter().flatten().collect::<Vec<_>>(), [&vec![1, 2, 3]]);
    let after = store.claim(claim.code).await.unwrap().unwrap();
    assert!(after.sealed.is_none() && after.claimed.is_some());
    let nobody = keys().workload_hash("nobody");
    assert_eq!(store.claim(nobody).await, Ok(None));
    assert_eq!(store.take_claim(nobody, claimed(11)).await, Ok(None));
}

async fn freezing_leaves_the_state(store: Arc<dyn Store>) {
    let id = active(&*store, &[Some(2)]).await[0];
    store.change_placeholders(vec![id], Change::Freeze, at(60)).await.unwrap();
    store.change_placeholders(vec![id], Change::Freeze, at(61)).await.unwrap();
    let row = store.load().await.unwrap().placeholders.remove(0);
    assert_eq!((row.state, row.frozen), (PlaceholderState::Active, Some(at(60))));
    store.change_placeholders(vec![id], Change::Thaw, at(62)).await.unwrap();
    assert_eq!(store.load().await.unwrap().placeholders[0].frozen, None);
    let nobody = PlaceholderId::new(at(1), [0xEE; 10]);
    assert!(matches!(
        store.change_placeholders(vec![nobody], Change::Thaw, at(62)).await,
        Err(StoreError::Missing { .. })
    ));
}

async fn a_life_changes_as_the_model_says_and_in_no_other_way(store: Arc<dyn Store>) {
    let ids = active(&*store, &[Some(2), None]).await;
    let life = async || store.load().await.unwrap().placeholders.remove(0).life();
    // Each change after each, as far as they lead; the last one ends it.
    let lead = [
        Change::Freeze,
        Change::Spend,
        Change::Thaw,
        Change::Freeze,
        Change::GiveBack,
        Change::Grant,
        Change::Deny,
        Change::Expire,
    ];
    for change in lead.into_iter().chain(Change::ALL).chain(Change::ALL) {
        let (before, now) = (life().await, at(70));
        let expected = before.after(change, now);
        let done = store.change_placeholders(vec![ids[0]], change, now).await;
        assert_eq!(is_conflict(&done), expected.is_none(), "{before:?} {change:?}: {done:?}");
        assert_eq!(life().await, expected.unwrap_or(before), "{before:?} {change:?}");
    }
    assert_eq!(life().await.stage(), Stage::Revoked);
    // One that cannot be changed keeps the others as they are.
    assert!(is_conflict(&store.change_placeholders(vec![ids[1], ids[0]], Change::Freeze, at(71)).await));
    assert_eq!(store.load().await.unwrap().placeholders[1].life().stage(), Stage::Active);
}

async fn many_are_revoked_or_none(store: Arc<dyn Store>) {
    let ids = active(&*store, &[None, None, None]).await;
    let nobody = PlaceholderId::new(at(1), [0xEE; 10]);
    let states = async || -> Vec<PlaceholderState> {
        store.load().await.unwrap().placeholders.iter().map(|row| row.state).collect()
    };
    assert!(store.change_placeholders(vec![ids[0], nobody], Change::Revoke, at(60)).await.is_err());
    assert_eq!(states().await, [PlaceholderState::Active; 3]);
    store.change_placeholders(vec![ids[0], ids[2]], Change::Revoke, at(60)).await.unwrap();
    let (revoked, active) = (PlaceholderState::Revoked, PlaceholderState::Active);
    assert_eq!(states().await, [revoked, active, revoked]);
}

async fn an_empty_store_has_no_rows(store: Arc<dyn Store>) {
    assert_eq!(store.load().await.unwrap(), Rows::default());
}

async fn what_was_added_is_loaded_as_it_was(store: Arc<dyn Store>) {
    let credentials = vec![credential(1, "a"), credential(2, "b")];
    let workloads = vec![workload(1, "a"), workload(2, "b")];
    let (first, asked) = placeholder(1, credentials[0].id, workloads[1].id, Some(3));
    let (mut second, mut granted) = placeholder(2, credentials[1].id, workloads[0].id, None);
    (second.expires, second.state) = (None, PlaceholderState::Active);
    (granted.decided, granted.signatures, granted.expires) = (Some(at(9)), vec![signature()], Some(at(99)));
    for row in credentials.iter().rev() {
        store.add_credential(row.clone()).await.unwrap();
    }
    for row in &workloads {
        store.add_workload(row.clone()).await.unwrap();
    }
    store.add_placeholder(second.clone(), granted.clone()).await.unwrap();
    store.add_placeholder(first.clone(), asked.clone()).await.unwrap();
    let expected = Rows {
        credentials,
        workloads,
        placeholders: vec![first, second],
        approvals: vec![asked, granted],
        ..Rows::default()
    };
    assert_eq!(store.load().await.unwrap(), expected);
}

async fn the_approvers_change_one_change_after_the_other(store: Arc<dyn Store>) {
    let change = |sequence, act| ApproverChange {
        sequence,
        act,
        name: "bob".into(),
        key: "ssh-ed25519 AAAA".into(),
        needed: 2,
        signatures: vec![signature()],
    };
    let (first, second) = (change(1, ApproverAct::Enrol), change(2, ApproverAct::Remove));
    assert!(is_conflict(&store.change_approvers(second.clone(), at(1)).await));
    store.change_approvers(first.clone(), at(1)).await.unwrap();
    assert!(is_conflict(&store.change_approvers(first.clone(), at(2)).await));
    assert!(is_conflict(&store.change_approvers(change(3, ApproverAct::Enrol), at(2)).await));
    store.change_approvers(second.clone(), at(2)).await.unwrap();
    assert_eq!(store.load().await.unwrap().approver_changes, [first, second]);
}

async fn a_name_is_taken_until_its_row_is_removed(store: Arc<dyn Store>) {
    let (first, second) = (credential(1, "stripe"), credential(2, "stripe"));
    store.add_credential(first.clone()).await.unwrap();
    let taken = Err(StoreError::Exists { what: "credential", name: "stripe".into() });
    assert_eq!(store.add_credential(second.clone()).await, taken);
    store.remove_credential(first.id, at(5)).await.unwrap();
    store.add_credential(second).await.unwrap();
    let (first, second) = (workload(1, "robot"), workload(2, "robot"));
    store.add_workload(first.clone()).await.unwrap();
    let taken = Err(StoreError::Exists { what: "workload", name: "robot".into() });
    assert_eq!(store.add_workload(second.clone()).await, taken);
    store.remove_workload(first.id, at(5)).await.unwrap();
    store.add_workload(second).await.unwrap();
    let rows = store.load().await.unwrap();
    assert_eq!((rows.credentials.len(), rows.workloads.len()), (2, 2), "removed rows stay");
}

async fn rotating_takes_the_next_generation_only(store: Arc<dyn Store>) {
    let row = credential(1, "stripe");
    store.add_credential(row.clone()).await.unwrap();
    let shape = Shape::prefixed("rk_", placeholder_alphabet(), 40);
    let rotate = |generation| {
        store.rotate_credential(
            row.id,
            generation,
            SealedSecret(vec![2]),
            shape.clone(),
            at(generation.into()),
        )
    };
    for wrong in [0, 1, 3, u32::MAX] {
        assert!(is_conflict(&rotate(wrong).await), "generation {wrong}");
    }
    rotate(2).await.unwrap();
    assert!(is_conflict(&rotate(2).await));
    let stored = store.load().await.unwrap().credentials.remove(0);
    let expected = CredentialRecord {
        generation: 2,
        sealed: SealedSecret(vec![2]),
        shape: shape.clone(),
        rotated: at(2),
        ..row.clone()
    };
    assert_eq!(stored, expected);
    store.remove_credential(row.id, at(9)).await.unwrap();
    assert!(matches!(rotate(3).await, Err(StoreError::Missing { .. })));
}

async fn resealing_stays_in_its_generation(store: Arc<dyn Store>) {
    let row = credential(1, "mail");
    store.add_credential(row.clone()).await.unwrap();
    let reseal = |generation| store.reseal_credential(row.id, generation, SealedSecret(vec![7]));
    for wrong in [0, 2] {
        assert!(is_conflict(&reseal(wrong).await), "generation {wrong}");
    }
    reseal(1).await.unwrap();
    let stored = store.load().await.unwrap().credentials.remove(0);
    assert_eq!(stored, CredentialRecord { sealed: SealedSecret(vec![7]), ..row.clone() });
    store.remove_credential(row.id, at(9)).await.unwrap();
    assert!(is_conflict(&reseal(1).await), "a removed credential stays erased");
}

fn placeholder_alphabet() -> placeholder::Alphabet {
    placeholder::Alphabet::Hex
}

async fn what_is_sealed_is_exchanged_only_where_it_is_what_was_read(store: Arc<dyn Store>) {
    let row = credential(1, "a");
    store.add_credential(row.clone()).await.unwrap();
    let other = SealedSecret(vec![7]);
    let exchange = |old: &SealedSecret, new: &SealedSecret| {
        store.rewrap(cloakroom_store::SealedRow::Credential(row.id), old.clone(), new.clone())
    };
    assert!(!exchange(&other, &row.sealed).await.unwrap());
    assert!(exchange(&row.sealed, &other).await.unwrap());
    assert!(!exchange(&row.sealed, &other).await.unwrap(), "it was exchanged already");
    let stored = store.load().await.unwrap().credentials;
    assert_eq!((&stored[0].sealed, stored[0].generation), (&other, row.generation));
    store.remove_credential(row.id, Timestamp::from_millis(9)).await.unwrap();
    assert!(!exchange(&other, &row.sealed).await.unwrap(), "a removed credential stays erased");
}

async fn a_placeholder_needs_its_credential_and_workload(store: Arc<dyn Store>) {
    let (row, worker) = (credential(1, "stripe"), workload(1, "robot"));
    let add = || {
        let (row, approval) = placeholder(1, row.id, worker.id, None);
        store.add_placeholder(row, approval)
    };
    assert!(matches!(add().await, Err(StoreError::Missing { what: "credential", .. })));
    store.add_credential(row.clone()).await.unwrap();
    assert!(matches!(add().await, Err(StoreError::Missing { what: "workload", .. })));
    store.add_workload(worker.clone()).await.unwrap();
    store.remove_workload(worker.id, at(3)).await.unwrap();
    assert!(matches!(add().await, Err(StoreError::Missing { what: "workload", .. })));
    assert_eq!(store.load().await.unwrap().placeholders, []);
}

async fn a_placeholder_that_does_not_fit_leaves_no_trace(store: Arc<dyn Store>) {
    active(&*store, &[None]).await;
    let before = store.load().await.unwrap();
    let known = &before.placeholders[0];
    let fresh = || placeholder(2, known.credential, known.workload, None);
    let edits: [fn(&mut PlaceholderRecord, &mut ApprovalRecord, &Rows); 5] = [
        |row, _, rows| row.core = rows.placeholders[0].core,
        |row, _, rows| row.text = rows.placeholders[0].text,
        |row, approval, rows| {
            (row.id, approval.placeholder) = (rows.placeholders[0].id, rows.placeholders[0].id)
        },
        |_, approval, rows| approval.id = rows.approvals[0].id,
        |_, approval, rows| approval.placeholder = rows.placeholders[0].id,
    ];
    for (number, edit) in edits.iter().enumerate() {
        let (mut row, mut approval) = fresh();
        edit(&mut row, &mut approval, &before);
        assert!(is_conflict(&store.add_placeholder(row, approval).await), "edit {number}");
        assert_eq!(store.load().await.unwrap(), before, "edit {number}");
    }
    let (row, approval) = fresh();
    store.add_placeholder(row, approval).await.unwrap();
}

async fn an_approval_is_decided_once(store: Arc<dyn Store>) {
    active(&*store, &[None]).await;
    let known = store.load().await.unwrap();
    let (row, approval) =
        placeholder(2, known.placeholders[0].credential, known.placeholders[0].workload, None);
    let id = approval.id;
    assert!(matches!(
        store.decide_approval(id, Decision::Denied, at(1)).await,
        Err(StoreError::Missing { .. })
    ));
    store.add_placeholder(row, approval).await.unwrap();
    store.decide_approval(id, Decision::Denied, at(60)).await.unwrap();
    for again in [Decision::Denied, Decision::Granted(vec![signature()])] {
        assert!(is_conflict(&store.decide_approval(id, again.clone(), at(70)).await));
        assert!(is_conflict(&store.decide_approval(known.approvals[0].id, again, at(70)).await));
    }
    let rows = store.load().await.unwrap();
    let states: Vec<_> = rows.placeholders.iter().map(|row| row.state).collect();
    assert_eq!(states, [PlaceholderState::Active, PlaceholderState::Denied]);
    let decided: Vec<_> =
        rows.approvals.iter().map(|row| (row.decided, row.signatures.clone(), row.denied)).collect();
    assert_eq!(decided, [(Some(at(50)), vec![signature()], false), (Some(at(60)), Vec::new(), true)]);
}

async fn signatures_gather_until_they_are_enough(store: Arc<dyn Store>) {
    active(&*store, &[None]).await;
    let known = store.load().await.unwrap();
    let (credential, workload) = (known.placeholders[0].credential, known.placeholders[0].workload);
    let (row, approval) = placeholder(2, credential, workload, None);
    let (id, revoked) = (approval.id, row.id);
    store.add_placeholder(row, approval).await.unwrap();
    store.decide_approval(id, Decision::Signed(vec![signature()]), at(60)).await.unwrap();
    let rows = store.load().await.unwrap();
    let asked = &rows.approvals[1];
    assert_eq!((asked.decided, asked.signatures.clone()), (None, vec![signature()]));
    assert_eq!(rows.placeholders[1].state, PlaceholderState::Pending);
    assert!(is_conflict(&store.withdraw_approval(id, at(61)).await), "it was not granted");
    let both = vec![signature(), signature()];
    store.decide_approval(id, Decision::Granted(both.clone()), at(62)).await.unwrap();
    let rows = store.load().await.unwrap();
    assert_eq!((rows.approvals[1].decided, rows.approvals[1].signatures.clone()), (Some(at(62)), both));
    assert_eq!(rows.placeholders[1].state, PlaceholderState::Active);
    store.change_placeholders(vec![revoked], Change::Revoke, at(60)).await.unwrap();
    assert!(is_conflict(&store.decide_approval(id, Decision::Signed(vec![signature()]), at(63)).await));
}

async fn what_was_granted_is_withdrawn_once(store: Arc<dyn Store>) {
    active(&*store, &[None, None]).await;
    let id = store.load().await.unwrap().approvals[0].id;
    store.withdraw_approval(id, at(70)).await.unwrap();
    let rows = store.load().await.unwrap();
    let states: Vec<_> = rows.placeholders.iter().map(|row| row.state).collect();
    assert_eq!(states, [PlaceholderState::Revoked, PlaceholderState::Active]);
    assert_eq!(rows.approvals[0].withdrawn, Some(at(70)));
    assert!(is_conflict(&store.withdraw_approval(id, at(71)).await));
}

async fn what_was_revoked_cannot_be_granted(store: Arc<dyn Store>) {
    let first = active(&*store, &[None]).await[0];
    let known = store.load().await.unwrap();
    let (row, approval) =
        placeholder(2, known.placeholders[0].credential, known.placeholders[0].workload, None);
    let (second, asked) = (row.id, approval.id);
    assert!(matches!(
        store.change_placeholders(vec![second], Change::Revoke, at(60)).await,
        Err(StoreError::Missing { .. })
    ));
    store.add_placeholder(row, approval).await.unwrap();
    for id in [first, second, second] {
        store.change_placeholders(vec![id], Change::Revoke, at(60)).await.unwrap();
    }
    assert!(is_conflict(&store.decide_approval(asked, Decision::Granted(vec![signature()]), at(60)).await));
    assert_eq!(store.load().await.unwrap().approvals[1].decided, None);
    store.decide_approval(asked, Decision::Denied, at(61)).await.unwrap();
    let rows = store.load().await.unwrap();
    assert!(rows.placeholders.iter().all(|row| row.state == PlaceholderState::Revoked));
    assert!(rows.approvals[1].denied);
}

async fn uses_are_noted_as_they_were_tallied(store: Arc<dyn Store>) {
    let ids = active(&*store, &[Some(1), Some(37), None]).await;
    let nobody = PlaceholderId::new(at(1), [0xEE; 10]);
    assert_eq!(store.books().await, Ok(Books::default()));
    store.note_uses(4, vec![(ids[0], 1), (ids[1], 9), (nobody, 3)]).await.unwrap();
    assert_eq!(used(&*store).await, [1, 9, 0]);
    store.note_rollback(at(7)).await.unwrap();
    assert_eq!(store.books().await, Ok(Books { tally: 4, rolled_back: Some(at(7)) }));
    // More than there are cannot stand in a row; fewer than before were given back.
    store.note_uses(5, vec![(ids[0], 3), (ids[1], 8)]).await.unwrap();
    assert_eq!(used(&*store).await, [1, 8, 0]);
    assert_eq!(store.books().await, Ok(Books { tally: 5, rolled_back: Some(at(7)) }));
}

async fn concurrent_changes_that_fail_do_not_disturb_their_neighbours(store: Arc<dyn Store>) {
    let add = |number: u64| {
        let store = Arc::clone(&store);
        // Every name is wanted twice.
        let row = workload(number, &format!("w{}", number / 2));
        tokio::spawn(async move { store.add_workload(row).await.is_ok() })
    };
    let tasks: Vec<_> = (0..100).map(add).collect();
    let mut added = 0;
    for task in tasks {
        added += usize::from(task.await.unwrap());
    }
    assert_eq!((added, store.load().await.unwrap().workloads.len()), (50, 50));
}

async fn a_lease_is_kept_as_it_is_now_until_it_is_gone(store: Arc<dyn Store>) {
    assert_eq!(store.leases().await, Ok(Vec::new()));
    let (first, second) = (lease(1), lease(2));
    // The credential need not be there: a lease outlives it.
    for row in [&second, &first] {
        store.keep_lease(row.clone()).await.unwrap();
    }
    assert_eq!(store.leases().await, Ok(vec![first.clone(), second.clone()]));
    let later = LeaseRecord {
        state: LeaseState::Ending,
        sealed: SealedSecret(b"other ciphertext".to_vec()),
        expires: Some(at(9)),
        attempts: 3,
        trouble: Some("it lingers".into()),
        ..first.clone()
    };
    store.keep_lease(later.clone()).await.unwrap();
    assert_eq!(store.leases().await, Ok(vec![later, second.clone()]));
    store.end_lease(first.id).await.unwrap();
    assert!(matches!(store.end_lease(first.id).await, Err(StoreError::Missing { .. })));
    assert_eq!(store.leases().await, Ok(vec![second]));
}

async fn a_member_has_a_name_and_a_passkey_of_its_own(store: Arc<dyn Store>) {
    let ann = member(1, "ann", "webauthn a");
    store.add_member(ann.clone()).await.unwrap();
    for taken in [member(2, "ann", "webauthn b"), member(2, "bob", "webauthn a")] {
        assert!(matches!(store.add_member(taken).await, Err(StoreError::Conflict(_))));
    }
    assert_eq!(store.members().await.unwrap(), std::slice::from_ref(&ann));
    store.remove_member(ann.id, at(9)).await.unwrap();
    assert!(matches!(store.remove_member(ann.id, at(9)).await, Err(StoreError::Missing { .. })));
    let again = member(2, "ann", "webauthn a");
    store.add_member(again.clone()).await.unwrap();
    let removed = MemberRecord { removed: Some(at(9)), ..ann };
    assert_eq!(store.members().await.unwrap(), [removed, again]);
}

async fn a_removed_members_sessions_and_api_tokens_end_and_nobody_elses(store: Arc<dyn Store>) {
    let (ann, bob) = (member(1, "ann", "webauthn a"), member(2, "bob", "webauthn b"));
    let other = session_of(2, "webauthn b");
    let of =
        |number, name, key: &str| ApiTokenRecord { owner_key: Some(key.into()), ..api_token(number, name) };
    let (one, two, three) = (of(1, "a", "webauthn a"), of(2, "b", "webauthn b"), api_token(3, "c"));
    store.add_member(ann.clone()).await.unwrap();
    store.add_member(bob).await.unwrap();
    store.add_session(session_of(1, "webauthn a")).await.unwrap();
    store.add_session(other.clone()).await.unwrap();
    for row in [&one, &two, &three] {
        store.add_api_token(row.clone()).await.unwrap();
    }
    store.remove_member(ann.id, at(9)).await.unwrap();
    assert_eq!(store.sessions().await.unwrap(), [other]);
    let one = ApiTokenRecord { revoked: Some(at(9)), ..one };
    assert_eq!(store.api_tokens().await.unwrap(), [one, two, three]);
}

async fn a_session_is_found_by_its_hash_until_it_ends(store: Arc<dyn Store>) {
    let (one, two) = (session(1, 10), session(2, 30));
    store.add_session(one.clone()).await.unwrap();
    store.use_session(one.id, at(8)).await.unwrap();
    store.use_session(one.id, at(6)).await.unwrap();
    let used = SessionRecord { used: at(8), ..one.clone() };
    assert_eq!(store.session(one.hash).await.unwrap(), Some(used));
    assert_eq!(store.session(two.hash).await.unwrap(), None);
    let later = SessionRecord { begun: at(10), ..two.clone() };
    store.add_session(later.clone()).await.unwrap();
    assert_eq!(store.sessions().await.unwrap(), [later], "what has ended is forgotten");
    store.end_session(two.id).await.unwrap();
    assert!(matches!(store.end_session(two.id).await, Err(StoreError::Missing { .. })));
    store.use_session(two.id, at(11)).await.unwrap();
    assert_eq!(store.sessions().await.unwrap(), []);
}

async fn an_api_token_is_found_by_its_hash_and_revoked_once(store: Arc<dyn Store>) {
    let one = api_token(1, "ci");
    store.add_api_token(one.clone()).await.unwrap();
    assert!(matches!(store.add_api_token(api_token(2, "ci")).await, Err(StoreError::Conflict(_))));
    assert_eq!(store.api_token(one.hash).await.unwrap(), Some(one.clone()));
    store.revoke_api_token(one.id, at(7)).await.unwrap();
    assert!(matches!(store.revoke_api_token(one.id, at(7)).await, Err(StoreError::Missing { .. })));
    let revoked = ApiTokenRecord { revoked: Some(at(7)), ..one };
    assert_eq!(store.api_token(revoked.hash).await.unwrap(), Some(revoked.clone()));
    let again = api_token(2, "ci");
    store.add_api_token(again.clone()).await.unwrap();
    assert_eq!(store.api_tokens().await.unwrap(), [revoked, again]);
}
