//! One act of an operator: validated, recorded, stored, put in force; in this order and one at a time.

use crate::admin::{Admin, Turn};
use crate::peer::Peer;
use crate::{Problem, ProblemCode};
use axum::Json;
use cloakroom_model::{Name, Rows, Timestamp};
use cloakroom_store::journal::Entry;
use cloakroom_store::{BoxFuture, StoreError};
use std::future::Future;
use std::sync::Arc;

/// An act in progress. Holds the turn, so what was validated against `rows` still holds when it is stored.
pub(crate) struct Act<'a> {
    admin: &'a Admin,
    turn: Turn<'a>,
    by: Peer,
    /// The rows as they are before the act.
    pub(crate) rows: Rows,
}

impl<'a> Act<'a> {
    pub(crate) async fn begin(admin: &'a Admin, by: Peer) -> Result<Self, Problem> {
        let turn = admin.turn().await;
        let rows = admin.rows().await?;
        Ok(Self { admin, turn, by, rows })
    }

    /// Records the act durably, then makes the change, then puts it in force. Answers the rows after it.
    pub(crate) async fn carry_out(
        self,
        act: &str,
        subject: String,
        name: Option<&Name>,
        change: impl FnOnce() -> BoxFuture<'a, Result<(), StoreError>>,
    ) -> Result<Arc<Rows>, Problem> {
        self.carry_out_for(act, &[subject], name, change).await
    }

    /// The same for several subjects: a record for each, one change.
    pub(crate) async fn carry_out_all(
        self,
        act: &str,
        subjects: &[String],
        change: impl FnOnce() -> BoxFuture<'a, Result<(), StoreError>>,
    ) -> Result<Arc<Rows>, Problem> {
        self.carry_out_for(act, subjects, None, change).await
    }

    async fn carry_out_for(
        mut self,
        act: &str,
        subjects: &[String],
        name: Option<&Name>,
        change: impl FnOnce() -> BoxFuture<'a, Result<(), StoreError>>,
    ) -> Result<Arc<Rows>, Problem> {
        self.record(act, subjects, name).await?;
        // Called only now: a store may begin when it is called, not when it is awaited.
        let changed = change().await;
        let subject = subjects.join(" ");
        if let Err(error) = &changed {
            tracing::error!(act, %subject, %error, "an act was recorded but could not be stored");
            let failed = format!("{act}: failed");
            if let Err(problem) = self.record(&failed, subjects, name).await {
                tracing::error!(%problem, "the failure could not be recorded");
            }
        }
        // Also after a failure: an unsure store is read again rather than trusted from memory.
        let rows = self.admin.put_in_force(&mut self.turn).await;
        changed?;
        tracing::info!(act, %subject, by = %self.by, "done");
        rows
    }

    /// Records durably what changes no row.
    pub(crate) async fn note(&self, act: &str, subject: &str, name: Option<&Name>) -> Result<(), Problem> {
        self.record(act, &[subject.to_owned()], name).await?;
        tracing::info!(act, %subject, by = %self.by, "done");
        Ok(())
    }

    async fn record(&self, act: &str, subjects: &[String], name: Option<&Name>) -> Result<(), Problem> {
        let mut last = None;
        for subject in subjects {
            let entry = Entry::Act {
                at: Timestamp::now(),
                act: act.into(),
                subject: subject.clone(),
                name: name.cloned(),
                by: self.by.to_string(),
            };
            last = Some(self.admin.journal.append(&entry)?);
        }
        // The last on the disk means all are.
        match last {
            Some(position) => Ok(self.admin.journal.durable(position).await?),
            None => Ok(()),
        }
    }
}

/// Runs an act to its end even if the CLI hangs up: half an act would leave a stored change that is not in force.
pub(crate) async fn to_the_end<T: Send + 'static>(
    act: impl Future<Output = Result<T, Problem>> + Send + 'static,
) -> Result<Json<T>, Problem> {
    match tokio::spawn(act).await {
        Ok(done) => done.map(Json),
        Err(_) => Err(Problem::new(ProblemCode::InternalFault, "the act did not finish")),
    }
}
