//! Credentials: taken in sealed, shown by name and age, never read back.

use super::page::{Listed, Page};
use super::precondition::{IfMatch, Tag, Tagged};
use super::view::Relations;
use super::{input::Body, view};
use crate::act::{Act, to_the_end};
use crate::admin::Admin;
use crate::farewell;
use crate::peer::Peer;
use crate::wire::{CredentialView, IntakeView, NewCredential, Rotation};
use crate::{Problem, ProblemCode, find};
use axum::extract::{Path, State};
use axum::{Extension, Json};
use cloakroom_egress::custody::{Accepted, CustodyError};
use cloakroom_model::{CredentialId, CredentialKind, CredentialRecord, Destination, Name, Rows, Timestamp};
use std::sync::Arc;
use std::time::Duration;

pub(crate) async fn intake(State(admin): State<Arc<Admin>>) -> Json<IntakeView> {
    Json(IntakeView(admin.custody.intake()))
}

pub(crate) async fn list(
    State(admin): State<Arc<Admin>>,
    page: Page,
) -> Result<Listed<CredentialView>, Problem> {
    let rows = admin.rows().await?;
    let live = rows.credentials.iter().filter(|row| row.removed.is_none());
    Ok(page.of(live.map(|row| shown(&admin, row, &rows)).collect(), |one| one.id.to_string()))
}

pub(crate) async fn show(
    State(admin): State<Arc<Admin>>,
    Path(credential): Path<String>,
) -> Result<Tagged<CredentialView>, Problem> {
    let rows = admin.rows().await?;
    let row = find::credential(&rows, &credential)?;
    Ok(Tagged(Tag::of(&view::credential(row, &rows)), in_full(&admin, row, &rows)))
}

/// With how the making of its access tokens goes, and where its secret lives.
pub(crate) fn in_full(admin: &Admin, row: &CredentialRecord, rows: &impl Relations) -> CredentialView {
    let renewal = admin.custody.health(row.id).map(|health| view::renewal(&health));
    let source = admin.custody.source_of(row.id).map(view::source);
    CredentialView { renewal, source, ..shown(admin, row, rows) }
}

/// As shown; of a client certificate, when it ends.
fn shown(admin: &Admin, row: &CredentialRecord, rows: &impl Relations) -> CredentialView {
    let ends = admin.custody.certificate_ends(row.id);
    CredentialView { certificate_expires: ends.map(|at| at.to_string()), ..view::credential(row, rows) }
}

pub(crate) async fn add(
    State(admin): State<Arc<Admin>>,
    Extension(by): Extension<Peer>,
    Body(new): Body<NewCredential>,
) -> Result<Json<CredentialView>, Problem> {
    to_the_end(async move { deposit(&admin, by, new).await }).await
}

async fn deposit(admin: &Admin, by: Peer, new: NewCredential) -> Result<CredentialView, Problem> {
    let act = Act::begin(admin, by).await?;
    unless_taken(&act.rows, &new.name)?;
    let destinations = sorted(new.destinations)?;
    let id = CredentialId::fresh()?;
    let accepted =
        admin.custody.accept(&new.secret, &new.name, id, new.kind, &destinations, 1).map_err(not_accepted)?;
    store_new(admin, act, Fresh { id, name: new.name, kind: new.kind, destinations }, accepted).await
}

/// A credential that is not stored yet.
pub(super) struct Fresh {
    pub(super) id: CredentialId,
    pub(super) name: Name,
    pub(super) kind: CredentialKind,
    pub(super) destinations: Vec<Destination>,
}

pub(super) async fn store_new<'a>(
    admin: &'a Admin,
    act: Act<'a>,
    fresh: Fresh,
    accepted: Accepted,
) -> Result<CredentialView, Problem> {
    let Fresh { id, name, kind, destinations } = fresh;
    let now = Timestamp::now();
    let row = CredentialRecord {
        id,
        name: name.clone(),
        kind,
        destinations,
        shape: accepted.shape,
        generation: 1,
        sealed: accepted.sealed,
        created: now,
        rotated: now,
        removed: None,
    };
    let stored = || admin.store.add_credential(row);
    let rows = act.carry_out("credential added", id.to_string(), Some(&name), stored).await?;
    Ok(shown(admin, find::credential(&rows, &id.to_string())?, &*rows))
}

