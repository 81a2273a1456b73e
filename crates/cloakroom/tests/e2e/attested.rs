//! A machine whose TPM vouches for its drop-off key: whoever seals a secret can insist on a known image.

use crate::drop_off::{Elsewhere, hand_in};
use crate::support::{BINARY, settings_of};
use aws_lc_rs::digest::{SHA256, digest};
use cloakroom_testkit::{Answer, Broker, BrokerBuilder, CANARY, Swtpm, TestAuthority};
use cloakroom_tpm::{Address, Tpm};
use serde_json::{Value, json};
use std::path::Path;

/// What `image build` writes of a machine with one program, and a kernel that says this of itself.
fn manifest(program: &str) -> Value {
    json!({
        "version": 1, "program": "cloakroom", "kernel_notes": "ab", "files": {},
        "root": { "/dev": { "mode": "d0755" }, "/init": { "mode": "-0555", "bytes": 1, "sha256": program } },
    })
}

pub(crate) fn sha(parts: &[&[u8]]) -> [u8; 32] {
    digest(&SHA256, &parts.concat()).as_ref().try_into().unwrap()
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    cloakroom_model::hexadecimal(bytes)
}

/// As such a machine measures itself when it starts, started with what this machine was started with.
fn start(swtpm: &Swtpm, program: &str) {
    let line = std::fs::read_to_string("/proc/cmdline").unwrap();
    let mut tpm = Tpm::open(&Address::Socket(swtpm.address())).unwrap();
    for (label, what) in [
        ("cloakroom kernel v1", "ab".to_owned()),
        ("cloakroom root v1", format!("0555 {program} /init\n")),
        ("cloakroom command line v1", line.trim_end_matches('\n').to_owned()),
    ] {
        tpm.extend(11, &sha(&[label.as_bytes(), what.as_bytes()])).unwrap();
    }
}

struct Stage {
    swtpm: Swtpm,
    broker: Broker,
    elsewhere: Elsewhere,
    _authority: TestAuthority,
}

impl Stage {
    fn new(program: &str) -> Self {
        let (swtpm, authority) = (Swtpm::start(), TestAuthority::new());
        start(&swtpm, program);
        let file = settings_of(&authority);
        std::fs::write(&file, format!("[attestation]\ntpm = \"socket:{}\"\n", swtpm.address())).unwrap();
        let broker = BrokerBuilder::new(BINARY, &authority).argument("--config").argument(file).start();
        Self { swtpm, broker, elsewhere: Elsewhere::new(), _authority: authority }
    }

    /// Written where the secret is; with the machine's fingerprint, as its operator is shown it.
    fn evidence(&self) -> (Value, String) {
        let answer = self.broker.cli(&["drop-off", "evidence"]);
        let evidence = answer.json();
        let machine = bytes(evidence["machine"].as_str().unwrap());
        let fingerprint = hex(&sha(&[&machine]));
        assert!(answer.stderr.contains(&fingerprint), "{}", answer.stderr);
        self.write("evidence", &evidence);
        (evidence, fingerprint)
    }

    fn write(&self, name: &str, document: &Value) {
        std::fs::create_dir_all(self.image()).unwrap();
        std::fs::write(self.image().join(name), document.to_string()).unwrap();
    }

    fn image(&self) -> std::path::PathBuf {
        self.elsewhere.path().join("image.parcel")
    }

    fn seal(&self, key: &str, fingerprint: &str) -> Answer {
        let (manifest, evidence) = (self.image().join("manifest.json"), self.image().join("evidence"));
        let arguments = [
            "credential",
            "add",
            "c",
            "--kind",
            "bearer",
            "--to",
            "https://api.example.com",
            "--sealed-for",
            key,
            "--image",
            text(&manifest),
            "--evidence",
            text(&evidence),
            "--machine",
            fingerprint,
        ];
        self.elsewhere.run(&arguments, CANARY)
    }

