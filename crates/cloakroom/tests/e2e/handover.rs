//! Placeholders that are fetched by their workload with a code: once, by nobody else, and noticed when tried twice.

use crate::support::{Furnished, eventually, item, items};
use cloakroom_testkit::{Answer, Broker, Response, TestAuthority, TlsUpstream, Way, Workload};
use serde_json::{Value, json};
use std::path::Path;
use std::process::Command;

struct Stage {
    broker: Broker,
    authority: TestAuthority,
    upstream: TlsUpstream,
    robot: Workload,
}

/// What an operator sees of a placeholder that is to be fetched.
struct Wrapped {
    id: String,
    approval: String,
    code: String,
}

impl Stage {
    fn new() -> Self {
        Self::with("")
    }

    fn with(settings: &str) -> Self {
        let Furnished { broker, upstream, robot, authority } = Furnished::with(settings);
        Self { broker, authority, upstream, robot }
    }

    fn issue(&self, workload: &str, span: &str, more: &[&str]) -> Wrapped {
        let file = self.authority.directory().join("policy.toml");
        std::fs::write(&file, items(&self.upstream)).unwrap();
        let words = ["placeholder", "issue", "--credential", "c", "--workload", workload, "--policy"];
        let wrapped = [file.to_str().unwrap(), "--wrapped", span];
        let issued = self.broker.cli_json(&[&words[..], &wrapped, more].concat());
        assert!(issued.get("placeholder").is_none(), "{issued}");
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let code = text(&issued["claim"]["code"]);
        Wrapped { id: text(&issued["id"]), approval: text(&issued["approval"]), code }
    }

    /// As the workload on its own machine: no data directory of a broker, the key on stdin.
    fn claim_by(&self, key: &str, arguments: &[&str]) -> Answer {
        let broker = format!("http://{}", self.broker.listen());
        let words = ["placeholder", "claim", "--broker", &broker, "--data", "/nonexistent", "--json"];
        self.broker.run_with(&[&words[..], arguments].concat(), key)
    }

    fn claim(&self, wrapped: &Wrapped) -> Answer {
        self.claim_by(&self.robot.key, &[&wrapped.code])
    }

    fn state(&self, wrapped: &Wrapped) -> (String, String) {
        let shown = self.broker.cli_json(&["placeholder", "show", &wrapped.id]);
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        (text(&shown["state"]), text(&shown["claim"]["state"]))
    }

    fn call(&self, placeholder: &str) -> Response {
        self.broker.call(Way::Absolute, Some(&self.robot), &item(&self.upstream, "1", placeholder))
    }

    /// A claim in raw HTTP/1.1.
    fn post(&self, workload: Option<&Workload>, document: &str) -> Response {
        let proof = workload.map(|who| format!("Cloakroom-Workload: {}\r\n", who.key)).unwrap_or_default();
        let mut wire = self.broker.wire();
        let head = format!(
            "POST /.cloakroom/claim HTTP/1.1\r\nHost: h\r\n{proof}Content-Length: {}\r\n\r\n",
            document.len()
        );
        wire.send(&[head.as_bytes(), document.as_bytes()].concat());
        wire.receive("POST").unwrap()
    }

    fn entries(&self) -> Vec<Value> {
        let journal = self.broker.cli_json(&["journal", "show"]);
        journal.as_array().unwrap().iter().map(|record| record["entry"].clone()).collect()
    }

    fn events(&self) -> Vec<String> {
        let events = self.entries().into_iter().filter(|entry| entry["kind"] == "event");
        events.map(|event| format!("{} {}", event["event"], event["placeholder"]).replace('"', "")).collect()
    }
}

fn refused(answer: &Answer) -> String {
    assert_eq!(answer.status.code(), Some(3), "{answer:?}");
    let error: Value =
        serde_json::from_str(&answer.stderr).unwrap_or_else(|error| panic!("{error}: {answer:?}"));
    error["error"]["code"].as_str().unwrap().to_owned()
}

