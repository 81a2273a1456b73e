//! *Tell me on this desktop*: what comes while a page is open, by the names that operators gave, and a click that opens the very item.

use super::browser::enrolled;
use crate::support::{BINARY, policy};
use cloakroom_testkit::{BrokerBuilder, TestAuthority, TlsUpstream, echo, shaped};
use serde_json::{Value, json};

const HOSTILE: &str = "<img src=x onerror=alert(1)>";

#[test]
fn what_comes_is_told_on_the_desktop_without_a_word_of_a_workload_and_a_click_opens_it() {
    let authority = TestAuthority::new();
    let broker = BrokerBuilder::new(BINARY, &authority).start();
    let upstream = TlsUpstream::start(&authority, echo);
    let Some(mut browser) = enrolled(&broker, &[]) else { return };
    broker.deposit("c", "bearer", &[&upstream.url()], &shaped("sk_live_"));
    broker.workload("robot");
    browser.ask(json!(["allow-telling"]));
    browser.open("/placeholders");
    let told = |browser: &mut super::browser::Browser| browser.ask(json!(["told"]))["told"].clone();
    assert_eq!(told(&mut browser), json!([]), "nothing came yet");
    let hostile = policy(&upstream.url(), "GET /v1/items/{id}", "header authorization bearer", "")
        .replace("the permit", HOSTILE);
    let issued = broker.issue("c", "robot", &hostile, &[]);
    browser.wait("#waiting", "1");
    assert_eq!(
        told(&mut browser),
        json!([{ "title": "Cloakroom", "body": "a policy waits: robot with c", "tag": issued.approval }])
    );
    let opened: Value = browser.ask(json!(["press-told"]));
    assert_eq!(opened["url"], format!("/inbox/{}", issued.approval), "{opened}");
    browser.require_quiet();
}
