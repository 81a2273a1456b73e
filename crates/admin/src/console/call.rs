//! One call: every record of it, and what a refusal means.

use super::board::Board;
use super::frame::{Section, Sheet, answered};
use super::index::records_at;
use super::look::{chip, facts, number, shown, time};
use super::placeholders::short;
use super::viewer::Viewer;
use crate::admin::Admin;
use crate::{Problem, ProblemCode, concerns};
use axum::extract::{Path, State};
use axum::response::Response;
use cloakroom_model::{RequestId, Timestamp};
use cloakroom_store::journal::{Entry, Record};
use maud::{Markup, html};
use std::str::FromStr;
use std::sync::Arc;

/// Records of a chunk are read in whole.
const CHUNK: u32 = 256;

pub(super) async fn show(
    State(admin): State<Arc<Admin>>,
    viewer: Viewer,
    Path(request): Path<String>,
) -> Response {
    answered(&viewer, Section::Activity, shown_call(&admin, &viewer, &request).await)
}

async fn shown_call(admin: &Admin, viewer: &Viewer, request: &str) -> Result<Response, Problem> {
    let none = || Problem::new(ProblemCode::NotFound, "the journal knows no such call");
    let request = RequestId::from_str(request).map_err(|_| none())?;
    admin.console.index.look(&admin.journal, &admin.data).await;
    let marks = admin.console.index.known().plan_of_call(request.at());
    let dir = admin.data.join("journal");
    let read = tokio::task::spawn_blocking(move || {
        let mut records: Vec<Record> = Vec::new();
        for mark in marks {
            let chunk = records_at(&dir, mark, CHUNK)?;
            records.extend(chunk.into_iter().filter(|record| concerns(&record.entry, request)));
        }
        Ok::<_, cloakroom_store::journal::JournalError>(records)
    });
    let mut records = read
        .await
        .map_err(|_| Problem::new(ProblemCode::InternalFault, "the journal could not be read"))??;
    records.sort_by_key(|record| record.sequence);
    records.dedup_by_key(|record| record.sequence);
    if records.is_empty() {
        return Err(
            none().hinting("it may stand further on in the journal: cloakroom explain ID reads all of it")
        );
    }
    let board = admin.console.board()?;
    let now = Timestamp::now();
    let body = html! {
        p .quiet { "Request " code { (request) } }
        ol .story { @for record in &records { li { (one(&board, record, now)) } } }
        p .quiet { "All of the journal is read by " code { "cloakroom explain " (request) } "." }
        p .links { a href="/activity" { "All activity" } }
    };
    Ok(Sheet::new(viewer, Section::Activity, "One call", body).answer())
}

fn one(board: &Board, record: &Record, now: Timestamp) -> Markup {
    html! {
        @match &record.entry {
            Entry::Intent(intent) => {
                h2 { "Authorized " (time(intent.at, now)) }
                (facts(&[
                    ("Call", html! { code { (shown(&intent.method)) " " (intent.destination) (shown(&intent.path)) } }),
                    ("Workload", html! { (board.workload_name(intent.workload)) @if let Some(peer) = intent.peer { " from " (shown(&peer.to_string())) } }),
                    ("Came by", html! { (format!("{:?}", intent.way).to_lowercase()) }),
                ]))
                @for one in &intent.uses {
                    (facts(&[
                        ("Permit", html! { (shown(&one.permit)) }),
                        ("Credential", html! { (board.credential_name(one.credential)) }),
                        ("Placeholder", html! { a href={ "/placeholders/" (one.placeholder) } { (short(one.placeholder)) } }),
                        ("Counted", html! { (if one.counted { "yes" } else { "no" }) }),
                    ]))
                }
            },
            Entry::Outcome { at, status, bytes, replaced, complete, .. } => {
                h2 { "Answered " (time(*at, now)) }
                p { (status) ", " (number(*bytes)) " bytes" @if !complete { ", cut off" } "; " (taken_out(*replaced)) "." }
            },
            Entry::Failure { at, code, .. } => (no("Failed", *at, now, &code.to_string(), code.title(), code.hint())),
            Entry::Refusal { at, code, workload, destination, placeholder, peer, .. } => {
                (no("Refused", *at, now, &code.to_string(), code.title(), code.hint()))
                (facts(&[
                    ("Workload", html! {
                        @match workload { Some(id) => (board.workload_name(*id)), None => span .quiet { "nobody known" } }
                        @if let Some(peer) = peer { " from " (shown(peer)) }
                    }),
                    ("Wanted to go to", html! { @match destination { Some(to) => code { (to) }, None => span .quiet { "nowhere that it named" } } }),
                    ("Placeholder", html! {
                        @match placeholder { Some(id) => a href={ "/placeholders/" (id) } { (short(*id)) }, None => span .quiet { "none on record" } }
                    }),
                ]))
            },
            Entry::Returned { at, .. } => { h2 { "Use given back " (time(*at, now)) } p { "Nothing of it was sent." } },
            Entry::Replayed { at, first, status, .. } => {
                h2 { "Answered " (time(*at, now)) }
                p { (status) ", kept from " a href={ "/activity/" (first) } { (first) } "; nothing was sent." }
            },
            Entry::Event(event) => { h2 { "Security event " (time(event.at, now)) } p { (chip(event.severity.as_str())) " " (event.event) } },
            _ => {},
        }
    }
}

fn taken_out(times: u64) -> String {
    match times {
        0 => "no secret was in it".into(),
        1 => "the secret was taken out of it once".into(),
        _ => format!("the secret was taken out of it {} times", number(times)),
    }
}

fn no(word: &str, at: Timestamp, now: Timestamp, code: &str, title: &str, hint: &str) -> Markup {
    html! {
        h2 { (word) " " (time(at, now)) }
        p { code .alarm { (code) } ": " (title) }
        p .quiet { (hint) }
    }
}
