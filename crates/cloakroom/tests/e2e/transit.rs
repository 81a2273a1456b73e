//! The root key wrapped by the transit engine of a real OpenBao server: sealed, forbidden, rotated, stopped.

use crate::openbao::OpenBao;
use crate::provided::{Provided, Provider};
use crate::support::eventually;
use cloakroom_testkit::{TestAuthority, shaped};
use serde_json::{Value, json};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

type Stage = Provided<OpenBao>;

impl Provider for OpenBao {
    fn secrets(&self) -> Vec<String> {
        self.handed_out()
    }
}

const MAY: [(&str, &str); 3] = [
    ("transit/encrypt/cloakroom", "update"),
    ("transit/decrypt/cloakroom", "update"),
    ("transit/keys/cloakroom", "read"),
];

fn private(path: &Path, text: &str) {
    fs::write(path, text).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
}

fn secret_file(authority: &TestAuthority) -> PathBuf {
    authority.directory().join("lets-in")
}

fn settings(server: &OpenBao, authority: &TestAuthority, more: &str) -> String {
    format!(
        "[custody]\nkek = \"transit\"\nask-every = \"200ms\"\n[custody.transit]\nserver = \"{}\"\nsecret-file = {:?}\n\
         allow-address = [\"127.0.0.0/8\"]\n{more}\n",
        server.url(),
        secret_file(authority),
    )
}

/// `more` gives more of the settings, and what lets the broker in.
fn stage(more: impl FnOnce(&OpenBao) -> (String, String)) -> Option<Stage> {
    let authority = TestAuthority::new();
    let server = OpenBao::start_for(&authority)?;
    server.set("sys/mounts/transit", json!({ "type": "transit" }));
    server.set("transit/keys/cloakroom", json!({ "type": "aes256-gcm96" }));
    server.policy(&MAY);
    let (more, secret) = more(&server);
    private(&secret_file(&authority), &secret);
    let settings = settings(&server, &authority, &more);
    Some(Stage::new(server, authority, &settings, |builder| builder))
}

fn with_token() -> Option<Stage> {
    stage(|server| (String::new(), server.token("login-")))
}

impl Stage {
    fn root_file(&self) -> PathBuf {
        self.broker.data().join("keys/root.json")
    }

    /// What the server gave for the root key.
    fn wrapped(&self) -> String {
        let file: Value = serde_json::from_slice(&fs::read(self.root_file()).unwrap()).unwrap();
        let text = file["roots"][0]["wrapped"].as_str().unwrap();
        String::from_utf8(base64(text)).unwrap()
    }
}

fn base64(text: &str) -> Vec<u8> {
    use ::base64::Engine;
    ::base64::engine::general_purpose::STANDARD.decode(text).unwrap()
}

#[test]
fn t87_the_root_key_is_wrapped_by_the_server_and_unwrapped_after_a_restart() {
    let Some(mut stage) = with_token() else { return };
    assert_eq!(stage.outcome(), "200");
    stage.broker.restart();
    assert_eq!(stage.outcome(), "200");
    assert!(stage.wrapped().starts_with("vault:v1:"), "{}", stage.wrapped());
    assert!(stage.provider.count("update transit/decrypt/cloakroom") > 0);
    // The server, asked as root, opens it for the directory's own context only: and that key is nowhere in the directory.
    let file: Value = serde_json::from_slice(&fs::read(stage.root_file()).unwrap()).unwrap();
    let context = |version: u32| {
        use ::base64::Engine;
        let text = format!("cloakroom root v1 {} {version}", file["id"].as_str().unwrap());
        ::base64::engine::general_purpose::STANDARD.encode(text)
    };
    let ask = |context: String| {
        let body = json!({ "ciphertext": stage.wrapped(), "associated_data": context });
        stage.provider.ask("POST", "transit/decrypt/cloakroom", Some(body))
    };
    let (status, opened) = ask(context(1));
    assert_eq!(status, 200, "{opened}");
    assert_eq!(ask(context(2)).0, 400, "one step wrong");
    let key = opened["data"]["plaintext"].as_str().unwrap();
    let raw = base64(key);
    assert_eq!(raw.len(), 32);
    let mut directories = vec![stage.broker.data().to_path_buf()];
    while let Some(directory) = directories.pop() {
        for entry in fs::read_dir(directory).unwrap().flatten() {
            if entry.file_type().unwrap().is_dir() {
                directories.push(entry.path());
            } else if let Ok(bytes) = fs::read(entry.path()) {
                let found = |needle: &[u8]| bytes.windows(needle.len()).any(|window| window == needle);
                assert!(
                    !found(&raw) && !found(key.as_bytes()),
                    "the root key is in {}",
                    entry.path().display()
                );
            }
        }
    }
}

