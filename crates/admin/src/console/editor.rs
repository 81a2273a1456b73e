//! *Write a policy*: an editor that lints and compares as you type and tries calls, and the placeholder that comes of it. The checks are
//! made by the broker, by its own reader of policies; without scripts a button asks for them.

use super::board::Board;
use super::draft::{Draft, Wanted};
use super::frame::{Section, Sheet, problem, with_status};
use super::judgement::results;
use super::look::{complaint, once};
use super::viewer::Viewer;
use crate::Problem;
use crate::act::to_the_end;
use crate::admin::Admin;
use crate::api::issue::issue_one;
use crate::api::proposals;
use crate::identity::{Caller, Form};
use crate::wire::IssuedPlaceholder;
use axum::Json;
use axum::extract::{Query, State};
use axum::response::Response;
use cloakroom_model::{OnMisuse, Role};
use cloakroom_store::Ruling;
use maud::{Markup, html};
use std::sync::Arc;

const TITLE: &str = "Write a policy";

pub(super) async fn show(
    State(admin): State<Arc<Admin>>,
    viewer: Viewer,
    Query(wanted): Query<Wanted>,
) -> Response {
    match admin.console.board().and_then(|board| Draft::begun(&admin, &board, &wanted)) {
        Ok(draft) => sheet(&admin, &viewer, &draft, None),
        Err(none) => problem(&viewer, Section::Policies, &none),
    }
}

/// The same page with what was found: for the button, and for the script, which takes the results out of it.
pub(super) async fn check(State(admin): State<Arc<Admin>>, viewer: Viewer, form: Form) -> Response {
    sheet(&admin, &viewer, &Draft::of(&form), None)
}

pub(super) async fn issue(State(admin): State<Arc<Admin>>, viewer: Viewer, form: Form) -> Response {
    let draft = Draft::of(&form);
    let (caller, operated, wanted) = (viewer.caller().clone(), Arc::clone(&admin), draft.clone());
    match to_the_end(async move { issued(&operated, &caller, &wanted).await }).await {
        Ok(Json((issued, answer))) => said(&viewer, &issued, answer),
        Err(wrong) => with_status(sheet(&admin, &viewer, &draft, Some(&wrong)), &wrong),
    }
}

/// Whether the workload that asked hears of it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Answer {
    /// Nobody asked.
    NotAsked,
    /// It hears that its proposal was taken up, and then what the approvers say.
    Told,
    /// The proposal was another workload's, or somebody decided about it meanwhile.
    Untold,
}

/// Issues what the form says, and takes up the proposal that it answers.
async fn issued(
    admin: &Admin,
    caller: &Caller,
    draft: &Draft,
) -> Result<(IssuedPlaceholder, Answer), Problem> {
    let issued = issue_one(admin, caller, draft.request()?).await?;
    if draft.proposal.is_empty() {
        return Ok((issued, Answer::NotAsked));
    }
    let asked = proposals::show_one(admin, &draft.proposal).ok();
    let Some(asked) = asked.filter(|asked| asked.workload == issued.workload) else {
        return Ok((issued, Answer::Untold));
    };
    let taken_up = Ruling::Accepted(Some(issued.id));
    let ruled = proposals::rule_one(admin, caller.by().clone(), &asked.id.to_string(), taken_up).await;
    Ok((issued, if ruled.is_ok() { Answer::Told } else { Answer::Untold }))
}

fn sheet(admin: &Admin, viewer: &Viewer, draft: &Draft, wrong: Option<&Problem>) -> Response {
    let board = match admin.console.board() {
        Ok(board) => board,
        Err(none) => return problem(viewer, Section::Policies, &none),
    };
    let body = html! {
        @if let Some(wrong) = wrong { (complaint(wrong)) }
        form .editor method="post" action="/policies/check" data-check="/policies/check" {
            (options(&board))
            @if !draft.proposal.is_empty() { (answering(draft)) }
            div .write {
                label for="policy" { "Policy" }
                textarea #policy name="policy" rows="22" spellcheck="false" autocapitalize="off" autocomplete="off" { (draft.policy) }
                (tried(draft))
            }
            div .found {
                section #results aria-live="polite" aria-label="What the broker says of it" { (results(admin, &board, draft)) }
            }
            (terms(draft, viewer.may(Role::Operator)))
        }
    };
    Sheet::new(viewer, Section::Policies, TITLE, body).with_scripts(&["/policy.js"]).answer()
}

fn answering(draft: &Draft) -> Markup {
    html! {
        p .wide-note {
            "The workload " b { (draft.workload) } " asked for this: " a href={ "/inbox/" (draft.proposal) } { "its request" }
            ". Once a placeholder is issued to it here, it hears so, and what the approvers say."
        }
        input type="hidden" name="proposal" value=(draft.proposal);
    }
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

fn terms(draft: &Draft, may_issue: bool) -> Markup {
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
            @if may_issue {
                p .quiet { "It waits in the inbox until an approver has signed its exact text." }
                button .yes formaction="/placeholders" { "Issue the placeholder" }
            } @else {
                p .quiet { "Issuing takes the role operator." }
            }
        }
    }
}

/// The placeholder, once.
fn said(viewer: &Viewer, issued: &IssuedPlaceholder, answer: Answer) -> Response {
    let body = html! {
        p { "For the workload " b { (issued.workload) } ", in place of the credential " b { (issued.credential) } ". It is shown this once:" }
        @if let Some(text) = &issued.placeholder { (once("The placeholder", text)) }
        p { "It is refused until an approver has signed it." }
        @match answer {
            Answer::NotAsked => {},
            Answer::Told => p { "The workload that asked for it hears that it was taken up." },
            Answer::Untold => p { "The workload that asked hears nothing of it: its request is off the list, or was another's." },
        }
        @if !issued.warnings.is_empty() { ul .findings { @for line in &issued.warnings { li { (line) } } } }
        p .links {
            a .button .yes href={ "/inbox/" (issued.approval) } { "To its approval" }
            a href={ "/placeholders/" (issued.id) } { "The placeholder" }
            a href={ "/workloads/" (issued.workload) } { "How the workload uses it" }
        }
    };
    Sheet::new(viewer, Section::Placeholders, "Placeholder issued", body).answer()
}

#[cfg(test)]
mod tests {
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
}
