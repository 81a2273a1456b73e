//! Security events: on record, counted, and carried to the operator's receiver, signed.

use crate::support::{BINARY, eventually, item, items};
use aws_lc_rs::hmac;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use cloakroom_testkit::{
    Broker, BrokerBuilder, Issued, Received, Reply, Response, TestAuthority, TlsUpstream, Way, Workload,
    echo, hunt, shaped,
};
use serde_json::Value;
use std::os::unix::fs::PermissionsExt;
use std::sync::atomic::{AtomicUsize, Ordering};

const SECRET: [u8; 32] = [9; 32];

struct Stage {
    broker: Broker,
    robot: Workload,
    upstream: TlsUpstream,
    receiver: TlsUpstream,
    _files: tempfile::TempDir,
    _authority: TestAuthority,
}

impl Stage {
    /// `receive`: what the webhook's receiver answers; `more`: of its settings.
    fn new(receive: impl Fn(&Received) -> Reply + Send + Sync + 'static, more: &str) -> Self {
        let authority = TestAuthority::new();
        let upstream = TlsUpstream::start(&authority, echo);
        let receiver = TlsUpstream::start(&authority, receive);
        let files = tempfile::tempdir().unwrap();
        let (secret, config) = (files.path().join("secret"), files.path().join("cloakroom.toml"));
        std::fs::write(&secret, format!("whsec_{}", STANDARD.encode(SECRET))).unwrap();
        std::fs::set_permissions(&secret, std::fs::Permissions::from_mode(0o600)).unwrap();
        let settings = format!(
            "[events.webhook]\nurl = \"{}/hook?a=b\"\nsecret-file = \"{}\"\nallow-address = [\"127.0.0.0/8\"]\n{more}\n",
            receiver.url(),
            secret.display()
        );
        std::fs::write(&config, settings).unwrap();
        let broker = BrokerBuilder::new(BINARY, &authority).argument("--config").argument(config).start();
        let robot = broker.workload("robot");
        broker.deposit("c", "bearer", &[&upstream.url()], &shaped("sk_live_"));
        Self { broker, robot, upstream, receiver, _files: files, _authority: authority }
    }

    fn permit(&self, more: &[&str]) -> Issued {
        self.broker.permit("c", "robot", &items(&self.upstream), more)
    }

    fn call(&self, text: &str) -> Response {
        self.broker.call(Way::Absolute, Some(&self.robot), &item(&self.upstream, "1", text))
    }

    fn events(&self) -> Vec<Value> {
        let records = self.broker.cli_json(&["journal", "show"]);
        let records = records.as_array().unwrap().iter();
        records.map(|record| &record["entry"]).filter(|entry| entry["kind"] == "event").cloned().collect()
    }

    /// Asks the console, which has an address of its own.
    fn metrics(&self) -> String {
        use std::io::{Read, Write};
        let mut stream = std::net::TcpStream::connect(self.broker.console()).unwrap();
        stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        assert_eq!(hunt(text.as_bytes()).len(), 0);
        text
    }
}

fn verified(request: &Received) -> Value {
    let field = |name: &str| request.header(name).unwrap();
    let body = std::str::from_utf8(&request.body).unwrap();
    let signed = format!("{}.{}.{body}", field("webhook-id"), field("webhook-timestamp"));
    let signature = STANDARD.decode(field("webhook-signature").strip_prefix("v1,").unwrap()).unwrap();
    let key = hmac::Key::new(hmac::HMAC_SHA256, &SECRET);
    hmac::verify(&key, signed.as_bytes(), &signature).unwrap();
    assert_eq!(hunt(&request.body).len(), 0, "the canary in a webhook");
    serde_json::from_str(body).unwrap()
}

