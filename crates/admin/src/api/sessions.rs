//! Sessions: whose browsers are logged in, and an end to that.

use super::page::{Listed, Page};
use crate::act::{Act, to_the_end};
use crate::admin::Admin;
use crate::identity::Caller;
use crate::peer::Peer;
use crate::wire::SessionView;
use crate::{Problem, ProblemCode};
use axum::extract::{Path, State};
use axum::{Extension, Json};
use cloakroom_model::{Role, SessionId, SessionRecord, Timestamp};
use std::str::FromStr;
use std::sync::Arc;

/// The caller's own; everybody's where an operator asks.
pub(crate) async fn list(
    State(admin): State<Arc<Admin>>,
    Extension(caller): Extension<Caller>,
    page: Page,
) -> Result<Listed<SessionView>, Problem> {
    let rows = live(&admin).await?;
    let shown = rows.iter().filter(|row| caller.has(Role::Operator) || caller.owns(&owner(row)));
    Ok(page.of(shown.map(|row| view(row, &caller)).collect(), |one| one.id.to_string()))
}

/// Logs a browser out.
pub(crate) async fn end(
    State(admin): State<Arc<Admin>>,
    Extension(caller): Extension<Caller>,
    Path(session): Path<String>,
) -> Result<Json<SessionView>, Problem> {
    to_the_end(async move {
        let none = || Problem::new(ProblemCode::NotFound, "there is no such session");
        let id = SessionId::from_str(&session).map_err(|_| none())?;
        let row = live(&admin).await?.into_iter().find(|row| row.id == id).ok_or_else(none)?;
        caller.require_own(&owner(&row))?;
        let act = Act::begin(&admin, caller.by().clone()).await?;
        let stored = || admin.store.end_session(id);
        act.carry_out("session ended", id.to_string(), None, stored).await?;
        Ok(view(&row, &caller))
    })
    .await
}

async fn live(admin: &Admin) -> Result<Vec<SessionRecord>, Problem> {
    let (mut rows, now) = (admin.store.sessions().await?, Timestamp::now());
    rows.retain(|row| row.ends > now && row.used.plus(admin.identity.spans.idle) > now);
    Ok(rows)
}

fn owner(row: &SessionRecord) -> String {
    Peer::Person(row.name.as_str().into()).to_string()
}

fn view(row: &SessionRecord, caller: &Caller) -> SessionView {
    SessionView {
        id: row.id,
        name: row.name.clone(),
        begun: row.begun.to_string(),
        used: row.used.to_string(),
        ends: row.ends.to_string(),
        is_this: caller.session().is_some_and(|own| own.id == row.id),
    }
}
