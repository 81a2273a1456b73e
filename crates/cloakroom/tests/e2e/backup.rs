//! Backup and restore, as on a bad day.

use crate::sealing::identity;
use crate::support::{Furnished, items, outcome};
use cloakroom_testkit::{Answer, Issued, hunt};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

struct Stage {
    furnished: Furnished,
    elsewhere: tempfile::TempDir,
    key: PathBuf,
    recipient: String,
}

impl Stage {
    fn new(settings: impl FnOnce(&Path) -> String) -> Self {
        let elsewhere = tempfile::tempdir().unwrap();
        let furnished = Furnished::with(&settings(elsewhere.path()));
        let (key, recipient) = identity(&elsewhere.path().join("backup-key.txt"));
        Self { furnished, elsewhere, key, recipient }
    }

    fn permit(&self, more: &[&str]) -> Issued {
        self.furnished.broker.permit("c", "robot", &items(&self.furnished.upstream), more)
    }

    fn call(&self, issued: &Issued) -> String {
        outcome(&self.furnished.broker, &self.furnished.robot, &self.furnished.upstream, issued)
    }

    fn file(&self) -> PathBuf {
        self.elsewhere.path().join("monday.age")
    }

    fn back_up(&self) -> Answer {
        let file = self.file().display().to_string();
        self.furnished.broker.run(&["backup", &file, "--to", &self.recipient, "--json"])
    }

    fn restore(&self) -> Answer {
        let (file, key) = (self.file().display().to_string(), self.key.display().to_string());
        self.furnished.broker.run(&["restore", &file, "--identity", &key, "--json"])
    }

    /// The disaster: all that was in the data directory is gone.
    fn lose(&self) {
        for entry in std::fs::read_dir(self.furnished.broker.data()).unwrap().flatten() {
            let path = entry.path();
            if path.is_dir() { std::fs::remove_dir_all(&path) } else { std::fs::remove_file(&path) }.unwrap();
        }
    }

    fn state(&self, issued: &Issued) -> String {
        let shown = self.furnished.broker.cli_json(&["placeholder", "show", &issued.id]);
        shown["state"].as_str().unwrap().to_owned()
    }
}

#[test]
fn the_disaster_drill_of_the_documentation_works_as_written() {
    let mut stage = Stage::new(|_| String::new());
    let (plain, counted) = (stage.permit(&[]), stage.permit(&["--uses", "2"]));
    assert_eq!(stage.call(&counted), "200");
    let made = stage.back_up();
    assert!(made.status.success(), "{made:?}");
    let records = made.json()["checkpoint"].as_str().unwrap().lines().nth(1).unwrap().parse::<u64>().unwrap();
    // After the backup: spent, and revoked.
    assert_eq!(stage.call(&counted), "200");
    assert_eq!(stage.call(&counted), "placeholder-spent");
    stage.furnished.broker.cli(&["placeholder", "revoke", &plain.id]);
    stage.furnished.broker.stop();
    stage.lose();
    let restored = stage.restore();
    assert!(restored.status.success(), "{restored:?}");
    assert!(restored.json()["records"].as_u64().unwrap() >= records);
    let verified = stage.furnished.broker.cli_json(&["journal", "verify"]);
    assert_eq!(verified["ok"], true, "{verified}");
    stage.furnished.broker.launch();
    let sent = stage.furnished.upstream.requests().len();
    for one in [&plain, &counted] {
        assert_eq!(stage.call(one), "placeholder-frozen");
    }
    assert_eq!(stage.furnished.upstream.requests().len(), sent, "nothing is un-spent");
    assert!(stage.furnished.broker.output().contains("was restored from a backup"));
    let events = stage.furnished.broker.cli(&["journal", "show", "--json"]).stdout;
    assert_eq!(events.matches("\"event\":\"rolled-back\"").count(), 1);
    stage.furnished.broker.cli(&["placeholder", "thaw", &plain.id]);
    assert_eq!(stage.call(&plain), "200", "every credential opens");
    assert_eq!(stage.state(&counted), "frozen");
    // A later start finds nothing to say any more.
    stage.furnished.broker.stop();
    stage.furnished.broker.launch();
    assert_eq!((stage.call(&plain).as_str(), stage.call(&counted).as_str()), ("200", "placeholder-frozen"));
}

#[test]
fn t71_only_an_epoch_file_that_knows_of_nothing_more_lets_restored_placeholders_stand() {
    for spends_after in [false, true] {
        let epoch = |at: &Path| format!("[epoch]\nfile = \"{}\"\n", at.join("epoch").display());
        let mut stage = Stage::new(epoch);
        let counted = stage.permit(&["--uses", "2"]);
        assert_eq!(stage.call(&counted), "200");
        if spends_after {
            assert!(stage.back_up().status.success());
            assert_eq!(stage.call(&counted), "200");
            stage.furnished.broker.stop();
        } else {
            // Of a broker that is stopped: its last record is in it, and in the epoch file.
            stage.furnished.broker.stop();
            assert!(stage.back_up().status.success());
        }
        stage.lose();
        assert!(stage.restore().status.success());
        stage.furnished.broker.launch();
        let sent = stage.furnished.upstream.requests().len();
        match spends_after {
            true => assert_eq!(stage.call(&counted), "placeholder-frozen"),
            false => assert_eq!(stage.call(&counted), "200", "nothing came after"),
        }
        let more = usize::from(!spends_after);
        assert_eq!(stage.furnished.upstream.requests().len(), sent + more);
    }
}

