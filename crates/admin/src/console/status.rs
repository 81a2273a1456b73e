//! *Health*: whether the broker does its work, and what it rests on.

use super::frame::{Section, Sheet, answered};
use super::look::{Column, chip, facts, number, progress, table, time, time_or};
use super::viewer::Viewer;
use crate::Problem;
use crate::admin::Admin;
use crate::api::health;
use crate::wire::CustodyView;
use axum::extract::State;
use axum::response::Response;
use cloakroom_egress::custody::certificate_span;
use cloakroom_model::{CredentialRecord, Timestamp};
use maud::{Markup, html};
use std::sync::Arc;
use std::time::Duration;

/// An authority that ends so soon is to be replaced.
const SOON: Duration = Duration::from_secs(90 * 86_400);
/// Credentials of the refresh queue that are shown.
const MOST: usize = 200;

pub(super) async fn show(State(admin): State<Arc<Admin>>, viewer: Viewer) -> Response {
    answered(&viewer, Section::Health, shown(&admin, &viewer).await)
}

async fn shown(admin: &Admin, viewer: &Viewer) -> Result<Response, Problem> {
    let board = admin.console.board()?;
    let read = admin.console.index.look(&admin.journal, &admin.data).await;
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
                ("Workloads are heard at", html! { (health.listeners.join(", ")) }),
            ]))
            h2 { "What it rests on" }
            (facts(&[
                ("Journal", journal(admin, read.trouble.is_none())),
                ("Store", store(admin).await),
                ("Key-encryption key", kek(health.custody.as_ref())),
                ("Certificate authority", authority(admin)),
                ("Memory", memory(admin)),
            ]))
        }
        (progress(&read))
        (refresh(admin, &board.rows.credentials))
        p .links { a href="/health" { "/health" } a href="/metrics" { "/metrics" } }
    };
    Ok(Sheet::new(viewer, Section::Health, "Health", body).answer())
}

fn journal(admin: &Admin, is_written: bool) -> Markup {
    let (records, disk) = (admin.journal.records(), admin.journal.on_disk().records);
    let reading = admin.events.meters().read();
    html! {
        (chip(if is_written { "ok" } else { "failed" })) " " (number(records)) " records, " (number(disk)) " known to be on the disk"
        @if reading.witnesses_silent > 0 { " " (chip("critical")) " " (reading.witnesses_silent) " witness(es) silent" }
        @if reading.undelivered > 0 { " · " (number(reading.undelivered)) " events not delivered" }
    }
}

/// It answers a small question now, or does not.
async fn store(admin: &Admin) -> Markup {
    let answers = admin.store.members().await.is_ok();
    let size = |name: &str| std::fs::metadata(admin.data.join(name)).map(|about| about.len()).unwrap_or(0);
    html! { (chip(if answers { "ok" } else { "failed" })) " " (number(size("cloakroom.db") / 1024)) " KiB, " (number(size("cloakroom.db-wal") / 1024)) " KiB in its log" }
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

/// As its certificate says, which a copied file does not change.
fn authority(admin: &Admin) -> Markup {
    let now = Timestamp::now();
    let span = std::fs::read(admin.data.join("ca.pem")).ok().and_then(|pem| certificate_span(&pem));
    html! {
        @match span {
            Some((begins, ends)) => {
                @if ends < now.plus(SOON) { (chip("ending")) " " }
                "made " (time(begins, now)) ", ends " (time(ends, now))
            },
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

const COLUMNS: [Column; 5] = [
    Column::Text("Credential"),
    Column::Text("State"),
    Column::Text("Last made"),
    Column::Text("Next from"),
    Column::Text("Why not"),
];

/// Credentials whose access tokens are made, and how that goes.
fn refresh(admin: &Admin, credentials: &[CredentialRecord]) -> Markup {
    let now = Timestamp::now();
    let live = credentials.iter().filter(|row| row.removed.is_none());
    let made = live.filter_map(|row| Some((row, admin.custody.health(row.id)?)));
    let rows: Vec<_> = made
        .take(MOST)
        .map(|(row, health)| {
            vec![
                html! { a href={ "/credentials/" (row.name) } { (row.name) } },
                chip(health.state(now)),
                time_or(health.last, now, "never"),
                time_or(health.next, now, "when it is called for"),
                html! { (health.failed.map_or("–", |(_, reason)| reason)) },
            ]
        })
        .collect();
    html! {
        h2 { "Refresh queue" }
        @if rows.is_empty() { p .quiet { "No credential has its access tokens made." } } @else { (table("Refresh queue", &COLUMNS, rows)) }
    }
}
