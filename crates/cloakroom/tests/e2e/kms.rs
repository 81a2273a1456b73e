//! The root key wrapped by AWS KMS, as moto plays it: it checks who signs, what they may do, and the encryption context.

use crate::clients::{installed, script};
use crate::openbao::hunt_for;
use crate::support::{BINARY, eventually, items, outcome, settings_of, why_sealed};
use cloakroom_testkit::{Broker, BrokerBuilder, Issued, TestAuthority, TlsUpstream, Workload, echo, shaped};
use serde_json::Value;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Child, ChildStdout, Command, Stdio};

struct Service {
    child: Child,
    lines: BufReader<ChildStdout>,
    ready: Value,
}

impl Service {
    fn start(authority: &TestAuthority) -> Option<Self> {
        let clients = installed()?;
        let mut child = Command::new(clients.join("venv/bin/python"))
            .arg(script("kms.py"))
            .args(authority.leaf_files("kms", &["127.0.0.1"]))
            .arg(authority.file())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        lines.read_line(&mut line).unwrap();
        let ready = serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line:?}"));
        Some(Self { child, lines, ready })
    }

    fn text(&self, name: &str) -> &str {
        self.ready[name].as_str().unwrap()
    }

    fn does(&mut self, what: &str) {
        writeln!(self.child.stdin.as_mut().unwrap(), "{what}").unwrap();
        self.lines.read_line(&mut String::new()).unwrap();
    }

    fn settings(&self, authority: &TestAuthority, key: &str) -> String {
        format!(
            "[custody]\nkek = \"aws-kms\"\nask-every = \"200ms\"\n[custody.aws-kms]\nregion = \"eu-west-1\"\nkey = \"{key}\"\n\
             server = \"https://127.0.0.1:{}\"\ncredentials-file = {:?}\nallow-address = [\"127.0.0.0/8\"]\n",
            self.ready["port"],
            access_key(authority),
        )
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn access_key(authority: &TestAuthority) -> PathBuf {
    authority.directory().join("access-key")
}

fn write_access_key(authority: &TestAuthority, key: &str) {
    fs::write(access_key(authority), key).unwrap();
    fs::set_permissions(access_key(authority), fs::Permissions::from_mode(0o600)).unwrap();
}

struct Stage {
    broker: Broker,
    service: Service,
    upstream: TlsUpstream,
    authority: TestAuthority,
    robot: Workload,
    issued: Issued,
}

impl Stage {
    fn new() -> Option<Self> {
        let authority = TestAuthority::new();
        let service = Service::start(&authority)?;
        write_access_key(&authority, &service.ready["may"].to_string());
        fs::write(settings_of(&authority), service.settings(&authority, service.text("key"))).unwrap();
        let broker = BrokerBuilder::new(BINARY, &authority)
            .argument("--config")
            .argument(settings_of(&authority))
            .start();
        let upstream = TlsUpstream::start(&authority, echo);
        broker.deposit("c", "bearer", &[&upstream.url()], &shaped("sk_live_"));
        let robot = broker.workload("robot");
        let issued = broker.permit("c", "robot", &items(&upstream), &[]);
        Some(Self { broker, service, upstream, authority, robot, issued })
    }

    fn outcome(&self) -> String {
        outcome(&self.broker, &self.robot, &self.upstream, &self.issued)
    }

    fn eventually(&self, wanted: &str) {
        eventually(wanted, || (self.outcome() == wanted).then_some(()));
    }

    fn reason(&self) -> String {
        why_sealed(&self.broker)
    }

    /// Sealed for this reason, and no call goes out.
    fn is_sealed(&self, reason: &str) {
        self.eventually("broker-sealed");
        let calls = self.upstream.requests().len();
        for _ in 0..3 {
            assert_eq!(self.outcome(), "broker-sealed");
        }
        assert_eq!(self.upstream.requests().len(), calls);
        assert_eq!(self.reason(), reason);
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            let key = |user: &str| self.service.ready[user]["SecretAccessKey"].as_str().unwrap().to_owned();
            hunt_for(&self.broker, &[key("may"), key("may-not")]);
        }
    }
}

