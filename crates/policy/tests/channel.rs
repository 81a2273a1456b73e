//! Placeholders in the messages of a WebSocket, and in handshakes that carry none.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod kit;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use cloakroom_model::{
    Call, Code, Destination, HeaderForm, PlaceholderId, PlaceholderState, Refusal, Severity, Timestamp,
    Upgrade, WorkloadId,
};
use cloakroom_policy::{MessageJudge, MessageUse, Policy, PolicySet, Spot};
use kit::{Desk, NOW};

const URL: &str = "https://gateway.example.com/v10/gateway?v=10";

fn policy_of(rest: &str) -> Policy {
    let text = format!(
        "version = 1\n[[permit]]\nname = \"log in\"\nto = \"https://gateway.example.com\"\ncall = \"GET /v10/gateway\"\n\
         place = \"websocket json /d/token\"\nquery = {{ allow = [\"v\"] }}\nheaders = {{ x-version = {{ in = [\"1\"] }} }}\n{rest}\n"
    );
    Policy::parse("test.toml", &text).unwrap_or_else(|complaints| panic!("{complaints:?}"))
}

fn handshake(url: &str, headers: &[(&str, &str)]) -> Call {
    let headers: Vec<_> = headers.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect();
    Call { upgrade: Some(Upgrade::WebSocket), ..kit::call("GET", url, &headers, b"").unwrap() }
}

/// A workload with one active placeholder for messages, and what else there is to be wrong with.
struct Stage {
    desk: Desk,
    robot: WorkloadId,
    id: PlaceholderId,
    own: String,
    other: String,
    foreign: String,
    set: PolicySet,
}

impl Stage {
    fn new(rest: &str) -> Self {
        let mut desk = Desk::new();
        let robot = desk.workload("robot");
        let stranger = desk.workload("stranger");
        let (id, own) = desk.issue_active(robot, &policy_of(rest));
        let elsewhere = kit::policy("to = \"https://api.example.com\"\ncall = \"GET /\"");
        let (_, other) = desk.issue_active(robot, &elsewhere);
        let (_, foreign) = desk.issue_active(stranger, &elsewhere);
        let set = desk.set();
        Self { desk, robot, id, own, other, foreign, set }
    }

    fn open(&self, call: Call) -> Result<MessageJudge, Refusal> {
        let opened = self.set.open_channel(call, self.desk.principal(self.robot), NOW)?;
        Ok(opened.into_parts().1)
    }

    fn judge(&self) -> MessageJudge {
        self.open(handshake(URL, &[("x-version", "1")])).unwrap()
    }

    fn fill(&self, text: &str) -> String {
        let escaped: String = self.own.bytes().map(|b| format!("\\u{b:04x}")).collect();
        text.replace("<ph>", &self.own)
            .replace("<other>", &self.other)
            .replace("<foreign>", &self.foreign)
            .replace("<escaped>", &escaped)
            .replace("<base64>", &STANDARD.encode(&self.own))
    }
}

fn outcome(result: &Result<Option<MessageUse>, Refusal>) -> String {
    match result {
        Ok(Some(_)) => "exchanged".into(),
        Ok(None) => "passed".into(),
        Err(refusal) => refusal.code().to_string(),
    }
}

