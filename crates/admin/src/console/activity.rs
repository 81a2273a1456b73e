//! *Activity*: what happened, newest first, live and searchable; how calls went over time; who called whom.

use super::board::Board;
use super::chart::{self, Range};
use super::index::{Cell, Ended, Known, Line, Page, Pair, Query as Search, What};
use super::look;
use super::look::{Section, Sheet, Told, chip, nothing, number, shown, table, time};
use super::viewer::Viewer;
use super::waiting::waiting;
use crate::admin::Admin;
use crate::{Problem, ProblemCode, find};
use axum::extract::{Query, State};
use axum::response::Response;
use cloakroom_model::{Code, EventKind, Timestamp};
use cloakroom_store::journal::Entry;
use maud::{Markup, html};
use serde::Deserialize;
use std::str::FromStr;
use std::sync::Arc;

/// Pairs of workload and destination that are listed.
const PAIRS: usize = 15;

/// What the address asks for. Empty: whatever it is.
#[derive(Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct Wanted {
    what: String,
    workload: String,
    destination: String,
    placeholder: String,
    code: String,
    event: String,
    range: String,
    before: String,
}

pub(super) async fn show(
    State(admin): State<Arc<Admin>>,
    viewer: Viewer,
    Query(wanted): Query<Wanted>,
) -> Response {
    let progress = admin.console.index.look(&admin.journal, &admin.data).await;
    let found = match found(&admin, &wanted).await {
        Ok(found) => found,
        Err(problem) => return look::problem(&viewer, Section::Activity, &problem),
    };
    let Ok(board) = admin.console.board() else {
        let problem = Problem::new(ProblemCode::StoreFailed, "the rows cannot be read");
        return look::problem(&viewer, Section::Activity, &problem);
    };
    let range = Range::named(&wanted.range);
    let body = html! {
        (filters(&admin, &board, &wanted, range))
        (look::progress(&progress))
        div #charts data-live="journal" { (drawn(&admin, &board, &wanted, range)) }
        h2 { "Journal" }
        div #journal data-live="journal" { (listed(&board, &found, &wanted)) }
    };
    let waiting = waiting(&admin, &board).len();
    Sheet {
        viewer: &viewer,
        section: Section::Activity,
        title: "Activity",
        waiting,
        scripts: &[],
        told: Told::default(),
        body,
    }
    .answer()
}

async fn found(admin: &Admin, wanted: &Wanted) -> Result<Page, Problem> {
    let board = admin.console.board()?;
    let search = wanted.search(&board)?;
    let plan = admin.console.index.known().plan(search);
    let dir = admin.data.join("journal");
    let read = tokio::task::spawn_blocking(move || plan.read(&dir)).await;
    Ok(read.map_err(|_| Problem::new(ProblemCode::InternalFault, "the journal could not be read"))??)
}

impl Wanted {
    fn search(&self, board: &Board) -> Result<Search, Problem> {
        let wrong = |what: &str| Problem::new(ProblemCode::NotFound, format!("there is no such {what}"));
        let some = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        Ok(Search {
            what: match self.what.as_str() {
                "calls" => What::Calls,
                "refusals" => What::Refusals,
                "events" => What::Events,
                "acts" => What::Acts,
                _ => What::All,
            },
            workload: some(&self.workload)
                .map(|name| find::workload(&board.rows, &name).map(|row| row.id))
                .transpose()?,
            destination: some(&self.destination)
                .map(|text| {
                    text.parse()
                        .map_err(|_| wrong("destination").hinting("write it as https://api.example.com"))
                })
                .transpose()?,
            placeholder: some(&self.placeholder).map(|text| super::placeholders::id(&text)).transpose()?,
            code: some(&self.code).map(|text| code(&text).ok_or_else(|| wrong("code"))).transpose()?,
            event: some(&self.event).map(|text| event(&text).ok_or_else(|| wrong("event"))).transpose()?,
            before: u64::from_str(&self.before).ok(),
        })
    }

