//! What the broker tells a workload about what it holds.

use crate::support::{Furnished, items, outcome};
use cloakroom_testkit::{Response, Workload, shaped};
use serde_json::Value;

fn ask(stage: &Furnished, who: Option<&Workload>, accept: &str) -> Response {
    let key = who.map(|who| format!("cloakroom-workload: {}\r\n", who.key)).unwrap_or_default();
    let mut wire = stage.broker.wire();
    wire.send(format!("GET /.cloakroom/ HTTP/1.1\r\nhost: b\r\n{key}{accept}\r\n").as_bytes());
    wire.receive("GET").unwrap()
}

fn told(stage: &Furnished, who: &Workload) -> Value {
    let answer = ask(stage, Some(who), "accept: application/json\r\n");
    assert_eq!((answer.status, answer.header("content-type")), (200, Some("application/json")));
    serde_json::from_str(&answer.text()).unwrap()
}

#[test]
fn a_workload_is_told_what_it_holds_and_nothing_of_others() {
    let stage = Furnished::with("");
    let other = stage.broker.workload("other");
    let policy = items(&stage.upstream);
    let counted = stage.broker.permit("c", "robot", &policy, &["--uses", "3"]);
    let foreign = stage.broker.permit("c", "other", &policy, &[]);
    assert_eq!(outcome(&stage.broker, &stage.robot, &stage.upstream, &counted), "200");
    let document = told(&stage, &stage.robot);
    assert_eq!(document["workload"], "robot");
    let [one] = document["placeholders"].as_array().unwrap().as_slice() else { panic!("{document}") };
    assert_eq!((&one["id"], &one["credential"]), (&counted.id.as_str().into(), &"c".into()));
    assert_eq!((&one["state"], &one["uses_left"]), (&"active".into(), &2.into()));
    let permit = &one["permits"][0];
    assert_eq!((&permit["name"], &permit["to"]), (&"the permit".into(), &stage.upstream.url().into()));
    assert_eq!(permit["call"], serde_json::json!(["GET /v1/items/{id}"]));
    assert_eq!(permit["place"], "header authorization bearer");
    assert!(document["ask"].as_str().unwrap().starts_with("POST /.cloakroom/requests"));
    let words = ask(&stage, Some(&stage.robot), "accept: */*\r\n").text();
    let expected = format!("may GET {}/v1/items/{{id}}", stage.upstream.url());
    assert!(words.contains("You are workload robot") && words.contains("2 uses left"), "{words}");
    assert!(words.contains(&expected), "{words}");
    for text in [document.to_string(), words] {
        for hidden in [&counted.text, &foreign.text, &foreign.id, &shaped("sk_live_"), &stage.robot.key] {
            assert!(!text.contains(hidden.as_str()), "{text}");
        }
    }
    assert_eq!(told(&stage, &other)["placeholders"][0]["id"], foreign.id);
}

#[test]
fn a_stranger_is_told_nothing() {
    let stage = Furnished::with("");
    stage.broker.permit("c", "robot", &items(&stage.upstream), &[]);
    let wrong = Workload { key: format!("{}x", stage.robot.key), ..stage.broker.workload("third") };
    for who in [None, Some(&wrong)] {
        let answer = ask(&stage, who, "");
        assert_eq!((answer.status, answer.code().as_deref()), (407, Some("unknown-workload")));
        assert!(!answer.text().contains("placeholder"), "{}", answer.text());
    }
}

#[test]
fn what_does_not_count_is_said_with_the_reason_until_it_has_ended() {
    let stage = Furnished::with("");
    let one = stage.broker.permit("c", "robot", &items(&stage.upstream), &[]);
    let state = || {
        let document = told(&stage, &stage.robot);
        let one = &document["placeholders"][0];
        assert_eq!(one["permits"].as_array().map(Vec::is_empty), Some(one["state"] != "active"), "{one}");
        one["state"].as_str().unwrap().to_owned()
    };
    assert_eq!(state(), "active");
    stage.broker.cli(&["placeholder", "freeze", &one.id]);
    assert_eq!(state(), "placeholder-frozen");
    stage.broker.cli(&["placeholder", "thaw", &one.id]);
    assert_eq!(state(), "active");
    stage.broker.cli(&["placeholder", "revoke", &one.id]);
    assert_eq!(state(), "placeholder-revoked");
    let words = ask(&stage, Some(&stage.robot), "").text();
    assert!(words.contains("no longer counts"), "{words}");
}
