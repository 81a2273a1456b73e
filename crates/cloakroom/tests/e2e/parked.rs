//! Calls that wait for a human: what the human sees, and that one yes lets exactly one call go.

use crate::support::{Furnished, eventually, policy, settings_of};
use cloakroom_testkit::{Broker, Issued, Request, Response, TestAuthority, TlsUpstream, Way, Workload};
use serde_json::Value;

struct Street {
    broker: Broker,
    upstream: TlsUpstream,
    robot: Workload,
    issued: Issued,
    authority: TestAuthority,
}

impl Street {
    fn new(settings: &str, more: &[&str]) -> Self {
        let Furnished { broker, upstream, robot, authority } = Furnished::with(settings);
        let rest = "approve = \"each-call\"\nquery = { allow = [\"q\"] }";
        let permits = policy(&upstream.url(), "POST /v1/mails", "header authorization bearer", rest);
        let issued = broker.permit("c", "robot", &permits, more);
        Self { broker, upstream, robot, issued, authority }
    }

    fn request(&self, target: &str, body: &str) -> Request {
        Request::new("POST", &self.upstream.authority(), target)
            .with("authorization", &format!("Bearer {}", self.issued.text))
            .with_body("application/json", body)
    }

    fn call(&self, body: &str) -> Response {
        self.broker.call(Way::Absolute, Some(&self.robot), &self.request("/v1/mails", body))
    }

    /// Makes the call, which has to be parked, and says under which approval.
    fn park(&self, body: &str) -> String {
        let answer = self.call(body);
        assert_eq!(
            (answer.status, answer.code().as_deref()),
            (403, Some("approval-required")),
            "{}",
            answer.text()
        );
        assert!(answer.header("retry-after").is_some());
        let document: Value = serde_json::from_str(&answer.text()).unwrap();
        document["approval"].as_str().unwrap().to_owned()
    }

    fn text(&self, id: &str) -> String {
        self.broker.cli(&["approval", "text", id]).stdout
    }

    fn sent(&self) -> usize {
        self.upstream.requests().len()
    }

    fn used(&self) -> Value {
        self.broker.cli_json(&["placeholder", "show", &self.issued.id])["used"].clone()
    }
}

#[test]
fn t78_one_yes_lets_one_call_go_and_nothing_is_spent_before() {
    let street = Street::new("", &["--uses", "2"]);
    let id = street.park("{\"to\":\"ann@example.com\"}");
    assert_eq!(street.park("{\"to\":\"ann@example.com\"}"), id, "the same call waits already");
    assert_eq!((street.sent(), street.upstream.connections(), street.used()), (0, 0, 0.into()));
    let listed = street.broker.cli_json(&["approval", "list"]);
    assert!(
        listed.as_array().unwrap().iter().any(|one| one["id"] == *id && one["kind"] == "call"),
        "{listed}"
    );
    street.broker.cli(&["approval", "grant", &id]);
    assert_eq!((street.sent(), street.used()), (0, 0.into()));
    let changed = street.park("{\"to\":\"bob@example.com\"}");
    assert_ne!(changed, id, "another body is another call");
    assert_eq!(street.call("{\"to\":\"ann@example.com\"}").status, 200);
    assert_eq!((street.sent(), street.used()), (1, 1.into()));
    let again = street.park("{\"to\":\"ann@example.com\"}");
    assert!(again != id && street.sent() == 1, "a second use asks again");
    // The old signature grants nothing.
    assert!(!street.broker.run(&["approval", "grant", &id]).status.success());
}

#[test]
fn t78_a_call_that_was_denied_is_refused() {
    let street = Street::new("", &[]);
    let id = street.park("{}");
    street.broker.cli(&["approval", "deny", &id]);
    assert_eq!(street.call("{}").code().as_deref(), Some("approval-denied"));
    assert!(!street.broker.run(&["approval", "grant", &id]).status.success());
    assert_eq!(street.call("{}").code().as_deref(), Some("approval-denied"));
    assert_eq!(street.sent(), 0);
}

#[test]
fn t78_a_restart_forgets_what_waited_and_what_was_granted() {
    let mut street = Street::new("", &[]);
    let (waiting, granted) = (street.park("{\"a\":1}"), street.park("{\"a\":2}"));
    street.broker.cli(&["approval", "grant", &granted]);
    street.broker.restart();
    for (body, id) in [("{\"a\":1}", &waiting), ("{\"a\":2}", &granted)] {
        assert!(!street.broker.run(&["approval", "grant", id]).status.success());
        assert_ne!(&street.park(body), id);
    }
    assert_eq!(street.sent(), 0);
}

