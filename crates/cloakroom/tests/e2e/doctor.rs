//! `cloakroom doctor`: each thing broken once, and told with a remedy; and what it says of the trust of runtimes is what those runtimes do.

use crate::clients::installed;
use crate::disks::Disk;
use crate::support::{BINARY, items, settings_of, setup};
use cloakroom_testkit::{Broker, BrokerBuilder, Setup, TestAuthority, TlsUpstream, echo, shaped};
use serde_json::Value;
use std::net::UdpSocket;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, SystemTime};

/// A server for names that answers every question with itself: what is asked is whether anybody answers.
fn name_server() -> String {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let at = socket.local_addr().unwrap().to_string();
    std::thread::spawn(move || {
        let mut bytes = [0; 512];
        while let Ok((length, from)) = socket.recv_from(&mut bytes) {
            let _ = socket.send_to(&bytes[..length], from);
        }
    });
    at
}

/// A settings file that names this server.
fn settings(directory: &Path, resolver: &str) -> PathBuf {
    let file = directory.join("doctor.toml");
    std::fs::write(&file, format!("[upstream]\nresolvers = [\"{resolver}\"]\n")).unwrap();
    file
}

/// What it found of one thing: how it stands, in which words, and what to do.
#[derive(Debug)]
struct Told {
    code: Option<i32>,
    findings: Vec<Value>,
}

impl Told {
    fn of(&self, check: &str) -> (&str, &str, &str) {
        let found = self.findings.iter().find(|finding| finding["check"] == check);
        let found = found.unwrap_or_else(|| panic!("{check} was not looked at: {self:#?}"));
        let text = |key: &str| found[key].as_str().unwrap_or_default();
        (text("standing"), text("found"), text("remedy"))
    }

    /// Broken, said in these words, and with a remedy; the command says so by its end.
    fn assert_broken(&self, check: &str, words: &str) {
        let (standing, found, remedy) = self.of(check);
        assert_eq!(standing, "broken", "{check}: {self:#?}");
        assert!(found.contains(words) && !remedy.is_empty(), "{check}: {found} / {remedy}");
        assert_eq!(self.code, Some(1));
    }
}

fn doctor(broker: &Broker, resolver: &str, more: &[&str]) -> Told {
    let directory = tempfile::tempdir().unwrap();
    let settings = settings(directory.path(), resolver);
    let words = [&["doctor", "--json", "--config", settings.to_str().unwrap()][..], more].concat();
    let answer = broker.run(&words);
    Told { code: answer.status.code(), findings: answer.json()["findings"].as_array().unwrap().clone() }
}

#[test]
fn where_nothing_is_broken_the_doctor_says_so_and_what_could_be_better() {
    let Setup { broker, .. } = setup();
    let told = doctor(&broker, &name_server(), &[]);
    let broken: Vec<&Value> =
        told.findings.iter().filter(|finding| finding["standing"] == "broken").collect();
    assert!(broken.is_empty() && told.code == Some(0), "{broken:#?}");
    for check in ["file permissions", "disk space", "broker", "clock", "names (DNS)", "locked memory"] {
        assert_eq!(told.of(check).0, "good", "{check}: {told:#?}");
    }
    for check in ["confinement: memory", "confinement: files", "confinement: calls"] {
        assert_eq!(told.of(check).0, "good", "{check}: {told:#?}");
    }
    let (standing, _, remedy) = told.of("key-encryption key");
    assert!(standing == "weak" && remedy.contains("custody.kek"), "{told:#?}");
    assert_eq!(told.of("egress lock").0, "note");
    assert_eq!(told.of("isolation").0, "note");
    // The same for people.
    let said = broker.run(&["doctor"]).stdout;
    assert!(said.contains("key-encryption key") && said.contains("WEAK"), "{said}");
}

