//! *Write a policy*: an editor that lints and compares as you type and tries calls, and the placeholder that comes of it. The checks are
//! made by the broker, by its own reader of policies; without scripts a button asks for them.

use super::board::Board;
use super::look::{Section, Sheet, Told, chip};
use super::viewer::Viewer;
use super::waiting::waiting;
use super::{changes, look};
use crate::act::to_the_end;
use crate::admin::Admin;
use crate::api::issue::issue_one;
use crate::api::proposals;
use crate::api::view::{self, Relations};
use crate::identity::Form;
use crate::wire::{IssuedPlaceholder, NewPlaceholder};
use crate::{Problem, find};
use axum::extract::{Query, State};
use axum::response::Response;
use cloakroom_model::{OnMisuse, PlaceholderRecord, Timestamp};
use cloakroom_policy::{Background, Finding, Policy};
use maud::{Markup, html};
use serde::Deserialize;
use std::sync::Arc;

/// The longest policy that is looked at here.
const LONGEST: usize = 256 << 10;
const TITLE: &str = "Write a policy";

/// What the address asks to begin with.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Wanted {
    placeholder: String,
    proposal: String,
    credential: String,
    ready: String,
}

/// What stands in the form.
#[derive(Clone, Debug, Default)]
struct Draft {
    policy: String,
    credential: String,
    workload: String,
    /// The placeholder that it is compared with.
    beside: String,
    method: String,
    url: String,
    expires: String,
    uses: String,
    misuse: String,
}

pub(super) async fn show(
    State(admin): State<Arc<Admin>>,
    viewer: Viewer,
    Query(wanted): Query<Wanted>,
) -> Response {
    let draft = admin.console.board().and_then(|board| begun(&admin, &board, &wanted));
    match draft {
        Ok(draft) => sheet(&admin, &viewer, &draft, None),
        Err(problem) => look::problem(&viewer, Section::Policies, &problem),
    }
}

/// The same page with what was found: for the button, and for the script, which takes the results out of it.
pub(super) async fn check(State(admin): State<Arc<Admin>>, viewer: Viewer, form: Form) -> Response {
    sheet(&admin, &viewer, &Draft::of(&form), None)
}

pub(super) async fn issue(State(admin): State<Arc<Admin>>, viewer: Viewer, form: Form) -> Response {
    let draft = Draft::of(&form);
    let asked = match draft.request() {
        Ok(asked) => asked,
        Err(problem) => return look::with_status(sheet(&admin, &viewer, &draft, Some(&problem)), &problem),
    };
    let (caller, operated) = (viewer.caller().clone(), Arc::clone(&admin));
    match to_the_end(async move { issue_one(&operated, &caller, asked).await }).await {
        Ok(issued) => said(&admin, &viewer, &issued),
        Err(problem) => look::with_status(sheet(&admin, &viewer, &draft, Some(&problem)), &problem),
    }
}

impl Draft {
    fn of(form: &Form) -> Self {
        let field = |name: &str| form.field(name).unwrap_or_default().trim().to_owned();
        // A text area's line breaks are CRLF (HTML, 4.10.21.4).
        let policy = form.field("policy").unwrap_or_default().replace("\r\n", "\n");
        Self {
            policy,
            credential: field("credential"),
            workload: field("workload"),
            beside: field("beside"),
            method: field("method"),
            url: field("url"),
            expires: field("expires"),
            uses: field("uses"),
            misuse: field("misuse"),
        }
    }

    fn request(&self) -> Result<NewPlaceholder, Problem> {
        let wrong = |text: &str, hint: &str| {
            Problem::new(crate::ProblemCode::MalformedRequest, text.to_owned()).hinting(hint.to_owned())
        };
        let uses = match self.uses.as_str() {
            "" => None,
            text => Some(
                text.parse()
                    .map_err(|_| wrong("the number of uses is no number", "leave it empty for any number"))?,
            ),
        };
        let on_misuse: OnMisuse = match self.misuse.as_str() {
            "" => OnMisuse::default(),
            text => text.parse().map_err(|_| wrong("there is no such measure", "choose one of the list"))?,
        };
        Ok(NewPlaceholder {
            credential: self.credential.clone(),
            workload: self.workload.clone(),
            file: "policy".into(),
            policy: self.policy.clone(),
            begins_in: None,
            expires_in: seconds(&self.expires)
                .ok_or_else(|| wrong("this is no span of time", "such as 12h or 30d; empty for ever"))?,
            approval_expires_in: None,
            at_the_latest: false,
            daily: None,
            holder: None,
            uses,
            parent: None,
            on_misuse,
            wrapped: None,
            requester: None,
        })
    }
}

