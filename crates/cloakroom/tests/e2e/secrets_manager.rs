//! A secret of AWS Secrets Manager, as moto plays it: it checks who signs, and what they may do.

use crate::clients::{installed, script};
use crate::openbao::hunt_for;
use crate::support::{eventually, item, items, presented, setup};
use cloakroom_testkit::{CANARY, Issued, Response, Setup, TlsUpstream, Way, echo, shaped};
use serde_json::Value;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdout, Command, Stdio};

struct Stage {
    setup: Setup,
    upstream: TlsUpstream,
    child: Child,
    lines: BufReader<ChildStdout>,
    ready: Value,
}

impl Stage {
    fn new() -> Option<Self> {
        let clients = installed()?;
        let setup = setup();
        let files = setup.authority.leaf_files("moto", &["127.0.0.1"]);
        let mut child = Command::new(clients.join("venv/bin/python"))
            .arg(script("secrets_manager.py"))
            .args(&files)
            .arg(setup.authority.file())
            .env("SECRET", CANARY)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        lines.read_line(&mut line).unwrap();
        let ready = serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line:?}"));
        let upstream = TlsUpstream::start(&setup.authority, echo);
        Some(Self { setup, upstream, child, lines, ready })
    }

    fn add(&self, name: &str, key: &str, more: &[&str]) -> Issued {
        let (to, url) = (self.upstream.url(), format!("https://127.0.0.1:{}", self.ready["port"]));
        let mut arguments = vec!["credential", "add", name, "--to", &to, "--from", "aws-secrets-manager"];
        arguments.extend(["--aws-region", "eu-west-1", "--server", &url, "--reread", "1s"]);
        let added = self.setup.broker.run_with(&[&arguments[..], more].concat(), key);
        assert!(added.status.success(), "{added:?}");
        self.setup.broker.permit(name, "robot", &items(&self.upstream), &[])
    }

    fn call(&self, issued: &Issued) -> Response {
        self.setup.broker.call(
            Way::Connect,
            Some(&self.setup.robot),
            &item(&self.upstream, "1", &issued.text),
        )
    }

    fn presented(&self) -> String {
        presented(&self.upstream)
    }

    fn put(&mut self, value: &str) {
        writeln!(self.child.stdin.as_mut().unwrap(), "{value}").unwrap();
        self.lines.read_line(&mut String::new()).unwrap();
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if !std::thread::panicking() {
            let key = |user: &str| self.ready[user]["SecretAccessKey"].as_str().unwrap().to_owned();
            hunt_for(&self.setup.broker, &[key("reader"), key("other")]);
        }
    }
}

const WHICH: [&str; 4] = ["--path", "app/api", "--field", "key"];

#[test]
fn a_secret_of_aws_is_read_with_a_signature_that_is_checked() {
    let Some(mut stage) = Stage::new() else { return };
    let issued = stage.add("c", &stage.ready["reader"].to_string(), &WHICH);
    assert_eq!(stage.call(&issued).status, 200);
    assert_eq!(stage.presented(), CANARY);
    stage.put(&shaped("second-"));
    eventually("the second version", || {
        assert_eq!(stage.call(&issued).status, 200);
        (stage.presented() == shaped("second-")).then_some(())
    });
    let before = stage.add(
        "before",
        &stage.ready["reader"].to_string(),
        &[&WHICH[..], &["--stage", "AWSPREVIOUS"]].concat(),
    );
    assert_eq!(stage.call(&before).status, 200);
    assert_eq!(stage.presented(), CANARY);
    let shown = stage.setup.broker.cli_json(&["credential", "show", "c"]);
    assert!(shown["source"]["place"].as_str().unwrap().ends_with("eu-west-1 app/api, field key"), "{shown}");
}

#[test]
fn one_step_wrong_at_aws_is_refused() {
    let Some(stage) = Stage::new() else { return };
    let (reader, other) = (stage.ready["reader"].to_string(), stage.ready["other"].to_string());
    let secret = stage.ready["reader"]["SecretAccessKey"].as_str().unwrap();
    let forged = reader.replace(secret, &shaped("wrong-"));
    let nowhere = ["--path", "app/none", "--field", "key"];
    let no_field = ["--path", "app/api", "--field", "none"];
    for (name, key, which, code) in [
        ("forged", &forged, WHICH, "login-required"),
        ("other", &other, WHICH, "credential-unavailable"),
        ("nowhere", &reader, nowhere, "credential-unavailable"),
        ("field", &reader, no_field, "credential-unavailable"),
    ] {
        let issued = stage.add(name, key, &which);
        let answer = stage.call(&issued);
        assert_eq!(answer.code().as_deref(), Some(code), "{name}: {}", answer.text());
        if name == "forged" {
            let rotated = stage.setup.broker.run_with(&["credential", "rotate", name], &reader);
            assert!(rotated.status.success(), "{rotated:?}");
            assert_eq!(stage.call(&issued).status, 200);
        }
    }
    let (to, broker) = (stage.upstream.url(), &stage.setup.broker);
    let common = ["credential", "add", "c", "--to", &to, "--from", "aws-secrets-manager", "--path", "x"];
    let answer = broker.run_with(&common, &reader);
    assert!(answer.status.code() == Some(2) && answer.stderr.contains("--aws-region"), "{answer:?}");
    let answer = broker.run_with(&[&common[..], &["--aws-region", "eu-west-1"]].concat(), CANARY);
    assert!(!answer.status.success() && answer.stderr.contains("access key"), "{answer:?}");
}