#[test]
fn the_first_message_carries_the_placeholder_at_its_pointer() {
    let stage = Stage::new("");
    let opened = stage.set.open_channel(handshake(URL, &[]), stage.desk.principal(stage.robot), NOW).unwrap();
    assert_eq!((opened.intent().uses.len(), opened.intent().path.as_str()), (0, "/v10/gateway"));
    assert_eq!(opened.beside().len(), 1);
    let (call, mut judge) = opened.into_parts();
    let text = stage.fill(r#" {"op":2, "d": {"token": "<ph>", "n": [1]}}"#);
    let used = judge.judge(text.as_bytes(), &stage.set, NOW).unwrap().unwrap();
    assert_eq!(&text[used.span()], format!("\"{}\"", stage.own));
    assert_eq!(used.used().spot(), &Spot::Json(used.span()));
    assert_eq!((used.used().text(), used.used().permit()), (stage.own.as_str(), "log in"));
    assert_eq!(used.used().placeholder(), stage.id);
    let intent = used.intent();
    assert_eq!((intent.request, intent.uses.len(), intent.uses[0].counted), (call.request, 1, false));
    assert_eq!(intent.destination, Destination::parse("https://gateway.example.com").unwrap());
}

#[test]
fn t14_t15_a_message_one_step_wrong_is_refused() {
    let stage = Stage::new("");
    for (text, expected) in [
        (r#"{"d":{"token":"<ph>"}}"#, "exchanged"),
        (r#"{"d":{"token":"x"}}"#, "passed"),
        ("hello", "passed"),
        ("", "passed"),
        (r#"{"d":{"token":"<ph>","again":"<ph>"}}"#, "place-not-permitted"),
        (r#"{"d":{"token":"<ph>","again":"<base64>"}}"#, "place-not-permitted"),
        (r#"{"d":{"token":"<ph>","<ph>":1}}"#, "place-not-permitted"),
        (r#"{"d":{"Token":"<ph>"}}"#, "place-not-permitted"),
        (r#"{"token":"<ph>"}"#, "place-not-permitted"),
        (r#"{"d":{"token":["<ph>"]}}"#, "place-not-permitted"),
        (r#"{"d":{"token":"Bot <ph>"}}"#, "place-not-permitted"),
        (r#"{"d":{"token":"<escaped>"}}"#, "place-not-permitted"),
        (r#"{"d":{"token":"<base64>"}}"#, "place-not-permitted"),
        (r#"{"d":{"token":"x","token":"<ph>"}}"#, "body-not-permitted"),
        (r#"{"d":{"token":"<ph>"}} {}"#, "body-not-permitted"),
        ("<ph>", "body-not-permitted"),
        (r#"{"d":{"token":"<ph>","b":"<other>"}}"#, "place-not-permitted"),
        (r#"{"d":{"token":"<other>"}}"#, "destination-not-permitted"),
        (r#"{"d":{"token":"<foreign>"}}"#, "wrong-workload"),
        (r#"{"d":{"token":"<ph>","b":"<foreign>"}}"#, "wrong-workload"),
    ] {
        let result = stage.judge().judge(stage.fill(text).as_bytes(), &stage.set, NOW);
        assert_eq!(outcome(&result), expected, "{text}");
    }
}

#[test]
fn a_misplaced_placeholder_in_a_message_is_a_security_event() {
    let stage = Stage::new("");
    for text in [r#"{"d":{"x":"<ph>"}}"#, r#"{"d":{"token":"<ph>","x":"<ph>"}}"#, r#"{"d":"<foreign>"}"#] {
        let refusal = stage.judge().judge(stage.fill(text).as_bytes(), &stage.set, NOW).unwrap_err();
        assert_eq!(refusal.event(), Some(Severity::Warning), "{text}");
        assert_eq!(refusal.facts().workload.as_ref().map(|name| name.as_str()), Some("robot"));
    }
}

#[test]
fn only_the_first_text_messages_may_carry_it() {
    for (rest, allowed) in [("", 1), ("messages = 1", 1), ("messages = 3", 3)] {
        let stage = Stage::new(rest);
        let login = stage.fill(r#"{"d":{"token":"<ph>"}}"#);
        for before in 0..5 {
            let mut judge = stage.judge();
            for _ in 0..before {
                assert_eq!(outcome(&judge.judge(b"{}", &stage.set, NOW)), "passed");
                judge.judge_binary(b"\0binary messages do not count", &stage.set).unwrap();
            }
            let expected = if before < allowed { "exchanged" } else { "place-not-permitted" };
            let result = judge.judge(login.as_bytes(), &stage.set, NOW);
            assert_eq!(outcome(&result), expected, "{rest}: after {before}");
        }
    }
}

#[test]
fn a_binary_message_carries_no_placeholder() {
    let stage = Stage::new("");
    let judge = stage.judge();
    assert_eq!(judge.judge_binary(b"\x01\x02", &stage.set), Ok(()));
    for (text, code) in [
        (r#"{"d":{"token":"<ph>"}}"#, Code::PlaceNotPermitted),
        ("<foreign>", Code::WrongWorkload),
        ("<base64>", Code::PlaceNotPermitted),
    ] {
        let refusal = judge.judge_binary(stage.fill(text).as_bytes(), &stage.set).unwrap_err();
        assert_eq!(refusal.code(), code, "{text}");
    }
}

#[test]
fn a_message_is_searched_in_its_first_64_kib() {
    let stage = Stage::new("");
    let long = |pad: usize| {
        let blanks = " ".repeat(pad);
        stage.fill(&format!(r#"{{"d":{{"token":"<ph>"}},"pad":"{blanks}","stray":"<ph>"}}"#))
    };
    let judge = |text: &str| outcome(&stage.judge().judge(text.as_bytes(), &stage.set, NOW));
    assert_eq!(judge(&long(60 << 10)), "place-not-permitted");
    // What stands behind is not found, and goes out as the worthless text it is.
    assert_eq!(judge(&long(64 << 10)), "exchanged");
    let late = stage.fill(&format!(r#"{{"pad":"{}","d":{{"token":"<ph>"}}}}"#, " ".repeat(64 << 10)));
    assert_eq!(judge(&late), "passed");
}

#[test]
fn a_channel_whose_handshake_carried_the_placeholder_takes_none_in_messages() {
    let mut desk = Desk::new();
    let robot = desk.workload("robot");
    let (id, own) = desk.issue_active(
        robot,
        &kit::policy("to = \"https://gateway.example.com\"\ncall = \"GET /s\"\nupgrade = \"websocket\""),
    );
    let set = desk.set();
    let bearer = format!("Bearer {own}");
    let call = || handshake("https://gateway.example.com/s", &[("authorization", &bearer)]);
    assert!(set.finds_placeholder(&call()));
    let authorized = kit::decide(call(), desk.principal(robot), &set, NOW).unwrap();
    let spot = Spot::Header(http::header::AUTHORIZATION, HeaderForm::Bearer);
    assert_eq!(authorized.uses()[0].spot(), &spot);
    let mut judge = authorized.message_judge();
    assert_eq!(outcome(&judge.judge(b"{\"op\":1}", &set, NOW)), "passed");
    let result = judge.judge(format!("{{\"d\":{{\"token\":\"{own}\"}}}}").as_bytes(), &set, NOW);
    assert_eq!(outcome(&result), "place-not-permitted");
    assert_eq!(judge.judge_binary(own.as_bytes(), &set).unwrap_err().code(), Code::PlaceNotPermitted);
    assert!(judge.may_stay(&set, NOW));
    desk.row(id).state = PlaceholderState::Revoked;
    assert!(!judge.may_stay(&desk.set(), NOW));
    // The same handshake without its placeholder opens no channel: no permit wants one in a message.
    let bare = handshake("https://gateway.example.com/s", &[]);
    assert!(!set.finds_placeholder(&bare));
    let refusal = set.open_channel(bare, desk.principal(robot), NOW).unwrap_err();
    assert_eq!(refusal.code(), Code::UnknownPlaceholder);
}

#[test]
fn a_handshake_one_step_wrong_opens_no_channel() {
    let stage = Stage::new("");
    let fine = || handshake(URL, &[("x-version", "1")]);
    assert!(stage.open(fine()).is_ok());
    let bearer = |text: &str| stage.fill(&format!("Bearer {text}"));
    let cases = [
        ("no upgrade", Call { upgrade: None, ..fine() }, Code::CallNotPermitted),
        ("another path", handshake("https://gateway.example.com/v9/gateway", &[]), Code::CallNotPermitted),
        ("another query key", handshake(&format!("{URL}&x=1"), &[]), Code::CallNotPermitted),
        ("another header", handshake(URL, &[("x-version", "2")]), Code::CallNotPermitted),
        ("another method", Call { method: http::Method::POST, ..fine() }, Code::CallNotPermitted),
        ("another host", handshake("https://other.example.com/v10/gateway", &[]), Code::UnknownPlaceholder),
        (
            "another port",
            handshake("https://gateway.example.com:8443/v10/gateway", &[]),
            Code::UnknownPlaceholder,
        ),
        ("a stray", handshake(URL, &[("authorization", &bearer("<ph>"))]), Code::PlaceNotPermitted),
        ("an encoded stray", handshake(URL, &[("x-note", &stage.fill("<base64>"))]), Code::PlaceNotPermitted),
        ("a foreign stray", handshake(URL, &[("authorization", &bearer("<foreign>"))]), Code::WrongWorkload),
    ];
    for (what, call, code) in cases {
        assert_eq!(stage.open(call).unwrap_err().code(), code, "{what}");
    }
    let body = Call { upgrade: Some(Upgrade::WebSocket), ..kit::call("GET", URL, &[], b"x").unwrap() };
    assert_eq!(stage.open(body).unwrap_err().code(), Code::BodyNotPermitted);
    let stranger = stage.desk.rows.workloads[1].id;
    let refusal = stage.set.open_channel(fine(), stage.desk.principal(stranger), NOW).unwrap_err();
    assert_eq!(refusal.code(), Code::UnknownPlaceholder);
    for waits in ["approve = \"each-call\"", "approve = \"writes\""] {
        assert_eq!(Stage::new(waits).open(fine()).unwrap_err().code(), Code::ApprovalRequired, "{waits}");
    }
    // What is said on a channel is not looked at, so it is not known to read.
    let looks = Stage::new("refuse = \"writes\"");
    assert_eq!(looks.open(fine()).unwrap_err().code(), Code::CallNotPermitted);
}

#[test]
fn the_state_of_the_placeholder_counts_at_the_handshake_and_at_the_message() {
    let mut stage = Stage::new("");
    let login = stage.fill(r#"{"d":{"token":"<ph>"}}"#);
    let mut open = stage.judge();
    let mut silent = stage.judge();
    stage.desk.row(stage.id).state = PlaceholderState::Revoked;
    stage.set = stage.desk.set();
    assert_eq!(outcome(&open.judge(login.as_bytes(), &stage.set, NOW)), "placeholder-revoked");
    assert_eq!(stage.open(handshake(URL, &[])).unwrap_err().code(), Code::UnknownPlaceholder);
    assert!(!silent.may_stay(&stage.set, NOW));
    // What carries no placeholder passes, until the channel is closed.
    assert_eq!(outcome(&silent.judge(b"{}", &stage.set, NOW)), "passed");

    let mut stage = Stage::new("");
    let end = Timestamp::from_millis(NOW.millis() + 1000);
    stage.desk.row(stage.id).expires = Some(end);
    stage.desk.row(stage.id).uses = Some(1);
    stage.desk.approve(stage.id);
    stage.set = stage.desk.set();
    let login = stage.fill(r#"{"d":{"token":"<ph>"}}"#);
    let mut judge = stage.judge();
    assert!(judge.may_stay(&stage.set, NOW) && !judge.may_stay(&stage.set, end));
    assert_eq!(outcome(&judge.judge(login.as_bytes(), &stage.set, end)), "placeholder-expired");
    let late = stage.set.open_channel(handshake(URL, &[]), stage.desk.principal(stage.robot), end);
    assert_eq!(late.unwrap_err().code(), Code::PlaceholderExpired);
    let mut judge = stage.judge();
    let used = judge.judge(login.as_bytes(), &stage.set, NOW).unwrap().unwrap();
    assert!(used.intent().uses[0].counted);
}

#[test]
fn a_message_takes_from_the_rate_and_a_handshake_does_not() {
    let stage = Stage::new("rate = \"2/min\"\nmessages = 9");
    let login = stage.fill(r#"{"d":{"token":"<ph>"}}"#);
    let mut judges: Vec<MessageJudge> = (0..5).map(|_| stage.judge()).collect();
    let mut outcomes =
        judges.iter_mut().map(|judge| outcome(&judge.judge(login.as_bytes(), &stage.set, NOW)));
    assert_eq!(outcomes.next().as_deref(), Some("exchanged"));
    assert_eq!(outcomes.next().as_deref(), Some("exchanged"));
    assert_eq!(outcomes.next().as_deref(), Some("rate-limited"));
    // A message that is refused for another reason takes nothing.
    let stage = Stage::new("rate = \"1/min\"\nmessages = 9");
    let mut judge = stage.judge();
    let twice = stage.fill(r#"{"d":{"token":"<ph>","x":"<ph>"}}"#);
    assert_eq!(outcome(&judge.judge(twice.as_bytes(), &stage.set, NOW)), "place-not-permitted");
    assert_eq!(outcome(&judge.judge(stage.fill(&login).as_bytes(), &stage.set, NOW)), "unknown-placeholder");
    let login = stage.fill(r#"{"d":{"token":"<ph>"}}"#);
    assert_eq!(outcome(&judge.judge(login.as_bytes(), &stage.set, NOW)), "exchanged");
}