/// `30m`, `12h` or `7d`; nothing is for ever.
fn seconds(text: &str) -> Option<Option<u64>> {
    if text.is_empty() {
        return Some(None);
    }
    let (digits, unit) = text.split_at_checked(text.len() - 1)?;
    let each = match unit {
        "m" => 60,
        "h" => 3600,
        "d" => 86_400,
        _ => return None,
    };
    digits.parse::<u64>().ok()?.checked_mul(each).filter(|seconds| *seconds > 0).map(Some)
}

/// What the form begins with.
fn begun(admin: &Admin, board: &Board, wanted: &Wanted) -> Result<Draft, Problem> {
    let mut draft =
        Draft { credential: wanted.credential.clone(), expires: "30d".into(), ..Draft::default() };
    if !wanted.placeholder.is_empty() {
        let row = find::placeholder(&board.rows, &wanted.placeholder)?;
        draft.policy = view::policy(row)?.to_toml();
        draft.beside = row.id.to_string();
        draft.credential = board.credential_name(row.credential);
        draft.workload = board.workload_name(row.workload);
    } else if !wanted.proposal.is_empty() {
        let one = proposals::show_one(admin, &wanted.proposal)?;
        (draft.policy, draft.workload) = (one.policy, one.workload.to_string());
    } else if let Some(ready) = ready(admin, &wanted.ready) {
        draft.policy = ready;
    } else {
        draft.policy = template(board, &wanted.credential);
    }
    Ok(draft)
}

fn ready(admin: &Admin, name: &str) -> Option<String> {
    let offers = (admin.console.offers)();
    offers
        .into_iter()
        .flat_map(|offer| offer.policies)
        .find(|policy| policy.name == name)
        .map(|policy| policy.text)
}

/// A small policy to change, for the credential that was asked for.
fn template(board: &Board, credential: &str) -> String {
    let to = find::credential(&board.rows, credential).ok().and_then(|row| row.destinations.first().cloned());
    let to = to.map_or_else(|| "https://api.example.com".to_owned(), |to| to.to_string());
    format!(
        "version = 1\n\n[[permit]]\nname = \"read one thing\"\nto = \"{to}\"\ncall = [\"GET /v1/things/{{id}}\"]\nplace = \"header authorization bearer\"\nrate = \"60/min\"\n"
    )
}

fn sheet(admin: &Admin, viewer: &Viewer, draft: &Draft, problem: Option<&Problem>) -> Response {
    let board = match admin.console.board() {
        Ok(board) => board,
        Err(problem) => return look::problem(viewer, Section::Policies, &problem),
    };
    let body = html! {
        @if let Some(problem) = problem { (look::complaint(problem)) }
        form .editor method="post" action="/policies/check" data-check="/policies/check" {
            (options(&board))
            div .write {
                label for="policy" { "Policy" }
                textarea #policy name="policy" rows="22" spellcheck="false" autocapitalize="off" autocomplete="off" { (draft.policy) }
                (tried(draft))
            }
            div .found {
                section #results aria-live="polite" aria-label="What the broker says of it" { (results(admin, &board, draft)) }
            }
            (terms(draft))
        }
    };
    let waiting = waiting(admin, &board).len();
    let scripts = &["/policy.js"];
    Sheet { viewer, section: Section::Policies, title: TITLE, waiting, scripts, told: Told::default(), body }
        .answer()
}

/// Names that the fields offer.
fn options(board: &Board) -> Markup {
    let (credentials, workloads) = (&board.rows.credentials, &board.rows.workloads);
    html! {
        datalist #credentials { @for row in credentials.iter().filter(|row| row.removed.is_none()).take(200) { option value=(row.name) {} } }
        datalist #workloads { @for row in workloads.iter().filter(|row| row.removed.is_none()).take(200) { option value=(row.name) {} } }
    }
}

fn tried(draft: &Draft) -> Markup {
    html! {
        fieldset {
            legend { "Try a call" }
            div .row {
                label { "Method" input name="method" value=(draft.method) placeholder="GET" size="8" autocomplete="off"; }
                label .wide { "URL" input name="url" value=(draft.url) placeholder="https://api.example.com/v1/things/1" autocomplete="off" inputmode="url"; }
            }
            div .row {
                label .wide { "Compare with the placeholder" input name="beside" value=(draft.beside) placeholder="ph_…" autocomplete="off" spellcheck="false"; }
            }
            button { "Check" }
        }
    }
}