#[test]
fn a_placeholder_is_fetched_once_and_a_second_time_revokes_it() {
    let mut stage = Stage::new();
    let wrapped = stage.issue("robot", "5m", &[]);
    assert_eq!(stage.state(&wrapped), ("pending".into(), "waiting".into()));
    // A code outlives its broker.
    stage.broker.restart();
    let fetched = stage.claim(&wrapped);
    assert!(fetched.status.success(), "{fetched:?}");
    assert_eq!(fetched.json()["id"], wrapped.id.as_str());
    let placeholder = fetched.json()["placeholder"].as_str().unwrap().to_owned();
    stage.broker.cli(&["approval", "grant", &wrapped.approval, "--yes"]);
    assert_eq!(stage.call(&placeholder).status, 200);
    assert_eq!(stage.state(&wrapped), ("active".into(), "claimed".into()));
    let acts: Vec<Value> =
        stage.entries().into_iter().filter(|entry| entry["act"] == "placeholder claimed").collect();
    assert_eq!((acts.len(), &acts[0]["subject"]), (1, &json!(wrapped.id)));
    assert_eq!(acts[0]["by"], "workload robot from 127.0.0.1");

    assert_eq!(refused(&stage.claim(&wrapped)), "placeholder-revoked");
    assert_eq!(stage.events(), [format!("second-claim {}", wrapped.id)]);
    assert_eq!(stage.call(&placeholder).code().as_deref(), Some("placeholder-revoked"));
    assert_eq!(stage.state(&wrapped).0, "revoked");
    let revoked = stage.entries().into_iter().find(|entry| entry["act"] == "placeholder revoked").unwrap();
    assert_eq!((&revoked["subject"], &revoked["by"]), (&json!(wrapped.id), &json!("misuse: second-claim")));
    stage.broker.verify_journal();
}

#[test]
fn looking_a_code_up_says_when_it_was_made_and_who_fetched_it_and_takes_nothing() {
    let stage = Stage::new();
    let wrapped = stage.issue("robot", "5m", &[]);
    let look = || {
        let answer = stage.claim_by(&stage.robot.key, &["--lookup", &wrapped.code]);
        assert!(answer.status.success(), "{answer:?}");
        answer.json()
    };
    for _ in 0..2 {
        let told = look();
        assert_eq!((&told["id"], &told["workload"]), (&json!(wrapped.id), &json!("robot")));
        assert!(told["created"].is_string() && told["claimed"].is_null(), "{told}");
        assert!(told.get("placeholder").is_none(), "{told}");
    }
    assert!(stage.claim(&wrapped).status.success());
    let told = look();
    assert_eq!((told["claimed"].is_string(), &told["claimed_from"]), (true, &json!("127.0.0.1")));
    assert_eq!(stage.events(), [] as [String; 0]);
    assert_eq!(stage.state(&wrapped), ("pending".into(), "claimed".into()));
}

#[test]
fn t70_nobody_but_its_workload_fetches_a_placeholder() {
    let stage = Stage::new();
    let (wrapped, thief) = (stage.issue("robot", "5m", &[]), stage.broker.workload("thief"));
    for lookup in [&[][..], &["--lookup"]] {
        let answer = stage.claim_by(&thief.key, &[&[wrapped.code.as_str()][..], lookup].concat());
        assert_eq!(refused(&answer), "wrong-workload");
    }
    let event = format!("other-workload {}", wrapped.id);
    assert_eq!(stage.events(), [event.clone(), event]);
    // A stranger learns nothing, whether the code is one or not.
    let told = |code: &str| {
        let answer = stage.post(None, &json!({ "code": code }).to_string());
        let mut problem = answer.json();
        problem["instance"].take();
        (answer.status, problem)
    };
    assert_eq!(told(&wrapped.code).0, 407);
    assert_eq!(told(&wrapped.code), told("cwc_0000000000000000000000000000000000000000000"));
    let wrong = stage.claim_by(&stage.robot.key, &["cwc_wrong"]);
    assert_eq!(refused(&wrong), "unknown-placeholder");
    assert!(wrong.stderr.contains("compare the code"), "{wrong:?}");
    // None of this took anything.
    assert!(stage.claim(&wrapped).status.success());
}

#[test]
fn a_placeholder_that_ends_at_its_first_misuse_ends_when_another_shows_its_code() {
    let stage = Stage::new();
    let wrapped = stage.issue("robot", "5m", &["--on-misuse", "revoke-family"]);
    stage.broker.cli(&["approval", "grant", &wrapped.approval, "--yes"]);
    let thief = stage.broker.workload("thief");
    assert_eq!(refused(&stage.claim_by(&thief.key, &[&wrapped.code])), "wrong-workload");
    assert_eq!(refused(&stage.claim(&wrapped)), "placeholder-revoked");
}