#[test]
fn a_broker_that_does_not_run_and_a_directory_that_is_none_are_told() {
    let Setup { mut broker, .. } = setup();
    broker.stop();
    doctor(&broker, &name_server(), &[]).assert_broken("broker", "no broker answers");
    let nowhere =
        Command::new(BINARY).args(["doctor", "--json", "--data", "/nonexistent/cloakroom"]).output().unwrap();
    let findings: Value = serde_json::from_slice(&nowhere.stdout).unwrap();
    let told =
        Told { code: nowhere.status.code(), findings: findings["findings"].as_array().unwrap().clone() };
    told.assert_broken("data directory", "there is no /nonexistent/cloakroom");
}

#[test]
fn a_file_that_others_can_read_and_one_of_another_user_are_told() {
    use std::os::unix::fs::{PermissionsExt, chown};
    let Setup { broker, .. } = setup();
    let key = broker.data().join("keys/kek");
    std::fs::set_permissions(&key, PermissionsExt::from_mode(0o640)).unwrap();
    doctor(&broker, &name_server(), &[]).assert_broken("file permissions", "keys/kek is open to others");
    std::fs::set_permissions(&key, PermissionsExt::from_mode(0o600)).unwrap();
    if rustix::process::geteuid().is_root() {
        chown(broker.data().join("ca.key"), Some(65534), None).unwrap();
        doctor(&broker, &name_server(), &[])
            .assert_broken("file permissions", "ca.key belongs to another user");
        chown(broker.data().join("ca.key"), Some(0), None).unwrap();
    }
    assert_eq!(doctor(&broker, &name_server(), &[]).of("file permissions").0, "good");
}

#[test]
fn a_clock_that_is_behind_the_journal_is_told() {
    let Setup { broker, .. } = setup();
    let segment = std::fs::read_dir(broker.data().join("journal")).unwrap().flatten().next().unwrap();
    let file = std::fs::File::options().append(true).open(segment.path()).unwrap();
    let was = file.metadata().unwrap().modified().unwrap();
    file.set_modified(SystemTime::now() + Duration::from_secs(3600)).unwrap();
    doctor(&broker, &name_server(), &[]).assert_broken("clock", "it is behind");
    file.set_modified(was).unwrap();
}

#[test]
fn a_name_server_that_does_not_answer_is_told_and_so_are_settings_that_cannot_be_read() {
    let Setup { broker, .. } = setup();
    let silent = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    doctor(&broker, &silent, &[]).assert_broken("names (DNS)", &format!("no answer from {silent}"));
    let answer = broker.run(&["doctor", "--json", "--config", "/nonexistent.toml"]);
    let told =
        Told { code: answer.status.code(), findings: answer.json()["findings"].as_array().unwrap().clone() };
    told.assert_broken("names (DNS)", "cannot read /nonexistent.toml");
}

#[test]
fn a_disk_without_room_is_told() {
    let Some(disk) = Disk::tmpfs("2m") else { return };
    let output = Command::new(BINARY).args(["doctor", "--json", "--data"]).arg(disk.at()).output().unwrap();
    let findings: Value = serde_json::from_slice(&output.stdout).unwrap();
    let told =
        Told { code: output.status.code(), findings: findings["findings"].as_array().unwrap().clone() };
    told.assert_broken("disk space", "MiB and");
}

#[test]
fn a_lock_that_is_required_and_not_proved_is_told() {
    let Setup { mut broker, authority: _kept, .. } = setup();
    broker.stop();
    broker.launch_with(&["--require-lock", "robot"]);
    doctor(&broker, &name_server(), &[])
        .assert_broken("egress lock", "lock robot is required and was not proved");
}

#[test]
fn approvals_that_do_not_verify_are_told() {
    let Setup { mut broker, authority, .. } = setup();
    let upstream = TlsUpstream::start(&authority, echo);
    broker.deposit("c", "bearer", &[&upstream.url()], &shaped("sk_live_"));
    let issued = broker.permit("c", "robot", &items(&upstream), &[]);
    broker.stop();
    broker.tamper(
        "UPDATE placeholder SET policy = replace(policy, 'items', 'users') WHERE id = ?1",
        [&issued.id],
    );
    broker.launch();
    doctor(&broker, &name_server(), &[]).assert_broken("broker", "do not verify");
}