#[test]
fn a_server_that_is_sealed_seals_the_broker_until_it_is_unsealed() {
    let Some(stage) = with_token() else { return };
    assert_eq!(stage.outcome(), "200");
    stage.provider.seal();
    stage.becomes_sealed();
    assert_eq!(stage.reason(), "the server is sealed, busy or not available");
    stage.provider.unseal();
    stage.eventually("200");
    stage.sealing_is_on_record();
}

#[test]
fn a_policy_that_is_taken_away_seals_the_broker_until_it_is_given_back() {
    let Some(stage) = with_token() else { return };
    assert_eq!(stage.outcome(), "200");
    stage.provider.policy(&[("transit/keys/cloakroom", "read")]);
    stage.becomes_sealed();
    assert_eq!(stage.reason(), "the server does not permit the broker to use the key");
    stage.provider.policy(&MAY);
    stage.eventually("200");
}

#[test]
fn a_login_that_is_revoked_seals_the_broker_until_another_is_in_the_file() {
    let Some(stage) = with_token() else { return };
    assert_eq!(stage.outcome(), "200");
    stage.provider.set("auth/token/revoke", json!({ "token": shaped("login-") }));
    stage.becomes_sealed();
    private(&secret_file(&stage.authority), &stage.provider.token("second-"));
    stage.eventually("200");
}

#[test]
fn a_role_lets_the_broker_in_anew_when_its_login_ends() {
    let lets_in = |server: &OpenBao| {
        let role = server.app_role("6s");
        (format!("login = \"approle\"\nlogin-role = \"{role}\""), shaped("secret-id-"))
    };
    let Some(stage) = stage(lets_in) else { return };
    assert_eq!(stage.outcome(), "200");
    eventually("the second login", || (stage.provider.count("update auth/approle/login") >= 2).then_some(()));
    assert_eq!(stage.outcome(), "200");
}

#[test]
fn a_key_that_is_rotated_wraps_the_root_key_anew_so_that_its_older_versions_can_be_retired() {
    let Some(mut stage) = with_token() else { return };
    assert_eq!(stage.outcome(), "200");
    let old = fs::read(stage.root_file()).unwrap();
    stage.provider.set("transit/keys/cloakroom/rotate", json!({}));
    eventually("the second version", || stage.wrapped().starts_with("vault:v2:").then_some(()));
    stage.provider.set("transit/keys/cloakroom/config", json!({ "min_decryption_version": 2 }));
    stage.broker.restart();
    assert_eq!(stage.outcome(), "200");
    // One step wrong: a copy from before the rotation.
    stage.broker.stop();
    fs::write(stage.root_file(), old).unwrap();
    stage.broker.launch();
    stage.stays_sealed();
    assert!(stage.reason().contains("min_decryption_version"), "{}", stage.reason());
}

#[test]
fn a_broker_that_may_not_read_the_key_s_versions_goes_on_without_rewrapping() {
    let Some(stage) = with_token() else { return };
    stage.provider.policy(&MAY[..2]);
    stage.provider.set("transit/keys/cloakroom/rotate", json!({}));
    let asked = stage.provider.count("update transit/decrypt/cloakroom");
    eventually("some looks", || {
        (stage.provider.count("update transit/decrypt/cloakroom") > asked + 3).then_some(())
    });
    assert_eq!(stage.outcome(), "200");
    assert!(stage.wrapped().starts_with("vault:v1:"));
}

#[test]
fn a_server_that_died_seals_the_broker_and_nothing_falls_open() {
    let Some(mut stage) = with_token() else { return };
    assert_eq!(stage.outcome(), "200");
    stage.provider.stop();
    stage.becomes_sealed();
    stage.broker.restart();
    stage.stays_sealed();
    assert_eq!(stage.reason(), "the server could not be reached, or its answer broke off");
}

#[test]
fn a_wrapped_root_key_of_another_directory_does_not_open() {
    let Some(mut stage) = with_token() else { return };
    stage.broker.stop();
    let mut file: Value = serde_json::from_slice(&fs::read(stage.root_file()).unwrap()).unwrap();
    let right = file.clone();
    file["id"] = "00000000000000000000000000000000".into();
    private(&stage.root_file(), &file.to_string());
    stage.broker.launch();
    stage.stays_sealed();
    assert!(stage.reason().contains("does not open"), "{}", stage.reason());
    private(&stage.root_file(), &right.to_string());
    stage.broker.cli(&["custody", "unseal"]);
    assert_eq!(stage.outcome(), "200");
}
