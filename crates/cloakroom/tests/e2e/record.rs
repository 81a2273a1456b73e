//! The record as others see it: proofs, checkpoints, witnesses, exports.

use crate::support::{BINARY, eventually, item, items, setup};
use cloakroom_testkit::{
    Broker, BrokerBuilder, Reply, Setup, TestAuthority, TlsUpstream, Way, Workload, echo, hunt, shaped,
};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A broker with one call on record, and a directory outside of its data for what others keep.
struct Stage {
    setup: Setup,
    upstream: TlsUpstream,
    issued: String,
    elsewhere: tempfile::TempDir,
}

impl Stage {
    fn new() -> Self {
        let setup = setup();
        let upstream = TlsUpstream::start(&setup.authority, echo);
        setup.broker.deposit("c", "bearer", &[&upstream.url()], &shaped("sk_live_"));
        let issued = setup.broker.permit("c", "robot", &items(&upstream), &[]).text;
        let stage = Self { setup, upstream, issued, elsewhere: tempfile::tempdir().unwrap() };
        stage.call();
        stage
    }

    fn broker(&self) -> &Broker {
        &self.setup.broker
    }

    fn call(&self) {
        let request = item(&self.upstream, "1", &self.issued);
        assert_eq!(self.broker().call(Way::Connect, Some(&self.setup.robot), &request).status, 200);
    }

    /// Keeps what a command printed where the broker cannot write.
    fn keep(&self, name: &str, arguments: &[&str]) -> String {
        self.write(name, &self.broker().cli(arguments).stdout)
    }

    fn write(&self, name: &str, text: &str) -> String {
        let path = self.elsewhere.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.display().to_string()
    }

    fn key(&self) -> String {
        let key = std::fs::read_to_string(self.broker().data().join("journal/key.pub")).unwrap();
        self.write("journal.pub", &key)
    }

    fn segment(&self) -> PathBuf {
        self.broker().data().join("journal/00000001.seg")
    }

    fn code(&self, arguments: &[&str]) -> (Option<i32>, String) {
        let answer = self.broker().run(arguments);
        (answer.status.code(), format!("{}{}", answer.stdout, answer.stderr))
    }

    /// The program on a machine that has nothing but the key and what is handed over.
    fn offline(&self, arguments: &[&str]) -> Option<i32> {
        let nowhere = self.elsewhere.path().join("nowhere");
        let output = Command::new(BINARY).arg("--data").arg(nowhere).args(arguments).output().unwrap();
        output.status.code()
    }
}

#[test]
fn t90_a_call_is_proved_by_its_id_and_the_proof_checks_offline_with_the_key_alone() {
    let stage = Stage::new();
    let records = stage.broker().cli_json(&["journal", "show"]);
    let intent =
        records.as_array().unwrap().iter().find(|record| record["entry"]["kind"] == "intent").unwrap();
    let request = intent["entry"]["request"].as_str().unwrap();
    let (key, proof) = (stage.key(), stage.keep("call.tlog-proof", &["journal", "prove", request]));
    assert_eq!(stage.offline(&["journal", "check", &proof, "--key", &key]), Some(0));
    let checked = stage.broker().cli_json(&["journal", "check", &proof, "--key", &key]);
    assert_eq!((&checked["ok"], &checked["sequence"]), (&Value::Bool(true), &intent["sequence"]));
    assert_eq!(checked["record"]["request"], request);
    let sequence = intent["sequence"].to_string();
    let document = stage.broker().cli_json(&["journal", "prove", &sequence]);
    assert!(document["proof"].as_str().unwrap().starts_with("c2sp.org/tlog-proof@v1\nextra "), "{document}");

    // One step wrong each.
    let text = std::fs::read_to_string(&proof).unwrap();
    let index: u64 = text.lines().find_map(|line| line.strip_prefix("index ")?.parse().ok()).unwrap();
    let moved = text.replace(&format!("index {index}\n"), &format!("index {}\n", index + 1));
    let moved = stage.write("moved", &moved);
    assert_eq!(stage.offline(&["journal", "check", &moved, "--key", &key]), Some(3), "another place");
    let other = Stage::new();
    let foreign = other.key();
    assert_eq!(
        stage.offline(&["journal", "check", &proof, "--key", &foreign]),
        Some(3),
        "another journal's key"
    );
    let prose = stage.write("prose", "all is well\n");
    assert_eq!(stage.offline(&["journal", "check", &prose, "--key", &key]), Some(2), "no proof");
    assert_eq!(stage.offline(&["journal", "check", &proof, "--key", &prose]), Some(2), "no key");
    assert_eq!(stage.offline(&["journal", "check", &proof]), Some(2), "no key at hand");
    let (code, said) = stage.code(&["journal", "prove", "01HF0000000000000000000000"]);
    assert!(code == Some(1) && said.contains("no record names"), "{said}");
    let (code, said) = stage.code(&["journal", "prove", "999999"]);
    assert!(code == Some(1) && said.contains("there is no record 999999"), "{said}");
    assert_eq!(stage.code(&["journal", "prove", "two words"]).0, Some(2));
}