#[test]
fn a_layer_that_is_off_and_secrets_that_cannot_be_locked_into_memory_are_weak() {
    let authority = TestAuthority::new();
    let file = settings_of(&authority);
    std::fs::write(&file, "[process.unconfined]\nfiles = \"a test\"\n").unwrap();
    let broker = BrokerBuilder::new(BINARY, &authority).argument("--config").argument(file).start();
    let told = doctor(&broker, &name_server(), &[]);
    let (standing, found, remedy) = told.of("confinement: files");
    assert_eq!((standing, found), ("weak", "off: a test"));
    assert!(remedy.contains("[process.unconfined]"));
}

#[test]
fn programs_that_are_not_there_leave_rungs_out() {
    let Setup { broker, .. } = setup();
    let output = Command::new(BINARY)
        .args(["doctor", "--json"])
        .env("CLOAKROOM_DATA", broker.data())
        .env("PATH", "/nonexistent")
        .output()
        .unwrap();
    let findings: Value = serde_json::from_slice(&output.stdout).unwrap();
    let told =
        Told { code: output.status.code(), findings: findings["findings"].as_array().unwrap().clone() };
    let (standing, found, remedy) = told.of("rung: namespaces");
    assert!(
        standing == "note" && found.contains("no bubblewrap") && remedy.contains("bubblewrap"),
        "{told:#?}"
    );
    assert!(
        told.findings.iter().all(|finding| finding["check"] != "trust: curl"),
        "what is not installed is not asked"
    );
}

/// A runtime, what makes it fetch a URL (a success if it believes who answers), and the variables that tell it.
struct Runtime {
    name: &'static str,
    program: PathBuf,
    arguments: Vec<String>,
    tells: &'static [&'static str],
}

fn runtimes(clients: &Path, url: &str, authority: &str) -> Vec<Runtime> {
    let python = clients.join("venv/bin/python");
    let fetch = |module: &str| {
        vec!["-c".into(), format!("import {module}; {module}.get('{url}').raise_for_status()")]
    };
    let node = format!("fetch('{url}').then(r => process.exit(r.ok ? 0 : 1), () => process.exit(1))");
    vec![
        Runtime {
            name: "OpenSSL",
            program: "openssl".into(),
            arguments: ["s_client", "-verify_return_error", "-brief", "-connect", authority]
                .map(str::to_owned)
                .into(),
            tells: &["SSL_CERT_FILE"],
        },
        Runtime {
            name: "curl",
            program: "curl".into(),
            arguments: ["-q", "-sSf", url].map(str::to_owned).into(),
            tells: &["CURL_CA_BUNDLE", "SSL_CERT_FILE"],
        },
        Runtime {
            name: "Python requests",
            program: python.clone(),
            arguments: fetch("requests"),
            tells: &["REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"],
        },
        Runtime {
            name: "Python httpx",
            program: python,
            arguments: fetch("httpx"),
            tells: &["SSL_CERT_FILE"],
        },
        Runtime {
            name: "Node",
            program: "node".into(),
            arguments: vec!["-e".into(), node],
            tells: &["NODE_EXTRA_CA_CERTS"],
        },
    ]
}

/// Every variable that tells any of them; a run begins without.
const TOLD: [&str; 9] = [
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "CURL_CA_BUNDLE",
    "REQUESTS_CA_BUNDLE",
    "NODE_EXTRA_CA_CERTS",
    "GIT_SSL_CAINFO",
    "GIT_SSL_CAPATH",
    "JAVA_TOOL_OPTIONS",
    "NODE_OPTIONS",
];

