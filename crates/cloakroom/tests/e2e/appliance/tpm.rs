//! An appliance with a TPM of its own (`swtpm`): it measures itself before it listens, its TPM vouches for what was found, and the root key of
//! its data disk is sealed to that.

use super::life::{Alone, ready, settings_with};
use super::machine::Machine;
use super::parts::{HOST, Parts};
use crate::attested::{bytes, hex, sha};
use crate::drop_off::Elsewhere;
use cloakroom_testkit::{Answer, CANARY, MachineTpm, TlsUpstream, echo, hunt};
use serde_json::Value;

const SEALED: &str = "[custody]\nkek = \"tpm\"\npcrs = \"11\"\n";

/// What a machine says of itself, where whoever holds the secret has it: the drop-off key, and the machine's fingerprint.
struct Evidence {
    file: String,
    key: String,
    machine: String,
}

impl Evidence {
    /// Of the appliance that runs now, over the operators' link.
    fn ask(alone: &Alone, name: &str) -> Self {
        let answer = alone.image.try_to_operate("ops", &["drop-off", "evidence"], "");
        assert!(answer.status.success(), "{answer:?}");
        let said: Value = serde_json::from_slice(&answer.stdout).unwrap();
        let file = alone.image.path(name);
        std::fs::write(&file, &answer.stdout).unwrap();
        let machine = hex(&sha(&[&bytes(said["machine"].as_str().unwrap())]));
        Self { file, key: said["key"].as_str().unwrap().to_owned(), machine }
    }

    /// Whether it is of a machine that runs the image in this directory.
    fn is_of(&self, elsewhere: &Elsewhere, image: &str) -> bool {
        let words = ["image", "verify", image, "--evidence", &self.file, "--machine", &self.machine];
        let answer = elsewhere.run(&words, "");
        assert!(matches!(answer.status.code(), Some(0 | 3)), "{answer:?}");
        answer.status.success()
    }

    /// Seals a secret for that machine, if it runs this image.
    fn seal(&self, elsewhere: &Elsewhere, to: &str, image: &str) -> Answer {
        let manifest = format!("{image}/manifest.json");
        let what = ["credential", "add", "c", "--kind", "bearer", "--to", to, "--sealed-for", &self.key];
        let whom = ["--image", &manifest, "--evidence", &self.file, "--machine", &self.machine];
        elsewhere.run(&[&what[..], &whom].concat(), CANARY)
    }
}

fn stop(mut machine: Machine) {
    machine.tell("stop");
    assert!(machine.ended().success());
}

#[test]
fn an_appliance_vouches_for_its_image_by_its_tpm_and_started_into_another_it_opens_nothing() {
    let Some(parts) = Parts::find() else { return };
    let alone = Alone::with(parts, SEALED);
    let image = alone.image.path("image");
    alone.image.build_as("other", &settings_with(&format!("{SEALED}[limits]\ncalls = 4095\n")));
    let (other, elsewhere, mut tpm) = (alone.image.path("other"), Elsewhere::new(), MachineTpm::new());
    let config = alone.image.authority.server_config(&[HOST], &[b"http/1.1"]);
    let upstream = TlsUpstream::start_configured(config, |request, out| echo(request).write_to(out, false));
    let to = format!("https://{HOST}:{}", upstream.port());
    let mut boot = |image: &str, name: &str, disk: &str| {
        let socket = tpm.plugged();
        let told = [("TPM", socket.to_str().unwrap()), ("DATA", disk)];
        let mut machine = alone.boot_image(image, name, &told, &[]);
        ready(&mut machine);
        machine
    };
    let disk = alone.image.path("data.img");

    let first = boot("image", "first", &disk);
    alone.enrol("first");
    let evidence = Evidence::ask(&alone, "evidence");
    assert!(evidence.is_of(&elsewhere, &image), "{}", first.said());
    assert!(!evidence.is_of(&elsewhere, &other));
    // Whoever insists on the image seals for this machine, and for no other image.
    let refused = evidence.seal(&elsewhere, &to, &other);
    assert!(refused.status.code() == Some(3) && refused.stdout.is_empty(), "{refused:?}");
    let sealed = evidence.seal(&elsewhere, &to, &image);
    assert!(sealed.status.success(), "{sealed:?}");
    let parcel = alone.image.path("c.parcel");
    std::fs::write(&parcel, sealed.stdout).unwrap();
    alone.image.operate(&["credential", "add", "--sealed", &parcel], "");
    let (key, placeholder) = alone.permit(&to, &[]);
    let call = || alone.call(&key, &placeholder, upstream.port());
    assert_eq!(call().as_deref(), Some("200"));
    assert_eq!(upstream.requests()[0].header("authorization"), Some(format!("Bearer {CANARY}").as_str()));
    stop(first);

    // The same image on the same TPM opens what it kept.
    let second = boot("image", "second", &disk);
    assert_eq!(call().as_deref(), Some("200"), "{}", second.said());
    stop(second);

    // Another image, with the disk and the TPM of this one: its TPM does not give it the root key, and there is nothing to vouch for.
    let third = boot("other", "third", &disk);
    assert_eq!(call().as_deref(), Some("503"), "{}", third.said());
    let unsaid = alone.image.try_to_operate("ops", &["drop-off", "evidence"], "");
    assert!(String::from_utf8_lossy(&unsaid.stderr).contains("broker-sealed"), "{unsaid:?}");
    assert_eq!(upstream.requests().len(), 2);
    drop(third);

    // With a new disk it has keys of its own, and is known for what it is.
    let fourth = boot("other", "fourth", "memory");
    alone.enrol("fourth");
    let evidence = Evidence::ask(&alone, "other-evidence");
    assert!(evidence.is_of(&elsewhere, &other) && !evidence.is_of(&elsewhere, &image), "{}", fourth.said());
    let refused = evidence.seal(&elsewhere, &to, &image);
    assert!(refused.status.code() == Some(3) && refused.stdout.is_empty(), "{refused:?}");
    // And whoever has the disk alone has nothing.
    assert!(hunt(&std::fs::read(alone.image.path("data.img")).unwrap()).is_empty());
}
