//! *Activity*: what happened, newest first, live and searchable; how calls went over time; who called whom.

use super::board::Board;
use super::chart::{self, Range};
use super::frame::{Section, Sheet, answered};
use super::index::{Cell, Known, Page, Pair, Query as Search, What};
use super::look::{Column, nothing, number, progress, table};
use super::records::records;
use super::viewer::Viewer;
use crate::admin::Admin;
use crate::{Problem, ProblemCode, find};
use axum::extract::{Query, State};
use axum::response::Response;
use cloakroom_model::{Code, EventKind, Timestamp};
use maud::{Markup, html};
use serde::Deserialize;
use std::str::FromStr;
use std::sync::Arc;

/// Pairs of workload and destination that are listed.
const PAIRS: usize = 15;

/// Kinds of records, as the address and people name them.
const KINDS: [(&str, &str); 5] = [
    ("", "everything"),
    ("calls", "calls"),
    ("refusals", "refusals"),
    ("events", "security events"),
    ("acts", "acts of people and of the broker"),
];
const COLUMNS: [Column; 7] = [
    Column::Text("Workload"),
    Column::Text("Destination"),
    Column::Number("Calls"),
    Column::Number("Refused"),
    Column::Number("Failed"),
    Column::Number("Half within"),
    Column::Number("95 % within"),
];

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
    answered(&viewer, Section::Activity, sheet(&admin, &viewer, &wanted).await)
}

async fn sheet(admin: &Admin, viewer: &Viewer, wanted: &Wanted) -> Result<Response, Problem> {
    let read = admin.console.index.look(&admin.journal, &admin.data).await;
    let found = found(admin, wanted).await?;
    let board = admin.console.board()?;
    let range = Range::named(&wanted.range);
    let body = html! {
        (filters(admin, &board, wanted, range))
        (progress(&read))
        div #charts data-live="journal" { (drawn(admin, &board, wanted, range)) }
        h2 { "Journal" }
        div #journal data-live="journal" { (listed(&board, &found, wanted)) }
    };
    Ok(Sheet::new(viewer, Section::Activity, "Activity", body).answer())
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
    let is_narrow = [&wanted.workload, &wanted.destination, &wanted.placeholder, &wanted.code, &wanted.event]
        .iter()
        .any(|text| !text.is_empty());
    html! {
        form .filters method="get" role="search" {
            label { "What"
                select name="what" {
                    @for (value, word) in KINDS { option value=(value) selected[wanted.what == value] { (word) } }
                }
            }
            label { "Chart of"
                select name="range" {
                    @for one in Range::ALL { option value=(one.word()) selected[one == range] { (one.label()) } }
                }
            }
            button { "Show" }
            @if is_narrow { a href="/activity" { "Show all" } }
            details open[is_narrow] {
                summary { "More filters" }
                div .filters {
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
                }
            }
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
    let rows = pairs.iter().take(PAIRS).map(|(pair, cell)| of_pair(board, &known, *pair, cell));
    html! {
        (chart::draw(&spans, range))
        @if !pairs.is_empty() {
            details {
                summary { "By workload and destination, " (range.label()) }
                (table("By workload and destination", &COLUMNS, rows))
                @if pairs.len() > PAIRS { p .quiet { (pairs.len() - PAIRS) " more" } }
            }
        }
    }
}

fn of_pair(board: &Board, known: &Known, (workload, destination): Pair, cell: &Cell) -> Vec<Markup> {
    let destination = destination.and_then(|at| known.series.destinations().get(usize::from(at)));
    let millis = |share| html! { @match cell.within(share) { Some(millis) => { (number(millis)) " ms" }, None => "–" } };
    let count = |of: u32| html! { (number(of.into())) };
    vec![
        html! { @match workload { Some(id) => (board.workload_name(id)), None => span .quiet { "nobody known" } } },
        html! { @match destination { Some(to) => code { (to) }, None => span .quiet { "none, or one of the others" } } },
        count(cell.calls),
        count(cell.refused),
        count(cell.failed),
        millis(0.5),
        millis(0.95),
    ]
}

fn listed(board: &Board, found: &Page, wanted: &Wanted) -> Markup {
    html! {
        @if found.lines.is_empty() {
            (nothing("No record is like that.", html! {
                p .quiet { (number(found.looked_at)) " records were looked at." }
            }))
        } @else {
            (records(board, &found.lines))
        }
        nav .pager aria-label="More records" {
            @if !wanted.before.is_empty() { a href=(wanted.with(None)) { "Newest" } }
            @if let Some(older) = found.older {
                a href=(wanted.with(Some(older))) rel="next" { @if found.lines.is_empty() { "Look further back" } @else { "Older" } }
            }
        }
    }
}
