//! What all pages of the console have in common: the frame around them, how times, states and strangers' texts are shown. Text nodes only,
//! nothing inline (T81).

use super::index::Progress;
use super::viewer::Viewer;
use crate::Problem;
use axum::response::{IntoResponse, Response};
use cloakroom_model::Timestamp;
use http::{HeaderName, HeaderValue, header};
use maud::{DOCTYPE, Markup, html};
use std::fmt::Write;

/// What pages may do: run our scripts, speak to the console, send forms to it. No inline code, no frame, nothing from elsewhere.
pub(super) const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; form-action 'self'; \
    frame-ancestors 'none'; base-uri 'none'; require-trusted-types-for 'script'; trusted-types 'none'";
/// No frame and no other page may ask for passkeys here.
const PERMISSIONS: (HeaderName, &str) = (
    HeaderName::from_static("permissions-policy"),
    "publickey-credentials-get=(self), publickey-credentials-create=(self)",
);
/// The most of a stranger's text that stands in a line of a table.
const MOST_SHOWN: usize = 200;

/// The pages, as the navigation names them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Section {
    Inbox,
    Credentials,
    Placeholders,
    Policies,
    Activity,
    Connect,
    Workloads,
    Health,
}

const SECTIONS: [(Section, &str, &str); 8] = [
    (Section::Inbox, "/inbox", "Inbox"),
    (Section::Activity, "/activity", "Activity"),
    (Section::Placeholders, "/placeholders", "Placeholders"),
    (Section::Policies, "/policies", "Policies"),
    (Section::Credentials, "/credentials", "Credentials"),
    (Section::Workloads, "/workloads", "Workloads"),
    (Section::Connect, "/connect", "Connect a service"),
    (Section::Health, "/status", "Health"),
];

/// One page: its title, where it stands, the scripts it runs, and what is in it.
pub(super) struct Sheet<'a> {
    pub(super) viewer: &'a Viewer,
    pub(super) section: Section,
    pub(super) title: &'a str,
    /// Things that wait for a human.
    pub(super) waiting: usize,
    pub(super) scripts: &'a [&'static str],
    /// What its scripts are told.
    pub(super) told: Told,
    pub(super) body: Markup,
}

/// Attributes of `main`, for scripts.
#[derive(Default)]
pub(super) struct Told {
    /// Where passkeys are good.
    pub(super) origin: Option<String>,
    pub(super) rp_id: Option<String>,
    /// The ids of approvers' passkeys at their authenticators, with blanks between.
    pub(super) passkeys: Option<String>,
    /// Where what a passkey says is handed in.
    pub(super) path: Option<String>,
    /// The public key that secrets are sealed to.
    pub(super) intake: Option<String>,
}

impl Sheet<'_> {
    pub(super) fn answer(self) -> Response {
        html_answer(self.markup().into_string())
    }

    fn markup(self) -> Markup {
        let Self { viewer, section, title, waiting, scripts, told, body } = self;
        let Told { origin, rp_id, passkeys, path, intake } = told;
        html! {
            (DOCTYPE)
            html lang="en" {
                head {
                    meta charset="utf-8";
                    meta name="viewport" content="width=device-width, initial-scale=1";
                    meta name="color-scheme" content="light dark";
                    title { (title) " – Cloakroom" }
                    link rel="stylesheet" href="/console.css";
                    link rel="icon" href="/icon.svg" type="image/svg+xml";
                    script src="/session.js" defer {}
                    script src="/console.js" defer {}
                    @for script in scripts { script src=(script) defer {} }
                }
                body {
                    a .skip href="#main" { "Skip to the content" }
                    header .bar {
                        a .brand href="/inbox" { "Cloakroom" }
                        nav aria-label="Pages" {
                            @for (one, path, name) in SECTIONS {
                                a href=(path) aria-current=[(one == section).then_some("page")] {
                                    (name)
                                    @if one == Section::Inbox {
                                        " "
                                        span #waiting .badge hidden[waiting == 0] data-live="inbox" {
                                            (waiting) span .quiet-label { " waiting" }
                                        }
                                    }
                                }
                            }
                        }
                        (viewer.corner())
                    }
                    main #main tabindex="-1" data-origin=[origin] data-rp-id=[rp_id] data-passkeys=[passkeys]
                        data-path=[path] data-intake=[intake] {
                        h1 { (title) }
                        (body)
                        p #said role="status" {}
                    }
                }
            }
        }
    }
}

/// A whole document, fenced.
pub(super) fn html_answer(document: String) -> Response {
    let kind = (header::CONTENT_TYPE, "text/html; charset=utf-8");
    let mut answer = ([kind, PERMISSIONS], document).into_response();
    answer.headers_mut().insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    // COMPAT: with no referrer at all, browsers also keep the origin of a form to themselves (Fetch, 3.2).
    answer.headers_mut().insert(header::REFERRER_POLICY, HeaderValue::from_static("same-origin"));
    answer
}

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
        _ => format!("{} days", (seconds + 43_200) / 86_400),
    };
    if at > now { format!("in {text}") } else { format!("{text} ago") }
}

/// A word for a state, with a colour that says how good that is.
pub(super) fn chip(word: &str) -> Markup {
    let tone = match word {
        "active" | "granted" | "fresh" | "held" | "ok" | "open" | "claimed" | "done" => "good",
        "pending" | "frozen" | "not-yet" | "due" | "waiting" | "unused" | "asked" | "warning" => "wait",
        "revoked" | "denied" | "sealed" | "expired" | "spent" | "unverified" | "critical" | "unavailable"
        | "login-required" | "failed" | "ending" | "withdrawn" => "bad",
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

/// A table that scrolls by itself where it is too wide, also by keyboard.
pub(super) fn table(label: &str, heads: &[&str], rows: Markup) -> Markup {
    html! {
        div .scroll role="region" aria-label=(label) tabindex="0" {
            table {
                thead { tr { @for head in heads { th scope="col" { (head) } } } }
                tbody { (rows) }
            }
        }
    }
}

/// Facts about one thing.
pub(super) fn facts(pairs: &[(&str, Markup)]) -> Markup {
    html! { dl .facts { @for (name, value) in pairs { div { dt { (name) } dd { (value) } } } } }
}

/// A *no*, for eyes, in the frame of the page that was asked for.
pub(super) fn problem(viewer: &Viewer, section: Section, problem: &Problem) -> Response {
    let document = problem.document();
    let body = html! { (complaint(problem)) p .links { a href="/inbox" { "Inbox" } } };
    let sheet = Sheet {
        viewer,
        section,
        title: &document.title,
        waiting: 0,
        scripts: &[],
        told: Told::default(),
        body,
    };
    with_status(sheet.answer(), problem)
}

/// The answer with the status of what is wrong.
pub(super) fn with_status(mut answer: Response, problem: &Problem) -> Response {
    *answer.status_mut() = problem.code().status();
    answer
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
    }

    #[test]
    fn a_number_is_told_in_thousands() {
        assert_eq!((number(7), number(1_234_567)), ("7".into(), "1\u{202f}234\u{202f}567".into()));
    }
}