#[test]
fn t90_a_later_checkpoint_is_proved_to_continue_an_older_one() {
    let stage = Stage::new();
    let key = stage.key();
    let old = stage.keep("old", &["journal", "checkpoint"]);
    for _ in 0..5 {
        stage.call();
    }
    let new = stage.keep("new", &["journal", "checkpoint"]);
    assert_ne!(std::fs::read(&old).unwrap(), std::fs::read(&new).unwrap());
    let proof = stage.keep("proof", &["journal", "consistency", &old]);
    assert_eq!(stage.offline(&["journal", "check", &proof, "--since", &old, "--key", &key]), Some(0));
    assert_eq!(stage.offline(&["journal", "check", &proof, "--since", &new, "--key", &key]), Some(3));
    assert_eq!(
        stage.offline(&["journal", "check", &proof, "--key", &key]),
        Some(2),
        "it wants the older one"
    );
    let named = stage.keep("named", &["journal", "consistency", &old, &new]);
    assert_eq!(stage.offline(&["journal", "check", &named, "--since", &old, "--key", &key]), Some(0));
    assert_eq!(stage.code(&["journal", "consistency", &new, &old]).0, Some(1), "the wrong way round");
    let other = Stage::new();
    let fork = other.keep("fork", &["journal", "checkpoint"]);
    assert_eq!(stage.code(&["journal", "consistency", &fork]).0, Some(2), "another journal's");
}

#[test]
fn t90_a_journal_cut_short_or_made_anew_is_found_with_what_a_witness_kept() {
    let mut stage = Stage::new();
    let (key, witness) = (stage.key(), stage.keep("witness", &["journal", "checkpoint"]));
    let judged = |stage: &Stage| stage.code(&["journal", "verify", "--witness", &witness, "--key", &key]);
    let (code, said) = judged(&stage);
    assert!(code == Some(0) && said.contains("witnessed up to record"), "{said}");
    stage.call();
    assert_eq!(judged(&stage).0, Some(0));
    stage.setup.broker.stop();
    let whole = std::fs::read(stage.segment()).unwrap();
    let first = whole.windows(5).position(|window| window == b"\"act\"").unwrap();
    let cut = frame_end_before(&whole, first);
    std::fs::write(stage.segment(), &whole[..cut]).unwrap();
    assert_eq!(stage.code(&["journal", "verify"]).0, Some(0), "the files alone do not show it");
    let (code, said) = judged(&stage);
    assert!(code == Some(3) && said.contains("cut off the end"), "{said}");
    std::fs::write(stage.segment(), &whole).unwrap();
    assert_eq!(judged(&stage).0, Some(0));
    // Somebody who has the signing key begins anew.
    std::fs::remove_dir_all(stage.segment().parent().unwrap()).unwrap();
    stage.setup.broker.launch();
    for _ in 0..30 {
        stage.call();
    }
    assert_eq!(stage.code(&["journal", "verify"]).0, Some(0));
    let (code, said) = judged(&stage);
    assert!(code == Some(3) && said.contains("not those that the witness knows"), "{said}");
    let empty = stage.write("empty", "");
    assert_eq!(
        stage.code(&["journal", "verify", "--witness", &empty]).0,
        Some(2),
        "a witness without a word"
    );
}

