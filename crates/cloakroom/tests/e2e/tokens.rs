//! The root key wrapped by a key that never leaves its PKCS#11 token: a real token, taken out and put in while the broker works.

use crate::provided::{Provided, Provider};
use crate::softhsm::{LABEL, MODULE, SoftHsm, pin, spy};
use crate::support::{BINARY, eventually, settings_of};
use cloakroom_testkit::{TestAuthority, shaped};
use std::path::Path;
use std::process::{Command, Output, Stdio};

type Stage = Provided<SoftHsm>;

/// The PIN is the canary, which every test hunts.
impl Provider for SoftHsm {}

fn stage(more: &str) -> Stage {
    through(Path::new(MODULE), more)
}

fn through(module: &Path, more: &str) -> Stage {
    let hsm = SoftHsm::new();
    let (conf, calls) = (hsm.settings().display().to_string(), hsm.spy_file().display().to_string());
    let settings = hsm.custody(module, more);
    Stage::new(hsm, TestAuthority::new(), &settings, |builder| {
        let builder = builder.variable("SOFTHSM2_CONF", &conf);
        builder.variable("PKCS11SPY", MODULE).variable("PKCS11SPY_OUTPUT", &calls)
    })
}

#[test]
fn t87_a_key_that_never_leaves_its_token_wraps_the_root_key_and_unwraps_it_after_a_restart() {
    for (mechanism, kind) in [("aes-gcm", "AES"), ("aes-key-wrap-pad", "AES"), ("rsa-oaep", "RSA")] {
        let mut stage = stage(&format!("create = true\nmechanism = \"{mechanism}\""));
        assert_eq!(stage.outcome(), "200", "{mechanism}");
        stage.broker.restart();
        assert_eq!(stage.outcome(), "200", "{mechanism}");
        let objects = stage.provider.objects();
        assert!(objects.contains("label:      cloakroom") && objects.contains(kind), "{objects}");
        // CKA_SENSITIVE is true and CKA_EXTRACTABLE false, and neither was ever otherwise.
        let access = objects.lines().filter(|line| line.contains("Access:"));
        let kept = access.filter(|line| {
            ["sensitive", "always sensitive", "never extractable", "local"]
                .iter()
                .all(|word| line.contains(word))
        });
        assert_eq!(kept.count(), 1, "{objects}");
        assert_eq!(stage.status(), ("open".into(), "pkcs11".into()));
    }
}

#[test]
fn t87_a_token_that_is_taken_out_seals_the_broker_and_it_opens_again_when_the_token_is_back() {
    let stage = stage("create = true");
    assert_eq!(stage.outcome(), "200");
    stage.provider.take_out("aside");
    stage.becomes_sealed();
    assert_eq!(stage.reason(), "the token is not there");
    stage.provider.put_in("aside");
    stage.eventually("200");
    stage.sealing_is_on_record();
    stage.broker.verify_journal();
}

#[test]
fn a_broker_whose_token_is_out_starts_sealed_and_opens_when_it_is_put_in() {
    let mut stage = stage("create = true");
    stage.broker.stop();
    stage.provider.take_out("aside");
    stage.broker.launch();
    assert_eq!(stage.outcome(), "broker-sealed");
    assert_eq!(stage.upstream.connections(), 0);
    stage.provider.put_in("aside");
    stage.eventually("200");
}

#[test]
fn t87_a_copy_of_the_data_directory_opens_nothing_with_another_token() {
    let mut stage = stage("create = true");
    assert_eq!(stage.outcome(), "200");
    let calls = stage.upstream.requests().len();
    stage.broker.stop();
    stage.provider.take_out("aside");
    // A token of the same label and PIN: first without a key, then with one of the same label.
    stage.provider.make_token();
    stage.broker.launch();
    assert_eq!(
        (stage.outcome().as_str(), stage.reason().as_str()),
        ("broker-sealed", "the token has no key of this label")
    );
    stage.broker.stop();
    stage.provider.pkcs11(&["--keygen", "--key-type", "AES:32", "--label", "cloakroom", "--sensitive"]);
    stage.broker.launch();
    assert_eq!(stage.outcome(), "broker-sealed");
    assert_eq!(stage.reason(), "what was wrapped does not open with the key in this token");
    assert_eq!(stage.upstream.requests().len(), calls);
    stage.broker.stop();
    stage.provider.put_in("aside");
    stage.broker.launch();
    assert_eq!(stage.outcome(), "200");
}

#[test]
fn a_wrong_pin_is_tried_once_and_never_again_before_a_person_has_acted() {
    let mut stage = through(&spy(), "create = true");
    assert_eq!(stage.outcome(), "200");
    stage.broker.stop();
    stage.provider.write_pin(&shaped("wrong-"));
    let before = stage.provider.logins();
    assert!(before > 0, "the spy sees logins");
    for _ in 0..3 {
        stage.broker.launch();
        assert_eq!(stage.outcome(), "broker-sealed");
        assert!(
            stage.reason().starts_with("the token refused the PIN, which is not tried again"),
            "{}",
            stage.reason()
        );
        let _ = stage.broker.run(&["custody", "unseal"]);
        stage.broker.stop();
    }
    assert_eq!(stage.provider.logins(), before + 1, "one try, over three starts and as many unseals");
    // The PIN is right again, and the mark is there still: a person has to remove it.
    stage.provider.write_pin(&pin());
    stage.broker.launch();
    assert_eq!((stage.outcome().as_str(), stage.provider.logins()), ("broker-sealed", before + 1));
    std::fs::remove_file(stage.broker.data().join("keys/pin-refused")).unwrap();
    stage.broker.cli(&["custody", "unseal"]);
    assert_eq!(stage.outcome(), "200");
}

