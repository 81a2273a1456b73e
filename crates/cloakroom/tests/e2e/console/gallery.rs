//! Every page, looked at: screenshots on a desktop and a phone, in light and dark, in `target/console`; axe-core finds nothing, nothing is
//! wider than its window, and no page with all that it loads is heavier than it may be.

use super::browser::{enrolled, first_link};
use super::sample::{LONG, Sample};
use crate::support::{BINARY, items, propose};
use cloakroom_testkit::{BrokerBuilder, TestAuthority};
use serde_json::json;

#[test]
fn each_page_of_a_broker_at_work_is_legible_light_and_accessible_on_a_desktop_and_a_phone() {
    let sample = Sample::new();
    let Some(mut browser) = enrolled(&sample.broker, &[]) else { return };
    sample.live();
    let [pending, call, proposal] = sample.waiting();
    let records = sample.broker.cli_json(&["journal", "show"]);
    let refused =
        records.as_array().unwrap().iter().rev().find(|record| record["entry"]["kind"] == "refusal");
    let answered =
        records.as_array().unwrap().iter().rev().find(|record| record["entry"]["kind"] == "intent");
    let id =
        |record: Option<&serde_json::Value>| record.unwrap()["entry"]["request"].as_str().unwrap().to_owned();
    let active = &sample.active.id;
    for (name, path) in [
        ("inbox", "/inbox"),
        ("inbox-policy", &*format!("/inbox/{pending}")),
        ("inbox-call", &format!("/inbox/{call}")),
        ("inbox-proposal", &format!("/inbox/{proposal}")),
        ("approve", &format!("/approve/{pending}")),
        ("activity", "/activity?range=day"),
        ("activity-narrowed", "/activity?what=refusals&workload=support-agent&code=call-not-permitted"),
        ("call", &format!("/activity/{}", id(answered))),
        ("call-refused", &format!("/activity/{}", id(refused))),
        ("placeholders", "/placeholders"),
        ("placeholder", &format!("/placeholders/{active}")),
    ] {
        browser.examine(name, path);
    }
}

#[test]
fn each_page_of_what_a_broker_holds_is_legible_light_and_accessible_on_a_desktop_and_a_phone() {
    let sample = Sample::new();
    let Some(mut browser) = enrolled(&sample.broker, &[]) else { return };
    let proposal =
        propose(&sample.broker, &sample.robot, &items(&sample.upstream), "The customer asks for it.");
    for (name, path) in [
        ("policies", "/policies"),
        ("editor", &*format!("/policies/new?placeholder={}", sample.active.id)),
        ("editor-proposal", &format!("/policies/new?proposal={proposal}")),
        ("credentials", "/credentials"),
        ("credential", "/credentials/crm"),
        ("workloads", "/workloads"),
        ("workload", &format!("/workloads/{LONG}")),
        ("connect", "/connect"),
        ("connect-service", "/connect/github"),
        ("connect-by-hand", "/connect/by-hand"),
        ("health", "/status"),
        ("account", "/account"),
        ("refused", "/credentials/nobody"),
    ] {
        browser.examine(name, path);
    }
}

#[test]
fn each_page_of_a_broker_that_is_new_and_for_strangers_is_legible_light_and_accessible_too() {
    let authority = TestAuthority::new();
    let broker = BrokerBuilder::new(BINARY, &authority).start();
    let Some(mut browser) = enrolled(&broker, &[]) else { return };
    for (name, path) in [
        ("empty-inbox", "/inbox"),
        ("empty-activity", "/activity?what=refusals"),
        ("empty-placeholders", "/placeholders"),
        ("empty-policies", "/policies"),
        ("empty-credentials", "/credentials"),
        ("empty-workloads", "/workloads"),
        ("connect-nothing", "/connect?find=nothing"),
    ] {
        browser.examine(name, path);
    }
    browser.open("/policies/new");
    browser.fill(json!({ "#policy": "version = 1\n[[permit]]\nnane = 1\n" }));
    browser.wait("#results", "Line 3");
    browser.look("editor-wrong");
    browser.open("/workloads");
    browser.fill(json!({ "form.inline [name=name]": "agent" }));
    browser.submit("form.inline button");
    browser.look("workload-added");
    let invited = broker.cli_json(&["member", "invite", "ann", "--role", "reader"]);
    browser.examine("enrol", invited["url"].as_str().unwrap());
    browser.examine("enrol-gone", &first_link(&broker));
    browser.examine("login-answered-wrong", "/oauth/callback?error=access_denied&state=x");
    browser.open("/inbox");
    browser.submit(".corner button");
    browser.examine("login", "/login");
}