#[test]
fn t63_of_many_who_claim_at_once_one_gets_it_and_the_placeholder_is_revoked() {
    let stage = Stage::new();
    let wrapped = stage.issue("robot", "5m", &[]);
    let document = json!({ "code": wrapped.code }).to_string();
    let answers: Vec<Response> = std::thread::scope(|scope| {
        let racers: Vec<_> =
            (0..16).map(|_| scope.spawn(|| stage.post(Some(&stage.robot), &document))).collect();
        racers.into_iter().map(|racer| racer.join().unwrap()).collect()
    });
    let got = answers.iter().filter(|answer| answer.status == 200).count();
    let lost =
        answers.iter().filter(|answer| answer.code().as_deref() == Some("placeholder-revoked")).count();
    assert_eq!((got, lost), (1, 15));
    assert_eq!(stage.state(&wrapped), ("revoked".into(), "claimed".into()));
}

#[test]
fn a_placeholder_that_was_not_fetched_in_time_or_was_revoked_or_denied_is_not_handed_out() {
    let stage = Stage::new();
    let late = stage.issue("robot", "1s", &[]);
    eventually("it lapses", || (stage.state(&late).1 == "lapsed").then_some(()));
    assert_eq!(refused(&stage.claim(&late)), "placeholder-expired");
    let revoked = stage.issue("robot", "5m", &[]);
    stage.broker.cli(&["placeholder", "revoke", &revoked.id]);
    assert_eq!(refused(&stage.claim(&revoked)), "placeholder-revoked");
    let denied = stage.issue("robot", "5m", &[]);
    stage.broker.cli(&["approval", "deny", &denied.approval]);
    assert_eq!(refused(&stage.claim(&denied)), "approval-denied");
    let frozen = stage.issue("robot", "5m", &[]);
    stage.broker.cli(&["placeholder", "freeze", &frozen.id]);
    assert_eq!(refused(&stage.claim(&frozen)), "placeholder-frozen");
    stage.broker.cli(&["placeholder", "thaw", &frozen.id]);
    assert!(stage.claim(&frozen).status.success());
    assert_eq!(stage.events(), [] as [String; 0]);
}

#[test]
fn t87_neither_the_code_nor_the_placeholder_lies_on_the_disk() {
    let mut stage = Stage::new();
    let (fetched, waiting) = (stage.issue("robot", "5m", &[]), stage.issue("robot", "5m", &[]));
    let text = stage.claim(&fetched).json()["placeholder"].as_str().unwrap().to_owned();
    stage.broker.stop();
    let needles = [&fetched.code, &waiting.code, &text];
    let mut searched = 0;
    each_file(stage.broker.data(), &mut |path, bytes| {
        searched += 1;
        for needle in needles {
            let found = bytes.windows(needle.len()).any(|window| window == needle.as_bytes());
            assert!(!found, "{}", path.display());
        }
    });
    assert!(searched > 5, "{searched}");
    assert!(needles.iter().all(|needle| !stage.broker.output().contains(*needle)));
    stage.broker.launch();
    assert!(stage.claim(&waiting).status.success());
}

fn each_file(directory: &Path, look: &mut dyn FnMut(&Path, &[u8])) {
    for entry in std::fs::read_dir(directory).unwrap().map(Result::unwrap) {
        let kind = entry.file_type().unwrap();
        if kind.is_dir() {
            each_file(&entry.path(), look);
        } else if kind.is_file() {
            look(&entry.path(), &std::fs::read(entry.path()).unwrap());
        }
    }
}

#[test]
fn a_row_that_was_moved_to_another_placeholder_does_not_open() {
    let mut stage = Stage::new();
    let (one, other) = (stage.issue("robot", "5m", &[]), stage.issue("robot", "5m", &[]));
    stage.broker.stop();
    let swap = "UPDATE claim SET sealed = (SELECT sealed FROM claim AS other WHERE other.placeholder = ?2) WHERE placeholder = ?1";
    assert_eq!(stage.broker.tamper(swap, [&one.id, &other.id]), 1);
    stage.broker.launch();
    let answer = stage.claim(&one);
    assert!(!answer.status.success() && answer.stderr.contains("internal-fault"), "{answer:?}");
}

