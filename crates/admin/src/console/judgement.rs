//! What the broker says of a policy that is being written: whether it is one, how a call is judged, where it is wide, what it changes, and
//! what an approver will read.

use super::board::Board;
use super::changes;
use super::draft::Draft;
use super::look::chip;
use crate::admin::Admin;
use crate::api::view::{self, Relations};
use crate::find;
use cloakroom_model::{PlaceholderRecord, Timestamp};
use cloakroom_policy::{Background, Finding, Policy};
use maud::{Markup, html};

/// The longest policy that is looked at here.
const LONGEST: usize = 256 << 10;

/// Complaints, or what the policy means: warnings, what follows, what changes, how a call is judged.
pub(super) fn results(admin: &Admin, board: &Board, draft: &Draft) -> Markup {
    if draft.policy.len() > LONGEST {
        return html! { p .alarm { "The policy is longer than 256 KiB." } };
    }
    let policy = match Policy::parse("policy", &draft.policy) {
        Ok(policy) => policy,
        Err(complaints) => {
            return html! {
                p { (chip("failed")) " It is no policy yet." }
                ul .complaints {
                    @for one in &complaints {
                        li { b { "Line " (one.line) ", column " (one.column) ": " } (one.message) @if let Some(hint) = &one.hint { div .quiet { (hint) } } }
                    }
                }
            };
        }
    };
    let destinations = find::credential(&board.rows, &draft.credential)
        .map(|row| row.destinations.clone())
        .unwrap_or_default();
    let mut findings: Vec<Finding> = policy.findings();
    findings.extend(policy.uncaptured(&admin.services));
    if !destinations.is_empty() {
        findings.extend(policy.wider_than_permits(&destinations));
    }
    let background = Background { destinations, service: &admin.services };
    html! {
        p { (chip("ok")) " It is a policy." }
        (judged(&policy, draft))
        h2 { "Wider than it needs to be" }
        @if findings.is_empty() { p .quiet { "Nothing, as far as can be told." } } @else {
            ul .findings { @for one in &findings { li { code { (one.code) } " " (one.line()) } } }
        }
        (beside(board, &policy, draft))
        h2 { "What an approver will read" }
        pre .canonical tabindex="0" aria-label="What an approver will read" { (policy.canonical_text()) }
        h2 { "What follows from it" }
        ul .remarks { @for line in policy.remarks(&background) { li { (line) } } }
    }
}

fn judged(policy: &Policy, draft: &Draft) -> Markup {
    if draft.url.is_empty() {
        return html! {};
    }
    let method = if draft.method.is_empty() { "GET" } else { &draft.method };
    html! {
        h2 { "The call" }
        @match policy.explain(method, &draft.url) {
            Err(refusal) => p { (chip("failed")) " " (refusal.reason()) },
            Ok(judged) => {
                p {
                    @if judged.iter().any(|one| one.allowed) { (chip("ok")) " Allowed." } @else { (chip("denied")) " Refused." }
                }
                ul .judged {
                    @for one in &judged {
                        li {
                            b { (one.permit) } ": "
                            @match (&one.mismatch, one.allowed) {
                                (_, true) => "allows it",
                                (Some(why), _) => { "refuses it: " (why) },
                                (None, false) => "refuses it",
                            }
                            @if let Some(code) = one.code { " " code { (code) } }
                        }
                    }
                }
                p .quiet { "Judged by destination, method, path and query. Headers, body and place are judged when the call comes." }
            },
        }
    }
}

fn beside(board: &Board, policy: &Policy, draft: &Draft) -> Markup {
    let named = find::placeholder(&board.rows, &draft.beside).ok();
    let now = Timestamp::now();
    let held = || {
        let (workload, credential) = (draft.workload.as_str(), draft.credential.as_str());
        let same = |row: &&PlaceholderRecord| {
            board.workload_name(row.workload) == workload
                && board.credential_name(row.credential) == credential
        };
        board
            .placeholders()
            .iter()
            .rev()
            .take(2000)
            .filter(same)
            .find(|row| view::state(row, board, now) == "active")
    };
    let base = named.or_else(held);
    html! {
        h2 { "What it changes" }
        @match base.map(|row| (row, view::policy(row))) {
            Some((row, Ok(old))) => {
                p .quiet { "Beside " a href={ "/placeholders/" (row.id) } { (row.id) } ":" }
                (changes::diff(&old, policy))
            },
            _ => p .quiet { "Nothing to compare with: name a placeholder, or the workload and the credential." },
        }
    }
}
