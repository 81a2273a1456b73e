//! Evidence from a real TPM in software, of a machine that measured a small root.

use super::*;
use crate::exit::Exit;
use crate::init::measure;
use cloakroom_testkit::Swtpm;
use std::path::Path;

const LINE: &str = "quiet cloakroom.data=/dev/vda\n";

struct Machine {
    swtpm: Swtpm,
    directory: tempfile::TempDir,
}

impl Machine {
    /// Measures itself: a root with two files, and a kernel that says something of itself.
    fn started(program: &[u8], line: &str) -> Self {
        let (swtpm, directory) = (Swtpm::start(), tempfile::tempdir().unwrap());
        let machine = Self { swtpm, directory };
        std::fs::create_dir_all(machine.root().join("etc")).unwrap();
        machine.file("init", program, 0o555);
        machine.file("etc/settings.toml", b"version = 1", 0o444);
        std::fs::write(machine.directory.path().join("notes"), b"kernel").unwrap();
        let notes = machine.directory.path().join("notes");
        measure::measure(&machine.address(), &machine.root(), &notes, line).unwrap();
        machine
    }

    fn root(&self) -> std::path::PathBuf {
        self.directory.path().join("root")
    }

    fn file(&self, name: &str, content: &[u8], mode: u32) {
        use std::os::unix::fs::PermissionsExt;
        let path = self.root().join(name);
        std::fs::write(&path, content).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
    }

    fn address(&self) -> Address {
        Address::Socket(self.swtpm.address())
    }

    fn evidence(&self, key: &DropKey, nonce: &[u8; 32]) -> Evidence {
        let attestor = TpmAttestor { tpm: self.address(), command_line: LINE.into() };
        attestor.attest(key, nonce).unwrap()
    }
}

/// As `image build` would write it of such a machine.
fn manifest(program: &[u8]) -> Vec<u8> {
    use super::super::manifest::digest;
    let file = |mode: &str, content: &[u8]| serde_json::json!({ "mode": mode, "bytes": content.len(), "sha256": digest(content) });
    let document = serde_json::json!({
        "version": 1, "program": "cloakroom", "kernel_notes": digest(b"kernel"), "files": {},
        "root": {
            "/dev": { "mode": "d0755" }, "/dev/console": { "mode": "c0600" }, "/etc": { "mode": "d0755" },
            "/init": file("-0555", program), "/etc/settings.toml": file("-0444", b"version = 1"),
        },
    });
    serde_json::to_vec(&document).unwrap()
}

fn key(byte: &str) -> DropKey {
    // A key as a broker shows it, with its checksum.
    let directory = tempfile::tempdir().unwrap();
    let source = cloakroom_egress::custody::KekSource::KeyFile(Path::new(directory.path()).join(byte));
    let custody = cloakroom_egress::custody::Custody::assert_unlocked(source).unwrap();
    let drop_box = cloakroom_egress::custody::DropBox::of(directory.path().join("drop-off"), &custody);
    drop_box.keys(cloakroom_model::Timestamp::now()).unwrap()[0].key
}

fn refused(evidence: &Evidence, demands: &Demands<'_>) -> String {
    let failure = verify(evidence, demands).unwrap_err();
    assert_eq!(failure.exit(), Exit::Refused, "{failure}");
    failure.to_string()
}

#[test]
fn evidence_holds_for_its_image_machine_key_and_question_and_for_nothing_else() {
    let (machine, other) = (Machine::started(b"program", LINE), Machine::started(b"program", LINE));
    let (ours, theirs, nonce) = (key("a"), key("b"), [7; 32]);
    let evidence = machine.evidence(&ours, &nonce);
    let (image, known, asked) = (manifest(b"program"), fingerprint(&evidence).unwrap(), hexadecimal(&nonce));
    let good = || Demands { manifest: &image, machine: &known, key: Some(&ours), nonce: Some(&asked) };
    verify(&evidence, &good()).unwrap();
    let (another, later) = (manifest(b"another program"), hexadecimal(&[8; 32]));
    let elsewhere = fingerprint(&other.evidence(&ours, &nonce)).unwrap();
    for (demands, why) in [
        (Demands { manifest: &another, ..good() }, "does not run this image"),
        (Demands { machine: &elsewhere, ..good() }, "another machine"),
        (Demands { key: Some(&theirs), ..good() }, "another drop-off key"),
        (Demands { nonce: Some(&later), ..good() }, "another question"),
    ] {
        assert!(refused(&evidence, &demands).contains(why), "{why}");
    }
}

#[test]
fn no_field_of_evidence_can_be_changed() {
    let (machine, other) = (Machine::started(b"program", LINE), Machine::started(b"program", LINE));
    let (ours, theirs, nonce) = (key("a"), key("b"), [7; 32]);
    let evidence = machine.evidence(&ours, &nonce);
    let (image, known) = (manifest(b"program"), fingerprint(&evidence).unwrap());
    let demands = || Demands { manifest: &image, machine: &known, key: None, nonce: None };
    verify(&evidence, &demands()).unwrap();
    let foreign = other.evidence(&ours, &nonce);
    for changed in [
        Evidence { key: theirs, ..evidence.clone() },
        Evidence { nonce: hexadecimal(&[8; 32]), ..evidence.clone() },
        Evidence { machine: foreign.machine.clone(), ..evidence.clone() },
        Evidence { attested: foreign.attested.clone(), ..evidence.clone() },
        Evidence { signature: foreign.signature.clone(), ..evidence.clone() },
        Evidence { command_line: "quiet init=/bin/sh".into(), ..evidence.clone() },
    ] {
        refused(&changed, &demands());
    }
    for malformed in [
        Evidence { evidence: 2, ..evidence.clone() },
        Evidence { nonce: "7".into(), ..evidence.clone() },
        Evidence { machine: "00".into(), ..evidence.clone() },
        Evidence { attested: "?".into(), ..evidence.clone() },
    ] {
        assert!(verify(&malformed, &demands()).is_err());
    }
}

#[test]
fn a_machine_that_runs_something_else_or_measured_nothing_is_told() {
    let (ours, nonce, image) = (key("a"), [7; 32], manifest(b"program"));
    for machine in [Machine::started(b"changed", LINE), Machine::started(b"program", "quiet other")] {
        let evidence = machine.evidence(&ours, &nonce);
        let known = fingerprint(&evidence).unwrap();
        let demands = Demands { manifest: &image, machine: &known, key: None, nonce: None };
        assert!(refused(&evidence, &demands).contains("does not run this image"));
    }
    let machine = Machine::started(b"program", LINE);
    // A file more, found at the next start, which measures into the same PCR again: nothing takes back what was measured.
    machine.file("etc/more", b"", 0o444);
    let notes = machine.directory.path().join("notes");
    measure::measure(&machine.address(), &machine.root(), &notes, LINE).unwrap();
    let evidence = machine.evidence(&ours, &nonce);
    let known = fingerprint(&evidence).unwrap();
    refused(&evidence, &Demands { manifest: &image, machine: &known, key: None, nonce: None });
}
