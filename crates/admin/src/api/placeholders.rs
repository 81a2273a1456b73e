//! Placeholders: shown without their text, frozen, revoked at once.

use super::page::{Listed, Page};
use super::precondition::{IfMatch, Tag, Tagged};
use super::{input::Body, view};
use crate::act::{Act, to_the_end};
use crate::admin::Admin;
use crate::history::history_of;
use crate::peer::Peer;
use crate::wire::{History, PlaceholderView, Revocation, Revoked};
use crate::{Problem, ProblemCode, find};
use axum::extract::{Path, State};
use axum::{Extension, Json};
use cloakroom_model::{Change, PlaceholderId, PlaceholderRecord, PlaceholderState, Rows, Timestamp};
use std::sync::Arc;

pub(crate) async fn list(
    State(admin): State<Arc<Admin>>,
    page: Page,
) -> Result<Listed<PlaceholderView>, Problem> {
    let rows = admin.rows().await?;
    let views: Result<Vec<_>, _> =
        rows.placeholders.iter().map(|row| view::placeholder(row, &rows)).collect();
    let ignored = admin.turn().await.clone();
    let rolled_back = admin.store.books().await?.rolled_back;
    let marked = views?.into_iter().map(|shown| mark(mark_older(shown, rolled_back), &ignored));
    Ok(page.of(marked.collect(), |one| one.id.to_string()))
}

pub(crate) async fn show(
    State(admin): State<Arc<Admin>>,
    Path(placeholder): Path<String>,
) -> Result<Tagged<PlaceholderView>, Problem> {
    let rows = admin.rows().await?;
    let row = find::placeholder(&rows, &placeholder)?;
    let ignored = admin.turn().await.clone();
    let rolled_back = admin.store.books().await?.rolled_back;
    let mut shown = mark(mark_older(view::placeholder(row, &rows)?, rolled_back), &ignored);
    shown.history = Some(history(&admin, row.id).await?);
    shown.claim = admin.store.claim_of(row.id).await?.map(|claim| view::claim(&claim, Timestamp::now()));
    shown.policy = Some(view::policy(row)?.canonical_text());
    Ok(Tagged(Tag::of(&state_of(row, &rows)?), shown))
}

/// What a change of it is about: uses are counted by calls, not by changes.
fn state_of(row: &PlaceholderRecord, rows: &Rows) -> Result<PlaceholderView, Problem> {
    Ok(PlaceholderView { used: 0, ..view::placeholder(row, rows)? })
}

/// Frozen by a start, not by a person.
fn mark_older(mut shown: PlaceholderView, rolled_back: Option<Timestamp>) -> PlaceholderView {
    if shown.frozen.is_some() && shown.frozen == rolled_back.map(|at| at.to_string()) {
        shown.why = Some(
            "frozen at a start: the data directory was an older copy, which does not know what was used or revoked since".into(),
        );
    }
    shown
}

/// What the journal knows, with what waits in memory.
async fn history(admin: &Admin, placeholder: PlaceholderId) -> Result<History, Problem> {
    admin.journal.write_out()?;
    let journal = admin.data.join("journal");
    let read = tokio::task::spawn_blocking(move || history_of(&journal, placeholder)).await;
    Ok(read.map_err(|_| Problem::new(ProblemCode::InternalFault, "the journal could not be read"))??)
}

/// Stored as active, but not in force: said wherever the placeholder is shown.
fn mark(
    mut shown: PlaceholderView,
    ignored: &std::collections::BTreeMap<PlaceholderId, String>,
) -> PlaceholderView {
    if let Some(why) = ignored.get(&shown.id) {
        shown.why = Some(why.clone());
    }
    if ignored.contains_key(&shown.id) && shown.state == "active" {
        shown.state = "unverified".into();
    }
    shown
}

pub(crate) async fn revoke(
    State(admin): State<Arc<Admin>>,
    Extension(by): Extension<Peer>,
    Path(placeholder): Path<String>,
    expected: IfMatch,
) -> Result<Json<PlaceholderView>, Problem> {
    to_the_end(async move { revoke_one(&admin, by, &placeholder, &expected).await }).await
}

/// With all that descend from it.
pub(crate) async fn revoke_one(
    admin: &Admin,
    by: Peer,
    placeholder: &str,
    expected: &IfMatch,
) -> Result<PlaceholderView, Problem> {
    let act = Act::begin(admin, by).await?;
    let row = find::placeholder(&act.rows, placeholder)?.clone();
    expected.require(&state_of(&row, &act.rows)?)?;
    if row.state == PlaceholderState::Revoked {
        return show_one(&act.rows, row.id);
    }
    let ids = family(&act.rows, row.id);
    let subjects: Vec<String> = ids.iter().map(ToString::to_string).collect();
    let stored = || admin.store.change_placeholders(ids.clone(), Change::Revoke, Timestamp::now());
    let rows = act.carry_out_all(Change::Revoke.act(), &subjects, stored).await?;
    show_one(&rows, row.id)
}

