//! How pages show what they show: times, states, numbers, tables, and strangers' texts. Text nodes only, nothing inline (T81).

use super::index::Progress;
use crate::Problem;
use cloakroom_model::Timestamp;
use maud::{Markup, html};
use std::fmt::Write;

/// The most of a stranger's text that stands in a line of a table.
const MOST_SHOWN: usize = 200;

/// SECURITY: what a stranger wrote, on one line: ASCII only, nothing that moves a cursor or hides, no longer than fits (T75).
pub(super) fn shown(text: &str) -> String {
    let mut out = String::with_capacity(text.len().min(MOST_SHOWN));
    for (count, c) in text.chars().enumerate() {
        if count == MOST_SHOWN {
            let _ = write!(out, "… ({} more characters)", text.chars().count() - MOST_SHOWN);
            break;
        }
        match c {
            ' '..='~' => out.push(c),
            c => {
                let _ = write!(out, "\\u{{{:x}}}", u32::from(c));
            }
        }
    }
    out
}

/// A time: how long ago, and exactly.
pub(super) fn time(at: Timestamp, now: Timestamp) -> Markup {
    let exact = at.to_string();
    html! { time datetime=(exact) title=(exact) { (apart(at, now)) } }
}

/// A time that may not be.
pub(super) fn time_or(at: Option<Timestamp>, now: Timestamp, otherwise: &str) -> Markup {
    html! { @match at { Some(at) => (time(at, now)), None => span .quiet { (otherwise) } } }
}

fn apart(at: Timestamp, now: Timestamp) -> String {
    let (from, to) = (at.millis().min(now.millis()), at.millis().max(now.millis()));
    let seconds = (to - from) / 1000;
    let text = match seconds {
        0..=4 => return "now".into(),
        5..=89 => format!("{seconds} s"),
        90..=5399 => format!("{} min", (seconds + 30) / 60),
        5400..=129_599 => format!("{} h", (seconds + 1800) / 3600),
        129_600..=63_071_999 => format!("{} days", (seconds + 43_200) / 86_400),
        _ => format!("{} years", (seconds + 15_768_000) / 31_536_000),
    };
    if at > now { format!("in {text}") } else { format!("{text} ago") }
}

/// A word for a state, with a colour that says how good that is.
pub(super) fn chip(word: &str) -> Markup {
    let tone = match word {
        "active" | "granted" | "fresh" | "held" | "ok" | "open" | "claimed" | "done" => "good",
        "pending" | "frozen" | "not-yet" | "due" | "waiting" | "unused" | "asked" | "warning" => "wait",
        "revoked" | "denied" | "refused" | "sealed" | "expired" | "spent" | "unverified" | "critical"
        | "unavailable" | "login-required" | "failed" | "ending" | "withdrawn" => "bad",
        _ => "plain",
    };
    html! { span class={ "chip " (tone) } { (word) } }
}

/// A number with a space at each thousand.
pub(super) fn number(value: u64) -> String {
    let digits = value.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push('\u{202f}');
        }
        out.push(digit);
    }
    out
}

/// What stands where there is nothing to show.
pub(super) fn nothing(words: &str, then: Markup) -> Markup {
    html! { div .nothing { p { (words) } (then) } }
}

/// A column of a table: its head, and how its cells stand.
#[derive(Clone, Copy)]
pub(super) enum Column {
    Text(&'static str),
    /// To the right, digit under digit.
    Number(&'static str),
}

/// A table whose rows become cards on a phone, each cell under its head; the first cell of a row says what the row is about. It scrolls by
/// itself where it is too wide, also by keyboard.
pub(super) fn table(label: &str, columns: &[Column], rows: impl IntoIterator<Item = Vec<Markup>>) -> Markup {
    let head = |column: &Column| match *column {
        Column::Text(head) | Column::Number(head) => head,
    };
    let is_number = |column: &Column| matches!(column, Column::Number(_));
    html! {
        div .scroll role="region" aria-label=(label) tabindex="0" {
            table {
                thead { tr { @for column in columns { th scope="col" .number[is_number(column)] { (head(column)) } } } }
                tbody {
                    @for row in rows {
                        tr {
                            @for (at, (column, cell)) in columns.iter().zip(row).enumerate() {
                                @if at == 0 { th scope="row" { (cell) } }
                                @else { td data-head=(head(column)) .number[is_number(column)] { (cell) } }
                            }
                        }
                    }
                }
            }
        }
    }
}

/// What is shown this once, to be taken along.
pub(super) fn once(label: &str, text: &str) -> Markup {
    html! {
        pre .secretless #issued tabindex="0" aria-label=(label) { (text) }
        button type="button" data-copy="issued" hidden { "Copy" }
    }
}

/// Facts about one thing.
pub(super) fn facts(pairs: &[(&str, Markup)]) -> Markup {
    html! { dl .facts { @for (name, value) in pairs { div { dt { (name) } dd { (value) } } } } }
}

/// What is wrong, and what to do.
pub(super) fn complaint(problem: &Problem) -> Markup {
    let document = problem.document();
    html! {
        div .complaint role="alert" {
            p { b { (document.detail) } }
            @if !document.complaints.is_empty() {
                ul { @for one in &document.complaints { li { "Line " (one.line) ", column " (one.column) ": " (one.message) } } }
            }
            p .quiet { (document.hint) }
        }
    }
}

/// Said while the journal is not read to its end.
pub(super) fn progress(progress: &Progress) -> Markup {
    html! {
        @if let Some(trouble) = &progress.trouble {
            p .complaint role="alert" { "The journal is shown as far as it could be read: " (trouble) }
        } @else if !progress.is_complete() {
            p .quiet #progress data-live="journal" { "The journal is being read: " (number(progress.read)) " of " (number(progress.all)) " records. What is shown is not all yet." }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn t75_what_a_stranger_wrote_is_ascii_on_one_short_line() {
        assert_eq!(
            shown("p\u{430}y\u{202e}\u{200b}\u{1b}[2J\n"),
            "p\\u{430}y\\u{202e}\\u{200b}\\u{1b}[2J\\u{a}"
        );
        let long = shown(&"x".repeat(1000));
        assert!(long.ends_with("… (800 more characters)") && long.len() < 250, "{long}");
    }

    #[test]
    fn times_are_told_by_how_far_away_they_are() {
        let now = Timestamp::from_millis(10_000_000_000);
        let told = |seconds: i64| {
            let at = Timestamp::from_millis(now.millis().checked_add_signed(seconds * 1000).unwrap());
            apart(at, now)
        };
        assert_eq!(told(-2), "now");
        assert_eq!(told(-70), "70 s ago");
        assert_eq!(told(-600), "10 min ago");
        assert_eq!(told(7200), "in 2 h");
        assert_eq!(told(-864_000), "10 days ago");
        assert_eq!(told(315_360_000), "in 10 years");
    }

    #[test]
    fn a_number_is_told_in_thousands() {
        assert_eq!((number(7), number(1_234_567)), ("7".into(), "1\u{202f}234\u{202f}567".into()));
    }
}
