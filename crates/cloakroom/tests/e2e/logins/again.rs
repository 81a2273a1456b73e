//! What becomes of a grant: how it goes is shown, a person logs in again, and a credential that goes takes its grant along.

use super::Stage;
use crate::support::eventually;
use cloakroom_testkit::{Issued, Reply, TlsUpstream};
use serde_json::Value;

fn logged_in(stage: &Stage) -> Issued {
    let login = stage.begin("app", &["--scope", "openid"]);
    stage.browse(login.url());
    assert!(login.end().status.success());
    stage.permit()
}

fn renewal(stage: &Stage) -> Value {
    stage.broker().cli_json(&["credential", "show", "c"])["renewal"].clone()
}

fn on_record(stage: &Stage, words: &str) -> bool {
    stage.broker().cli(&["journal", "show"]).stdout.contains(words)
}

#[test]
fn after_a_revocation_a_new_login_heals_the_same_credential() {
    let Some(stage) = Stage::new() else { return };
    stage.server.test("short");
    let issued = logged_in(&stage);
    let before = stage.broker().cli_json(&["credential", "show", "c"]);
    assert_eq!(before["renewal"], serde_json::json!({ "state": "unused" }));
    assert_eq!(stage.call(&issued).status, 200);
    assert!(renewal(&stage)["last"].is_string() && renewal(&stage)["ends"].is_string());
    stage.server.test("revoke");
    eventually("the grant is found to be worth nothing", || {
        (stage.call(&issued).code().as_deref() == Some("login-required")).then_some(())
    });
    let sick = renewal(&stage);
    assert_eq!(
        (sick["state"].as_str(), sick["code"].as_str()),
        (Some("login-required"), Some("login-required"))
    );
    assert!(sick["reason"].as_str().unwrap().contains("revoked") && sick["next"].is_null(), "{sick}");
    let text = stage.broker().cli(&["credential", "show", "c"]).stdout;
    assert!(text.contains("renewal") && text.contains("because"), "{text}");

    let login = super::Login::start(stage.broker(), &["credential", "login", "c"]);
    stage.browse(login.url());
    let after = login.end().json();
    assert_eq!((&after["id"], after["generation"].as_u64()), (&before["id"], Some(2)));
    assert_eq!(stage.call(&issued).status, 200, "the placeholder is the same");
    assert!(on_record(&stage, "credential logged in again"));
}

#[test]
fn a_server_that_is_down_is_told_from_a_grant_that_is_worth_nothing() {
    let Some(stage) = Stage::new() else { return };
    let issued = logged_in(&stage);
    stage.server.test("down");
    assert_eq!(stage.call(&issued).code().as_deref(), Some("credential-unavailable"));
    let sick = renewal(&stage);
    assert_eq!(
        (sick["state"].as_str(), sick["code"].as_str()),
        (Some("unavailable"), Some("credential-unavailable"))
    );
    assert!(sick["next"].is_string(), "{sick}");
    stage.server.test("up");
    eventually("it heals by itself", || (stage.call(&issued).status == 200).then_some(()));
    assert_eq!(renewal(&stage)["state"], "fresh");
}

#[test]
fn a_credential_that_no_login_made_is_not_logged_in_again() {
    let Some(stage) = Stage::new() else { return };
    stage.broker().deposit("b", "bearer", &["https://api.example.com"], &cloakroom_testkit::shaped("sk-"));
    let code = |name| super::Login::start(stage.broker(), &["credential", "login", name]).failure();
    assert_eq!(code("b"), "login-failed");
    assert_eq!(code("nobody"), "not-found");
}

#[test]
fn a_credential_that_is_removed_is_revoked_at_its_server_too() {
    let Some(stage) = Stage::new() else { return };
    logged_in(&stage);
    let removed = stage.broker().cli_json(&["credential", "remove", "c"]);
    assert_eq!(removed["revocation"], "revoked");
    assert_eq!(stage.server.test("seen")["revoked"], 1);
    assert!(on_record(&stage, "grant revoked at its server"));
}

#[test]
fn a_server_that_is_down_holds_no_removal_up_and_is_told_when_it_is_back() {
    let Some(stage) = Stage::new() else { return };
    let issued = logged_in(&stage);
    stage.server.test("down");
    let removed = stage.broker().cli_json(&["credential", "remove", "c"]);
    assert_eq!(removed["revocation"], "tried-again");
    assert_eq!(stage.call(&issued).code().as_deref(), Some("placeholder-revoked"));
    assert!(on_record(&stage, "grant not revoked yet"));
    stage.server.test("up");
    eventually("it is told", || on_record(&stage, "grant revoked at its server").then_some(()));
    assert_eq!(stage.server.test("seen")["revoked"], 1);
}

#[test]
fn a_server_that_will_not_revoke_is_said_so() {
    let Some(stage) = Stage::new() else { return };
    let stubborn =
        TlsUpstream::start(&stage.setup.authority, |_| Reply::status("403 Forbidden").with_body("no"));
    let endpoint = format!("{}/revoke", stubborn.url());
    let login = stage.begin("app", &["--scope", "openid", "--revocation-endpoint", &endpoint]);
    stage.browse(login.url());
    assert!(login.end().status.success());
    let removed = stage.broker().cli(&["credential", "remove", "c"]);
    assert!(removed.stderr.contains("refuses to revoke"), "{removed:?}");
    let asked = String::from_utf8(stubborn.last().body).unwrap();
    assert!(
        asked.starts_with("token=") && asked.contains("token_type_hint=refresh_token"),
        "{}",
        asked.len()
    );
    assert!(on_record(&stage, "grant not revoked: its server refuses"));
}
