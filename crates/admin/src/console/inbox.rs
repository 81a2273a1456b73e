//! *Inbox*: what waits for a human, and the one thing that is open: its exact text, what follows from it, what it changes, and a yes or a
//! no by passkey.

use super::board::Board;
use super::compared::Compared;
use super::first_steps::first_steps;
use super::frame::{Section, Sheet, Told, answered, problem};
use super::look::{chip, nothing, time};
use super::viewer::Viewer;
use super::waiting::{Waiting, WaitingKind, waiting};
use crate::Problem;
use crate::act::to_the_end;
use crate::admin::Admin;
use crate::api::approvals::show_one_of;
use crate::api::proposals;
use crate::api::view::Relations;
use crate::wire::{ApprovalText, ProposalView};
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Redirect, Response};
use cloakroom_model::{ProposalId, Role, Timestamp};
use cloakroom_store::Ruling;
use maud::{Markup, html};
use std::str::FromStr;
use std::sync::Arc;

/// Things that are listed; the others are counted.
const LISTED: usize = 50;

pub(super) async fn first(State(admin): State<Arc<Admin>>, viewer: Viewer) -> Response {
    answered(&viewer, Section::Inbox, shown(&admin, &viewer, None))
}

pub(super) async fn item(
    State(admin): State<Arc<Admin>>,
    viewer: Viewer,
    Path(item): Path<String>,
) -> Response {
    answered(&viewer, Section::Inbox, shown(&admin, &viewer, Some(&item)))
}

/// Takes what a workload asks for off the list.
pub(super) async fn dismiss(
    State(admin): State<Arc<Admin>>,
    viewer: Viewer,
    Path(item): Path<String>,
) -> Response {
    let by = viewer.peer();
    match to_the_end(async move { proposals::rule_one(&admin, by, &item, Ruling::Dropped).await }).await {
        Ok(_) => Redirect::to("/inbox").into_response(),
        Err(wrong) => problem(&viewer, Section::Inbox, &wrong),
    }
}