/// Of a credential, of a workload, or all: as one act.
pub(crate) async fn revoke_many(
    State(admin): State<Arc<Admin>>,
    Extension(by): Extension<Peer>,
    Body(which): Body<Revocation>,
) -> Result<Json<Revoked>, Problem> {
    to_the_end(async move {
        let act = Act::begin(&admin, by).await?;
        let ids = chosen(&act.rows, &which)?;
        if ids.is_empty() {
            return Ok(Revoked { revoked: ids });
        }
        let subjects: Vec<String> = ids.iter().map(ToString::to_string).collect();
        let stored = || admin.store.change_placeholders(ids.clone(), Change::Revoke, Timestamp::now());
        act.carry_out_all(Change::Revoke.act(), &subjects, stored).await?;
        Ok(Revoked { revoked: ids })
    })
    .await
}

/// SECURITY: a request that names nothing, or two things, revokes nothing rather than everything.
fn chosen(rows: &Rows, which: &Revocation) -> Result<Vec<PlaceholderId>, Problem> {
    let standing = rows.placeholders.iter().filter(|row| row.state != PlaceholderState::Revoked);
    let ids = |is_meant: &dyn Fn(&PlaceholderRecord) -> bool| {
        standing.filter(|row| is_meant(row)).map(|row| row.id).collect()
    };
    match (&which.credential, &which.workload, which.all) {
        (Some(name), None, false) => {
            let credential = find::credential(rows, name)?.id;
            Ok(ids(&|row| row.credential == credential))
        }
        (None, Some(name), false) => {
            let workload = find::workload(rows, name)?.id;
            Ok(ids(&|row| row.workload == workload))
        }
        (None, None, true) => Ok(ids(&|_| true)),
        _ => Err(Problem::new(ProblemCode::MalformedRequest, "it is not said which placeholders are meant")
            .hinting("name a credential, or a workload, or all")),
    }
}

pub(crate) async fn freeze(
    State(admin): State<Arc<Admin>>,
    Extension(by): Extension<Peer>,
    Path(placeholder): Path<String>,
    expected: IfMatch,
) -> Result<Json<PlaceholderView>, Problem> {
    to_the_end(async move { change_one(&admin, by, &placeholder, &expected, Change::Freeze).await }).await
}

pub(crate) async fn thaw(
    State(admin): State<Arc<Admin>>,
    Extension(by): Extension<Peer>,
    Path(placeholder): Path<String>,
    expected: IfMatch,
) -> Result<Json<PlaceholderView>, Problem> {
    to_the_end(async move { change_one(&admin, by, &placeholder, &expected, Change::Thaw).await }).await
}

/// Freezes or thaws.
pub(crate) async fn change_one(
    admin: &Admin,
    by: Peer,
    placeholder: &str,
    expected: &IfMatch,
    change: Change,
) -> Result<PlaceholderView, Problem> {
    let act = Act::begin(admin, by).await?;
    let row = find::placeholder(&act.rows, placeholder)?.clone();
    expected.require(&state_of(&row, &act.rows)?)?;
    let (life, now) = (row.life(), Timestamp::now());
    let Some(next) = life.after(change, now) else {
        let text = format!("placeholder {} is {}, which is for good", row.id, life.stage());
        return Err(Problem::new(ProblemCode::Conflict, text).hinting("issue a new placeholder"));
    };
    if next == life {
        return show_one(&act.rows, row.id);
    }
    let stored = || admin.store.change_placeholders(vec![row.id], change, now);
    let rows = act.carry_out(change.act(), row.id.to_string(), None, stored).await?;
    show_one(&rows, row.id)
}

/// A placeholder and all that descend from it, in id order, without those that are revoked already: each is a record of its own.
pub(crate) fn family(rows: &Rows, first: PlaceholderId) -> Vec<PlaceholderId> {
    let mut family = vec![first];
    // Descendants are younger than what they descend from, and rows are in id order; one that says otherwise was edited.
    for row in &rows.placeholders {
        if row.parent.is_some_and(|parent| family.contains(&parent)) && !family.contains(&row.id) {
            family.push(row.id);
        }
    }
    let revoked = |id: &PlaceholderId| {
        rows.placeholders.iter().any(|row| row.id == *id && row.state == PlaceholderState::Revoked)
    };
    family.retain(|id| !revoked(id));
    family
}

fn show_one(rows: &Rows, id: PlaceholderId) -> Result<PlaceholderView, Problem> {
    view::placeholder(find::placeholder(rows, &id.to_string())?, rows)
}
