//! One placeholder: its state and bounds, its family, its use and misuse, its policy; freezing, thawing and revoking it.

use super::board::Board;
use super::frame::{Section, Sheet, answered, problem};
use super::look::{chip, facts, number, time, time_or};
use super::placeholders::{id, left, misuse, short};
use super::viewer::Viewer;
use crate::act::to_the_end;
use crate::admin::Admin;
use crate::api::placeholders::{change_one, revoke_one};
use crate::api::precondition::IfMatch;
use crate::api::view::{self, Relations};
use crate::{Problem, find};
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Redirect, Response};
use cloakroom_model::{Change, PlaceholderId, PlaceholderRecord, Role, Timestamp};
use maud::{Markup, html};
use std::sync::Arc;

/// Relatives that are shown.
const RELATIVES: usize = 50;

pub(super) async fn show(
    State(admin): State<Arc<Admin>>,
    viewer: Viewer,
    Path(placeholder): Path<String>,
) -> Response {
    admin.console.index.look(&admin.journal, &admin.data).await;
    let ignored = admin.turn().await.clone();
    answered(&viewer, Section::Placeholders, shown(&admin, &viewer, &placeholder, &ignored))
}

fn shown(
    admin: &Admin,
    viewer: &Viewer,
    placeholder: &str,
    ignored: &std::collections::BTreeMap<PlaceholderId, String>,
) -> Result<Response, Problem> {
    let board = admin.console.board()?;
    let mut row = board
        .placeholder(id(placeholder)?)
        .cloned()
        .map_or_else(|| find::placeholder(&board.rows, placeholder).cloned(), Ok)?;
    admin.uses.show(std::slice::from_mut(&mut row));
    let why = ignored.get(&row.id);
    let state = match view::state(&row, board.as_ref(), Timestamp::now()) {
        "active" if why.is_some() => "unverified",
        state => state,
    };
    let body = html! {
        div #facts data-live="journal" { (about(admin, &board, &row, state, why)) }
        @if viewer.may(Role::Operator) || viewer.may(Role::Approver) { (acts(viewer, &row, state)) }
        (family(&board, &row))
        h2 { "Policy" }
        pre .canonical tabindex="0" aria-label="Policy" { (view::policy(&row)?.canonical_text()) }
        p .links {
            a href={ "/policies/new?placeholder=" (row.id) } { "Write another policy from this one" }
            @if let Some(approval) = board.approvals_of(row.id).last() { a href={ "/inbox/" (approval.id) } { "Its approval" } }
            a href={ "/activity?placeholder=" (row.id) } { "Its calls" }
        }
    };
    let title = format!("Placeholder {}", short(row.id));
    Ok(Sheet::new(viewer, Section::Placeholders, &title, body).answer())
}

fn about(admin: &Admin, board: &Board, row: &PlaceholderRecord, state: &str, why: Option<&String>) -> Markup {
    let (now, seen) = (Timestamp::now(), admin.console.index.known().seen.of(row.id));
    let workload = board.workload_name(row.workload);
    let credential = board.credential_name(row.credential);
    let mut pairs = vec![
        ("State", html! { (chip(state)) @if let Some(why) = why { " " (why) } }),
        ("Workload", html! { a href={ "/workloads/" (workload) } { (workload) } }),
        ("Stands for", html! { a href={ "/credentials/" (credential) } { (credential) } }),
        ("Uses left", left(row)),
        ("Issued", time(row.created, now)),
        ("Expires", time_or(row.expires, now, "never")),
        ("Holder shows", html! { (row.holder) }),
        ("When misused", html! { (row.on_misuse.as_str()) }),
        ("Calls on record", html! { (number(seen.calls)) }),
        (
            "Last use",
            html! {
                (time_or(seen.used.map(|(at, _)| at), now, "never"))
                @if let Some((_, request)) = seen.used { " " a href={ "/activity/" (request) } { "that call" } }
            },
        ),
        (
            "Last refusal",
            html! {
                @match seen.refused { Some((at, code)) => { code { (code) } " " (time(at, now)) }, None => span .quiet { "none" } }
            },
        ),
        ("Misuse", misuse(&seen, now)),
        ("Id", html! { code { (row.id) } }),
    ];
    if let Some(begin) = row.not_before {
        pairs.push(("Begins", time(begin, now)));
    }
    if let Some(hours) = row.daily {
        pairs.push(("Hours", html! { (hours) }));
    }
    if let Some(since) = row.frozen {
        pairs.push(("Frozen", time(since, now)));
    }
    facts(&pairs)
}