#[test]
fn misuse_is_recorded_counted_and_carried_signed_until_the_receiver_takes_it() {
    let tries = AtomicUsize::new(0);
    let receive = move |_: &Received| match tries.fetch_add(1, Ordering::SeqCst) {
        0 => Reply::status("503 Service Unavailable"),
        _ => Reply::status("204 No Content"),
    };
    let stage = Stage::new(receive, "");
    let once = stage.permit(&["--uses", "1"]);
    let first = stage.call(&once.text);
    assert_eq!(first.status, 200);
    assert_eq!(stage.events(), [] as [Value; 0], "good order is no event");

    let refused = stage.call(&once.text);
    assert_eq!(refused.code().as_deref(), Some("placeholder-spent"));
    let told = refused.json();
    assert_eq!((&told["spent_from"], &told["spent_by"]), (&"127.0.0.1".into(), &told_by(&first)), "{told}");
    assert!(told["spent_at"].is_string());
    let seen = eventually("two posts", || {
        let seen = stage.receiver.requests();
        (seen.len() == 2).then_some(seen)
    });
    assert_eq!(seen[0].header("webhook-id"), seen[1].header("webhook-id"), "the same event again");
    assert_eq!((&*seen[1].method, &*seen[1].target), ("POST", "/hook?a=b"));
    let told = verified(&seen[1]);
    assert_eq!(told["type"], "cloakroom.security-event");
    let data = &told["data"];
    assert_eq!((&data["event"], &data["severity"]), (&"spent-used".into(), &"warning".into()));
    assert_eq!((&data["placeholder"], &data["peer"]), (&once.id.as_str().into(), &"127.0.0.1".into()));
    assert!(refused.text().contains(data["request"].as_str().unwrap()), "{}", refused.text());
    assert!(!String::from_utf8_lossy(&seen[1].body).contains(&once.text), "the placeholder is a key");

    let recorded = stage.events();
    assert_eq!(recorded.len(), 1);
    assert_eq!((&recorded[0]["event"], &recorded[0]["request"]), (&"spent-used".into(), &data["request"]));
    let metrics = stage.metrics();
    for line in [
        "cloakroom_calls_total 1",
        "cloakroom_counted_uses_total 1",
        "cloakroom_refusals_total{code=\"placeholder-spent\"} 1",
        "cloakroom_events_total{event=\"spent-used\"} 1",
        "cloakroom_events_undelivered_total 0",
    ] {
        assert!(metrics.lines().any(|have| have == line), "{line}\n{metrics}");
    }
}

#[test]
fn each_misuse_has_its_kind_and_text_that_is_not_ours_has_none() {
    let stage = Stage::new(|_| Reply::status("204 No Content"), "");
    let issued = stage.permit(&[]);
    let stranger = stage.broker.workload("stranger");
    let by_stranger =
        stage.broker.call(Way::Absolute, Some(&stranger), &item(&stage.upstream, "1", &issued.text));
    assert_eq!(by_stranger.status, 403);
    let misplaced = item(&stage.upstream, &issued.text, &issued.text);
    assert_eq!(stage.broker.call(Way::Absolute, Some(&stage.robot), &misplaced).status, 403);
    let altered: String = altered(&issued.text);
    assert_eq!(stage.call(&altered).code().as_deref(), Some("unknown-placeholder"));
    for noise in ["sk_live_0123456789abcdefghijklmnopqrstuv", "", "null"] {
        assert_eq!(stage.call(noise).code().as_deref(), Some("unknown-placeholder"));
    }
    stage.broker.cli(&["placeholder", "revoke", &issued.id]);
    stage.permit(&[]);
    assert_eq!(stage.call(&issued.text).code().as_deref(), Some("placeholder-revoked"));
    let kinds: Vec<_> =
        stage.events().iter().map(|event| event["event"].as_str().unwrap().to_owned()).collect();
    assert_eq!(kinds, ["other-workload", "wrong-place", "altered", "revoked-used"]);
    assert_eq!(stage.upstream.requests().len(), 0);
}

fn told_by(answer: &Response) -> Value {
    format!("urn:cloakroom:request:{}", answer.header("cloakroom-request").unwrap()).into()
}

#[test]
fn who_spent_a_placeholder_is_told_to_its_workload_only_and_unknown_after_a_restart() {
    let mut stage = Stage::new(|_| Reply::status("204 No Content"), "");
    let once = stage.permit(&["--uses", "1"]);
    assert_eq!(stage.call(&once.text).status, 200);
    let stranger = stage.broker.workload("stranger");
    let answer = stage.broker.call(Way::Absolute, Some(&stranger), &item(&stage.upstream, "1", &once.text));
    assert_eq!(answer.code().as_deref(), Some("wrong-workload"));
    assert!(!answer.text().contains("spent"), "{}", answer.text());
    stage.broker.restart();
    let answer = stage.call(&once.text);
    assert_eq!(answer.code().as_deref(), Some("placeholder-spent"));
    assert!(answer.text().contains("\"spent_from\":null"), "{}", answer.text());
}

