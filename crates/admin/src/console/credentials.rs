//! *Credentials*: what the broker holds, by name and age. There is nothing here that shows one.

use super::board::Board;
use super::look;
use super::look::{Section, Sheet, Told, chip, facts, nothing, number, table, time, time_or};
use super::viewer::Viewer;
use super::waiting::waiting;
use crate::admin::Admin;
use crate::api::credentials::in_full;
use crate::api::view;
use crate::{Problem, find};
use axum::extract::{Path, State};
use axum::response::Response;
use cloakroom_model::{CredentialId, CredentialRecord, Destination, Role, Timestamp};
use maud::{Markup, html};
use std::collections::HashMap;
use std::sync::Arc;

pub(super) async fn list(State(admin): State<Arc<Admin>>, viewer: Viewer) -> Response {
    let progress = admin.console.index.look(&admin.journal, &admin.data).await;
    let board = match admin.console.board() {
        Ok(board) => board,
        Err(problem) => return look::problem(&viewer, Section::Credentials, &problem),
    };
    let now = Timestamp::now();
    let standing = standing(&board, now);
    let mut live: Vec<&CredentialRecord> =
        board.rows.credentials.iter().filter(|row| row.removed.is_none()).collect();
    live.sort_by(|one, other| one.name.cmp(&other.name));
    let rows = html! {
        @for row in &live {
            tr {
                th scope="row" { a href={ "/credentials/" (row.name) } { (row.name) } }
                td { (row.kind) }
                td { (time(row.rotated, now)) @if row.generation > 1 { span .quiet { " · generation " (row.generation) } } }
                td { (time_or(admin.console.index.known().seen.credential(row.id), now, "never")) }
                td { (health(&admin, row, now)) }
                td .number { (number(standing.get(&row.id).copied().unwrap_or(0))) }
                td { (destinations(&row.destinations)) }
            }
        }
    };
    let heads = ["Name", "Kind", "Age", "Last use", "Health", "Placeholders", "May go to"];
    let body = html! {
        p .actions {
            @if viewer.may(Role::Operator) { a .button href="/connect" { "Connect a service" } }
        }
        (look::progress(&progress))
        @if live.is_empty() {
            (nothing("The broker holds no credential.", html! {
                p .quiet { "Connect a service, or run " code { "cloakroom credential add NAME --preset SERVICE" } "." }
            }))
        } @else {
            (table("Credentials", &heads, rows))
        }
    };
    let waiting = waiting(&admin, &board).len();
    Sheet {
        viewer: &viewer,
        section: Section::Credentials,
        title: "Credentials",
        waiting,
        scripts: &[],
        told: Told::default(),
        body,
    }
    .answer()
}

pub(super) async fn show(
    State(admin): State<Arc<Admin>>,
    viewer: Viewer,
    Path(name): Path<String>,
) -> Response {
    admin.console.index.look(&admin.journal, &admin.data).await;
    match one(&admin, &viewer, &name) {
        Ok(answer) => answer,
        Err(problem) => look::problem(&viewer, Section::Credentials, &problem),
    }
}

fn one(admin: &Admin, viewer: &Viewer, name: &str) -> Result<Response, Problem> {
    let board = admin.console.board()?;
    let (row, now) = (find::credential(&board.rows, name)?, Timestamp::now());
    let shown = in_full(admin, row, board.as_ref());
    let used = admin.console.index.known().seen.credential(row.id);
    let mut pairs = vec![
        ("Kind", html! { (row.kind) }),
        ("Deposited", time(row.created, now)),
        ("Generation", html! { (row.generation) ", since " (time(row.rotated, now)) }),
        ("Last use", time_or(used, now, "never")),
        (
            "Placeholders that count",
            html! { (number(shown.placeholders as u64)) " " a href={ "/placeholders?credential=" (row.name) } { "show them" } },
        ),
        ("May go to", destinations(&row.destinations)),
        ("Id", html! { code { (row.id) } }),
    ];
    if let Some(ends) = &shown.certificate_expires {
        pairs.push(("Certificate ends", html! { (ends) }));
    }
    if let Some(source) = &shown.source {
        pairs.push(("Lives at", html! { (source.from) ": " (source.place) @if let Some(trouble) = &source.trouble { " " (chip("failed")) " " (trouble) } }));
    }
    if let Some(renewal) = &shown.renewal {
        pairs.push((
            "Access tokens",
            html! { (chip(&renewal.state)) @if let Some(reason) = &renewal.reason { " " (reason) } },
        ));
        let or = |text: &Option<String>| html! { (text.as_deref().unwrap_or("–")) };
        pairs.push(("Last made", or(&renewal.last)));
        pairs.push(("Next from", or(&renewal.next)));
        pairs.push(("Good until", or(&renewal.ends)));
    }
    let body = html! {
        (facts(&pairs))
        p .quiet { "Its secret is sealed. No page and no command shows it; to replace it: " code { "cloakroom credential rotate " (row.name) } "." }
        p .links { a href={ "/policies/new?credential=" (row.name) } { "Write a policy for it" } a href="/credentials" { "All credentials" } }
    };
    let waiting = waiting(admin, &board).len();
    let title = format!("Credential {}", row.name);
    Ok(Sheet {
        viewer,
        section: Section::Credentials,
        title: &title,
        waiting,
        scripts: &[],
        told: Told::default(),
        body,
    }
    .answer())
}

/// How the making of access tokens goes, the reading at the source, or the certificate's time.
fn health(admin: &Admin, row: &CredentialRecord, now: Timestamp) -> Markup {
    let renewal = admin.custody.health(row.id).map(|health| view::renewal(&health).state);
    let trouble = admin.custody.source_of(row.id).and_then(|report| report.trouble);
    let ends = admin.custody.certificate_ends(row.id);
    html! {
        @match (renewal, trouble, ends) {
            (Some(state), ..) => (chip(&state)),
            (_, Some(trouble), _) => { (chip("failed")) " " (trouble) },
            (_, _, Some(end)) if end <= now => (chip("expired")),
            (_, _, Some(end)) => { "certificate ends " (time(end, now)) },
            _ => span .quiet { "–" },
        }
    }
}

/// Placeholders that count, for each credential.
fn standing(board: &Board, now: Timestamp) -> HashMap<CredentialId, u64> {
    let mut standing = HashMap::new();
    for row in board.rows.placeholders.iter().filter(|row| view::counts(row, board, now)) {
        *standing.entry(row.credential).or_insert(0) += 1;
    }
    standing
}

pub(super) fn destinations(all: &[Destination]) -> Markup {
    html! { ul .destinations { @for one in all { li { code { (one) } } } } }
}
