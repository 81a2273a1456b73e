//! *Placeholders*: the list, a page at a time, by state, workload and credential; freezing from it.

use super::board::Board;
use super::frame::{Section, Sheet, answered};
use super::index::Seen;
use super::look::{Column, chip, nothing, number, progress, table, time, time_or};
use super::viewer::Viewer;
use crate::Problem;
use crate::admin::Admin;
use crate::api::view::{self, Relations};
use axum::extract::{Query, State};
use axum::response::Response;
use cloakroom_model::{PlaceholderId, PlaceholderRecord, Role, Timestamp};
use maud::{Markup, html};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::str::FromStr;
use std::sync::Arc;

/// Rows of one page.
const ROWS: usize = 50;
/// States, in the order in which they are offered.
const STATES: [&str; 9] =
    ["active", "pending", "frozen", "not-yet", "unverified", "spent", "expired", "denied", "revoked"];

/// What the address asks for. Empty: whatever it is.
#[derive(Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct Wanted {
    state: String,
    workload: String,
    credential: String,
    before: String,
}

const COLUMNS: [Column; 9] = [
    Column::Text("Placeholder"),
    Column::Text("State"),
    Column::Text("Workload"),
    Column::Text("Credential"),
    Column::Number("Uses left"),
    Column::Text("Expires"),
    Column::Text("Last use"),
    Column::Text("Misuse"),
    Column::Text("Act"),
];

pub(super) async fn list(
    State(admin): State<Arc<Admin>>,
    viewer: Viewer,
    Query(wanted): Query<Wanted>,
) -> Response {
    answered(&viewer, Section::Placeholders, listed(&admin, &viewer, &wanted).await)
}

async fn listed(admin: &Admin, viewer: &Viewer, wanted: &Wanted) -> Result<Response, Problem> {
    let read = admin.console.index.look(&admin.journal, &admin.data).await;
    let ignored = admin.turn().await.clone();
    let board = admin.console.board()?;
    let found = Found::new(&board, wanted, |id| ignored.contains_key(&id));
    let body = html! {
        (filters(wanted, &found.states))
        (progress(&read))
        @if found.rows.is_empty() {
            (nothing(if wanted.is_all() { "There is no placeholder yet." } else { "No placeholder is like that." }, html! {
                p .quiet { "A placeholder comes of a policy: " a href="/policies/new" { "write one" } "." }
            }))
        } @else {
            form method="post" #rows data-live="journal" {
                (table("Placeholders", &COLUMNS, rows(admin, viewer, &board, &found)))
            }
            nav .pager aria-label="More placeholders" {
                @if !wanted.before.is_empty() { a href=(wanted.with("")) { "Newest" } }
                @if let Some(older) = found.older { a href=(wanted.with(&older.to_string())) rel="next" { "Older" } }
            }
        }
    };
    Ok(Sheet::new(viewer, Section::Placeholders, "Placeholders", body).answer())
}

/// The rows of one page, and how many there are in each state.
struct Found {
    rows: Vec<(PlaceholderRecord, &'static str)>,
    older: Option<PlaceholderId>,
    states: BTreeMap<&'static str, u64>,
}

impl Found {
    fn new(board: &Board, wanted: &Wanted, is_ignored: impl Fn(PlaceholderId) -> bool) -> Self {
        let now = Timestamp::now();
        let before = PlaceholderId::from_str(&wanted.before).ok();
        let named = |row: &PlaceholderRecord| {
            let is = |name: &str, wanted: &str| wanted.is_empty() || name == wanted;
            is(&board.workload_name(row.workload), &wanted.workload)
                && is(&board.credential_name(row.credential), &wanted.credential)
        };
        let mut found = Self { rows: Vec::new(), older: None, states: BTreeMap::new() };
        let is_filtered = !(wanted.workload.is_empty() && wanted.credential.is_empty());
        // Rows are in id order, so the last is the newest.
        for row in board.placeholders().iter().rev().filter(|row| !is_filtered || named(row)) {
            let state = match view::state(row, board, now) {
                "active" if is_ignored(row.id) => "unverified",
                state => state,
            };
            *found.states.entry(state).or_insert(0) += 1;
            let is_meant = wanted.state.is_empty() || wanted.state == state;
            if !is_meant || before.is_some_and(|before| row.id >= before) {
                continue;
            }
            if found.rows.len() < ROWS {
                found.rows.push((row.clone(), state));
            } else if found.older.is_none() {
                found.older = found.rows.last().map(|(row, _)| row.id);
            }
        }
        found
    }
}

impl Wanted {
    fn is_all(&self) -> bool {
        [&self.state, &self.workload, &self.credential, &self.before].iter().all(|text| text.is_empty())
    }