    /// The address of the same, from another record on.
    fn with(&self, before: Option<u64>) -> String {
        let mut address = String::from("/activity?");
        let before = before.map(|at| at.to_string()).unwrap_or_default();
        let Self { what, workload, destination, placeholder, code, event, range, .. } = self;
        for (name, value) in [
            ("what", what),
            ("workload", workload),
            ("destination", destination),
            ("placeholder", placeholder),
            ("code", code),
            ("event", event),
            ("range", range),
            ("before", &before),
        ] {
            if !value.is_empty() {
                address.push_str(&format!("{name}={}&", percent(value)));
            }
        }
        address
    }
}

/// As a query writes it.
fn percent(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~:/".contains(&byte);
    text.bytes()
        .map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") })
        .collect()
}

fn code(text: &str) -> Option<Code> {
    Code::ALL.iter().copied().find(|code| code.to_string() == text)
}

fn event(text: &str) -> Option<EventKind> {
    EventKind::ALL.iter().copied().find(|kind| kind.as_str() == text)
}

fn filters(admin: &Admin, board: &Board, wanted: &Wanted, range: Range) -> Markup {
    let destinations: Vec<String> =
        admin.console.index.known().series.destinations().iter().take(200).map(ToString::to_string).collect();
    html! {
        form .filters method="get" role="search" {
            label { "What"
                select name="what" {
                    @for (value, word) in [("", "everything"), ("calls", "calls"), ("refusals", "refusals"), ("events", "security events"), ("acts", "acts of people and of the broker")] {
                        option value=(value) selected[wanted.what == value] { (word) }
                    }
                }
            }
            label { "Workload" input name="workload" value=(wanted.workload) list="workloads" autocomplete="off" spellcheck="false"; }
            label { "Destination" input name="destination" value=(wanted.destination) list="destinations" autocomplete="off" spellcheck="false" inputmode="url"; }
            label { "Placeholder" input name="placeholder" value=(wanted.placeholder) placeholder="ph_…" autocomplete="off" spellcheck="false"; }
            label { "Code"
                select name="code" {
                    option value="" { "any" }
                    @for code in Code::ALL { option value=(code) selected[wanted.code == code.to_string()] { (code) } }
                }
            }
            label { "Event"
                select name="event" {
                    option value="" { "any" }
                    @for kind in EventKind::ALL { option value=(kind) selected[wanted.event == kind.as_str()] { (kind) } }
                }
            }
            label { "Chart of"
                select name="range" {
                    @for one in Range::ALL { option value=(one.word()) selected[one == range] { (one.label()) } }
                }
            }
            button { "Show" }
            datalist #workloads { @for row in board.rows.workloads.iter().filter(|row| row.removed.is_none()).take(200) { option value=(row.name) {} } }
            datalist #destinations { @for one in &destinations { option value=(one) {} } }
        }
    }
}

/// The chart of what is asked for, and the pairs behind it.
fn drawn(admin: &Admin, board: &Board, wanted: &Wanted, range: Range) -> Markup {
    let now = Timestamp::now();
    let known = admin.console.index.known();
    let workload = find::workload(&board.rows, &wanted.workload).ok().map(|row| row.id);
    let destinations = known.series.destinations();
    let destination = destinations.iter().position(|one| one.to_string() == wanted.destination);
    let destination = destination.and_then(|at| u16::try_from(at).ok());
    let is_wanted = |pair: &Pair| {
        (wanted.workload.is_empty() || pair.0 == workload)
            && (wanted.destination.is_empty() || pair.1 == destination)
    };
    let spans = known.series.spans(now, range.width(), range.count(), &is_wanted);
    let mut pairs: Vec<(Pair, Cell)> =
        known.series.pairs(now, range.minutes()).into_iter().filter(|(pair, _)| is_wanted(pair)).collect();
    pairs.sort_by_key(|(pair, cell)| {
        (std::cmp::Reverse(u64::from(cell.calls) + u64::from(cell.refused)), *pair)
    });
    html! {
        (chart::draw(&spans, range))
        @if !pairs.is_empty() {
            details {
                summary { "By workload and destination, " (range.label()) }
                (table("By workload and destination", &["Workload", "Destination", "Calls", "Refused", "Failed", "Half within", "95 % within"], html! {
                    @for (pair, cell) in pairs.iter().take(PAIRS) { (of_pair(board, &known, *pair, cell)) }
                }))
                @if pairs.len() > PAIRS { p .quiet { (pairs.len() - PAIRS) " more" } }
            }
        }
    }
}

