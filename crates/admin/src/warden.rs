//! Ends a placeholder that was misused, as the data plane asks: on record, stored and in force before the misuse is answered.

use crate::admin::Admin;
use crate::api::placeholders::family;
use crate::{Problem, ProblemCode};
use cloakroom_model::{Change, EventKind, OnMisuse, PlaceholderId, Timestamp};
use cloakroom_store::journal::Entry;
use cloakroom_store::{BoxFuture, Warden};
use std::sync::Arc;

/// The admin side's hand for the data plane.
pub struct Revoker(pub Arc<Admin>);

impl Warden for Revoker {
    fn end(&self, placeholder: PlaceholderId, how: OnMisuse, because: EventKind) -> BoxFuture<'_, ()> {
        let admin = Arc::clone(&self.0);
        // To its end, even if the workload hangs up: half of it would be stored and not in force.
        let ending = tokio::spawn(async move { end(&admin, placeholder, how, because).await });
        Box::pin(async move {
            let fault = || Problem::new(ProblemCode::InternalFault, "it did not finish");
            if let Err(problem) = ending.await.unwrap_or_else(|_| Err(fault())) {
                tracing::error!(%placeholder, %because, %problem, "a misused placeholder could not be ended");
            }
        })
    }
}

async fn end(
    admin: &Admin,
    placeholder: PlaceholderId,
    how: OnMisuse,
    because: EventKind,
) -> Result<(), Problem> {
    let mut turn = admin.turn().await;
    let rows = admin.rows().await?;
    let Some(row) = rows.placeholders.iter().find(|row| row.id == placeholder) else { return Ok(()) };
    let (change, ids) = match how {
        OnMisuse::Record => return Ok(()),
        OnMisuse::Freeze => (Change::Freeze, vec![placeholder]),
        OnMisuse::RevokeFamily => (Change::Revoke, family(&rows, placeholder)),
    };
    let (life, now, act) = (row.life(), Timestamp::now(), change.act());
    // What ended meanwhile, or was frozen, is not ended again.
    if life.after(change, now).is_none_or(|next| next == life) {
        return Ok(());
    }
    let mut last = None;
    for id in &ids {
        let (by, subject) = (format!("misuse: {because}"), id.to_string());
        let entry = Entry::Act { at: now, act: act.into(), subject, name: None, by };
        last = Some(admin.journal.append(&entry)?);
    }
    if let Some(position) = last {
        admin.journal.durable(position).await?;
    }
    let ended = admin.store.change_placeholders(ids, change, now).await;
    // Also after a failure: an unsure store is read again rather than trusted from memory.
    admin.put_in_force(&mut turn).await?;
    ended?;
    tracing::warn!(%placeholder, %because, act, "a placeholder was misused");
    Ok(())
}
