//! Secrets that are sealed on a machine without a broker, carried by somebody, and handed in.

use crate::support::{BINARY, item, items, presented, setup};
use cloakroom_testkit::{Answer, Broker, CANARY, Setup, TlsUpstream, Way, echo, hunt};
use serde_json::Value;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// A machine that has the program, and no broker.
pub(crate) struct Elsewhere(tempfile::TempDir);

impl Elsewhere {
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }

    pub(crate) fn run(&self, arguments: &[&str], input: &str) -> Answer {
        let mut command = Command::new(BINARY);
        command.args(arguments).env_clear().env("HOME", self.0.path()).env("NO_COLOR", "1");
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
        let output = child.wait_with_output().unwrap();
        for bytes in [&output.stdout, &output.stderr] {
            assert!(hunt(bytes).is_empty(), "the canary is in what was printed");
        }
        Answer {
            status: output.status,
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }

    /// A parcel with the canary, in a file.
    fn seal(&self, name: &str, to: &str, key: &str, more: &[&str]) -> PathBuf {
        let arguments = ["credential", "add", name, "--kind", "bearer", "--to", to, "--sealed-for", key];
        let answer = self.run(&[&arguments[..], more].concat(), CANARY);
        assert!(answer.status.success(), "{answer:?}");
        let file = self.0.path().join(format!("{name}.parcel"));
        std::fs::write(&file, answer.stdout).unwrap();
        // Nothing was made on the way: no data directory, no copy.
        let made = std::fs::read_dir(self.0.path()).unwrap().flatten();
        assert!(made.map(|entry| entry.path()).all(|path| path.extension().is_some_and(|e| e == "parcel")));
        file
    }
}

fn key(broker: &Broker) -> String {
    broker.cli_json(&["drop-off", "show"])["keys"][0]["key"].as_str().unwrap().to_owned()
}

pub(crate) fn hand_in(broker: &Broker, file: &Path) -> Answer {
    broker.run(&["credential", "add", "--sealed", file.to_str().unwrap(), "--json"])
}

fn code(answer: &Answer) -> String {
    assert!(!answer.status.success(), "{answer:?}");
    let problem: Value = serde_json::from_str(&answer.stderr).unwrap();
    problem["error"]["code"].as_str().unwrap_or_default().to_owned()
}

#[test]
fn a_secret_that_was_sealed_elsewhere_is_used_once_it_is_handed_in_and_handed_in_once() {
    let Setup { mut broker, authority, robot } = setup();
    let upstream = TlsUpstream::start(&authority, echo);
    let elsewhere = Elsewhere::new();
    let parcel = elsewhere.seal("c", &upstream.url(), &key(&broker), &[]);
    let added = hand_in(&broker, &parcel);
    assert!(added.status.success(), "{added:?}");
    assert_eq!(added.json()["destinations"][0].as_str(), Some(upstream.url().as_str()));
    let issued = broker.permit("c", "robot", &items(&upstream), &[]);
    assert_eq!(broker.call(Way::Absolute, Some(&robot), &item(&upstream, "1", &issued.text)).status, 200);
    assert_eq!(presented(&upstream), CANARY);
    broker.cli(&["credential", "remove", "c"]);
    assert_eq!(code(&hand_in(&broker, &parcel)), "drop-off-taken");
    broker.restart();
    assert_eq!(code(&hand_in(&broker, &parcel)), "drop-off-taken");
    // The key outlives a restart.
    let another = elsewhere.seal("d", &upstream.url(), &key(&broker), &[]);
    broker.restart();
    assert!(hand_in(&broker, &another).status.success());
}

#[test]
fn a_parcel_that_somebody_readdressed_or_that_comes_too_late_becomes_nothing() {
    let Setup { broker, .. } = setup();
    let elsewhere = Elsewhere::new();
    let first = key(&broker);
    let parcel = elsewhere.seal("c", "https://api.example.com", &first, &["--good-for", "2h"]);
    let good = std::fs::read_to_string(&parcel).unwrap();
    for (from, to) in [
        ("https://api.example.com", "https://evil.example.com"),
        ("\"bearer\"", "\"query\""),
        ("\"c\"", "\"d\""),
        ("\"expires\": 1", "\"expires\": 2"),
    ] {
        assert_ne!(good, good.replace(from, to), "{from}");
        std::fs::write(&parcel, good.replace(from, to)).unwrap();
        assert_eq!(code(&hand_in(&broker, &parcel)), "drop-off-not-opened", "{from}");
    }
    broker.cli(&["drop-off", "rotate", "--overlap", "now"]);
    std::fs::write(&parcel, &good).unwrap();
    assert_eq!(code(&hand_in(&broker, &parcel)), "drop-off-key-unknown");
    assert_eq!(broker.cli_json(&["credential", "list"]), serde_json::json!([]));
    let refusals = broker.cli(&["journal", "show"]).stdout.matches("drop-off refused").count();
    assert_eq!(refusals, 5);
}

#[test]
fn what_is_wrong_with_a_sealing_is_said_where_it_is_sealed_and_an_unsealed_file_is_not_repeated() {
    let Setup { broker, .. } = setup();
    let elsewhere = Elsewhere::new();
    let good = key(&broker);
    let cut = &good[..good.len() - 1];
    for (key, more) in
        [(cut, &[][..]), ("cwk_x", &[]), (&good, &["--good-for", "91d"]), (&good, &["--client-id", "x"])]
    {
        let arguments = [
            "credential",
            "add",
            "c",
            "--to",
            "https://api.example.com",
            "--sealed-for",
            key,
            "--kind",
            "bearer",
        ];
        let arguments = if more.contains(&"--client-id") { &arguments[..7] } else { &arguments[..] };
        let answer = elsewhere.run(&[arguments, more].concat(), CANARY);
        assert_eq!(answer.status.code(), Some(2), "{answer:?}");
        assert!(answer.stdout.is_empty() && !answer.stderr.is_empty());
    }
    let unsealed = elsewhere.0.path().join("forgotten");
    std::fs::write(&unsealed, CANARY).unwrap();
    let answer = broker.run(&["credential", "add", "--sealed", unsealed.to_str().unwrap()]);
    assert_eq!(answer.status.code(), Some(2), "{answer:?}");
    assert!(hunt(answer.stderr.as_bytes()).is_empty() && answer.stderr.contains("this is no parcel"));
}