fn of_pair(board: &Board, known: &Known, (workload, destination): Pair, cell: &Cell) -> Markup {
    let destination = destination.and_then(|at| known.series.destinations().get(usize::from(at)));
    let millis = |share| html! { @match cell.within(share) { Some(millis) => { (number(millis)) " ms" }, None => "–" } };
    html! {
        tr {
            td { @match workload { Some(id) => (board.workload_name(id)), None => span .quiet { "nobody known" } } }
            td { @match destination { Some(to) => code { (to) }, None => span .quiet { "none, or one of the others" } } }
            td .number { (number(cell.calls.into())) }
            td .number { (number(cell.refused.into())) }
            td .number { (number(cell.failed.into())) }
            td .number { (millis(0.5)) }
            td .number { (millis(0.95)) }
        }
    }
}

fn listed(board: &Board, found: &Page, wanted: &Wanted) -> Markup {
    let now = Timestamp::now();
    html! {
        @if found.lines.is_empty() {
            (nothing("No record is like that.", html! {
                p .quiet { (number(found.looked_at)) " records were looked at." }
            }))
        } @else {
            (table("Journal", &["When", "Who", "What", "Came of it"], html! {
                @for line in &found.lines { (row(board, line, now)) }
            }))
        }
        nav .pager aria-label="More records" {
            @if !wanted.before.is_empty() { a href=(wanted.with(None)) { "Newest" } }
            @if let Some(older) = found.older {
                a href=(wanted.with(Some(older))) rel="next" { @if found.lines.is_empty() { "Look further back" } @else { "Older" } }
            }
        }
    }
}

/// One record. SECURITY: whatever a workload or a destination wrote goes through `shown`.
pub(super) fn row(board: &Board, line: &Line, now: Timestamp) -> Markup {
    html! {
        tr {
            td { (time(line.at, now)) div .quiet { "#" (line.sequence) } }
            td { (who(board, &line.entry)) }
            td { (what(board, &line.entry)) }
            td { (outcome(line)) }
        }
    }
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
                @if let Some(id) = placeholder { div .quiet { a href={ "/placeholders/" (id) } { (super::placeholders::short(*id)) } } }
            },
            Entry::Event(event) => {
                span class={ "severity " (event.severity) } { (event.event) }
                div .quiet {
                    (event.severity)
                    @if let Some(id) = event.placeholder { " · " a href={ "/placeholders/" (id) } { (super::placeholders::short(id)) } }
                    @if let Some(request) = event.request { " · " a href={ "/activity/" (request) } { "the call" } }
                    @if let Some(to) = &event.destination { " · " code { (to) } }
                }
            },
            Entry::Act { act, subject, name, .. } => { (shown(act)) " " b { @if let Some(name) = name { (name) } } div .quiet { (shown(subject)) } },
            Entry::Start { version, .. } => { "the broker started, version " (shown(version)) },
            Entry::Stop { .. } => "the broker stopped in order",
            Entry::Endowed { placeholder, uses, .. } => { (uses) " uses went to " a href={ "/placeholders/" (placeholder) } { (super::placeholders::short(*placeholder)) } },
            Entry::Retired { segment, records, .. } => { "segments up to " (shown(segment)) " left the journal, " (number(*records)) " records" },
            Entry::Ignored { placeholder, why, .. } => { "a stored permit does not count: " (shown(why)) " " a href={ "/placeholders/" (placeholder) } { (super::placeholders::short(*placeholder)) } },
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
            (Entry::Refusal { code, event, .. }, _) => { (chip("denied")) " " code { (code) } @if event.is_some() { div .alarm { "security event" } } },
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