pub(super) fn unless_taken(rows: &Rows, name: &Name) -> Result<(), Problem> {
    find::require_no_id(name)?;
    if rows.credentials.iter().any(|row| row.removed.is_none() && row.name == *name) {
        return Err(Problem::new(
            ProblemCode::NameTaken,
            format!("credential {:?} exists already", name.as_str()),
        )
        .hinting(format!("replace its secret: cloakroom credential rotate {name}")));
    }
    Ok(())
}

/// Order has no meaning, so one order is kept: the sealed secret is bound to it.
pub(super) fn sorted(mut destinations: Vec<Destination>) -> Result<Vec<Destination>, Problem> {
    if destinations.is_empty() {
        return Err(Problem::new(
            ProblemCode::MalformedRequest,
            "a credential needs at least one destination",
        )
        .hinting("name where it may go: --to https://api.example.com"));
    }
    destinations.sort();
    destinations.dedup();
    Ok(destinations)
}

pub(crate) async fn rotate(
    State(admin): State<Arc<Admin>>,
    Extension(by): Extension<Peer>,
    Path(credential): Path<String>,
    expected: IfMatch,
    Body(rotation): Body<Rotation>,
) -> Result<Json<CredentialView>, Problem> {
    to_the_end(async move {
        let act = Act::begin(&admin, by).await?;
        let row = find::credential(&act.rows, &credential)?.clone();
        expected.require(&view::credential(&row, &act.rows))?;
        let generation = row.generation.checked_add(1).ok_or_else(|| {
            Problem::new(ProblemCode::Conflict, "this credential cannot be rotated any more")
        })?;
        let accepted = admin
            .custody
            .accept(&rotation.secret, &row.name, row.id, row.kind, &row.destinations, generation)
            .map_err(not_accepted)?;
        admin.custody.keep_former(row.id, grace(&rotation)?);
        let now = Timestamp::now();
        let stored =
            || admin.store.rotate_credential(row.id, generation, accepted.sealed, accepted.shape, now);
        let rows = act.carry_out("credential rotated", row.id.to_string(), Some(&row.name), stored).await?;
        Ok(shown(&admin, find::credential(&rows, &row.id.to_string())?, &*rows))
    })
    .await
}

/// The longest grace, in seconds: 30 days.
const LONGEST_GRACE: u64 = 30 * 24 * 3600;

fn grace(rotation: &Rotation) -> Result<Duration, Problem> {
    match rotation.grace.unwrap_or_default() {
        seconds @ ..=LONGEST_GRACE => Ok(Duration::from_secs(seconds)),
        _ => Err(Problem::new(ProblemCode::MalformedRequest, "the grace of a rotation is 30 days at most")
            .hinting("write --grace 10m, or up to 30d")),
    }
}

pub(crate) async fn remove(
    State(admin): State<Arc<Admin>>,
    Extension(by): Extension<Peer>,
    Path(credential): Path<String>,
    expected: IfMatch,
) -> Result<Json<CredentialView>, Problem> {
    to_the_end(async move {
        let act = Act::begin(&admin, by.clone()).await?;
        let row = find::credential(&act.rows, &credential)?.clone();
        expected.require(&view::credential(&row, &act.rows))?;
        // Before it is gone: what the authorization server is told.
        let farewell = admin.custody.farewell(row.id);
        let stored = || admin.store.remove_credential(row.id, Timestamp::now());
        let rows = act.carry_out("credential removed", row.id.to_string(), Some(&row.name), stored).await?;
        let revocation = match farewell {
            Some(farewell) => Some(farewell::say(&admin, by, &row.name, row.id, farewell).await),
            None => None,
        };
        Ok(CredentialView { revocation, ..view::credential(&row, &*rows) })
    })
    .await
}

pub(super) fn not_accepted(error: CustodyError) -> Problem {
    match error {
        CustodyError::Sealed => Problem::new(ProblemCode::BrokerSealed, error.to_string()),
        error => Problem::new(ProblemCode::SecretNotAccepted, error.to_string()),
    }
}