    /// The address of the same, from another row on.
    fn with(&self, before: &str) -> String {
        // Names and ids need no escaping in a query; what is none of them finds nothing.
        let plain = |text: &str| {
            text.chars().filter(|c| c.is_ascii_alphanumeric() || "._-".contains(*c)).collect::<String>()
        };
        let Self { state, workload, credential, .. } = self;
        format!(
            "/placeholders?state={}&workload={}&credential={}&before={}",
            plain(state),
            plain(workload),
            plain(credential),
            plain(before)
        )
    }
}

fn filters(wanted: &Wanted, states: &BTreeMap<&'static str, u64>) -> Markup {
    html! {
        form .filters method="get" role="search" {
            label { "State"
                select name="state" {
                    option value="" { "any" }
                    @for state in STATES {
                        option value=(state) selected[wanted.state == state] {
                            (state) " (" (number(states.get(state).copied().unwrap_or(0))) ")"
                        }
                    }
                }
            }
            label { "Workload" input name="workload" value=(wanted.workload) autocomplete="off" spellcheck="false"; }
            label { "Credential" input name="credential" value=(wanted.credential) autocomplete="off" spellcheck="false"; }
            button { "Show" }
        }
    }
}

fn rows(admin: &Admin, viewer: &Viewer, board: &Board, found: &Found) -> Vec<Vec<Markup>> {
    let now = Timestamp::now();
    let mut shown: Vec<PlaceholderRecord> = found.rows.iter().map(|(row, _)| row.clone()).collect();
    admin.uses.show(&mut shown);
    let known = admin.console.index.known();
    let row = |(row, (_, state)): (&PlaceholderRecord, &(PlaceholderRecord, &'static str))| {
        let seen = known.seen.of(row.id);
        vec![
            html! { a href={ "/placeholders/" (row.id) } title=(row.id) { (short(row.id)) } },
            chip(state),
            html! { (board.workload_name(row.workload)) },
            html! { (board.credential_name(row.credential)) },
            left(row),
            time_or(row.expires, now, "never"),
            time_or(seen.used.map(|(at, _)| at), now, "never"),
            misuse(&seen, now),
            act(viewer, row.id, state),
        ]
    };
    shown.iter().zip(&found.rows).map(row).collect()
}

/// The one thing that is done from the list.
fn act(viewer: &Viewer, id: PlaceholderId, state: &str) -> Markup {
    let may_freeze = viewer.may(Role::Operator) || viewer.may(Role::Approver);
    html! {
        @if may_freeze && matches!(state, "active" | "pending" | "not-yet") {
            button .small formaction={ "/placeholders/" (id) "/freeze" } { "Freeze" }
        } @else if viewer.may(Role::Operator) && state == "frozen" {
            button .small formaction={ "/placeholders/" (id) "/thaw" } { "Thaw" }
        }
    }
}

/// The end of an id, which tells ids of one moment apart.
pub(super) fn short(id: PlaceholderId) -> String {
    let text = id.to_string();
    format!("ph_…{}", &text[text.len().saturating_sub(6)..])
}

pub(super) fn left(row: &PlaceholderRecord) -> Markup {
    html! {
        @match row.uses {
            Some(uses) => { (uses.saturating_sub(row.used)) span .quiet { " of " (uses) } },
            None => span .quiet { "not counted" },
        }
    }
}

pub(super) fn misuse(seen: &Seen, now: Timestamp) -> Markup {
    html! {
        @match seen.misuse {
            Some((at, kind)) => { span .alarm { (kind) } " " (time(at, now)) @if seen.misused > 1 { span .quiet { " · " (number(seen.misused)) " times" } } },
            None => span .quiet { "–" },
        }
    }
}

/// What stands in an address that names no placeholder.
pub(super) fn id(text: &str) -> Result<PlaceholderId, Problem> {
    PlaceholderId::from_str(text)
        .map_err(|_| Problem::new(crate::ProblemCode::NotFound, "there is no such placeholder"))
}