/// Where the record begins that holds the byte at `inside`.
fn frame_end_before(segment: &[u8], inside: usize) -> usize {
    let number = |at: usize| u32::from_le_bytes(*segment[at..].first_chunk().unwrap()) as usize;
    let peaks = (u64::from_le_bytes(*segment[16..].first_chunk().unwrap()) - 1).count_ones() as usize;
    let mut at = 28 + 32 * peaks + number(24) + 32;
    while at + 48 + number(at) <= inside {
        at += 48 + number(at);
    }
    at
}

#[test]
fn t86_no_export_holds_a_secret_a_key_or_a_placeholder_and_each_is_what_its_readers_expect() {
    let stage = Stage::new();
    let refused = item(&stage.upstream, "1", &stage.issued).with("x-copy", &stage.issued);
    assert_eq!(stage.broker().call(Way::Connect, Some(&stage.setup.robot), &refused).status, 403);
    let export = |format: &str| stage.broker().cli(&["journal", "export", "--format", format]).stdout;
    let (json, otel, cef) = (export("json"), export("otel"), export("cef"));
    for text in [&json, &otel, &cef] {
        assert!(text.contains("place-not-permitted"), "{text}");
        assert!(!text.contains(&stage.issued) && !text.contains(&stage.setup.robot.key));
        assert_eq!(hunt(text.as_bytes()).len(), 0);
        assert!(text.bytes().all(|byte| matches!(byte, b' '..=b'~' | b'\n')));
    }
    let records = json.lines().count();
    let batches: Vec<Value> = otel.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let logs: Vec<&Value> = batches
        .iter()
        .flat_map(|batch| batch["resourceLogs"][0]["scopeLogs"][0]["logRecords"].as_array().unwrap())
        .collect();
    assert!(logs.len() >= records && cef.lines().count() >= records);
    assert!(logs.iter().all(|log| log["timeUnixNano"].as_str().unwrap().parse::<u64>().is_ok()));
    assert!(cef.lines().all(|line| line.starts_with("CEF:0|Cloakroom|cloakroom|")), "{cef}");
    assert!(Path::new(&stage.segment()).exists());
}

/// A broker with these witnesses, and a placeholder to call with.
fn witnessed(settings: &str, authority: &TestAuthority) -> (Broker, Workload, TlsUpstream, String) {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    std::io::Write::write_all(&mut file, settings.as_bytes()).unwrap();
    let broker = BrokerBuilder::new(BINARY, authority).argument("--config").argument(file.path()).start();
    let robot = broker.workload("robot");
    let upstream = TlsUpstream::start(authority, echo);
    broker.deposit("c", "bearer", &[&upstream.url()], &shaped("sk_live_"));
    let issued = broker.permit("c", "robot", &items(&upstream), &[]).text;
    (broker, robot, upstream, issued)
}

fn metric(broker: &Broker, name: &str) -> Option<u64> {
    let mut stream = std::net::TcpStream::connect(broker.console()).unwrap();
    std::io::Write::write_all(
        &mut stream,
        b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
    )
    .unwrap();
    let mut text = String::new();
    std::io::Read::read_to_string(&mut stream, &mut text).unwrap();
    text.lines().find_map(|line| line.strip_prefix(name)?.trim().parse().ok())
}

