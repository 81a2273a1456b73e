//! The device flow: a code is typed in somewhere else.

use super::{Login, Stage, hostile::Double};
use cloakroom_testkit::{Reply, shaped};

/// What stands in a hidden field of a page.
fn hidden(page: &str, name: &str) -> String {
    let after = page
        .split(&format!("name=\"{name}\" value=\""))
        .nth(1)
        .unwrap_or_else(|| panic!("no {name} in {page}"));
    after.split('"').next().unwrap().to_owned()
}

/// Types the code in, as ann.
fn type_in(stage: &Stage, login: &Login) {
    let (code, uri) = (
        login.invitation["user_code"].as_str().unwrap(),
        login.invitation["verification_uri"].as_str().unwrap(),
    );
    let page = stage.browse(uri);
    let typed = format!("xsrf={}&user_code={code}", hidden(&page, "xsrf"));
    let page = stage.browse_with(uri, &["-L", "--data", &typed]);
    let confirmed = format!("xsrf={}&user_code={code}&confirm=yes", hidden(&page, "xsrf"));
    stage.browse_with(uri, &["-L", "--data", &confirmed]);
}

#[test]
fn a_code_that_is_typed_in_elsewhere_becomes_a_credential() {
    let Some(stage) = Stage::new() else { return };
    let login = stage.begin("app", &["--scope", "openid", "--device"]);
    assert!(login.invitation["url"].is_null() && !login.invitation.to_string().contains("device_code"));
    type_in(&stage, &login);
    let ended = login.end();
    assert!(ended.status.success(), "{ended:?}\n{}", stage.broker().output());
    let issued = stage.permit();
    assert_eq!(stage.call(&issued).text(), format!("you sent Bearer {}", issued.text));
    // And again, by device too.
    let login = Login::start(stage.broker(), &["credential", "login", "c", "--device"]);
    type_in(&stage, &login);
    assert_eq!(login.end().json()["generation"], 2);
    assert_eq!(stage.call(&issued).status, 200);
}

#[test]
fn a_person_who_says_no_elsewhere_is_heard() {
    let Some(stage) = Stage::new() else { return };
    stage.server.test("deny");
    let login = stage.begin("public", &["--scope", "openid", "--device"]);
    type_in(&stage, &login);
    assert_eq!(login.failure(), "denied");
}

#[test]
fn a_code_that_nobody_types_in_expires() {
    let Some(stage) = Stage::with(&[("DEVICE_TTL", "1")]) else { return };
    assert_eq!(stage.begin("app", &["--scope", "openid", "--device"]).failure(), "expired");
    assert_eq!(stage.server.requests(), 0);
}

#[test]
fn a_server_that_wants_to_be_asked_more_slowly_is() {
    let said = |word: &str| Reply::status("400 Bad Request").with_body(format!(r#"{{"error":"{word}"}}"#));
    let double = Double::new(move |round| match round {
        0 => said("authorization_pending"),
        1 => said("slow_down"),
        _ => Double::granted(),
    });
    let login = double.begin(&["--device"]);
    assert_eq!(login.invitation["user_code"], "WDJB-MJHT");
    let ended = login.end();
    assert!(ended.status.success(), "{ended:?}");
    assert_eq!(double.asked(), 3);
    assert!(!ended.stdout.contains(&shaped("rt-")));
}

#[test]
fn a_device_code_with_control_characters_is_not_shown() {
    let double = Double::new(|_| Double::granted());
    double.say_of_device(
        r#"{"device_code":"d","user_code":"\u001b[2J","verification_uri":"https://a/","expires_in":60}"#,
    );
    assert_eq!(double.begin(&["--device"]).failure(), "login-failed");
    double.say_of_device(
        r#"{"device_code":"d","user_code":"A","verification_uri":"javascript:x","expires_in":60}"#,
    );
    assert_eq!(double.begin(&["--device"]).failure(), "login-failed");
}
