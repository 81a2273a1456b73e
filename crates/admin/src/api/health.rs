//! Whether the broker runs, and what the journal knows about one call.

use super::view::{self, Relations};
use crate::admin::Admin;
use crate::wire::{CheckpointDocument, Explanation, Health};
use crate::{Problem, ProblemCode, explain};
use axum::Json;
use axum::extract::{Path, State};
use cloakroom_model::{RequestId, Rows, Timestamp};
use std::collections::BTreeMap;
use std::sync::Arc;

pub(crate) async fn show(State(admin): State<Arc<Admin>>) -> Result<Json<Health>, Problem> {
    read(&admin).await.map(Json)
}

/// The state of the broker. Reading the rows proves that the store answers.
pub(crate) async fn read(admin: &Admin) -> Result<Health, Problem> {
    let rows = admin.rows().await?;
    Ok(of(admin, &rows, &rows).await)
}

/// The same of rows that were read before.
pub(crate) async fn of(admin: &Admin, rows: &Rows, found: &impl Relations) -> Health {
    let unverified = admin.turn().await.len();
    let now = Timestamp::now();
    let mut states: BTreeMap<&str, usize> = BTreeMap::new();
    for row in &rows.placeholders {
        *states.entry(view::state(row, found, now)).or_default() += 1;
    }
    let in_state = |state| states.get(state).copied().unwrap_or(0);
    Health {
        status: if admin.custody.is_sealed() { "sealed" } else { "ok" }.into(),
        version: env!("CARGO_PKG_VERSION").into(),
        credentials: rows.credentials.iter().filter(|row| row.removed.is_none()).count(),
        workloads: rows.workloads.iter().filter(|row| row.removed.is_none()).count(),
        active: in_state("active").saturating_sub(unverified),
        pending: in_state("pending"),
        unverified,
        locked: admin.locks.is_locked(now),
        custody: Some(super::custody::view(admin)),
        certificate: admin.certificate.load().as_deref().cloned(),
        listeners: admin.listeners.clone(),
        confinement: admin.confinement.get().cloned().unwrap_or_default(),
        unlocked_blocks: admin.custody.unlocked_blocks(),
    }
}

pub(crate) async fn explain(
    State(admin): State<Arc<Admin>>,
    Path(request): Path<String>,
) -> Result<Json<Explanation>, Problem> {
    let request: RequestId = request.parse().map_err(|error: cloakroom_model::IdError| {
        Problem::new(ProblemCode::MalformedRequest, format!("not a request id: {error}"))
    })?;
    // What waits in memory is part of what the journal knows.
    admin.journal.all_written().await?;
    let journal = admin.data.join("journal");
    let records = tokio::task::spawn_blocking(move || explain::records_of(&journal, request))
        .await
        .map_err(|_| Problem::new(ProblemCode::InternalFault, "the journal could not be read"))??;
    if records.is_empty() {
        return Err(Problem::new(ProblemCode::NotFound, format!("the journal knows no call {request}"))
            .hinting("the id stands in the refusal's 'instance' member and in the Proxy-Status header"));
    }
    let names = names(&admin.rows().await?);
    Ok(Json(Explanation::new(request, &records, names)))
}

/// Ids to names, of everything that was ever named.
fn names(rows: &Rows) -> BTreeMap<String, String> {
    let credentials = rows.credentials.iter().map(|row| (row.id.to_string(), row.name.to_string()));
    let workloads = rows.workloads.iter().map(|row| (row.id.to_string(), row.name.to_string()));
    credentials.chain(workloads).collect()
}

/// Signs all that is on record until now.
pub(crate) async fn checkpoint(State(admin): State<Arc<Admin>>) -> Result<Json<CheckpointDocument>, Problem> {
    let checkpoint = admin.journal.checkpoint().await?;
    Ok(Json(CheckpointDocument { checkpoint }))
}
