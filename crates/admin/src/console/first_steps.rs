//! What a broker that is new needs before its first call passes: shown where nothing waits yet.

use super::board::Board;
use super::viewer::Viewer;
use cloakroom_model::Role;
use maud::{Markup, html};

/// The steps, and which are done; nothing once all are, or for whoever cannot take them.
pub(super) fn first_steps(viewer: &Viewer, board: &Board) -> Markup {
    let rows = &board.rows;
    let steps = [
        (
            rows.credentials.iter().any(|row| row.removed.is_none()),
            "/connect",
            "Connect a service",
            "whose credential the broker holds from then on",
        ),
        (
            rows.workloads.iter().any(|row| row.removed.is_none()),
            "/workloads",
            "Connect a workload",
            "the program that calls; it gets a key of its own",
        ),
        (
            !rows.placeholders.is_empty(),
            "/policies/new",
            "Write a policy",
            "which calls it may make; a placeholder is issued for it",
        ),
        (
            rows.approvals.iter().any(|row| row.decided.is_some() && !row.denied),
            "/inbox",
            "Approve it",
            "here, with your passkey, once it waits",
        ),
    ];
    if !viewer.may(Role::Operator) || steps.iter().all(|(done, ..)| *done) {
        return html! {};
    }
    let next = steps.iter().position(|(done, ..)| !done);
    html! {
        h2 { "First steps" }
        ol .steps {
            @for (at, (done, path, name, why)) in steps.iter().enumerate() {
                li .done[*done] {
                    @if next == Some(at) && *path != "/inbox" { a .button .yes href=(path) { (name) } }
                    @else if *done { b { (name) } span .quiet-label { " (done)" } }
                    @else { b { (name) } }
                    div .quiet { (why) }
                }
            }
        }
    }
}