/// `serve` on an empty data directory: how it ends.
fn first_start(hsm: &SoftHsm, authority: &TestAuthority, settings: &str) -> Output {
    std::fs::write(settings_of(authority), settings).unwrap();
    let data = tempfile::tempdir().unwrap();
    Command::new(BINARY)
        .args(["serve", "--listen", "127.0.0.1:0", "--console", "127.0.0.1:0", "--data"])
        .arg(data.path())
        .arg("--config")
        .arg(settings_of(authority))
        .env("SOFTHSM2_CONF", hsm.settings())
        .env("NO_COLOR", "1")
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

#[test]
fn a_token_one_step_wrong_lets_no_broker_begin() {
    let (hsm, authority) = (SoftHsm::new(), TestAuthority::new());
    let complaint = |settings: &str| {
        let output = first_start(&hsm, &authority, settings);
        assert!(!output.status.success());
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!said.contains(&pin()) && cloakroom_testkit::hunt(&output.stderr).is_empty(), "{said}");
        said
    };
    let module = Path::new(MODULE);
    for (settings, words) in [
        (hsm.custody(module, ""), "no key of this label"),
        (hsm.custody(Path::new("/nowhere/module.so"), "create = true"), "cannot be loaded"),
        (hsm.custody(Path::new(BINARY), "create = true"), "cannot be loaded"),
        (hsm.custody(module, "create = true").replace(LABEL, "attic"), "the token is not there"),
        (hsm.custody(module, "create = true").replace("pin\"", "none\""), "file with the PIN"),
    ] {
        let said = complaint(&settings);
        assert!(said.contains(words), "{words}: {said}");
    }
    hsm.pkcs11(&["--keygen", "--key-type", "AES:32", "--label", "loose", "--sensitive", "--extractable"]);
    let said = complaint(&hsm.custody(module, "key = \"loose\"\ncreate = true"));
    assert!(said.contains("can be taken out of the token"), "{said}");
    hsm.pkcs11(&["--keygen", "--key-type", "AES:32", "--label", "open"]);
    let said = complaint(&hsm.custody(module, "key = \"open\"\ncreate = true"));
    assert!(said.contains("can be taken out of the token"), "{said}");
    for _ in 0..2 {
        hsm.pkcs11(&["--keygen", "--key-type", "AES:32", "--label", "twins", "--sensitive"]);
    }
    let said = complaint(&hsm.custody(module, "key = \"twins\""));
    assert!(said.contains("more than one key"), "{said}");
}

#[test]
fn what_reaches_the_token_holds_no_listener_and_ends_with_its_broker() {
    let mut stage = stage("create = true");
    let children = |pid: u32| -> Vec<u32> {
        let text = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
        text.split_whitespace().map(|pid| pid.parse().unwrap()).collect()
    };
    let of_broker = |pid: u32| -> Option<u32> {
        let all = std::fs::read_dir("/proc").unwrap().flatten();
        let keeper = |entry: &std::fs::DirEntry| {
            let status = std::fs::read_to_string(entry.path().join("status")).unwrap_or_default();
            let line = std::fs::read(entry.path().join("cmdline")).unwrap_or_default();
            status.contains(&format!("PPid:\t{pid}\n")) && line.windows(5).any(|word| word == b"\0keep")
        };
        all.filter(keeper).find_map(|entry| entry.file_name().to_str()?.parse().ok())
    };
    let keeper = of_broker(stage.broker.pid()).expect("no keeper");
    assert!(children(keeper).len() <= 1, "no worker outlives its question");
    let maps = std::fs::read_to_string(format!("/proc/{}/maps", stage.broker.pid())).unwrap();
    assert!(!maps.contains("softhsm"), "the vendor's code is not in the broker");
    let sockets: Vec<String> = std::fs::read_dir(format!("/proc/{keeper}/fd"))
        .unwrap()
        .flatten()
        .filter_map(|entry| Some(std::fs::read_link(entry.path()).ok()?.display().to_string()))
        .filter(|target| target.starts_with("socket:"))
        .collect();
    let listening = std::fs::read_to_string("/proc/net/tcp").unwrap();
    for socket in &sockets {
        let inode = socket.trim_start_matches("socket:[").trim_end_matches(']');
        assert!(!listening.split_whitespace().any(|word| word == inode), "{sockets:?}");
    }
    let gone = || (!Path::new(&format!("/proc/{keeper}")).exists()).then_some(());
    stage.broker.kill();
    eventually("the keeper ends with its broker", gone);
}