    fn verify(&self, fingerprint: &str, more: &[&str]) -> Option<i32> {
        let evidence = self.image().join("evidence");
        let image = self.image();
        let arguments =
            ["image", "verify", text(&image), "--evidence", text(&evidence), "--machine", fingerprint];
        self.elsewhere.run(&[&arguments, more].concat(), "").status.code()
    }
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

pub(crate) fn bytes(hexadecimal: &str) -> Vec<u8> {
    let pairs = hexadecimal.as_bytes().chunks(2).map(|pair| std::str::from_utf8(pair).unwrap());
    pairs.map(|pair| u8::from_str_radix(pair, 16).unwrap()).collect()
}

#[test]
fn a_secret_is_sealed_only_for_a_machine_that_runs_the_image_it_is_meant_for() {
    let stage = Stage::new("cd");
    let (evidence, fingerprint) = stage.evidence();
    let key = evidence["key"].as_str().unwrap();
    stage.write("manifest.json", &manifest("cd"));
    assert_eq!(stage.verify(&fingerprint, &[]), Some(0));
    let sealed = stage.seal(key, &fingerprint);
    assert!(sealed.status.success(), "{sealed:?}");
    let parcel = stage.elsewhere.path().join("c.parcel");
    std::fs::write(&parcel, sealed.stdout).unwrap();
    assert!(hand_in(&stage.broker, &parcel).status.success());
    // Another image, another machine, another key: nothing is sealed.
    stage.write("manifest.json", &manifest("ce"));
    let refused = [
        stage.seal(key, &fingerprint),
        {
            stage.write("manifest.json", &manifest("cd"));
            stage.seal(key, &"0".repeat(64))
        },
        {
            stage.broker.cli(&["drop-off", "rotate"]);
            let fresh =
                stage.broker.cli_json(&["drop-off", "show"])["keys"][0]["key"].as_str().unwrap().to_owned();
            stage.seal(&fresh, &fingerprint)
        },
    ];
    for answer in refused {
        assert_eq!(answer.status.code(), Some(3), "{answer:?}");
        assert!(answer.stdout.is_empty(), "{answer:?}");
    }
}

#[test]
fn evidence_of_a_machine_that_was_started_into_something_else_or_of_another_question_does_not_verify() {
    let mut stage = Stage::new("cd");
    let (first, fingerprint) = stage.evidence();
    stage.write("manifest.json", &manifest("cd"));
    let nonce = first["nonce"].as_str().unwrap();
    assert_eq!(stage.verify(&fingerprint, &["--nonce", nonce]), Some(0));
    assert_eq!(stage.verify(&fingerprint, &["--nonce", &"0".repeat(64)]), Some(3));
    for field in ["nonce", "key", "machine", "attested", "signature", "command_line"] {
        let mut changed = first.clone();
        let other = stage.broker.cli(&["drop-off", "evidence"]).json();
        changed[field] = match field {
            "command_line" => json!("quiet init=/bin/sh"),
            "machine" => json!("00".repeat(64)),
            "key" => {
                stage.broker.cli(&["drop-off", "rotate", "--overlap", "now"]);
                stage.broker.cli(&["drop-off", "evidence"]).json()["key"].clone()
            }
            _ => other[field].clone(),
        };
        stage.write("evidence", &changed);
        assert_eq!(stage.verify(&fingerprint, &[]), Some(3), "{field}");
    }
    // The machine goes off, and comes back with another program.
    stage.swtpm.restart();
    start(&stage.swtpm, "ce");
    let (_, again) = stage.evidence();
    assert_eq!(again, fingerprint);
    assert_eq!(stage.verify(&fingerprint, &[]), Some(3));
    // Without a TPM there is no evidence.
    stage.swtpm.kill();
    let silent = stage.broker.run(&["drop-off", "evidence", "--json"]);
    assert!(silent.stderr.contains("vouches for nothing"), "{silent:?}");
}