#[test]
fn a_claim_one_step_wrong_is_malformed() {
    let stage = Stage::new();
    for document in ["", "null", "{}", "{\"code\":1}", "{\"code\":\"x\",\"more\":1}", &"x".repeat(2000)] {
        let answer = stage.post(Some(&stage.robot), document);
        assert_eq!(answer.code().as_deref(), Some("malformed-call"), "{document:.20}: {}", answer.text());
    }
    for wrong in ["", "cwk_with blank", "hunter2"] {
        let answer = stage.claim_by(wrong, &["cwc_x"]);
        assert_eq!(answer.status.code(), Some(2), "{answer:?}");
    }
    let answer = stage.claim_by(&stage.robot.key, &["cwc_x", "--broker", "http://127.0.0.1:1"]);
    assert_eq!(answer.status.code(), Some(2), "twice --broker: {answer:?}");
}

#[test]
fn the_key_comes_from_an_environment_file_and_the_code_from_stdin() {
    let stage = Stage::new();
    let wrapped = stage.issue("robot", "5m", &[]);
    let file = stage.authority.directory().join("robot.env");
    let lines = format!("# of robot\nOTHER=1\nCLOAKROOM_WORKLOAD_KEY=\"{}\"\n", stage.robot.key);
    std::fs::write(&file, lines).unwrap();
    let broker = format!("http://{}", stage.broker.listen());
    let words = ["placeholder", "claim", "-", "--broker", &broker, "--key-file", file.to_str().unwrap()];
    let answer = stage.broker.run_with(&words, &format!("{}\n", wrapped.code));
    assert!(answer.status.success() && answer.stdout.contains("sk_live_"), "{answer:?}");
}

#[test]
fn t93_what_the_holder_has_to_show_is_shown_to_fetch_it_too() {
    let files = tempfile::tempdir().unwrap();
    let socket = files.path().join("w.sock");
    let stage = Stage::with(&format!("[listen]\nunix = {socket:?}\n[listen.tls]\ncertificate = \"own\"\n"));
    let own = rustix::process::geteuid().as_raw().to_string();
    let out = files.path().to_str().unwrap();
    let added = stage.broker.cli_json(&["workload", "add", "agent", "--mtls", "--out", out, "--uid", &own]);
    let key = added["key"].as_str().unwrap();
    let tls = format!("https://{}", stage.broker.listen());
    let ca = stage.broker.ca_file();
    let [crt, private] =
        ["crt", "key"].map(|end| files.path().join(format!("agent.{end}")).display().to_string());
    let by = |more: &[&str], input: &str| {
        stage.broker.run_with(&[&["placeholder", "claim", "--json"][..], more].concat(), input)
    };
    let over_tls = ["--broker", &tls, "--ca", ca.to_str().unwrap()];
    let certified = ["--cert", &crt, "--cert-key", &private];

    let both = stage.issue("agent", "5m", &["--holder", "key,mtls"]);
    assert_eq!(refused(&by(&[&over_tls[..], &[&both.code]].concat(), key)), "wrong-workload");
    let alone = [&over_tls[..], &certified, &["--no-key", &both.code]].concat();
    assert_eq!(refused(&by(&alone, "")), "wrong-workload");
    assert!(by(&[&over_tls[..], &certified, &[&both.code]].concat(), key).status.success());

    let user = stage.issue("agent", "5m", &["--holder", "uid"]);
    assert_eq!(refused(&by(&[&over_tls[..], &[&user.code]].concat(), key)), "wrong-workload");
    let unix = format!("unix:{}", socket.display());
    let answer = by(&["--broker", &unix, "--no-key", &user.code], "");
    assert!(answer.status.success(), "{answer:?}");
    assert_eq!(
        stage.broker.cli_json(&["placeholder", "show", &user.id])["claim"]["claimed_from"],
        format!("uid {own}")
    );
}

#[test]
fn curl_claims_over_http_2_as_over_http_1() {
    let stage = Stage::new();
    for version in ["--http1.1", "--http2-prior-knowledge"] {
        let wrapped = stage.issue("robot", "5m", &[]);
        let output = Command::new("curl")
            .args(["-q", "--silent", "--show-error", "--fail-with-body", version])
            .args(["-H", &format!("Cloakroom-Workload: {}", stage.robot.key)])
            .args(["-d", &json!({ "code": wrapped.code }).to_string()])
            .arg(format!("http://{}/.cloakroom/claim", stage.broker.listen()))
            .output()
            .unwrap();
        assert!(output.status.success(), "{version}: {output:?}");
        let told: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(told["id"], wrapped.id.as_str());
    }
}
