//! How two policies compare: what one newly allows and newly refuses, each with a call that shows it.

use super::look::chip;
use cloakroom_policy::{Change, Diff, Policy, Proof, Verdict};
use maud::{Markup, html};

/// Regions that are shown of each side; the others are counted.
const MOST: usize = 40;

/// What `new` changes beside `old`.
pub(super) fn diff(old: &Policy, new: &Policy) -> Markup {
    let diff = Policy::diff(old, new);
    html! { p { (verdict(&diff)) } (shown(&diff)) }
}

/// In how far one is wider than the other, in a few words.
pub(super) fn verdict(diff: &Diff) -> Markup {
    let (word, tone) = match diff.verdict {
        Verdict::Equal => ("both allow the same calls", "held"),
        Verdict::Narrower => ("narrower: proved to allow less", "held"),
        Verdict::Wider => ("wider: it allows more than before", "pending"),
        Verdict::Both => ("different: it allows more here and less there", "pending"),
    };
    html! { span class={ "verdict " (tone) } { (word) } }
}

/// Every change, with a call that shows it where there is one.
pub(super) fn shown(diff: &Diff) -> Markup {
    html! {
        div .changes {
            (side("Newly allowed", "plus", &diff.allowed))
            (side("Newly refused", "minus", &diff.refused))
            @if !diff.exact {
                p .quiet { "Not every change is shown by a call: take what is not proved for a change." }
            }
        }
    }
}

fn side(title: &str, class: &str, changes: &[Change]) -> Markup {
    html! {
        @if !changes.is_empty() {
            h3 { (title) }
            ul class={ "regions " (class) } {
                @for change in changes.iter().take(MOST) { li { (region(change)) } }
            }
            @if changes.len() > MOST { p .quiet { (changes.len() - MOST) " more" } }
        }
    }
}

fn region(change: &Change) -> Markup {
    let sure = match change.proof {
        Proof::Shown if change.rules.is_empty() => Some("all that its permit allows there"),
        Proof::Shown => None,
        Proof::MoreOften => Some("the same calls, more often"),
        Proof::NotProved => {
            Some("not proved: no call shows it, and the other policy is not proved to allow all of it")
        }
    };
    html! {
        code { (change.call) }
        @if change.proof == Proof::NotProved { " " (chip("not proved")) }
        @if let Some(sure) = sure { p .quiet { (sure) } }
        @for rule in &change.rules { p .rule { "where " (rule) } }
        @if let Some(example) = &change.example {
            details { summary { "a call that shows it" } pre { (example.lines().join("\n")) } }
        }
    }
}