#[test]
fn a_held_call_goes_on_when_it_is_granted() {
    let street = Street::new("[approval]\nhold = \"60s\"\n", &[]);
    let answer = std::thread::scope(|scope| {
        let call = scope.spawn(|| street.call("{\"n\":7}"));
        let id = eventually("the call is parked", || {
            let listed = street.broker.cli_json(&["approval", "list"]);
            let parked = listed.as_array()?.iter().find(|one| one["kind"] == "call")?.clone();
            parked["id"].as_str().map(str::to_owned)
        });
        assert_eq!(street.sent(), 0);
        street.broker.cli(&["approval", "grant", &id]);
        call.join().unwrap()
    });
    assert_eq!((answer.status, street.sent()), (200, 1), "{}", answer.text());
}

#[test]
fn t67_what_is_revoked_while_its_call_waits_does_not_go() {
    let street = Street::new("", &[]);
    let id = street.park("{}");
    street.broker.cli(&["approval", "grant", &id]);
    street.broker.cli(&["approval", "withdraw", &street.issued.approval]);
    assert_eq!(street.call("{}").code().as_deref(), Some("placeholder-revoked"));
    assert_eq!(street.sent(), 0);
}

#[test]
fn t96_no_more_calls_wait_than_the_settings_say() {
    let street = Street::new("[approval]\nparked = 3\n", &[]);
    for number in 0..3 {
        street.park(&format!("{{\"n\":{number}}}"));
    }
    let answer = street.call("{\"n\":3}");
    assert_eq!((answer.status, answer.code().as_deref()), (429, Some("rate-limited")), "{}", answer.text());
    street.park("{\"n\":1}");
}

#[test]
fn t75_the_approver_reads_the_call_decoded_and_nothing_in_it_can_pretend_to_be_our_words() {
    let street = Street::new("", &[]);
    let hostile = "a\u{1b}[2J\u{202e}b\ncall approval: ap_fake<script>".to_owned() + &"x".repeat(500);
    let mail = "VG86IGFubkBleGFtcGxlLmNvbQpTdWJqZWN0OiBoaQoKbHVuY2g_";
    let body = serde_json::json!({ "message": { "subject": hostile, "n": [1, true, null] }, "raw": mail });
    let request = street.request("/v1/mails?q=caf%C3%A9", &body.to_string());
    let answer = street.broker.call(Way::Absolute, Some(&street.robot), &request);
    let document: Value = serde_json::from_str(&answer.text()).unwrap();
    let text = street.text(document["approval"].as_str().unwrap());
    for needle in [
        "asks for: \"POST\" ",
        "path: \"/v1/mails\"",
        "query \"q\": \"caf\\u{e9}\"",
        "json \"/message/n/1\": true",
        "json \"/message/subject\": \"a\\u{1b}[2J\\u{202e}b\\u{a}call approval: ap_fake<script>",
        "mail to: \"ann@example.com\"",
        "mail subject: \"hi\"",
        "mail text: \"lunch?\"",
        "has characters that are not seen",
        "this call: writes (its method is none of those that only read)",
        &format!("header \"authorization\": \"Bearer {{{}}}\"", street.issued.id),
        "request (SHA-256): ",
    ] {
        assert!(text.contains(needle), "{needle:?} is not in\n{text}");
    }
    assert!(!text.contains(&street.issued.text), "{text}");
    assert!(text.is_ascii() && text.lines().all(|line| line.len() < 200), "{text}");
    assert_eq!(text.lines().filter(|line| line.starts_with("call approval:")).count(), 1);
}

#[test]
fn t78_a_signature_for_one_call_is_none_for_another() {
    let street = Street::new("", &[]);
    let (one, two) = (street.park("{\"a\":1}"), street.park("{\"a\":2}"));
    let desk = tempfile::tempdir().unwrap();
    let text = street.text(&one);
    assert!(text.starts_with(&format!("call approval: {one} ")) && !text.contains(&two));
    let stranger = crate::approvals::ssh_key(desk.path(), "stranger");
    let signature = crate::approvals::signed_with(desk.path(), &text, "cloakroom", &stranger);
    for id in [&one, &two] {
        let refused = street.broker.run(&["approval", "grant", id, "--ssh-signature", &signature]);
        assert!(!refused.status.success() && refused.stderr.contains("no enrolled approver"), "{refused:?}");
    }
    for body in ["{\"a\":1}", "{\"a\":2}"] {
        street.park(body);
    }
    assert_eq!(street.sent(), 0);
}

