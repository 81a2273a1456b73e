//! Under systemd: the key that the manager hands over, and the unit that ships.
//!
//! What systemd does with a credential is its contract (systemd.exec(5)): a private file in the directory that `CREDENTIALS_DIRECTORY` names. The tests
//! make that directory; no system manager runs here.

use crate::support::{BINARY, item, items, settings_of};
use cloakroom_testkit::{BrokerBuilder, TestAuthority, TlsUpstream, Way, echo, shaped};
use std::os::unix::fs::PermissionsExt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::process::Command;

fn hand(file: &Path, key: &[u8], mode: u32) {
    let _ = std::fs::remove_file(file);
    std::fs::write(file, key).unwrap();
    std::fs::set_permissions(file, std::fs::Permissions::from_mode(mode)).unwrap();
}

#[test]
fn a_key_that_systemd_hands_over_opens_what_it_sealed_and_no_other_key_starts_the_broker() {
    let authority = TestAuthority::new();
    let (file, handed) = (settings_of(&authority), tempfile::tempdir().unwrap());
    std::fs::write(&file, "[custody]\nkek = \"systemd\"\n").unwrap();
    let key = handed.path().join("cloakroom-kek");
    hand(&key, &[7; 32], 0o400);
    let mut broker = BrokerBuilder::new(BINARY, &authority)
        .argument("--config")
        .argument(&file)
        .variable("CREDENTIALS_DIRECTORY", handed.path().to_str().unwrap())
        .start();
    let robot = broker.workload("robot");
    let upstream = TlsUpstream::start(&authority, echo);
    broker.deposit("c", "bearer", &[&upstream.url()], &shaped("sk_live_"));
    let issued = broker.permit("c", "robot", &items(&upstream), &[]);
    broker.restart();
    assert_eq!(broker.call(Way::Absolute, Some(&robot), &item(&upstream, "1", &issued.text)).status, 200);
    broker.stop();
    let kept: Vec<_> = std::fs::read_dir(broker.data().join("keys")).unwrap().flatten().collect();
    assert!(kept.iter().all(|entry| std::fs::read(entry.path()).unwrap_or_default() != [7; 32]), "{kept:?}");
    for (bytes, mode, why) in [
        (&[8; 32][..], 0o400, "is not the key that this data directory was made with"),
        (&[7; 31], 0o400, "a key has 32 bytes"),
        (&[7; 32], 0o444, "is open to others"),
    ] {
        hand(&key, bytes, mode);
        assert!(catch_unwind(AssertUnwindSafe(|| broker.launch())).is_err(), "{why}");
        assert!(broker.output().contains(why), "{why}: {}", broker.output());
    }
    std::fs::remove_file(&key).unwrap();
    assert!(catch_unwind(AssertUnwindSafe(|| broker.launch())).is_err());
    assert!(broker.output().contains("LoadCredentialEncrypted=cloakroom-kek"), "{}", broker.output());
    // Nor is the directory one of another kind now.
    let answer = broker.run(&["serve", "--listen", "127.0.0.1:0", "--console", "127.0.0.1:0"]);
    assert_eq!(answer.status.code(), Some(2), "{answer:?}");
    assert!(answer.stderr.contains("made with a key from systemd"), "{}", answer.stderr);
    hand(&key, &[7; 32], 0o400);
    broker.launch();
    assert_eq!(broker.call(Way::Absolute, Some(&robot), &item(&upstream, "1", &issued.text)).status, 200);
}

/// 0.0 is no exposure, 9.6 all of it.
#[test]
#[cfg(target_os = "linux")]
fn the_unit_that_ships_leaves_little_to_the_broker() {
    let unit = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../packaging/systemd/cloakroom@.service");
    let exposure = |threshold: &str, unit: &Path| {
        let mut analyze = Command::new("systemd-analyze");
        analyze.args(["security", "--no-pager", "--offline=yes", "--threshold", threshold]).arg(unit);
        analyze.output().expect("systemd-analyze is there: cargo xtask test installs it")
    };
    let measured = exposure("20", &unit);
    assert!(measured.status.success(), "{}", String::from_utf8_lossy(&measured.stdout));
    // With these the broker closes itself in: systemd's sets leave them out.
    let filters = std::fs::read_to_string(&unit).unwrap();
    for call in ["seccomp", "landlock_create_ruleset", "landlock_add_rule", "landlock_restrict_self"] {
        let lets = |line: &str| {
            line.strip_prefix("SystemCallFilter=")
                .is_some_and(|calls| calls.split(' ').any(|one| one == call))
        };
        assert!(filters.lines().any(lets), "{call}");
    }
    // The same with one protection less is more than that.
    let open = tempfile::tempdir().unwrap();
    let open = open.path().join("cloakroom@.service");
    let text = std::fs::read_to_string(&unit).unwrap();
    let less = text.replace("CapabilityBoundingSet=\n", "");
    assert_ne!(text, less);
    std::fs::write(&open, less).unwrap();
    assert!(!exposure("20", &open).status.success());
}
