//! Chromium at the console, with a passkey in it.

use crate::clients::{installed, script};
use cloakroom_testkit::Broker;
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

/// No page with all that it loads is heavier.
const HEAVIEST: u64 = 200 * 1024;

/// Chromium, told what to do line by line.
pub(crate) struct Browser {
    child: Child,
    says: BufReader<ChildStdout>,
    told: ChildStdin,
    log: cloakroom_testkit::Log,
}

impl Browser {
    /// At the broker's console; pages of `others` may be loaded too.
    pub(crate) fn start(broker: &Broker, others: &[&str]) -> Option<Self> {
        let clients = installed()?;
        let program = clients.join("node/use_console.mjs");
        std::fs::copy(script("use_console.mjs"), &program).unwrap();
        let mut child = Command::new("node")
            .arg(program)
            .arg(origin(broker))
            .args(others)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let (says, told) = (BufReader::new(child.stdout.take().unwrap()), child.stdin.take().unwrap());
        Some(Self { child, says, told, log: broker.log() })
    }

    pub(crate) fn ask(&mut self, command: Value) -> Value {
        writeln!(self.told, "{command}").unwrap();
        let mut line = String::new();
        assert_ne!(self.says.read_line(&mut line).unwrap(), 0, "the browser is gone at {command}");
        self.log.lock().unwrap().push(line.clone().into_bytes());
        let said: Value = serde_json::from_str(&line).unwrap();
        assert_eq!(said["ok"], true, "{command}: {said}");
        said
    }

    pub(crate) fn open(&mut self, path: &str) -> Value {
        self.ask(json!(["open", path]))
    }

    /// What a page says as text.
    pub(crate) fn text(&mut self, selector: &str) -> String {
        self.ask(json!(["text", selector]))["text"].as_str().unwrap().to_owned()
    }

    /// The path of the item that is open in the inbox.
    pub(crate) fn current(&mut self) -> String {
        let path = self.ask(json!(["attribute", ".items a[aria-current=true]", "href"]));
        path["value"].as_str().unwrap().to_owned()
    }

    pub(crate) fn fill(&mut self, fields: Value) {
        self.ask(json!(["fill", fields]));
    }

    pub(crate) fn press(&mut self, selector: &str) -> Value {
        self.ask(json!(["press", selector]))
    }

    pub(crate) fn submit(&mut self, selector: &str) -> Value {
        self.ask(json!(["submit", selector]))
    }

    pub(crate) fn wait(&mut self, selector: &str, text: &str) {
        self.ask(json!(["wait", selector, text]));
    }

    /// Nothing was logged as an error, no dialog came up, nothing was asked of anybody else.
    pub(crate) fn require_quiet(&mut self) {
        assert_eq!(self.ask(json!(["trouble"]))["trouble"], json!([]));
    }

    /// What a page weighs, and how it looks.
    pub(crate) fn examine(&mut self, name: &str, path: &str) {
        let weight = self.ask(json!(["weigh", path]))["bytes"].as_u64().unwrap();
        assert!(weight < HEAVIEST, "{name}: {weight} bytes");
        self.look(name);
    }

    /// Screenshots of the page that is open, on a desktop and a phone, in light and dark; axe-core finds nothing on either, in either.
    pub(crate) fn look(&mut self, name: &str) {
        let directory = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../target/console");
        std::fs::create_dir_all(&directory).unwrap();
        let looked = self.ask(json!(["look", directory, name]));
        assert_eq!(looked["violations"], json!([]), "{name}");
        assert_eq!(looked["wide"], json!([]), "{name} is wider than its window");
    }

    /// Opens what is folded.
    pub(crate) fn unfold(&mut self, selector: &str) {
        self.ask(json!(["click", selector]));
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Where passkeys are good.
pub(crate) fn origin(broker: &Broker) -> String {
    let port = broker.console().rsplit(':').next().unwrap().trim_end_matches('/').to_owned();
    format!("http://localhost:{port}")
}

/// The link for the first person, as `serve` told it.
pub(crate) fn first_link(broker: &Broker) -> String {
    let output = broker.output();
    let ready: Value =
        serde_json::from_str(output.lines().rfind(|line| line.contains("\"ready\"")).unwrap()).unwrap();
    let link = &ready["enrol"];
    link["url"].as_str().or(link.as_str()).unwrap_or_else(|| panic!("no link in {ready}")).to_owned()
}

/// A broker whose first person has a passkey in this browser and is an approver.
pub(crate) fn enrolled(broker: &Broker, others: &[&str]) -> Option<Browser> {
    let mut browser = Browser::start(broker, others)?;
    let link = first_link(broker);
    browser.open(&link);
    assert_eq!(browser.press("button[data-act=enrol]")["outcome"], "enrolled");
    let again = browser.open(&link);
    assert_eq!(again["status"], 404, "good once: {again}");
    let waiting = broker.cli_json(&["approval", "list"]);
    let asked = waiting.as_array().unwrap().iter().find(|one| one["kind"] == "approver").unwrap().clone();
    broker.cli(&["approval", "grant", asked["id"].as_str().unwrap(), "--yes"]);
    browser.ask(json!(["trouble"]));
    Some(browser)
}