#[test]
fn t78_a_call_takes_as_many_approvers_as_its_placeholder() {
    let desk = tempfile::tempdir().unwrap();
    let bob = crate::approvals::ssh_key(desk.path(), "bob");
    let mut street = Street::new("", &[]);
    crate::approvals::enrol(&street.broker, "bob", &bob);
    street.broker.stop();
    std::fs::write(settings_of(&street.authority), "[approval]\nquorum = 2\n").unwrap();
    street.broker.launch();
    // The placeholder was approved by one; now it takes two.
    assert_eq!(street.call("{}").code().as_deref(), Some("placeholder-revoked"));
    let rest = "approve = \"each-call\"";
    let permits = policy(&street.upstream.url(), "POST /v1/mails", "header authorization bearer", rest);
    street.issued = street.broker.issue("c", "robot", &permits, &[]);
    let sign_both = |street: &Street, id: &str| {
        street.broker.cli(&["approval", "grant", id]);
        let text = street.text(id);
        let signature = crate::approvals::signed_with(desk.path(), &text, "cloakroom", &bob);
        street.broker.cli(&["approval", "grant", id, "--ssh-signature", &signature]);
    };
    sign_both(&street, &street.issued.approval);
    let id = street.park("{}");
    street.broker.cli(&["approval", "grant", &id]);
    assert_eq!(street.park("{}"), id, "one of two signed");
    assert!(!street.broker.run(&["approval", "grant", &id]).status.success(), "the same one again");
    let signature = crate::approvals::signed_with(desk.path(), &street.text(&id), "cloakroom", &bob);
    street.broker.cli(&["approval", "grant", &id, "--ssh-signature", &signature]);
    assert_eq!((street.call("{}").status, street.sent()), (200, 1));
}

#[test]
fn t96_a_thousand_calls_wait_and_the_next_does_not() {
    let street = Street::new("[approval]\nparked-per-workload = 2000\n", &[]);
    let before = resident(&street);
    for number in 0..1000 {
        street.park(&format!("{{\"n\":{number},\"text\":\"{}\"}}", "x".repeat(1000)));
    }
    assert_eq!(street.call("{}").code().as_deref(), Some("rate-limited"));
    let grown = resident(&street).saturating_sub(before);
    assert!(grown < 32 << 10, "{grown} KiB");
    assert_eq!(street.upstream.connections(), 0);
}

#[test]
fn t35_reads_pass_and_writes_wait() {
    let mut street = Street::new("", &[]);
    let rest =
        "approve = \"writes\"\nquery = { allow = [\"q\", \"_method\"] }\nreads = [\"POST /v1/search\"]";
    let to = street.upstream.url();
    let calls = "GET /v1/mails\", \"POST /v1/mails\", \"POST /v1/search";
    let permits = policy(&to, calls, "header authorization bearer", rest);
    street.issued = street.broker.permit("c", "robot", &permits, &[]);
    let call = |method: &str, target: &str| {
        let request = Request { method: method.into(), ..street.request(target, "{}") };
        let request = if method == "GET" { Request { body: Vec::new(), ..request } } else { request };
        street.broker.call(Way::Absolute, Some(&street.robot), &request)
    };
    assert_eq!(call("GET", "/v1/mails?q=1").status, 200);
    assert_eq!(call("POST", "/v1/search").status, 200, "listed as a read");
    assert_eq!(street.sent(), 2);
    assert_eq!(call("GET", "/v1/mails?_method=DELETE").code().as_deref(), Some("call-not-permitted"));
    let id = street.park("{}");
    assert!(street.text(&id).contains("this call: writes (its method is none of those that only read)"));
    assert_eq!(street.sent(), 2);
    street.broker.cli(&["approval", "grant", &id]);
    assert_eq!((street.call("{}").status, street.sent()), (200, 3));
    street.park("{}");
}

#[test]
fn t78_whatever_is_changed_of_a_call_it_asks_anew() {
    let street = Street::new("", &[]);
    let base = || street.request("/v1/mails?q=1", "{}");
    let park = |request: &Request| {
        let answer = street.broker.call(Way::Absolute, Some(&street.robot), request);
        assert_eq!(answer.code().as_deref(), Some("approval-required"), "{}", answer.text());
        serde_json::from_str::<Value>(&answer.text()).unwrap()["approval"].as_str().unwrap().to_owned()
    };
    let asked = park(&base());
    street.broker.cli(&["approval", "grant", &asked]);
    let mut others = Vec::new();
    for changed in [
        street.request("/v1/mails?q=2", "{}"),
        street.request("/v1/mails", "{}"),
        street.request("/v1/mails?q=1", "{ }"),
        base().with("x-more", "1"),
        base().with("accept", "text/plain"),
    ] {
        others.push(park(&changed));
    }
    others.sort();
    others.dedup();
    assert!(others.len() == 5 && !others.contains(&asked) && street.sent() == 0, "{others:?}");
    assert_eq!(street.broker.call(Way::Absolute, Some(&street.robot), &base()).status, 200);
}