fn untold(program: &Path) -> Command {
    let mut command = Command::new(program);
    for name in TOLD {
        command.env_remove(name);
    }
    for name in ["http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "all_proxy"] {
        command.env_remove(name);
    }
    command.env("NO_PROXY", "*");
    command
}

#[test]
fn what_is_said_of_a_runtimes_trust_is_what_the_runtime_does() {
    let Some(clients) = installed() else { return };
    let authority = TestAuthority::new();
    let file = settings_of(&authority);
    std::fs::write(&file, "[listen.tls]\ncertificate = \"own\"\n").unwrap();
    let broker = BrokerBuilder::new(BINARY, &authority).argument("--config").argument(file).start();
    let (ca, stranger) = (broker.ca_file(), authority.file());
    let (ca, stranger) = (ca.to_str().unwrap(), stranger.to_str().unwrap());
    let url = format!("https://{}/.cloakroom/health", broker.listen());
    for runtime in runtimes(&clients, &url, &broker.listen().to_string()) {
        let mut cases: Vec<Vec<(&str, &str)>> = vec![vec![]];
        cases.extend(runtime.tells.iter().flat_map(|name| [vec![(*name, ca)], vec![(*name, stranger)]]));
        for case in cases {
            let fetched = untold(&runtime.program)
                .args(&runtime.arguments)
                .envs(case.clone())
                .stdin(Stdio::null())
                .output()
                .unwrap();
            let mut look = untold(Path::new(BINARY));
            look.args(["doctor", "--as-workload", "--json", "--ca", ca]).envs(case.clone());
            let output = look.env("CLOAKROOM_DATA", broker.data()).output().unwrap();
            let findings: Value = serde_json::from_slice(&output.stdout).unwrap();
            let told = Told {
                code: output.status.code(),
                findings: findings["findings"].as_array().unwrap().clone(),
            };
            let check = format!("trust: {}", runtime.name);
            let (standing, found, remedy) = told.of(&check);
            let expected = case.iter().any(|(_, file)| *file == ca);
            assert_eq!(fetched.status.success(), expected, "{} {case:?}: {fetched:?}", runtime.name);
            assert_eq!(
                standing,
                if expected { "good" } else { "broken" },
                "{} {case:?}: {found}",
                runtime.name
            );
            assert!(expected || remedy.contains(ca), "{remedy}");
        }
    }
}

#[test]
fn a_key_store_that_has_the_authority_is_believed_and_one_that_has_not_is_told() {
    let Setup { broker, .. } = setup();
    let directory = tempfile::tempdir().unwrap();
    let ca = broker.ca_file();
    let der = directory.path().join("ca.der");
    let converted = Command::new("openssl")
        .args(["x509", "-outform", "DER", "-in"])
        .arg(&ca)
        .arg("-out")
        .arg(&der)
        .output()
        .unwrap();
    assert!(converted.status.success(), "{converted:?}");
    // As a key store has it: among other bytes.
    let (with, without) = (directory.path().join("with.jks"), directory.path().join("without.jks"));
    std::fs::write(&with, [&[0xfe, 0xed, 0xfe, 0xed][..], &std::fs::read(&der).unwrap(), &[0; 20]].concat())
        .unwrap();
    std::fs::write(&without, [0xfe, 0xed, 0xfe, 0xed]).unwrap();
    if !Path::new("/usr/bin/java").exists() {
        return;
    }
    for (store, standing) in [(with, "good"), (without, "broken")] {
        let mut look = untold(Path::new(BINARY));
        look.args(["doctor", "--as-workload", "--json"]).env("CLOAKROOM_DATA", broker.data());
        let output = look
            .env("JAVA_TOOL_OPTIONS", format!("-Djavax.net.ssl.trustStore={}", store.display()))
            .output()
            .unwrap();
        let findings: Value = serde_json::from_slice(&output.stdout).unwrap();
        let told =
            Told { code: output.status.code(), findings: findings["findings"].as_array().unwrap().clone() };
        assert_eq!(told.of("trust: Java").0, standing);
    }
}
