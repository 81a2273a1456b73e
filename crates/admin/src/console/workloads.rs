//! *Workloads*: who may call, adding one with its key shown once, and how its programs are pointed at the broker.

use super::board::Board;
use super::look;
use super::look::{Section, Sheet, Told, facts, nothing, number, table, time};
use super::snippets::Place;
use super::viewer::Viewer;
use super::waiting::waiting;
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

pub(super) async fn list(State(admin): State<Arc<Admin>>, viewer: Viewer) -> Response {
    sheet(&admin, &viewer, None)
}

fn sheet(admin: &Admin, viewer: &Viewer, problem: Option<&Problem>) -> Response {
    let board = match admin.console.board() {
        Ok(board) => board,
        Err(problem) => return look::problem(viewer, Section::Workloads, &problem),
    };
    let (now, bound) = (Timestamp::now(), bound(&board));
    let mut live: Vec<&WorkloadRecord> =
        board.rows.workloads.iter().filter(|row| row.removed.is_none()).collect();
    live.sort_by(|one, other| one.name.cmp(&other.name));
    let rows = html! {
        @for row in &live {
            tr {
                th scope="row" { a href={ "/workloads/" (row.name) } { (row.name) } }
                td { (time(row.created, now)) }
                td { (shows(row)) }
                td .number { (number(bound.get(&row.id).copied().unwrap_or(0))) }
            }
        }
    };
    let body = html! {
        @if let Some(problem) = problem { (look::complaint(problem)) }
        @if viewer.may(Role::Operator) {
            form .inline method="post" action="/workloads" {
                label { "Connect a workload" input name="name" required placeholder="its name" pattern="[A-Za-z0-9][A-Za-z0-9._\\-]{0,63}" autocomplete="off" spellcheck="false"; }
                button .yes { "Add it" }
            }
        }
        @if live.is_empty() { (nothing("There is no workload.", html! {})) } @else {
            (table("Workloads", &["Name", "Added", "Is known by", "Placeholders"], rows))
        }
    };
    let waiting = waiting(admin, &board).len();
    Sheet {
        viewer,
        section: Section::Workloads,
        title: "Workloads",
        waiting,
        scripts: &[],
        told: Told::default(),
        body,
    }
    .answer()
}

fn shows(row: &WorkloadRecord) -> Markup {
    html! {
        "key"
        @if row.marks.certificate.is_some() { ", certificate" }
        @if let Some(uid) = row.marks.uid { ", user " (uid) }
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
    let new = name.map(|name| NewWorkload { name, mtls: false, uid: None, networks: Vec::new() });
    let (by, operated) = (viewer.peer(), Arc::clone(&admin));
    let added = match new {
        Ok(new) => to_the_end(async move { add_one(&operated, by, new).await }).await,
        Err(problem) => Err(problem),
    };
    match added {
        Ok(added) => said(&admin, &viewer, &added),
        Err(problem) => look::with_status(sheet(&admin, &viewer, Some(&problem)), &problem),
    }
}

/// The key, once.
fn said(admin: &Admin, viewer: &Viewer, added: &AddedWorkload) -> Response {
    let body = html! {
        p { "The key of the workload " b { (added.name) } ". It is shown this once:" }
        pre .secretless #issued tabindex="0" aria-label="The workload's key" { (added.key) }
        button type="button" data-copy="issued" hidden { "Copy" }
        (snippets(admin, added.name.as_str()))
        p .links { a .button href="/policies/new" { "Write a policy for it" } }
    };
    let waiting = admin.waiting().len();
    Sheet {
        viewer,
        section: Section::Workloads,
        title: "Workload added",
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
            (snippets(&admin, row.name.as_str()))
        };
        let title = format!("Workload {}", row.name);
        let waiting = waiting(&admin, &board).len();
        Ok(Sheet {
            viewer: &viewer,
            section: Section::Workloads,
            title: &title,
            waiting,
            scripts: &[],
            told: Told::default(),
            body,
        }
        .answer())
    });
    shown.unwrap_or_else(|problem| look::problem(&viewer, Section::Workloads, &problem))
}

fn snippets(admin: &Admin, workload: &str) -> Markup {
    let Some((listen, tls)) = admin.console.listen else { return html! {} };
    let ca = admin.data.join("ca.pem");
    let place = Place { listen, tls, ca: &ca.to_string_lossy(), workload };
    html! {
        h2 { "Point its programs at the broker" }
        p .quiet { "Fill in WORKLOAD_KEY and PLACEHOLDER. The broker's certificate is at " code { (ca.display()) } "; copy it to where the workload runs." }
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