#[test]
fn t90_checkpoints_reach_a_file_a_repository_and_a_witness_that_is_sent_proofs() {
    let authority = TestAuthority::new();
    let taken = TlsUpstream::start(&authority, |_| Reply::ok("text/plain", ""));
    let elsewhere = tempfile::tempdir().unwrap();
    let (file, git) = (elsewhere.path().join("checkpoints"), elsewhere.path().join("witness.git"));
    let in_git = |arguments: &[&str]| {
        let output = Command::new("git").arg("-C").arg(&git).args(arguments).output().unwrap();
        (output.status.success(), String::from_utf8_lossy(&output.stdout).into_owned())
    };
    std::fs::create_dir(&git).unwrap();
    assert!(in_git(&["init", "-q", "--bare"]).0);
    let settings = format!(
        "[journal.witness]\nevery = \"100ms\"\nfile = {file:?}\ngit = {git:?}\nurl = \"{}/w\"\nallow-address = [\"127.0.0.0/8\"]\n",
        taken.url()
    );
    let (mut broker, robot, upstream, issued) = witnessed(&settings, &authority);
    let call =
        |broker: &Broker| broker.call(Way::Connect, Some(&robot), &item(&upstream, "1", &issued)).status;
    assert_eq!(call(&broker), 200);
    let submissions = eventually("the witness took two checkpoints", || {
        assert_eq!(call(&broker), 200);
        let all = taken.requests();
        (all.len() >= 2).then_some(all)
    });
    assert!(
        submissions.iter().all(|request| request.method == "POST" && request.target == "/w/add-checkpoint")
    );
    let bodies: Vec<String> =
        submissions.iter().map(|request| String::from_utf8(request.body.clone()).unwrap()).collect();
    assert!(bodies[0].starts_with("old 0\n\ncloakroom/journal/"), "{}", bodies[0]);
    let keep = |name: &str, text: &str| {
        let path = elsewhere.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.display().to_string()
    };
    let (first, second) = (keep("first", &bodies[0]), keep("second", &bodies[1]));
    let checked = broker.run(&["journal", "check", &second, "--since", &first]);
    assert_eq!(checked.status.code(), Some(0), "the second proves that it continues the first: {checked:?}");
    eventually("all of them have it", || {
        (metric(&broker, "cloakroom_journal_witnessed_records")? > 0).then_some(())
    });
    assert_eq!(metric(&broker, "cloakroom_journal_witnesses_silent"), Some(0));
    broker.stop();
    let witness = file.display().to_string();
    assert_eq!(broker.run(&["journal", "verify", "--witness", &witness]).status.code(), Some(0));
    assert!(in_git(&["fsck", "--strict"]).0);
    let (_, committed) = in_git(&["log", "-p", "--reverse", "--format=", "checkpoints"]);
    assert!(committed.contains("cloakroom/journal/"), "{committed}");
    let (_, last) = in_git(&["show", "checkpoints:checkpoint"]);
    let last = keep("last", &last);
    assert_eq!(broker.run(&["journal", "verify", "--witness", &last]).status.code(), Some(0));
    for kept in [&bodies.concat(), &std::fs::read_to_string(&file).unwrap(), &committed] {
        assert_eq!(hunt(kept.as_bytes()).len(), 0);
    }
}

#[test]
fn a_witness_that_is_silent_stops_no_call_and_is_seen() {
    let authority = TestAuthority::new();
    let refusing = TlsUpstream::start(&authority, |_| Reply::status("409 Conflict"));
    let elsewhere = tempfile::tempdir().unwrap();
    // Something else is in its place.
    let file = elsewhere.path().join("checkpoints");
    std::fs::create_dir(&file).unwrap();
    let settings = format!(
        "[journal.witness]\nevery = \"50ms\"\nfile = {file:?}\nurl = \"{}\"\nallow-address = [\"127.0.0.0/8\"]\n",
        refusing.url()
    );
    let (broker, robot, upstream, issued) = witnessed(&settings, &authority);
    let call = || broker.call(Way::Connect, Some(&robot), &item(&upstream, "1", &issued)).status;
    eventually("both are silent", || {
        (metric(&broker, "cloakroom_journal_witnesses_silent")? == 2).then_some(())
    });
    assert_eq!(call(), 200);
    let silent = "cloakroom_events_total{event=\"witness-silent\"}";
    assert_eq!(metric(&broker, silent), Some(2), "once per outage");
    assert!(broker.output().contains("did not take the journal's checkpoint"));
    assert!(broker.cli(&["journal", "show"]).stdout.contains("witness-silent"));
    std::fs::remove_dir(&file).unwrap();
    eventually("the file is written", || {
        (metric(&broker, "cloakroom_journal_witnesses_silent")? == 1).then_some(())
    });
    assert!(std::fs::read_to_string(&file).unwrap().contains("cloakroom/journal/"));
    assert_eq!(call(), 200);
    broker.verify_journal();
}
