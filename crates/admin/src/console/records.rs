//! The journal's records as a page shows them, a line each. SECURITY: whatever a workload or a destination wrote goes through `shown`.

use super::board::Board;
use super::index::{Ended, Line};
use super::look::{Column, chip, number, shown, table, time};
use super::placeholders::short;
use cloakroom_model::{PlaceholderId, Timestamp};
use cloakroom_store::journal::Entry;
use maud::{Markup, html};

const COLUMNS: [Column; 4] =
    [Column::Text("When"), Column::Text("Who"), Column::Text("What"), Column::Text("Came of it")];

/// Records, in the order in which they were found.
pub(super) fn records(board: &Board, lines: &[Line]) -> Markup {
    let now = Timestamp::now();
    let row = |line: &Line| {
        vec![
            html! { (time(line.at, now)) div .quiet { "#" (line.sequence) } },
            who(board, &line.entry),
            what(board, &line.entry),
            outcome(line),
        ]
    };
    html! { div .journal { (table("Journal", &COLUMNS, lines.iter().map(row))) } }
}

fn linked(id: PlaceholderId) -> Markup {
    html! { a href={ "/placeholders/" (id) } { (short(id)) } }
}

fn who(board: &Board, entry: &Entry) -> Markup {
    let peer = |peer: &Option<String>| html! { @if let Some(peer) = peer { div .quiet { (shown(peer)) } } };
    html! {
        @match entry {
            Entry::Intent(intent) => { (board.workload_name(intent.workload)) (peer(&intent.peer.map(|peer| peer.to_string()))) },
            Entry::Replayed { workload, .. } => (board.workload_name(*workload)),
            Entry::Refusal { workload, peer: from, .. } => {
                @match workload { Some(id) => (board.workload_name(*id)), None => span .quiet { "nobody known" } }
                (peer(from))
            },
            Entry::Event(event) => {
                @match event.workload { Some(id) => (board.workload_name(id)), None => span .quiet { "–" } }
                (peer(&event.peer))
            },
            Entry::Act { by, .. } => (shown(by)),
            _ => span .quiet { "the broker" },
        }
    }
}

fn what(board: &Board, entry: &Entry) -> Markup {
    html! {
        @match entry {
            Entry::Intent(intent) => {
                a href={ "/activity/" (intent.request) } { code { (shown(&intent.method)) " " (intent.destination) (shown(&intent.path)) } }
                div .quiet {
                    @for one in &intent.uses { "permit “" (shown(&one.permit)) "”, " (board.credential_name(one.credential)) " " }
                }
            },
            Entry::Replayed { request, first, .. } => {
                a href={ "/activity/" (request) } { "a repeat of " (first) } div .quiet { "answered from what was kept" }
            },
            Entry::Refusal { request, destination, placeholder, .. } => {
                a href={ "/activity/" (request) } {
                    @match destination { Some(to) => code { (to) }, None => "a call that names no destination" }
                }
                @if let Some(id) = placeholder { div .quiet { (linked(*id)) } }
            },
            Entry::Event(event) => {
                span class={ "severity " (event.severity) } { (event.event) }
                div .quiet {
                    (event.severity)
                    @if let Some(id) = event.placeholder { " · " (linked(id)) }
                    @if let Some(request) = event.request { " · " a href={ "/activity/" (request) } { "the call" } }
                    @if let Some(to) = &event.destination { " · " code { (to) } }
                }
            },
            Entry::Act { act, subject, name, .. } => { (shown(act)) " " b { @if let Some(name) = name { (name) } } div .quiet { (shown(subject)) } },
            Entry::Start { version, .. } => { "the broker started, version " (shown(version)) },
            Entry::Stop { .. } => "the broker stopped in order",
            Entry::Endowed { placeholder, uses, .. } => { (uses) " uses went to " (linked(*placeholder)) },
            Entry::Retired { segment, records, .. } => { "segments up to " (shown(segment)) " left the journal, " (number(*records)) " records" },
            Entry::Ignored { placeholder, why, .. } => { "a stored permit does not count: " (shown(why)) " " (linked(*placeholder)) },
            _ => span .quiet { "–" },
        }
    }
}

fn outcome(line: &Line) -> Markup {
    let took = |at: Timestamp| number(at.millis().saturating_sub(line.at.millis()));
    html! {
        @match (&line.entry, line.ended) {
            (Entry::Intent(_), Some(Ended::Answered { at, status, bytes, replaced, complete })) => {
                (status_chip(status)) " " (took(at)) " ms"
                div .quiet {
                    (number(bytes)) " bytes"
                    @if replaced > 0 { " · secret taken out " (replaced) "×" }
                    @if !complete { " · cut off" }
                }
            },
            (Entry::Intent(_), Some(Ended::Failed { at, code })) => { (chip("failed")) " " code { (code) } div .quiet { (took(at)) " ms" } },
            (Entry::Intent(_), None) => span .quiet { "under way, or not known here" },
            (Entry::Refusal { code, event, .. }, _) => { (chip("refused")) " " code { (code) } @if event.is_some() { div .alarm { "security event" } } },
            (Entry::Replayed { status, .. }, _) => (status_chip(*status)),
            _ => "",
        }
    }
}

fn status_chip(status: u16) -> Markup {
    let tone = match status {
        200..=399 => "good",
        400..=499 => "wait",
        _ => "bad",
    };
    html! { span class={ "chip " (tone) } { (status) } }
}
