//! What a workload hears of what it asked for, and of why it was refused.

use crate::support::{Furnished, policy};
use cloakroom_testkit::{Request, Response, Way, Workload};
use serde_json::Value;

struct Stage(Furnished);

impl Stage {
    fn new() -> Self {
        let stage = Furnished::with("");
        let permits = policy(
            &stage.upstream.url(),
            "POST /v1/mails",
            "header authorization bearer",
            "approve = \"each-call\"",
        );
        stage.broker.permit("c", "robot", &permits, &[]);
        Self(stage)
    }

    fn asks(&self, who: Option<&Workload>, method: &str, path: &str, more: &str, body: &str) -> Response {
        let key = who.map(|who| format!("cloakroom-workload: {}\r\n", who.key)).unwrap_or_default();
        let mut wire = self.0.broker.wire();
        let length = body.len();
        wire.send(
            format!(
                "{method} {path} HTTP/1.1\r\nhost: b\r\n{key}{more}content-length: {length}\r\n\r\n{body}"
            )
            .as_bytes(),
        );
        wire.receive(method).unwrap()
    }

    fn document(&self, who: &Workload, path: &str) -> Value {
        let answer = self.asks(Some(who), "GET", path, "accept: application/json\r\n", "");
        assert_eq!(
            (answer.status, answer.header("cache-control")),
            (200, Some("no-store")),
            "{}",
            answer.text()
        );
        serde_json::from_str(&answer.text()).unwrap()
    }

    fn proposes(&self, reason: &str) -> Value {
        let wanted = policy(&self.0.upstream.url(), "GET /v1/wanted", "header authorization bearer", "");
        let body = serde_json::json!({ "policy": wanted, "reason": reason }).to_string();
        let answer = self.asks(Some(&self.0.robot), "POST", "/.cloakroom/requests", "", &body);
        assert_eq!(answer.status, 202, "{}", answer.text());
        serde_json::from_str(&answer.text()).unwrap()
    }
}

#[test]
fn a_workload_hears_what_became_of_its_proposals_and_nobody_elses() {
    let stage = Stage::new();
    let other = stage.0.broker.workload("other");
    let (accepted, dropped) = (stage.proposes("one"), stage.proposes("two"));
    let state = |who: &Workload, of: &Value| {
        let document = stage.document(who, of["outcome"].as_str().unwrap());
        (document["state"].as_str().unwrap().to_owned(), document["decide"].is_string())
    };
    let id = |of: &Value| of["proposal"].as_str().unwrap().to_owned();
    assert!(accepted["decide"].as_str().unwrap().ends_with(&id(&accepted)), "{accepted}");
    assert_eq!(state(&stage.0.robot, &accepted), ("waiting".into(), true));
    assert_eq!(state(&other, &accepted), ("unknown".into(), false));
    stage.0.broker.cli(&["proposal", "accept", &id(&accepted)]);
    stage.0.broker.cli(&["proposal", "drop", &id(&dropped)]);
    assert_eq!(state(&stage.0.robot, &accepted), ("accepted".into(), false));
    assert_eq!(state(&stage.0.robot, &dropped), ("dropped".into(), false));
    assert_eq!(state(&other, &accepted), ("unknown".into(), false));
    let stranger = stage.asks(None, "GET", accepted["outcome"].as_str().unwrap(), "", "");
    assert_eq!((stranger.status, stranger.code().as_deref()), (407, Some("unknown-workload")));
}

#[test]
fn a_workload_hears_what_became_of_a_call_that_a_human_is_asked_about() {
    let stage = Stage::new();
    let held: Value = stage.document(&stage.0.robot, "/.cloakroom/");
    assert_eq!(held["placeholders"][0]["state"], "active");
    let permits = policy(
        &stage.0.upstream.url(),
        "POST /v2/mails",
        "header authorization bearer",
        "approve = \"each-call\"",
    );
    let issued = stage.0.broker.permit("c", "robot", &permits, &[]);
    let request = Request::new("POST", &stage.0.upstream.authority(), "/v2/mails")
        .with("authorization", &format!("Bearer {}", issued.text))
        .with_body("application/json", "{}");
    let refused = stage.0.broker.call(Way::Absolute, Some(&stage.0.robot), &request).json();
    let id = refused["approval"].as_str().unwrap();
    assert!(refused["decide"].as_str().unwrap().ends_with(&format!("/approve/{id}")), "{refused}");
    let path = format!("/.cloakroom/requests/{id}");
    let state = |who: &Workload| stage.document(who, &path)["state"].as_str().unwrap().to_owned();
    let other = stage.0.broker.workload("other");
    assert_eq!((state(&stage.0.robot), state(&other)), ("waiting".into(), "unknown".into()));
    stage.0.broker.cli(&["approval", "grant", id, "--yes"]);
    assert_eq!((state(&stage.0.robot), state(&other)), ("granted".into(), "unknown".into()));
    assert_eq!(stage.0.broker.call(Way::Absolute, Some(&stage.0.robot), &request).status, 200);
    assert_eq!(state(&stage.0.robot), "unknown", "it was used up");
    let again = stage.0.broker.call(Way::Absolute, Some(&stage.0.robot), &request).json();
    let id = again["approval"].as_str().unwrap();
    stage.0.broker.cli(&["approval", "deny", id]);
    assert_eq!(stage.document(&stage.0.robot, &format!("/.cloakroom/requests/{id}"))["state"], "denied");
}

#[test]
fn a_workload_is_told_again_why_its_own_call_was_refused_and_what_each_code_means() {
    let stage = Stage::new();
    let other = stage.0.broker.workload("other");
    let request = Request::new("GET", "nowhere.example", "/").with("authorization", "Bearer x");
    let refused = stage.0.broker.call(Way::Absolute, Some(&stage.0.robot), &request);
    let first = refused.json();
    let path = format!("/.cloakroom/refusals/{}", refused.header("cloakroom-request").unwrap());
    let told = stage.document(&stage.0.robot, &path);
    assert_eq!((&told["known"], &told["refusal"]), (&true.into(), &first));
    assert_eq!(stage.document(&other, &path)["known"], false, "another's is unknown");
    let words = stage.asks(Some(&stage.0.robot), "GET", &path, "", "");
    assert!(words.text().starts_with("# `destination-not-permitted`"), "{}", words.text());
    let of_code = stage.document(&stage.0.robot, "/.cloakroom/refusals/placeholder-spent");
    assert_eq!((&of_code["code"], &of_code["status"]), (&"placeholder-spent".into(), &403.into()));
    for (path, code) in
        [(path.as_str(), "unknown-workload"), ("/.cloakroom/refusals/placeholder-spent", "unknown-workload")]
    {
        assert_eq!(stage.asks(None, "GET", path, "", "").code().as_deref(), Some(code));
    }
    let none = stage.asks(Some(&stage.0.robot), "GET", "/.cloakroom/refusals/no-such-code", "", "");
    assert_eq!(none.code().as_deref(), Some("malformed-call"));
    let slash = stage.asks(Some(&stage.0.robot), "GET", "/.cloakroom", "", "");
    assert_eq!(slash.code().as_deref(), Some("malformed-call"));
    assert!(slash.text().contains("/.cloakroom/, with the slash"), "{}", slash.text());
    let words = stage.asks(Some(&stage.0.robot), "GET", "/.cloakroom/", "", "").text();
    assert!(words.contains("You hold 1 placeholder.\n"), "{words}");
}