#[test]
fn t87_a_backup_holds_no_readable_secret_and_the_age_program_opens_it() {
    let stage = Stage::new(|_| String::new());
    let issued = stage.permit(&[]);
    assert_eq!(stage.call(&issued), "200");
    assert!(stage.back_up().status.success());
    let file = std::fs::read(stage.file()).unwrap();
    assert!(hunt(&file).is_empty());
    assert!(
        !file.windows(issued.id.len()).any(|window| window == issued.id.as_bytes()),
        "nothing is readable"
    );
    let opened = Command::new("age").arg("-d").arg("-i").arg(&stage.key).arg(stage.file()).output().unwrap();
    assert!(opened.status.success(), "{opened:?}");
    assert!(hunt(&opened.stdout).is_empty(), "what is in it is sealed");
    let tar = stage.elsewhere.path().join("monday.tar");
    std::fs::write(&tar, &opened.stdout).unwrap();
    let listed = Command::new("tar").arg("tf").arg(&tar).output().unwrap();
    let listed = String::from_utf8(listed.stdout).unwrap();
    for name in
        ["backup.json", "cloakroom.db", "keys/kek", "keys/lookup", "journal/key.pub", "journal/00000001.seg"]
    {
        assert!(listed.lines().any(|line| line == name), "{name} is not in\n{listed}");
    }
    assert!(!listed.contains("admin.sock") && !listed.contains("lock"), "{listed}");
    let left: Vec<_> = std::fs::read_dir(stage.furnished.broker.data())
        .unwrap()
        .flatten()
        .filter(|entry| entry.file_name().to_string_lossy().starts_with("backup-"))
        .collect();
    assert!(left.is_empty(), "the snapshot is gone: {left:?}");
}

#[test]
fn a_backup_that_would_open_nothing_is_not_made() {
    let stage = Stage::new(|_| String::new());
    let data = stage.furnished.broker.data().to_owned();
    let (key, aside) = (data.join("keys/kek"), stage.elsewhere.path().join("kek"));
    std::fs::rename(&key, &aside).unwrap();
    let refused = stage.back_up();
    assert!(!refused.status.success() && refused.stderr.contains("keys/kek is missing"), "{refused:?}");
    // On another disk, and led to by a link, it is there.
    symlink(&aside, &key).unwrap();
    assert!(stage.back_up().status.success());
    std::fs::remove_file(stage.file()).unwrap();
    symlink(stage.elsewhere.path(), data.join("more")).unwrap();
    let refused = stage.back_up();
    assert!(!refused.status.success() && refused.stderr.contains("link to a directory"), "{refused:?}");
    assert!(!stage.file().exists());
}

#[test]
fn what_age_encrypted_is_read_and_what_is_no_backup_or_not_for_us_is_refused() {
    let mut stage = Stage::new(|_| String::new());
    assert!(stage.back_up().status.success());
    let again = stage.back_up();
    assert!(!again.status.success(), "a file that is there is not overwritten");
    assert!(stage.restore().stderr.contains("is not empty"));
    stage.furnished.broker.stop();
    stage.lose();
    let (other, _) = identity(&stage.elsewhere.path().join("other.txt"));
    let key = std::mem::replace(&mut stage.key, other);
    assert!(stage.restore().stderr.contains("none of the identities opens it"));
    stage.key = key;
    let whole = std::fs::read(stage.file()).unwrap();
    for (name, bytes) in [("cut off", &whole[..whole.len() - 1]), ("no file of age", &b"not a backup"[..])] {
        std::fs::write(stage.file(), bytes).unwrap();
        assert!(!stage.restore().status.success(), "{name}");
        assert_eq!(std::fs::read_dir(stage.furnished.broker.data()).unwrap().count(), 0, "{name}");
    }
    // Anybody can encrypt to the recipient: a name that leads elsewhere leads nowhere.
    let tar = stage.elsewhere.path().join("hostile.tar");
    let outside = stage.elsewhere.path().join("outside");
    std::fs::write(&outside, "x").unwrap();
    let made = Command::new("tar").args(["cf"]).arg(&tar).arg("-P").arg(&outside).output().unwrap();
    assert!(made.status.success(), "{made:?}");
    std::fs::remove_file(stage.file()).unwrap();
    let sealed = Command::new("age")
        .args(["-r", &stage.recipient, "-o"])
        .arg(stage.file())
        .arg(&tar)
        .output()
        .unwrap();
    assert!(sealed.status.success(), "{sealed:?}");
    let refused = stage.restore();
    assert!(refused.stderr.contains("leads out of the directory"), "{refused:?}");
    assert_eq!(std::fs::read_to_string(&outside).unwrap(), "x");
    std::fs::write(stage.file(), whole).unwrap();
    assert!(stage.restore().status.success());
}