fn terms(draft: &Draft) -> Markup {
    html! {
        fieldset .terms {
            legend { "Issue a placeholder with this policy" }
            div .row {
                label { "Credential" input name="credential" value=(draft.credential) list="credentials" autocomplete="off" spellcheck="false"; }
                label { "Workload" input name="workload" value=(draft.workload) list="workloads" autocomplete="off" spellcheck="false"; }
                label { "Ends after" input name="expires" value=(draft.expires) placeholder="for ever" size="8" autocomplete="off"; }
                label { "Uses" input name="uses" value=(draft.uses) placeholder="any number" size="10" inputmode="numeric" autocomplete="off"; }
                label { "When misused"
                    select name="misuse" {
                        @for word in [OnMisuse::Record, OnMisuse::Freeze, OnMisuse::RevokeFamily].map(OnMisuse::as_str) {
                            option value=(word) selected[draft.misuse == word] { (word) }
                        }
                    }
                }
            }
            p .quiet { "It waits in the inbox until an approver has signed its exact text." }
            button .yes formaction="/placeholders" { "Issue the placeholder" }
        }
    }
}

/// Complaints, or what the policy means: warnings, what follows, what changes, how a call is judged.
fn results(admin: &Admin, board: &Board, draft: &Draft) -> Markup {
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

/// The placeholder, once.
fn said(admin: &Admin, viewer: &Viewer, issued: &IssuedPlaceholder) -> Response {
    let waiting = admin.waiting().len();
    let body = html! {
        p { "For the workload " b { (issued.workload) } ", in place of the credential " b { (issued.credential) } ". It is shown this once:" }
        @if let Some(text) = &issued.placeholder {
            pre .secretless #issued tabindex="0" aria-label="The placeholder" { (text) }
            button type="button" data-copy="issued" hidden { "Copy" }
        }
        p { "It is refused until an approver has signed it." }
        @if !issued.warnings.is_empty() { ul .findings { @for line in &issued.warnings { li { (line) } } } }
        p .links {
            a .button href={ "/inbox/" (issued.approval) } { "Its approval" }
            a href={ "/placeholders/" (issued.id) } { "The placeholder" }
            a href={ "/workloads/" (issued.workload) } { "How the workload uses it" }
        }
    };
    let scripts = &[];
    Sheet {
        viewer,
        section: Section::Placeholders,
        title: "Placeholder issued",
        waiting,
        scripts,
        told: Told::default(),
        body,
    }
    .answer()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::house::{House, POLICY};
    use cloakroom_model::Role;

    #[tokio::test]
    async fn the_editor_says_the_same_without_scripts_and_issues_nothing_that_is_one_step_wrong() {
        let (house, issued) = House::granted().await;
        let token = format!("Bearer {}", house.token(Role::Operator).await);
        let fields =
            [("authorization", token.as_str()), ("content-type", "application/x-www-form-urlencoded")];
        let written = |text: &str| text.bytes().map(|byte| format!("%{byte:02x}")).collect::<String>();
        let policy = written(&POLICY.replace('\n', "\r\n"));
        let beside = issued["id"].as_str().unwrap();
        let good = format!(
            "policy={policy}&credential=c&workload=robot&beside={beside}&method=GET&url=https%3A%2F%2Fapi.example.com%2Fv1%2Fthings"
        );
        let told = house.ask("POST", "/policies/check", &fields, &good).await;
        for words in [
            "It is a policy.",
            "Allowed.",
            "both allow the same calls",
            "may GET https://api.example.com/v1/things",
        ] {
            assert!(told.text.contains(words), "{words}: {}", told.text);
        }
        let other = good.replace("%2Fthings", "%2Fothers");
        assert!(house.ask("POST", "/policies/check", &fields, &other).await.text.contains("Refused."));
        let broken = format!("policy={}", written("version = 1\n[[permit]]\nnane = 1\n"));
        assert!(house.ask("POST", "/policies/check", &fields, &broken).await.text.contains("Line 3, column"));
        let done = house.ask("POST", "/placeholders", &fields, &good).await;
        assert_eq!(done.status, 200, "{}", done.text);
        assert!(done.text.contains("Placeholder issued"));
        for (wrong, status) in [
            (good.replace("credential=c", "credential=d"), 404),
            (good.replace("workload=robot", "workload=nobody"), 404),
            (format!("{good}&uses=x"), 400),
            (format!("{good}&expires=1y"), 400),
            (format!("{good}&misuse=forgive"), 400),
            (broken, 422),
        ] {
            let told = house.ask("POST", "/placeholders", &fields, &wrong).await;
            assert_eq!(told.status, status, "{wrong}: {}", told.text);
            assert!(told.text.contains("role=\"alert\"") && !told.text.contains("Placeholder issued"));
        }
    }

    #[test]
    fn a_span_is_a_number_and_a_unit_and_nothing_is_for_ever() {
        assert_eq!(seconds(""), Some(None));
        assert_eq!(
            (seconds("90m"), seconds("12h"), seconds("7d")),
            (Some(Some(5400)), Some(Some(43_200)), Some(Some(604_800)))
        );
        for wrong in ["0d", "d", "12", "-1h", "1y", "é", "99999999999999999999d", "18446744073709551615d"] {
            assert_eq!(seconds(wrong), None, "{wrong}");
        }
    }
}