/// The list, and what is open: what was asked for, or the most urgent.
fn shown(admin: &Admin, viewer: &Viewer, item: Option<&str>) -> Result<Response, Problem> {
    let board = admin.console.board()?;
    let all = waiting(admin, &board);
    // What was decided meanwhile is shown as it is now, where it is still known.
    let open = item.or(all.first().map(|first| first.id.as_str()));
    let (pane, told) = match open {
        Some(open) => pane(admin, viewer, &board, open, &all)?,
        None => (html! {}, Told::default()),
    };
    // On a phone one of both is shown: the list of several, or what was chosen.
    let stands = match (item, all.len()) {
        (Some(_), _) => "chosen",
        (None, 0) => "empty",
        (None, 1) => "one",
        _ => "several",
    };
    let body = html! {
        div .inbox .(stands) {
            section .list aria-label="What waits" {
                div #list data-live="inbox" { (listed(&all, open.unwrap_or_default())) }
                @if all.is_empty() { (first_steps(viewer, &board)) }
                button .small type="button" data-notify hidden { "Tell me on this desktop" }
            }
            @if open.is_some() { section .pane aria-label="What is open" #pane { (pane) } }
        }
    };
    let scripts: &[&'static str] = if told.path.is_some() { &["/passkey.js"] } else { &[] };
    Ok(Sheet::new(viewer, Section::Inbox, "Inbox", body).with_scripts(scripts).telling(told).answer())
}

fn listed(all: &[Waiting], open: &str) -> Markup {
    let now = Timestamp::now();
    html! {
        @if all.is_empty() {
            (nothing("Nothing waits for you.", html! {
                p .quiet { "New policies, calls that wait for a human, and what workloads ask for come here." }
            }))
        } @else {
            ol .items {
                @for one in all.iter().take(LISTED) {
                    li {
                        a href=(one.path()) aria-current=[(one.id == open).then_some("true")] data-item=(one.id) {
                            span .kind { (kind_word(one.kind)) }
                            span .what { (subject(one)) }
                            span .when { (time(one.since, now)) }
                        }
                    }
                }
            }
            @if all.len() > LISTED {
                p .quiet { (all.len() - LISTED) " more wait. They are listed as these are decided." }
            }
        }
    }
}

const fn kind_word(kind: WaitingKind) -> &'static str {
    match kind {
        WaitingKind::Call => "call",
        WaitingKind::Policy => "policy",
        WaitingKind::Approver => "approvers",
        WaitingKind::Proposal => "proposal",
    }
}

fn subject(one: &Waiting) -> Markup {
    html! {
        @match (&one.workload, &one.credential) {
            (Some(workload), Some(credential)) => { b { (workload) } " with " b { (credential) } },
            (Some(name), None) | (None, Some(name)) => b { (name) },
            (None, None) => "who may approve",
        }
    }
}

fn pane(
    admin: &Admin,
    viewer: &Viewer,
    board: &Board,
    open: &str,
    all: &[Waiting],
) -> Result<(Markup, Told), Problem> {
    if ProposalId::from_str(open).is_ok() {
        let one = proposals::show_one(admin, open)?;
        return Ok((proposal(&one, viewer), Told::default()));
    }
    let shown = show_one_of(admin, &board.rows, super::approve::id(open)?)?;
    let next =
        all.iter().skip_while(|one| one.id != open).nth(1).or(all.first()).filter(|one| one.id != open);
    Ok(decision(admin, viewer, board, &shown, next))
}

/// The approval in the words that are signed, and everything that helps to decide.
pub(super) fn decision(
    admin: &Admin,
    viewer: &Viewer,
    board: &Board,
    shown: &ApprovalText,
    next: Option<&Waiting>,
) -> (Markup, Told) {
    let told = told(admin, shown, viewer);
    let approval = &shown.approval;
    let row = approval.placeholder.and_then(|id| board.placeholder(id));
    let compared = row.filter(|_| approval.kind == "placeholder").and_then(|row| Compared::of(board, row));
    let markup = html! {
        article .decision data-approval=(approval.id) {
            header {
                (chip(&approval.state))
                span { (approval.signed.len()) " of " (approval.needed) " approvers have signed" }
                @if !approval.signed.is_empty() { span .quiet { "(" (approval.signed.join(", ")) ")" } }
                @if let Some(compared) = &compared { (compared.verdict()) }
            }
            pre #text .canonical tabindex="0" aria-label="The text that is signed" { (shown.text) }
            dl .facts {
                div { dt { "Phrase" } dd { code #phrase { (shown.phrase) } } }
                div { dt { "SHA-256" } dd { code #digest { (shown.digest) } } }
            }
            @if !shown.remarks.is_empty() {
                h2 { "What follows from it" }
                ul .remarks { @for line in &shown.remarks { li { (line) } } }
            }
            @if let Some(compared) = &compared { (compared.markup()) }
            p .links {
                @if let Some(id) = approval.placeholder { a href={ "/placeholders/" (id) } { "The placeholder" } }
                a href={ "/approve/" (approval.id) } { "This item alone" }
                @if let Some(next) = next { a href=(next.path()) rel="next" { "Next item " kbd { "j" } } }
                a .back href="/inbox" { "All that waits" }
            }
            (buttons(&told, approval.state == "pending"))
        }
    };
    (markup, told)
}

fn buttons(told: &Told, waits: bool) -> Markup {
    html! {
        @if waits && told.path.is_none() {
            p .quiet {
                "You cannot decide this here: that takes an approver's passkey. "
                "Keys decide on the command line: " code { "cloakroom approval grant" } "."
            }
        } @else if waits {
            div .deciding {
                button .yes type="button" data-act="grant" data-key="a" { "Approve " kbd { "a" } }
                button .no type="button" data-act="deny" data-key="d" { "Deny " kbd { "d" } }
                noscript { p { "A passkey needs JavaScript. Without it: " code { "cloakroom approval grant" } "." } }
            }
        }
    }
}

/// Where and by which passkeys this can be decided.
fn told(admin: &Admin, shown: &ApprovalText, viewer: &Viewer) -> Told {
    let (party, approvers) = (&admin.ballots.party, admin.approvers());
    let passkeys: Vec<String> = approvers.members().iter().filter_map(|one| one.passkey_at(party)).collect();
    if shown.approval.state != "pending" || passkeys.is_empty() || !viewer.may(Role::Approver) {
        return Told::default();
    }
    Told {
        origin: Some(party.origin().to_owned()),
        rp_id: Some(party.id().to_owned()),
        passkeys: Some(passkeys.join(" ")),
        path: Some(format!("/approve/{}", shown.approval.id)),
        ..Told::default()
    }
}

fn proposal(one: &ProposalView, viewer: &Viewer) -> Markup {
    html! {
        article .decision {
            header { (chip("waiting")) span { "A workload asks. Nothing is permitted by it." } }
            dl .facts {
                div { dt { "Workload" } dd { b { (one.workload) } } }
                div { dt { "Asked" } dd { (one.at) } }
            }
            p { "Its own words, which prove nothing:" }
            blockquote .strangers { (one.reason) }
            pre .canonical tabindex="0" aria-label="What it would permit" { (one.text) }
            @if !one.remarks.is_empty() {
                h2 { "What follows from it" }
                ul .remarks { @for line in &one.remarks { li { (line) } } }
            }
            @if viewer.may(Role::Operator) {
                div .deciding {
                    a .button .yes href={ "/policies/new?proposal=" (one.id) } data-key="a" { "Make a policy of it " kbd { "a" } }
                    form method="post" action={ "/inbox/" (one.id) "/dismiss" } {
                        button .no data-key="d" { "Dismiss " kbd { "d" } }
                    }
                }
            }
        }
    }
}
