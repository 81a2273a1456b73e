//! The same login, one step wrong: nothing is exchanged where it should not be, and nothing is kept.

use super::{Stage, callback};
use crate::authorization_server::AuthorizationServer;

/// Answers the login with this change of the right answer, and gives the command's code.
fn answered_with(stage: &Stage, change: impl FnOnce(&str) -> String) -> String {
    let login = stage.begin("app", &["--scope", "openid"]);
    let right = stage.answer_to(login.url());
    assert!(right.starts_with(&callback(stage.broker())) && right.contains("iss="), "{right}");
    stage.browse(&change(&right));
    login.failure()
}

fn without(url: &str, name: &str) -> String {
    let (at, query) = url.split_once('?').unwrap();
    let kept: Vec<&str> = query.split('&').filter(|pair| !pair.starts_with(&format!("{name}="))).collect();
    assert_eq!(kept.len() + 1, query.split('&').count(), "{url}");
    format!("{at}?{}", kept.join("&"))
}

fn nothing_is_kept(stage: &Stage) {
    assert_eq!(stage.broker().cli_json(&["credential", "list"]), serde_json::json!([]));
}

#[test]
fn t102_an_answer_of_another_server_or_of_none_is_refused_before_its_code_goes_anywhere() {
    let Some(stage) = Stage::new() else { return };
    let other = |url: &str| format!("{}&iss=https%3A%2F%2Fother.example", without(url, "iss"));
    assert_eq!(answered_with(&stage, other), "wrong-issuer");
    assert_eq!(answered_with(&stage, |url| without(url, "iss")), "wrong-issuer");
    let slash = |url: &str| format!("{}&iss={}%2F", without(url, "iss"), stage.server.issuer());
    assert_eq!(answered_with(&stage, slash), "wrong-issuer", "to the letter");
    assert_eq!(stage.server.requests(), 0);
    nothing_is_kept(&stage);
}

/// Two real servers: ann means to log in at the second, which sends her on to the first with the login's own state.
#[test]
fn t102_a_code_of_an_honest_server_never_reaches_another() {
    let Some(stage) = Stage::new() else { return };
    let redirects = callback(stage.broker());
    let other = AuthorizationServer::start(&stage.setup.authority, &[("REDIRECTS", &redirects)]).unwrap();
    let login = stage.begin("app", &["--scope", "openid", "--issuer", &other.issuer()]);
    let sent_on = login.url().replace(&other.issuer(), &stage.server.issuer());
    let right = stage.answer_to(&sent_on);
    assert!(right.contains("code=") && right.starts_with(&redirects), "{right}");
    assert!(stage.browse(&right).contains("another authorization server"));
    assert_eq!(login.failure(), "wrong-issuer");
    assert_eq!((stage.server.requests(), other.requests()), (0, 0));
    nothing_is_kept(&stage);
}

#[test]
fn t101_an_answer_without_its_state_finds_no_login_and_spoils_none() {
    let Some(stage) = Stage::new() else { return };
    let login = stage.begin("app", &["--scope", "openid"]);
    let right = stage.answer_to(login.url());
    for wrong in [
        without(&right, "state"),
        format!("{}&state=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", without(&right, "state")),
        format!("{right}&state=x"),
        format!("{right}&code=x"),
        callback(stage.broker()),
    ] {
        let page = stage.browse(&wrong);
        assert!(page.contains("no login waits for this answer"), "{wrong}: {page}");
        assert!(!page.contains("code="), "nothing of it is repeated: {page}");
    }
    assert_eq!(stage.server.requests(), 0);
    stage.browse(&right);
    assert!(login.end().status.success());
    // A replayed answer is to a login that is over.
    assert!(stage.browse(&right).contains("no login waits for this answer"));
    assert_eq!(stage.server.requests(), 1);
}

#[test]
fn t101_a_code_of_another_login_is_worth_nothing_in_this_one() {
    let Some(stage) = Stage::new() else { return };
    let other = stage.begin("app", &["--scope", "openid"]);
    let stolen = stage.answer_to(other.url());
    let code = stolen.split(['?', '&']).find(|pair| pair.starts_with("code=")).unwrap();
    // Injected: with the right state, but made for another PKCE challenge.
    let injected = |url: &str| format!("{}&{code}", without(url, "code"));
    assert_eq!(answered_with(&stage, injected), "refused");
    assert!(stage.server.issued().is_empty());
    nothing_is_kept(&stage);
    drop(other);
}

#[test]
fn a_person_who_says_no_and_a_scope_that_is_not_known_are_told_apart() {
    let Some(stage) = Stage::new() else { return };
    stage.server.test("deny");
    let login = stage.begin("app", &["--scope", "openid"]);
    assert!(stage.browse(login.url()).contains("did not agree"));
    assert_eq!(login.failure(), "denied");
    let login = stage.begin("app", &["--scope", "openid", "--resource", "https://elsewhere.example"]);
    stage.browse(login.url());
    assert_eq!(login.failure(), "refused");
    assert_eq!(stage.server.requests(), 0);
    nothing_is_kept(&stage);
}

#[test]
fn a_server_that_is_down_at_the_exchange_is_said_so_and_the_login_is_over() {
    let Some(stage) = Stage::new() else { return };
    let login = stage.begin("app", &["--scope", "openid"]);
    let right = stage.answer_to(login.url());
    stage.server.test("down");
    assert!(stage.browse(&right).contains("not available"));
    assert_eq!(login.failure(), "server-unavailable");
    stage.server.test("up");
    assert!(stage.browse(&right).contains("no login waits for this answer"));
    nothing_is_kept(&stage);
}

#[test]
fn after_a_restart_the_login_is_lost_and_the_command_says_so() {
    let Some(mut stage) = Stage::new() else { return };
    let login = stage.begin("app", &["--scope", "openid"]);
    let right = stage.answer_to(login.url());
    let before = callback(stage.broker());
    stage.setup.broker.restart();
    let answer = right.replace(&before, &callback(stage.broker()));
    let page = stage.browse(&answer);
    assert!(page.contains("no login waits for this answer"), "{answer}: {page}");
    let ended = login.end();
    assert!(!ended.status.success() && ended.stderr.contains("broker"), "{ended:?}");
    assert_eq!(stage.server.requests(), 0);
    nothing_is_kept(&stage);
}

#[test]
fn a_login_that_cannot_be_begun_says_why() {
    let Some(stage) = Stage::new() else { return };
    let issuer = stage.server.issuer();
    let code = |more: &[&str]| stage.begin("app", more).failure();
    assert_eq!(
        code(&["--issuer", &format!("{issuer}/")]),
        "login-failed",
        "the issuer's name is not the same"
    );
    assert_eq!(code(&["--issuer", "http://127.0.0.1"]), "login-failed");
    let token = format!("{issuer}/token");
    assert_eq!(code(&["--token-endpoint", &token]), "login-failed", "nowhere to send a browser");
    let plain = ["--token-endpoint", &token, "--authorization-endpoint", "http://as.example/auth"];
    assert_eq!(code(&plain), "login-failed");
    assert_eq!(code(&["--parameter", "state=mine"]), "login-failed");
    assert_eq!(code(&["--redirect", "http://evil.example/callback"]), "login-failed");
    stage.broker().deposit("c", "bearer", &["https://api.example.com"], &cloakroom_testkit::shaped("sk-"));
    assert_eq!(code(&[]), "name-taken");
}