fn acts(viewer: &Viewer, row: &PlaceholderRecord, state: &str) -> Markup {
    let at = |act: &str| format!("/placeholders/{}/{act}", row.id);
    html! {
        form .actions method="post" action=(at("freeze")) {
            @if matches!(state, "active" | "pending" | "not-yet" | "unverified") {
                button { "Freeze" } span .quiet { " Refused until it is thawed; nothing is lost." }
            } @else if state == "frozen" && viewer.may(Role::Operator) {
                button formaction=(at("thaw")) { "Thaw" }
            }
            @if !matches!(state, "revoked" | "denied") {
                details .danger {
                    summary { "Revoke…" }
                    p { "For good, with all that descend from it. Calls under way are ended. " button .no formaction=(at("revoke")) { "Revoke for good" } }
                }
            }
        }
    }
}

/// What it descends from, and what descends from it.
fn family(board: &Board, row: &PlaceholderRecord) -> Markup {
    let now = Timestamp::now();
    let mut ancestors: Vec<&PlaceholderRecord> = Vec::new();
    let mut parent = row.parent;
    // No family is deeper; one that says so was edited.
    while let Some(one) = parent.and_then(|id| board.placeholder(id)).filter(|_| ancestors.len() < 16) {
        ancestors.push(one);
        parent = one.parent;
    }
    let (children, older) = (board.children(row.id), !ancestors.is_empty());
    if children.is_empty() && !older {
        return html! {};
    }
    html! {
        h2 { "Family" }
        ul .family {
            @for one in ancestors.iter().rev() { li { (relative(board, one, now)) } }
            li { b { (short(row.id)) " – this one" }
                @if !children.is_empty() {
                    ul {
                        @for child in children.iter().take(RELATIVES).filter_map(|id| board.placeholder(*id)) {
                            li { (relative(board, child, now))
                                @let more = board.children(child.id).len();
                                @if more > 0 { span .quiet { " with " (more) " of its own" } }
                            }
                        }
                    }
                    @if children.len() > RELATIVES { p .quiet { (children.len() - RELATIVES) " more" } }
                }
            }
        }
    }
}

fn relative(board: &Board, one: &PlaceholderRecord, now: Timestamp) -> Markup {
    html! { a href={ "/placeholders/" (one.id) } { (short(one.id)) } " " (chip(view::state(one, board, now))) " " (board.workload_name(one.workload)) }
}

/// What is done to it.
#[derive(Clone, Copy)]
enum Deed {
    Change(Change),
    Revoke,
}

pub(super) async fn freeze(admin: State<Arc<Admin>>, viewer: Viewer, placeholder: Path<String>) -> Response {
    carry_out(admin, viewer, placeholder, Deed::Change(Change::Freeze)).await
}

pub(super) async fn thaw(admin: State<Arc<Admin>>, viewer: Viewer, placeholder: Path<String>) -> Response {
    carry_out(admin, viewer, placeholder, Deed::Change(Change::Thaw)).await
}

pub(super) async fn revoke(admin: State<Arc<Admin>>, viewer: Viewer, placeholder: Path<String>) -> Response {
    carry_out(admin, viewer, placeholder, Deed::Revoke).await
}

async fn carry_out(
    State(admin): State<Arc<Admin>>,
    viewer: Viewer,
    Path(placeholder): Path<String>,
    deed: Deed,
) -> Response {
    let (by, at) = (viewer.peer(), id(&placeholder).map(|id| format!("/placeholders/{id}")));
    let done = to_the_end(async move {
        match deed {
            Deed::Change(change) => change_one(&admin, by, &placeholder, &IfMatch::default(), change).await,
            Deed::Revoke => revoke_one(&admin, by, &placeholder, &IfMatch::default()).await,
        }
    })
    .await;
    match done.and(at) {
        Ok(at) => Redirect::to(&at).into_response(),
        Err(wrong) => problem(&viewer, Section::Placeholders, &wrong),
    }
}
