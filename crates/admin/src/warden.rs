//! Ends a placeholder that was misused, as the data plane asks: on record, stored and in force before the misuse is answered.

use crate::admin::Admin;
use crate::{Problem, ProblemCode};
use cloakroom_model::{EventKind, OnMisuse, PlaceholderId, PlaceholderState, Timestamp};
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
    let act = match how {
        OnMisuse::Record => return Ok(()),
        _ if row.state == PlaceholderState::Revoked => return Ok(()),
        OnMisuse::Freeze if row.frozen.is_some() => return Ok(()),
        OnMisuse::Freeze => "placeholder frozen",
        OnMisuse::RevokeFamily => "placeholder revoked",
    };
    let now = Timestamp::now();
    let entry = Entry::Act {
        at: now,
        act: act.into(),
        subject: placeholder.to_string(),
        name: None,
        by: format!("misuse: {because}"),
    };
    let position = admin.journal.append(&entry)?;
    admin.journal.durable(position).await?;
    let ended = match how {
        OnMisuse::Freeze => admin.store.freeze_placeholder(placeholder, Some(now)).await,
        _ => admin.store.revoke_placeholder(placeholder).await,
    };
    // Also after a failure: an unsure store is read again rather than trusted from memory.
    admin.put_in_force(&mut turn).await?;
    ended?;
    tracing::warn!(%placeholder, %because, act, "a placeholder was misused");
    Ok(())
}
