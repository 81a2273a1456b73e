//! *Credentials*: what the broker holds, by name and age. There is nothing here that shows one.

use super::board::Board;
use super::frame::{Section, Sheet, answered};
use super::look::{Column, chip, facts, nothing, number, progress, table, time, time_or};
use super::viewer::Viewer;
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

const COLUMNS: [Column; 7] = [
    Column::Text("Name"),
    Column::Text("Kind"),
    Column::Text("Age"),
    Column::Text("Last use"),
    Column::Text("Health"),
    Column::Number("Placeholders"),
    Column::Text("May go to"),
];

pub(super) async fn list(State(admin): State<Arc<Admin>>, viewer: Viewer) -> Response {
    answered(&viewer, Section::Credentials, listed(&admin, &viewer).await)
}

async fn listed(admin: &Admin, viewer: &Viewer) -> Result<Response, Problem> {
    let read = admin.console.index.look(&admin.journal, &admin.data).await;
    let board = admin.console.board()?;
    let mut live: Vec<&CredentialRecord> =
        board.rows.credentials.iter().filter(|row| row.removed.is_none()).collect();
    live.sort_by(|one, other| one.name.cmp(&other.name));
    let body = html! {
        @if viewer.may(Role::Operator) { p .actions { a .button href="/connect" { "Connect a service" } } }
        (progress(&read))
        @if live.is_empty() {
            (nothing("The broker holds no credential.", html! {
                p .quiet { "Connect a service, or run " code { "cloakroom credential add NAME --preset SERVICE" } "." }
            }))
        } @else {
            (table("Credentials", &COLUMNS, rows(admin, &board, &live)))
        }
    };
    Ok(Sheet::new(viewer, Section::Credentials, "Credentials", body).answer())
}

fn rows(admin: &Admin, board: &Board, live: &[&CredentialRecord]) -> Vec<Vec<Markup>> {
    let now = Timestamp::now();
    let standing = standing(board, now);
    let row = |row: &&CredentialRecord| {
        vec![
            html! { a href={ "/credentials/" (row.name) } { (row.name) } },
            html! { (row.kind) },
            html! { (time(row.rotated, now)) @if row.generation > 1 { span .quiet { " · generation " (row.generation) } } },
            time_or(admin.console.index.known().seen.credential(row.id), now, "never"),
            health(admin, row, now),
            html! { (number(standing.get(&row.id).copied().unwrap_or(0))) },
            destinations(&row.destinations),
        ]
    };
    live.iter().map(row).collect()
}

pub(super) async fn show(
    State(admin): State<Arc<Admin>>,
    viewer: Viewer,
    Path(name): Path<String>,
) -> Response {
    admin.console.index.look(&admin.journal, &admin.data).await;
    answered(&viewer, Section::Credentials, one(&admin, &viewer, &name))
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
    if let Some(health) = admin.custody.health(row.id) {
        let reason = health.failed.map(|(_, reason)| reason);
        pairs.push((
            "Access tokens",
            html! { (chip(health.state(now))) @if let Some(reason) = reason { " " (reason) } },
        ));
        pairs.push(("Last made", time_or(health.last, now, "never")));
        pairs.push(("Next from", time_or(health.next, now, "when it is called for")));
        pairs.push(("Good until", time_or(health.ends, now, "–")));
    }
    let body = html! {
        (facts(&pairs))
        p .quiet { "Its secret is sealed. No page and no command shows it; to replace it: " code { "cloakroom credential rotate " (row.name) } "." }
        p .links {
            @if viewer.may(Role::Operator) { a .button href={ "/policies/new?credential=" (row.name) } { "Write a policy for it" } }
            a href="/credentials" { "All credentials" }
        }
    };
    let title = format!("Credential {}", row.name);
    Ok(Sheet::new(viewer, Section::Credentials, &title, body).answer())
}

/// How the making of access tokens goes, the reading at the source, or the certificate's time.
fn health(admin: &Admin, row: &CredentialRecord, now: Timestamp) -> Markup {
    let renewal = admin.custody.health(row.id).map(|health| health.state(now));
    let trouble = admin.custody.source_of(row.id).and_then(|report| report.trouble);
    let ends = admin.custody.certificate_ends(row.id);
    html! {
        @match (renewal, trouble, ends) {
            (Some(state), ..) => (chip(state)),
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
