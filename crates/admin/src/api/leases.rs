//! What sources have lent and was not given back yet.

use super::page::{Listed, Page};
use super::view;
use crate::act::{Act, to_the_end};
use crate::admin::Admin;
use crate::peer::Peer;
use crate::wire::LeaseView;
use crate::{Problem, ProblemCode};
use axum::extract::{Path, State};
use axum::{Extension, Json};
use cloakroom_model::{CredentialId, LeaseId, LeaseRecord};
use std::collections::BTreeSet;
use std::sync::Arc;

impl Admin {
    /// The credentials that some placeholder which may be used now stands for.
    ///
    /// # Errors
    /// When the rows cannot be read.
    pub async fn credentials_in_use(&self) -> Result<BTreeSet<CredentialId>, Problem> {
        let rows = self.rows().await?;
        let now = cloakroom_model::Timestamp::now();
        let used = rows.placeholders.iter().filter(|row| view::state(row, &rows, now) == "active");
        Ok(used.map(|row| row.credential).collect())
    }
}

pub(crate) async fn list(State(admin): State<Arc<Admin>>, page: Page) -> Result<Listed<LeaseView>, Problem> {
    let rows = admin.rows().await?;
    let leases = admin.store.leases().await?;
    Ok(page.of(leases.iter().map(|lease| view::lease(lease, &rows)).collect(), |one| one.id.to_string()))
}

pub(crate) async fn dismiss(
    State(admin): State<Arc<Admin>>,
    Extension(by): Extension<Peer>,
    Path(lease): Path<String>,
) -> Result<Json<LeaseView>, Problem> {
    to_the_end(async move {
        let act = Act::begin(&admin, by).await?;
        let leases = admin.store.leases().await?;
        let lease = found(&leases, &lease)?;
        let shown = view::lease(lease, &act.rows);
        let id = lease.id;
        let gone = || {
            admin.custody.dismiss_lease(id);
            admin.store.end_lease(id)
        };
        act.carry_out("lease dismissed", id.to_string(), None, gone).await?;
        Ok(shown)
    })
    .await
}

fn found<'l>(leases: &'l [LeaseRecord], id: &str) -> Result<&'l LeaseRecord, Problem> {
    let id: LeaseId = id.parse().map_err(|error: cloakroom_model::IdError| {
        Problem::new(ProblemCode::MalformedRequest, format!("not a lease's id: {error}"))
    })?;
    let none = || {
        Problem::new(ProblemCode::NotFound, format!("there is no lease {id}"))
            .hinting("see those there are: cloakroom lease list")
    };
    leases.iter().find(|lease| lease.id == id).ok_or_else(none)
}
