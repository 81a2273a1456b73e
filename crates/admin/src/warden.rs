//! Ends a placeholder that was misused, as the data plane asks: on record, stored and in force before the misuse is answered.

use crate::admin::Admin;
use crate::{Problem, ProblemCode};
use cloakroom_model::{EventKind, PlaceholderId, PlaceholderState, Timestamp};
use cloakroom_store::journal::Entry;
use cloakroom_store::{BoxFuture, Warden};
use std::sync::Arc;

/// The admin side's hand for the data plane.
pub struct Revoker(pub Arc<Admin>);

impl Warden for Revoker {
    fn revoke(&self, placeholder: PlaceholderId, because: EventKind) -> BoxFuture<'_, ()> {
        let admin = Arc::clone(&self.0);
        // To its end, even if the workload hangs up: half a revocation would be stored and not in force.
        let revoking = tokio::spawn(async move { revoke(&admin, placeholder, because).await });
        Box::pin(async move {
            let fault = || Problem::new(ProblemCode::InternalFault, "the revocation did not finish");
            if let Err(problem) = revoking.await.unwrap_or_else(|_| Err(fault())) {
                tracing::error!(%placeholder, %because, %problem, "a misused placeholder could not be revoked");
            }
        })
    }
}

async fn revoke(admin: &Admin, placeholder: PlaceholderId, because: EventKind) -> Result<(), Problem> {
    let mut turn = admin.turn().await;
    let rows = admin.store.load().await?;
    let row = rows.placeholders.iter().find(|row| row.id == placeholder);
    if row.is_none_or(|row| row.state == PlaceholderState::Revoked) {
        return Ok(());
    }
    let entry = Entry::Act {
        at: Timestamp::now(),
        act: "placeholder revoked".into(),
        subject: placeholder.to_string(),
        name: None,
        by: format!("misuse: {because}"),
    };
    let position = admin.journal.append(&entry)?;
    admin.journal.durable(position).await?;
    let revoked = admin.store.revoke_placeholder(placeholder).await;
    // Also after a failure: an unsure store is read again rather than trusted from memory.
    admin.put_in_force(&mut turn).await?;
    revoked?;
    tracing::warn!(%placeholder, %because, "a misused placeholder was revoked");
    Ok(())
}
