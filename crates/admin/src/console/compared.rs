//! What a placeholder that waits changes beside what counts already.

use super::board::Board;
use super::changes;
use super::placeholders::short;
use crate::api::view::{self, Relations};
use cloakroom_model::{PlaceholderRecord, Timestamp};
use cloakroom_policy::{Diff, Policy, Verdict};
use maud::{Markup, html};

/// What changes: against the placeholder that it descends from, or the latest that the same workload holds for the same credential.
pub(super) struct Compared<'b> {
    base: Option<&'b PlaceholderRecord>,
    descends: bool,
    diff: Option<Diff>,
}

impl<'b> Compared<'b> {
    pub(super) fn of(board: &'b Board, row: &PlaceholderRecord) -> Option<Self> {
        let now = Timestamp::now();
        let sibling = || {
            let same = |one: &&PlaceholderRecord| {
                one.workload == row.workload && one.credential == row.credential && one.id != row.id
            };
            board
                .placeholders()
                .iter()
                .rev()
                .filter(same)
                .find(|one| view::state(one, board, now) == "active")
        };
        let base = row.parent.and_then(|parent| board.placeholder(parent)).or_else(sibling);
        let new = view::policy(row).ok()?;
        let old = base.and_then(|base| view::policy(base).ok());
        Some(Self {
            base,
            descends: base.is_some_and(|base| row.parent == Some(base.id)),
            diff: old.map(|old| Policy::diff(&old, &new)),
        })
    }

    /// In how far it is wider, in a few words.
    pub(super) fn verdict(&self) -> Markup {
        html! { @if let Some(diff) = &self.diff { (changes::verdict(diff)) } }
    }

    /// Every change, beside what.
    pub(super) fn markup(&self) -> Markup {
        html! {
            h2 { "What it changes" }
            @match (self.base, &self.diff) {
                (Some(base), Some(diff)) => {
                    p .quiet {
                        "Beside what "
                        @if self.descends { "it descends from, " } @else { "the same workload may already do with the same credential, " }
                        a href={ "/placeholders/" (base.id) } { (short(base.id)) } ":"
                    }
                    (changes::shown(diff))
                    @if diff.verdict == Verdict::Equal { p { "Nothing: both allow the same calls." } }
                },
                _ => p { "Everything in it is new: this workload holds nothing else for this credential." },
            }
        }
    }
}
