//! A data directory in the hands of a thief who did not get the key-encryption key: what systemd handed over, which is not in it.

use crate::support::{BINARY, item, items, settings_of};
use cloakroom_testkit::{
    Broker, BrokerBuilder, TestAuthority, TlsUpstream, Way, Workload, echo, hunt, shaped,
};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// A broker whose key lies elsewhere.
fn furnished(authority: &TestAuthority, elsewhere: &Path) -> Broker {
    let key = elsewhere.join("cloakroom-kek");
    std::fs::write(&key, [7; 32]).unwrap();
    std::fs::set_permissions(&key, PermissionsExt::from_mode(0o400)).unwrap();
    let settings = settings_of(authority);
    std::fs::write(&settings, "[custody]\nkek = \"systemd\"\n").unwrap();
    let builder = BrokerBuilder::new(BINARY, authority).argument("--config").argument(settings);
    builder.variable("CREDENTIALS_DIRECTORY", elsewhere.to_str().unwrap()).start()
}

fn files(directory: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(directory).unwrap().flatten() {
        match entry.file_type().unwrap() {
            kind if kind.is_dir() => found.extend(files(&entry.path())),
            kind if kind.is_file() => found.push((entry.path(), std::fs::read(entry.path()).unwrap())),
            _ => {}
        }
    }
    found
}

/// Everything that leaves a trace: deposits of several kinds, one rotated, one removed; calls that went out and were refused; a claim code.
fn live(broker: &Broker, robot: &Workload, upstream: &TlsUpstream) -> Vec<String> {
    for kind in ["bearer", "basic", "header", "cookie", "query", "form"] {
        broker.deposit(&format!("of-kind-{kind}"), kind, &[&upstream.url()], &shaped("sk_live_"));
    }
    let rotated = broker.run_with(&["credential", "rotate", "of-kind-bearer"], &shaped("sk_live_new_"));
    assert!(rotated.status.success(), "{rotated:?}");
    broker.cli(&["credential", "remove", "of-kind-cookie"]);
    let issued = broker.permit("of-kind-bearer", "robot", &items(upstream), &["--uses", "5"]);
    assert_eq!(broker.call(Way::Absolute, Some(robot), &item(upstream, "1", &issued.text)).status, 200);
    let mut wrong = item(upstream, "1", &issued.text);
    wrong.target = "/v1/elsewhere".into();
    assert_eq!(broker.call(Way::Absolute, Some(robot), &wrong).status, 403);
    vec![issued.text, robot.key.clone()]
}

#[test]
fn t87_a_data_directory_without_its_key_shows_no_secret_in_any_encoding_and_no_placeholder() {
    let (authority, elsewhere) = (TestAuthority::new(), tempfile::tempdir().unwrap());
    let mut broker = furnished(&authority, elsewhere.path());
    let upstream = TlsUpstream::start(&authority, echo);
    let robot = broker.workload("robot");
    let held = live(&broker, &robot, &upstream);
    // Stolen from under the running broker, with the log that the database has not taken in; then after a crash; then in peace.
    let mut thefts = vec![files(broker.data())];
    broker.kill();
    thefts.push(files(broker.data()));
    broker.launch();
    broker.stop();
    thefts.push(files(broker.data()));
    for theft in &thefts {
        assert!(theft.len() > 8, "{theft:?}");
        for (path, bytes) in theft {
            assert_eq!(hunt(bytes), [], "{}", path.display());
            for text in &held {
                // What a workload holds is kept as a keyed hash only; `ca.pem` and its like cannot have it by chance.
                let has = memchr::memmem::find(bytes, text.as_bytes()).is_some();
                assert!(!has, "{} holds what only the workload should", path.display());
            }
            assert_ne!(bytes.as_slice(), [7; 32], "{}", path.display());
        }
    }
    // What SECURITY.md says can be read, can: the hunt looked at the right files.
    let database = &thefts[2].iter().find(|(path, _)| path.ends_with("cloakroom.db")).unwrap().1;
    for name in ["of-kind-bearer", "robot", &upstream.authority()] {
        assert!(memchr::memmem::find(database, name.as_bytes()).is_some(), "{name}");
    }
}

#[test]
fn t87_a_thief_who_starts_a_broker_on_it_gets_nothing_open() {
    let (authority, elsewhere) = (TestAuthority::new(), tempfile::tempdir().unwrap());
    let mut broker = furnished(&authority, elsewhere.path());
    broker.deposit("c", "bearer", &["https://api.example.com"], &shaped("sk_live_"));
    broker.stop();
    let (stolen, own) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    for (path, bytes) in files(broker.data()) {
        let to = stolen.path().join(path.strip_prefix(broker.data()).unwrap());
        std::fs::create_dir_all(to.parent().unwrap()).unwrap();
        std::fs::write(&to, bytes).unwrap();
        std::fs::set_permissions(&to, PermissionsExt::from_mode(0o600)).unwrap();
    }
    let key = own.path().join("cloakroom-kek");
    std::fs::write(&key, [8; 32]).unwrap();
    std::fs::set_permissions(&key, PermissionsExt::from_mode(0o400)).unwrap();
    let mut serve = std::process::Command::new(BINARY);
    serve
        .args(["serve", "--listen", "127.0.0.1:0", "--console", "127.0.0.1:0", "--config"])
        .arg(settings_of(&authority));
    serve.env("CLOAKROOM_DATA", stolen.path()).env("CREDENTIALS_DIRECTORY", own.path());
    let output = serve.output().unwrap();
    assert!(!output.status.success(), "{output:?}");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("is not the key that this data directory was made with"), "{said}");
}