#[test]
fn t78_an_approver_who_is_too_slow_grants_nothing() {
    let street = Street::new("[approval]\nwait = \"2s\"\nhold = \"1s\"\n", &[]);
    let id = street.park("{}");
    eventually("the call does not wait any more", || {
        let listed = street.broker.cli_json(&["approval", "list"]);
        (!listed.as_array()?.iter().any(|one| one["id"] == *id)).then_some(())
    });
    let late = street.broker.run(&["approval", "grant", &id]);
    assert!(!late.status.success(), "{late:?}");
    assert_ne!(street.park("{}"), id);
    assert_eq!((street.sent(), street.upstream.connections()), (0, 0));
}

#[test]
fn t78_a_broker_that_is_killed_while_a_call_is_held_sends_nothing() {
    let mut street = Street::new("[approval]\nhold = \"600s\"\n", &["--uses", "1"]);
    let mut wire = street.broker.wire();
    wire.send(&street.request("/v1/mails", "{}").bytes(Way::Absolute, Some(&street.robot)));
    let id = eventually("the call is parked", || {
        let listed = street.broker.cli_json(&["approval", "list"]);
        let parked = listed.as_array()?.iter().find(|one| one["kind"] == "call")?.clone();
        parked["id"].as_str().map(str::to_owned)
    });
    street.broker.kill();
    assert!(wire.receive("POST").is_err(), "nobody answers");
    street.broker.launch();
    assert!(!street.broker.run(&["approval", "grant", &id]).status.success());
    assert_eq!((street.sent(), street.upstream.connections(), street.used()), (0, 0, 0.into()));
}

#[test]
fn a_workload_asks_and_nothing_is_permitted_by_it() {
    let street = Street::new("", &[]);
    let wanted = policy(&street.upstream.url(), "GET /v1/wanted", "header authorization bearer", "");
    let ask = |body: &str, who: Option<&Workload>| {
        let key = who.map(|who| format!("cloakroom-workload: {}\r\n", who.key)).unwrap_or_default();
        let length = body.len();
        let request = format!(
            "POST /.cloakroom/requests HTTP/1.1\r\nhost: b\r\n{key}content-length: {length}\r\n\r\n{body}"
        );
        let mut wire = street.broker.wire();
        wire.send(request.as_bytes());
        wire.receive("POST").unwrap()
    };
    let body = serde_json::json!({ "policy": wanted, "reason": "please\u{202e}\u{1b}[2J<b>" }).to_string();
    let stranger = ask(&body, None);
    assert_eq!((stranger.status, stranger.code().as_deref()), (407, Some("unknown-workload")));
    let answer = ask(&body, Some(&street.robot));
    assert_eq!(answer.status, 202, "{}", answer.text());
    assert_eq!(ask(&body, Some(&street.robot)).text(), answer.text(), "the same again is the same");
    let listed = street.broker.cli(&["proposal", "list"]).stdout;
    assert!(listed.contains("\"please\\u{202e}\\u{1b}[2J<b>\"") && listed.contains("robot"), "{listed}");
    let refused = street.broker.call(Way::Absolute, Some(&street.robot), &street.request("/v1/wanted", ""));
    let document: Value = serde_json::from_str(&refused.text()).unwrap();
    let way = document["ask"].as_str().unwrap();
    assert!(
        way.starts_with("POST /.cloakroom/requests ")
            && refused.code().as_deref() == Some("call-not-permitted")
    );
    for wrong in ["", "{}", "{\"policy\":\"version = 1\",\"reason\":\"\"}", "{\"policy\":1,\"reason\":2}"] {
        let refused = ask(wrong, Some(&street.robot));
        assert_eq!((refused.status, refused.code().as_deref()), (400, Some("malformed-call")), "{wrong}");
    }
    let large = serde_json::json!({ "policy": wanted, "reason": "x".repeat(20 << 10) }).to_string();
    assert_eq!(ask(&large, Some(&street.robot)).code().as_deref(), Some("malformed-call"));
    let id = serde_json::from_str::<Value>(&answer.text()).unwrap()["proposal"].as_str().unwrap().to_owned();
    let file = street.broker.cli(&["proposal", "accept", &id]).stdout;
    assert!(file.contains("/v1/wanted") && file.contains("version = 1"), "{file}");
    assert!(!street.broker.run(&["proposal", "drop", &id]).status.success());
    let placeholders = street.broker.cli_json(&["placeholder", "list"]);
    assert_eq!(placeholders.as_array().unwrap().len(), 1);
    for number in 0..20 {
        let body = serde_json::json!({ "policy": wanted, "reason": number.to_string() }).to_string();
        assert_eq!(ask(&body, Some(&street.robot)).status, 202);
    }
    assert_eq!(ask(&body, Some(&street.robot)).code().as_deref(), Some("rate-limited"));
}

/// The broker's resident memory in KiB.
fn resident(street: &Street) -> usize {
    let status = std::fs::read_to_string(format!("/proc/{}/status", street.broker.pid())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}
