//! *Health*: whether the broker does its work, and what it rests on.

use super::look;
use super::look::{Section, Sheet, Told, chip, facts, number, table, time};
use super::viewer::Viewer;
use super::waiting::waiting;
use crate::Problem;
use crate::admin::Admin;
use crate::api::health;
use crate::api::view;
use crate::wire::CustodyView;
use axum::extract::State;
use axum::response::Response;
use cloakroom_model::{CredentialRecord, Timestamp};
use maud::{Markup, html};
use std::sync::Arc;
use std::time::SystemTime;

pub(super) async fn show(State(admin): State<Arc<Admin>>, viewer: Viewer) -> Response {
    match shown(&admin, &viewer).await {
        Ok(answer) => answer,
        Err(problem) => look::problem(&viewer, Section::Health, &problem),
    }
}

async fn shown(admin: &Admin, viewer: &Viewer) -> Result<Response, Problem> {
    let board = admin.console.board()?;
    let progress = admin.console.index.look(&admin.journal, &admin.data).await;
    let health = health::of(admin, &board.rows, board.as_ref()).await;
    let body = html! {
        div #health data-live="journal" {
            (facts(&[
                ("Version", html! { (health.version) }),
                ("Credentials", html! { (number(health.credentials as u64)) }),
                ("Workloads", html! { (number(health.workloads as u64)) }),
                ("Placeholders in force", html! { (number(health.active as u64)) }),
                ("Waiting for approval", html! { (number(health.pending as u64)) }),
                ("Stored and not verified", html! { (number(health.unverified as u64)) @if health.unverified > 0 { " " (chip("critical")) } }),
                ("Workloads' networks", html! { @if health.locked { (chip("held")) " proved locked lately" } @else { "not proved locked: " code { "cloakroom lock check" } } }),
            ]))
            h2 { "What it rests on" }
            (facts(&[
                ("Journal", journal(admin)),
                ("Store", store(admin)),
                ("Key-encryption key", kek(health.custody.as_ref())),
                ("Certificate authority", authority(admin)),
                ("Memory", memory(admin)),
            ]))
        }
        (look::progress(&progress))
        (refresh(admin, &board.rows.credentials))
        p .links { a href="/health" { "/health" } a href="/metrics" { "/metrics" } }
    };
    let waiting = waiting(admin, &board).len();
    Ok(Sheet {
        viewer,
        section: Section::Health,
        title: "Health",
        waiting,
        scripts: &[],
        told: Told::default(),
        body,
    }
    .answer())
}

fn journal(admin: &Admin) -> Markup {
    let (records, disk) = (admin.journal.records(), admin.journal.on_disk().records);
    let reading = admin.events.meters().read();
    html! {
        (number(records)) " records, " (number(disk)) " known to be on the disk"
        @if reading.witnesses_silent > 0 { " " (chip("critical")) " " (reading.witnesses_silent) " witness(es) silent" }
        @if reading.undelivered > 0 { " · " (number(reading.undelivered)) " events not delivered" }
    }
}

fn store(admin: &Admin) -> Markup {
    let size = |name: &str| std::fs::metadata(admin.data.join(name)).map(|about| about.len()).unwrap_or(0);
    html! { (chip("ok")) " " (number(size("cloakroom.db") / 1024)) " KiB, " (number(size("cloakroom.db-wal") / 1024)) " KiB in its log" }
}

fn kek(custody: Option<&CustodyView>) -> Markup {
    let Some(custody) = custody else { return html! { "–" } };
    html! {
        (chip(&custody.state)) " " (custody.kek)
        @if let Some(current) = custody.current { ", version " (current) }
        @if let Some(reason) = &custody.reason { div { (reason) } }
        @if let Some(wants) = &custody.wants {
            div .quiet {
                "It waits for a " (wants)
                @if let (Some(given), Some(threshold)) = (custody.given, custody.threshold) { ", " (given) " of " (threshold) " are given" }
                ": " code { "cloakroom unseal" }
            }
        }
        @if let Some(rewrap) = &custody.rewrap { div .quiet { "being brought under the current version: " (number(rewrap.done)) " done" } }
    }
}

fn authority(admin: &Admin) -> Markup {
    let made = std::fs::metadata(admin.data.join("ca.pem")).and_then(|about| about.modified()).ok();
    let made = made.and_then(|at| at.duration_since(SystemTime::UNIX_EPOCH).ok());
    let made = made.and_then(|since| u64::try_from(since.as_millis()).ok()).map(Timestamp::from_millis);
    html! {
        @match made {
            Some(at) => { "made " (time(at, Timestamp::now())) },
            None => { (chip("failed")) " ca.pem cannot be read" },
        }
    }
}

fn memory(admin: &Admin) -> Markup {
    let loose = admin.custody.unlocked_blocks();
    html! {
        @if loose == 0 { (chip("ok")) " every secret is kept out of swap" } @else { (chip("warning")) " " (loose) " blocks could not be kept out of swap: raise " code { "ulimit -l" } }
    }
}

/// Credentials whose access tokens are made, and how that goes.
fn refresh(admin: &Admin, credentials: &[CredentialRecord]) -> Markup {
    let live = credentials.iter().filter(|row| row.removed.is_none());
    let made: Vec<_> =
        live.filter_map(|row| Some((row, view::renewal(&admin.custody.health(row.id)?)))).take(200).collect();
    html! {
        h2 { "Refresh queue" }
        @if made.is_empty() { p .quiet { "No credential has its access tokens made." } } @else {
            (table("Refresh queue", &["Credential", "State", "Last made", "Next from", "Why not"], html! {
                @for (row, one) in &made {
                    tr {
                        th scope="row" { a href={ "/credentials/" (row.name) } { (row.name) } }
                        td { (chip(&one.state)) }
                        td { (one.last.as_deref().unwrap_or("–")) }
                        td { (one.next.as_deref().unwrap_or("–")) }
                        td { (one.reason.as_deref().unwrap_or("–")) }
                    }
                }
            }))
        }
    }
}
