//! The admin API is as its document says: requests that schemathesis makes of docs/openapi.json, sent to the real broker.

use crate::clients::installed;
use crate::support::BINARY;
use cloakroom_testkit::{Broker, BrokerBuilder};
use serde_json::{Value, json};
use std::path::PathBuf;
use std::process::{Command, Output};

const DOCUMENT: &str = include_str!("../../../../docs/openapi.json");
/// What never ends, what ends the broker's work, and what ends the token that asks.
const LEFT_OUT: [&str; 4] =
    ["/api/v1/events", "/api/v1/custody/seal", "/api/v1/take-over", "/api/v1/tokens/{token}"];

/// A broker, and what a program needs to ask it.
struct Stage {
    broker: Broker,
    directory: tempfile::TempDir,
    token: String,
    python: PathBuf,
}

impl Stage {
    fn new() -> Option<Self> {
        let python = std::path::absolute(installed()?.join("venv/bin/python")).unwrap();
        let broker = BrokerBuilder::bare(BINARY).start();
        let made = broker.cli_json(&["token", "create", "document", "--role", "operator"]);
        let token = made["text"].as_str().unwrap().to_owned();
        Some(Self { broker, directory: tempfile::tempdir().unwrap(), token, python })
    }

    /// Holds the broker to `document`, within `more`.
    fn hold(&self, document: &str, more: &[&str]) -> Output {
        let file = self.directory.path().join("openapi.json");
        std::fs::write(&file, document).unwrap();
        Command::new(&self.python)
            .args(["-m", "schemathesis.cli", "run"])
            .arg(file)
            .args(["--url", &format!("http://{}", self.broker.console())])
            .args(["--header", &format!("Authorization: Bearer {}", self.token)])
            .args(["--checks", "not_a_server_error,status_code_conformance", "--phases", "fuzzing"])
            .args(["--mode", "positive", "--max-examples", "8", "--no-shrink"])
            .args(["--generation-deterministic", "--continue-on-failure"])
            .args(["--warnings", "off", "--no-color", "--request-timeout", "10"])
            .args(["--report", "har", "--report-har-path", "calls.har"])
            .args(more)
            .current_dir(self.directory.path())
            .output()
            .unwrap()
    }

    /// The statuses of the last calls.
    fn statuses(&self) -> Vec<u64> {
        let text = std::fs::read_to_string(self.directory.path().join("calls.har")).unwrap();
        let calls: Value = serde_json::from_str(&text).unwrap();
        let calls = calls["log"]["entries"].as_array().unwrap();
        calls.iter().map(|call| call["response"]["status"].as_u64().unwrap()).collect()
    }
}

#[test]
fn every_answer_has_a_status_that_the_document_names_and_none_is_a_fault() {
    let Some(stage) = Stage::new() else { return };
    let mut more = vec!["--max-time", "30"];
    more.extend(LEFT_OUT.iter().flat_map(|path| ["--exclude-path", path]));
    let held = stage.hold(DOCUMENT, &more);
    assert!(held.status.success(), "{held:?}");
    let statuses = stage.statuses();
    for status in [200, 400, 403, 404] {
        assert!(statuses.iter().filter(|one| **one == status).count() >= 10, "{status}: {statuses:?}");
    }
}

#[test]
fn a_document_that_leaves_a_status_out_does_not_hold() {
    let Some(stage) = Stage::new() else { return };
    let mut document: Value = serde_json::from_str(DOCUMENT).unwrap();
    let path = "/api/v1/workloads/{workload}";
    let mut show = document["paths"][path]["get"].take();
    show["responses"].as_object_mut().unwrap().remove("404").unwrap();
    document["paths"] = json!({ path: { "get": show } });
    let held = stage.hold(&document.to_string(), &[]);
    assert!(!held.status.success());
    let told = String::from_utf8_lossy(&held.stdout);
    assert!(told.contains("Undocumented status code") && told.contains("Received: 404"), "{told}");
}