#[test]
fn t87_the_root_key_is_wrapped_by_kms_and_unwrapped_after_a_restart() {
    let Some(mut stage) = Stage::new() else { return };
    assert_eq!(stage.outcome(), "200");
    stage.broker.restart();
    assert_eq!(stage.outcome(), "200");
    let status = stage.broker.cli_json(&["custody", "status"]);
    assert_eq!(
        (status["state"].as_str(), status["kek"].as_str()),
        (Some("open"), Some("aws-kms")),
        "{status}"
    );
}

#[test]
fn kms_that_says_no_for_a_while_seals_the_broker_for_that_while() {
    let Some(mut stage) = Stage::new() else { return };
    for (takes, gives, reason) in [
        ("disable", "enable", "the key is disabled at AWS KMS"),
        ("throttle", "serve", "AWS KMS is busy"),
        ("forbid", "permit", "AWS KMS does not permit the broker to use the key"),
    ] {
        assert_eq!(stage.outcome(), "200");
        stage.service.does(takes);
        stage.is_sealed(reason);
        stage.service.does(gives);
        stage.eventually("200");
    }
}

#[test]
fn an_access_key_that_is_replaced_in_its_file_is_used_from_then_on() {
    let Some(stage) = Stage::new() else { return };
    assert_eq!(stage.outcome(), "200");
    write_access_key(&stage.authority, &stage.service.ready["may-not"].to_string());
    stage.is_sealed("AWS KMS does not permit the broker to use the key");
    let secret = stage.service.ready["may"]["SecretAccessKey"].as_str().unwrap();
    let forged = stage.service.ready["may"].to_string().replace(secret, &shaped("wrong-"));
    write_access_key(&stage.authority, &forged);
    eventually("the signature is refused", || {
        (stage.reason() == "AWS KMS does not take the access key").then_some(())
    });
    write_access_key(&stage.authority, &stage.service.ready["may"].to_string());
    stage.eventually("200");
}

#[test]
fn t87_another_context_or_another_key_opens_nothing_at_kms() {
    let Some(mut stage) = Stage::new() else { return };
    let file = stage.broker.data().join("keys/root.json");
    let right = fs::read_to_string(&file).unwrap();
    let id = serde_json::from_str::<Value>(&right).unwrap()["id"].as_str().unwrap().to_owned();
    stage.broker.stop();
    fs::write(&file, right.replace(&id, &"0".repeat(id.len()))).unwrap();
    stage.broker.launch();
    stage.is_sealed("what was wrapped does not open with this key of AWS KMS");
    stage.broker.stop();
    fs::write(&file, &right).unwrap();
    let settings = stage.service.settings(&stage.authority, stage.service.text("other"));
    fs::write(settings_of(&stage.authority), settings).unwrap();
    stage.broker.launch();
    stage.eventually("broker-sealed");
    stage.broker.stop();
    fs::write(
        settings_of(&stage.authority),
        stage.service.settings(&stage.authority, stage.service.text("key")),
    )
    .unwrap();
    stage.broker.launch();
    assert_eq!(stage.outcome(), "200");
}

#[test]
fn a_key_that_kms_does_not_have_lets_no_broker_begin() {
    let authority = TestAuthority::new();
    let Some(service) = Service::start(&authority) else { return };
    write_access_key(&authority, &service.ready["may"].to_string());
    fs::write(settings_of(&authority), service.settings(&authority, "alias/nowhere")).unwrap();
    let data = tempfile::tempdir().unwrap();
    let output = Command::new(BINARY)
        .args(["serve", "--listen", "127.0.0.1:0", "--console", "127.0.0.1:0", "--upstream-ca"])
        .arg(authority.file())
        .args([
            "--data".as_ref(),
            data.path().as_os_str(),
            "--config".as_ref(),
            settings_of(&authority).as_os_str(),
        ])
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && said.contains("AWS KMS has no such key"), "{said}");
}
