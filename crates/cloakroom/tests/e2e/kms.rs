//! The root key wrapped by AWS KMS, as moto plays it: it checks who signs, what they may do, and the encryption context.

use crate::moto::Moto;
use crate::provided::{Provided, Provider};
use crate::support::{BINARY, eventually, settings_of};
use cloakroom_testkit::{TestAuthority, shaped};
use serde_json::Value;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};

impl Provider for Moto {
    fn secrets(&self) -> Vec<String> {
        vec![self.secret("may"), self.secret("may-not")]
    }
}

type Stage = Provided<Moto>;

fn stage() -> Option<Stage> {
    let authority = TestAuthority::new();
    let service = Moto::start("kms.py", &authority)?;
    write_access_key(&authority, &service.access_key("may"));
    let settings = settings(&service, &authority, service.text("key"));
    Some(Stage::new(service, authority, &settings, |builder| builder))
}

fn settings(service: &Moto, authority: &TestAuthority, key: &str) -> String {
    format!(
        "[custody]\nkek = \"aws-kms\"\nask-every = \"200ms\"\n[custody.aws-kms]\nregion = \"eu-west-1\"\nkey = \"{key}\"\n\
         server = \"{}\"\ncredentials-file = {:?}\nallow-address = [\"127.0.0.0/8\"]\n",
        service.url(),
        access_key(authority),
    )
}

fn access_key(authority: &TestAuthority) -> PathBuf {
    authority.directory().join("access-key")
}

fn write_access_key(authority: &TestAuthority, key: &str) {
    fs::write(access_key(authority), key).unwrap();
    fs::set_permissions(access_key(authority), fs::Permissions::from_mode(0o600)).unwrap();
}

impl Stage {
    fn is_sealed(&self, reason: &str) {
        self.becomes_sealed();
        assert_eq!(self.reason(), reason);
    }

    /// The broker's settings name this key of the service's from now on.
    fn set_key(&self, name: &str) {
        let text = settings(&self.provider, &self.authority, self.provider.text(name));
        fs::write(settings_of(&self.authority), text).unwrap();
    }
}

#[test]
fn t87_the_root_key_is_wrapped_by_kms_and_unwrapped_after_a_restart() {
    let Some(mut stage) = stage() else { return };
    assert_eq!(stage.outcome(), "200");
    stage.broker.restart();
    assert_eq!(stage.outcome(), "200");
    assert_eq!(stage.status(), ("open".into(), "aws-kms".into()));
}

#[test]
fn kms_that_says_no_for_a_while_seals_the_broker_for_that_while() {
    let Some(mut stage) = stage() else { return };
    for (takes, gives, reason) in [
        ("disable", "enable", "the key is disabled at AWS KMS"),
        ("throttle", "serve", "AWS KMS is busy"),
        ("forbid", "permit", "AWS KMS does not permit the broker to use the key"),
    ] {
        assert_eq!(stage.outcome(), "200");
        stage.provider.does(takes);
        stage.is_sealed(reason);
        stage.provider.does(gives);
        stage.eventually("200");
    }
}

#[test]
fn an_access_key_that_is_replaced_in_its_file_is_used_from_then_on() {
    let Some(stage) = stage() else { return };
    assert_eq!(stage.outcome(), "200");
    write_access_key(&stage.authority, &stage.provider.access_key("may-not"));
    stage.is_sealed("AWS KMS does not permit the broker to use the key");
    let right = stage.provider.access_key("may");
    let forged = right.replace(&stage.provider.secret("may"), &shaped("wrong-"));
    write_access_key(&stage.authority, &forged);
    eventually("the signature is refused", || {
        (stage.reason() == "AWS KMS does not take the access key").then_some(())
    });
    write_access_key(&stage.authority, &right);
    stage.eventually("200");
}

#[test]
fn t87_another_context_or_another_key_opens_nothing_at_kms() {
    let Some(mut stage) = stage() else { return };
    let file = stage.broker.data().join("keys/root.json");
    let right = fs::read_to_string(&file).unwrap();
    let id = serde_json::from_str::<Value>(&right).unwrap()["id"].as_str().unwrap().to_owned();
    stage.broker.stop();
    fs::write(&file, right.replace(&id, &"0".repeat(id.len()))).unwrap();
    stage.broker.launch();
    stage.is_sealed("what was wrapped does not open with this key of AWS KMS");
    stage.broker.stop();
    fs::write(&file, &right).unwrap();
    stage.set_key("other");
    stage.broker.launch();
    stage.eventually("broker-sealed");
    stage.broker.stop();
    stage.set_key("key");
    stage.broker.launch();
    assert_eq!(stage.outcome(), "200");
}

#[test]
fn a_key_that_kms_does_not_have_lets_no_broker_begin() {
    let authority = TestAuthority::new();
    let Some(service) = Moto::start("kms.py", &authority) else { return };
    write_access_key(&authority, &service.access_key("may"));
    fs::write(settings_of(&authority), settings(&service, &authority, "alias/nowhere")).unwrap();
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
