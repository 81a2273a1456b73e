//! *Policies*: what every placeholder that counts may do, a permit in a row.

use super::board::Board;
use super::frame::{Section, Sheet, problem};
use super::look::{chip, nothing};
use super::placeholders::short;
use super::viewer::Viewer;
use crate::admin::Admin;
use crate::api::view::{self, Relations};
use axum::extract::{Query, State};
use axum::response::Response;
use cloakroom_model::{PlaceholderId, PlaceholderRecord, Role, Timestamp};
use maud::{Markup, html};
use serde::Deserialize;
use std::str::FromStr;
use std::sync::Arc;

/// Placeholders of one page.
const PLACEHOLDERS: usize = 25;
/// Calls that are shown of one permit.
const CALLS: usize = 12;

/// What the address asks for. Empty: whatever it is.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Wanted {
    before: String,
}

pub(super) async fn list(
    State(admin): State<Arc<Admin>>,
    viewer: Viewer,
    Query(wanted): Query<Wanted>,
) -> Response {
    let board = match admin.console.board() {
        Ok(board) => board,
        Err(none) => return problem(&viewer, Section::Policies, &none),
    };
    let (now, before) = (Timestamp::now(), PlaceholderId::from_str(&wanted.before).ok());
    let newest = board.placeholders().iter().rev().filter(|row| before.is_none_or(|before| row.id < before));
    let mut counting = newest.filter(|row| view::counts(row, board.as_ref(), now));
    let page: Vec<&PlaceholderRecord> = counting.by_ref().take(PLACEHOLDERS).collect();
    let older = counting.next().and_then(|_| page.last()).map(|row| row.id);
    let body = html! {
        p .actions {
            @if viewer.may(Role::Operator) { a .button href="/policies/new" { "Write a policy" } }
        }
        @if page.is_empty() {
            (nothing("No placeholder counts, so nothing is permitted.", html! {
                p .quiet { "A policy says which calls one workload may make with one credential. An approver signs its exact text." }
            }))
        } @else {
            (table(page.iter().map(|row| permits(&board, row, now))))
            nav .pager aria-label="More policies" {
                @if before.is_some() { a href="/policies" { "Newest" } }
                @if let Some(older) = older { a href={ "/policies?before=" (older) } rel="next" { "Older" } }
            }
        }
    };
    Sheet::new(&viewer, Section::Policies, "Policies", body).answer()
}

const HEADS: [&str; 4] = ["Permit", "May call", "Placed in", "Bounds"];

/// A placeholder heads its permits; on a phone each permit becomes a card.
fn table(rows: impl Iterator<Item = Markup>) -> Markup {
    html! {
        div .scroll role="region" aria-label="Policies" tabindex="0" {
            table .policies {
                thead { tr { @for head in HEADS { th scope="col" { (head) } } } }
                @for row in rows { (row) }
            }
        }
    }
}

/// The permits of one placeholder, from the text that was signed: what is shown here is what an approver read.
fn permits(board: &Board, row: &PlaceholderRecord, now: Timestamp) -> Markup {
    let permits: Vec<Permit> =
        view::policy(row).map(|policy| Permit::all(&policy.canonical_text())).unwrap_or_default();
    let (workload, credential) = (board.workload_name(row.workload), board.credential_name(row.credential));
    html! {
        tbody {
            tr .group {
                th scope="rowgroup" colspan="4" {
                    b { (workload) } " with " b { (credential) } " " (chip(view::state(row, board, now))) " "
                    a href={ "/placeholders/" (row.id) } title=(row.id) { (short(row.id)) }
                }
            }
            @for permit in &permits {
                tr {
                    td data-head=(HEADS[0]) { (permit.name) }
                    td data-head=(HEADS[1]) {
                        ul .destinations { @for call in permit.calls.iter().take(CALLS) { li { code { (call) } } } }
                        @if permit.calls.len() > CALLS { span .quiet { (permit.calls.len() - CALLS) " more" } }
                    }
                    td data-head=(HEADS[2]) { (permit.place) }
                    td data-head=(HEADS[3]) { ul .bounds { @for bound in &permit.bounds { li .quiet[is_loose(bound)] { (bound) } } } }
                }
            }
        }
    }
}

/// A bound that bounds nothing, or forbids all.
fn is_loose(bound: &str) -> bool {
    [
        "not constrained",
        "any (not constrained)",
        "not limited",
        "none",
        "once, with this policy",
        "not forwarded",
    ]
    .iter()
    .any(|end| bound.ends_with(end))
}

/// One permit, as its lines in the canonical text say it.
#[derive(Debug, Default, PartialEq, Eq)]
struct Permit {
    name: String,
    calls: Vec<String>,
    place: String,
    bounds: Vec<String>,
}

impl Permit {
    /// Of a canonical text. Whatever is no call and no place is a bound: no line is left out (T74).
    fn all(text: &str) -> Vec<Self> {
        let mut all: Vec<Self> = Vec::new();
        for line in text.lines() {
            if let Some(name) = line.strip_prefix("permit ").and_then(|rest| rest.split_once(": ")) {
                all.push(Self { name: name.1.to_owned(), ..Self::default() });
            } else if let (Some(fact), Some(permit)) = (line.strip_prefix("  "), all.last_mut()) {
                if let Some(call) = fact.strip_prefix("may ") {
                    permit.calls.push(call.to_owned());
                } else if let Some(place) = fact.strip_prefix("with the credential in: ") {
                    permit.place = place.to_owned();
                } else {
                    permit.bounds.push(fact.trim_start_matches("! ").to_owned());
                }
            }
        }
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cloakroom_policy::Policy;

    #[test]
    fn t74_each_line_of_the_text_that_was_signed_stands_in_the_table() {
        let file = r#"
version = 1
[[permit]]
name = "may <b>x</b>"
to = "https://api.example.com"
call = ["POST /v1/charges", "GET /v1/charges/{id}"]
place = "header authorization bearer"
rate = "10/min"
body = { type = "form", max_bytes = "64KiB", fields = { amount = { max = 5000 } } }
[[permit]]
name = "other"
to = "https://api.example.com"
call = "GET /v1/things"
place = "header authorization bearer"
approve = "each-call"
"#;
        let text = Policy::parse("f", file).unwrap().canonical_text();
        let permits = Permit::all(&text);
        assert_eq!(permits.len(), 2);
        assert_eq!(permits[0].calls.len(), 2);
        assert!(permits[0].place.contains("authorization"), "{permits:?}");
        let cells: usize = permits.iter().map(|one| one.calls.len() + 1 + one.bounds.len()).sum();
        let facts = text.lines().filter(|line| line.starts_with("  ")).count();
        assert_eq!(cells, facts, "{text}");
    }
}