#[test]
fn a_placeholder_ends_with_its_first_misuse_where_its_issuer_wanted_that() {
    let stage = Stage::new(|_| Reply::status("204 No Content"), "");
    let (kept, ended) = (stage.permit(&[]), stage.permit(&["--on-misuse", "revoke-family"]));
    let text = stage.broker.run(&["approval", "show", &ended.approval]).stdout;
    assert!(text.contains("on misuse: it is revoked"), "{text}");
    let text = stage.broker.run(&["approval", "show", &kept.approval]).stdout;
    assert!(!text.contains("misuse"), "{text}");
    let stranger = stage.broker.workload("stranger");
    for (issued, after) in [(&kept, 200), (&ended, 403)] {
        assert_eq!(stage.call(&issued.text).status, 200);
        // Each of many at once is answered after the placeholder has ended.
        let shown = item(&stage.upstream, "1", &issued.text);
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    let answer = stage.broker.call(Way::Absolute, Some(&stranger), &shown);
                    assert_eq!(answer.code().as_deref(), Some("wrong-workload"));
                    assert_eq!(stage.call(&issued.text).status, after);
                });
            }
        });
    }
    let records = stage.broker.cli_json(&["journal", "show"]);
    let acts = records
        .as_array()
        .unwrap()
        .iter()
        .map(|record| &record["entry"])
        .filter(|entry| entry["act"] == "placeholder revoked" && entry["by"] == "misuse: other-workload");
    assert_eq!(acts.map(|entry| entry["subject"].as_str().unwrap()).collect::<Vec<_>>(), [&ended.id]);
}

/// The same core with another tag: `sk_live_`, 22 symbols of core, then the tag.
fn altered(text: &str) -> String {
    let (kept, rest) = text.split_at("sk_live_".len() + 22);
    format!("{kept}{}", rest.chars().map(|c| if c == '7' { '6' } else { '7' }).collect::<String>())
}

#[test]
fn a_receiver_that_hangs_up_stops_no_call_and_is_counted() {
    let stage = Stage::new(|_| Reply::status("410 Gone"), "min-severity = \"notice\"");
    let once = stage.permit(&["--uses", "1"]);
    assert_eq!(stage.call(&once.text).status, 200);
    assert_eq!(stage.call(&once.text).status, 403);
    eventually("counted", || {
        stage.metrics().contains("cloakroom_events_undelivered_total 1\n").then_some(())
    });
    eventually("on record", || {
        stage.events().iter().any(|event| event["event"] == "undelivered").then_some(())
    });
    assert_eq!(stage.receiver.requests().len(), 1, "nothing about the failure to deliver is delivered");
}

#[test]
fn a_misused_placeholder_is_frozen_where_its_issuer_wanted_that_and_an_operator_thaws_it() {
    let stage = Stage::new(|_| Reply::status("204 No Content"), "");
    let frozen = stage.permit(&["--on-misuse", "freeze"]);
    let text = stage.broker.run(&["approval", "show", &frozen.approval]).stdout;
    assert!(text.contains("on misuse: it is frozen until an operator thaws it"), "{text}");
    assert_eq!(stage.call(&frozen.text).status, 200);
    let stranger = stage.broker.workload("stranger");
    let shown = item(&stage.upstream, "1", &frozen.text);
    for _ in 0..3 {
        let answer = stage.broker.call(Way::Absolute, Some(&stranger), &shown);
        assert_eq!(answer.code().as_deref(), Some("wrong-workload"));
        assert_eq!(stage.call(&frozen.text).code().as_deref(), Some("placeholder-frozen"));
    }
    let record = stage.broker.cli(&["journal", "export"]).stdout;
    let acts = record.lines().filter(|line| line.contains("placeholder frozen") && line.contains(&frozen.id));
    assert_eq!(acts.count(), 1, "a storm of misuse is one act");
    stage.broker.cli(&["placeholder", "thaw", &frozen.id]);
    assert_eq!(stage.call(&frozen.text).status, 200);
}
