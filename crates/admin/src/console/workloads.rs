//! *Workloads*: who may call, adding one with its key shown once, and how its programs are pointed at the broker.

use super::board::Board;
use super::frame::{Section, Sheet, answered, problem, with_status};
use super::look::{Column, complaint, facts, nothing, number, once, table, time};
use super::snippets::{KEY, PLACEHOLDER, Place};
use super::viewer::Viewer;
use crate::act::to_the_end;
use crate::admin::Admin;
use crate::api::view;
use crate::api::workloads::add_one;
use crate::identity::Form;
use crate::wire::{AddedWorkload, NewWorkload};
use crate::{Problem, ProblemCode, find};
use axum::extract::{Path, State};
use axum::response::Response;
use cloakroom_model::{Name, Role, Timestamp, WorkloadId, WorkloadRecord};
use maud::{Markup, html};
use std::collections::HashMap;
use std::sync::Arc;

const COLUMNS: [Column; 4] = [
    Column::Text("Name"),
    Column::Text("Added"),
    Column::Text("Is known by"),
    Column::Number("Placeholders"),
];

pub(super) async fn list(State(admin): State<Arc<Admin>>, viewer: Viewer) -> Response {
    sheet(&admin, &viewer, None)
}

fn sheet(admin: &Admin, viewer: &Viewer, wrong: Option<&Problem>) -> Response {
    let board = match admin.console.board() {
        Ok(board) => board,
        Err(none) => return problem(viewer, Section::Workloads, &none),
    };
    let (now, bound) = (Timestamp::now(), bound(&board));
    let mut live: Vec<&WorkloadRecord> =
        board.rows.workloads.iter().filter(|row| row.removed.is_none()).collect();
    live.sort_by(|one, other| one.name.cmp(&other.name));
    let rows = live.iter().map(|row| {
        vec![
            html! { a href={ "/workloads/" (row.name) } { (row.name) } },
            time(row.created, now),
            shows(row),
            html! { (number(bound.get(&row.id).copied().unwrap_or(0))) },
        ]
    });
    let body = html! {
        @if let Some(wrong) = wrong { (complaint(wrong)) }
        @if viewer.may(Role::Operator) {
            form .inline method="post" action="/workloads" {
                label { "Connect a workload" input name="name" required placeholder="its name" pattern="[A-Za-z0-9][A-Za-z0-9._\\-]{0,63}" autocomplete="off" spellcheck="false"; }
                button .yes { "Add it" }
            }
        }
        @if live.is_empty() {
            (nothing("There is no workload yet.", html! {
                p .quiet { "A workload is a program that calls through the broker: an agent, a script, a job. Give it a name; it gets a key." }
            }))
        } @else { (table("Workloads", &COLUMNS, rows)) }
    };
    Sheet::new(viewer, Section::Workloads, "Workloads", body).answer()
}

fn shows(row: &WorkloadRecord) -> Markup {
    html! {
        "key"
        @if row.marks.certificate.is_some() { ", certificate" }
        @if let Some(uid) = row.marks.uid { ", user " (uid) }
        @if let Some(guest) = row.marks.guest { ", guest " (guest.cid) }
        @for network in &row.marks.networks { ", " (network) }
    }
}

fn bound(board: &Board) -> HashMap<WorkloadId, u64> {
    let now = Timestamp::now();
    let mut bound = HashMap::new();
    for row in board.rows.placeholders.iter().filter(|row| view::counts(row, board, now)) {
        *bound.entry(row.workload).or_insert(0) += 1;
    }
    bound
}

pub(super) async fn add(State(admin): State<Arc<Admin>>, viewer: Viewer, form: Form) -> Response {
    let name = Name::parse(form.field("name").unwrap_or_default().trim())
        .map_err(|error| Problem::new(ProblemCode::MalformedRequest, error.to_string()));
    let new = name.map(|name| NewWorkload { name, mtls: false, uid: None, cid: None, networks: Vec::new() });
    let (by, operated) = (viewer.peer(), Arc::clone(&admin));
    let added = match new {
        Ok(new) => to_the_end(async move { add_one(&operated, by, new).await }).await,
        Err(problem) => Err(problem),
    };
    match added {
        Ok(added) => said(&admin, &viewer, &added),
        Err(wrong) => with_status(sheet(&admin, &viewer, Some(&wrong)), &wrong),
    }
}

/// The key, once; and the texts to copy with the key in them.
fn said(admin: &Admin, viewer: &Viewer, added: &AddedWorkload) -> Response {
    let body = html! {
        p { "The key of the workload " b { (added.name) } ". It is shown this once:" }
        (once("The workload's key", &added.key))
        p .links { a .button .yes href={ "/policies/new?workload=" (added.name) } { "Write a policy for it" } }
        (snippets(admin, added.name.as_str(), Some(&added.key)))
    };
    Sheet::new(viewer, Section::Workloads, "Workload added", body).answer()
}

pub(super) async fn show(
    State(admin): State<Arc<Admin>>,
    viewer: Viewer,
    Path(name): Path<String>,
) -> Response {
    let shown = admin.console.board().and_then(|board| {
        let row = find::workload(&board.rows, &name)?;
        let now = Timestamp::now();
        let body = html! {
            (facts(&[
                ("Added", time(row.created, now)),
                ("Is known by", shows(row)),
                ("Placeholders", html! { a href={ "/placeholders?workload=" (row.name) } { "show them" } }),
                ("Calls", html! { a href={ "/activity?workload=" (row.name) } { "show them" } }),
                ("Id", html! { code { (row.id) } }),
            ]))
            (snippets(&admin, row.name.as_str(), None))
        };
        let title = format!("Workload {}", row.name);
        Ok(Sheet::new(&viewer, Section::Workloads, &title, body).answer())
    });
    answered(&viewer, Section::Workloads, shown)
}

/// Texts to copy. The key is in them where it has just been shown, and at no other time.
fn snippets(admin: &Admin, workload: &str, key: Option<&str>) -> Markup {
    let Some((listen, tls)) = admin.console.listen else { return html! {} };
    let ca = admin.data.join("ca.pem");
    let place = Place { listen, tls, ca: &ca.to_string_lossy(), workload, key };
    html! {
        h2 { "Point its programs at the broker" }
        p .quiet {
            "Fill in " @if key.is_none() { code { (KEY) } " and " } code { (PLACEHOLDER) }
            ", and the service's own address. The broker's certificate is at " code { (ca.display()) } "; copy it to where the workload runs."
        }
        @for one in place.snippets() {
            details .snippet open[one.id == "environment"] {
                summary { (one.title) }
                div .copied {
                    pre id=(one.id) tabindex="0" aria-label=(one.title) { (one.text) }
                    button type="button" .small data-copy=(one.id) hidden { "Copy" }
                }
            }
        }
    }
}
