//! An older copy of the data directory gives nothing back: the epoch file outside it has come further.

use crate::disks::Disk;
use crate::support::{BINARY, acknowledged, eventually, item, items};
use cloakroom_testkit::{
    Broker, BrokerBuilder, Issued, TestAuthority, TlsUpstream, Way, Workload, echo, shaped,
};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::process::Command;

struct Stage {
    broker: Broker,
    robot: Workload,
    upstream: TlsUpstream,
    elsewhere: tempfile::TempDir,
    _authority: TestAuthority,
}

impl Stage {
    fn new() -> Self {
        let elsewhere = tempfile::tempdir().unwrap();
        let epoch = elsewhere.path().join("epoch");
        Self::with(elsewhere, &epoch)
    }

    fn with(elsewhere: tempfile::TempDir, epoch: &Path) -> Self {
        let authority = TestAuthority::new();
        let settings = elsewhere.path().join("cloakroom.toml");
        let said = format!("[epoch]\nfile = \"{}\"\n[journal]\nwrite-timeout = \"2s\"\n", epoch.display());
        std::fs::write(&settings, said).unwrap();
        let broker = BrokerBuilder::new(BINARY, &authority).argument("--config").argument(&settings).start();
        let robot = broker.workload("robot");
        let upstream = TlsUpstream::start(&authority, echo);
        broker.deposit("c", "bearer", &[&upstream.url()], &shaped("sk_live_"));
        Self { broker, robot, upstream, elsewhere, _authority: authority }
    }

    fn permit(&self, more: &[&str]) -> Issued {
        self.broker.permit("c", "robot", &items(&self.upstream), more)
    }

    /// The code of a call, `None` for one that works.
    fn call(&self, issued: &Issued) -> Option<String> {
        let answer =
            self.broker.call(Way::Absolute, Some(&self.robot), &item(&self.upstream, "1", &issued.text));
        assert_eq!(answer.code().is_none(), answer.status == 200, "{}", answer.text());
        answer.code()
    }

    fn copy(&self) -> std::path::PathBuf {
        let to = self.elsewhere.path().join("copy");
        let _ = std::fs::remove_dir_all(&to);
        copy(self.broker.data(), &to);
        to
    }

    fn restore(&self, from: &Path) {
        for entry in std::fs::read_dir(self.broker.data()).unwrap().flatten() {
            let path = entry.path();
            if path.is_dir() { std::fs::remove_dir_all(&path) } else { std::fs::remove_file(&path) }.unwrap();
        }
        copy(from, self.broker.data());
    }

    fn shown(&self, issued: &Issued) -> serde_json::Value {
        self.broker.cli_json(&["placeholder", "show", &issued.id])
    }

    fn rolled_back(&self) -> usize {
        self.broker.cli(&["journal", "show", "--json"]).stdout.matches("\"event\":\"rolled-back\"").count()
    }
}

/// All files, without sockets.
fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap().flatten() {
        let (path, to) = (entry.path(), to.join(entry.file_name()));
        match entry.file_type().unwrap() {
            kind if kind.is_dir() => copy(&path, &to),
            kind if kind.is_file() => drop(std::fs::copy(&path, &to).unwrap()),
            _ => {}
        }
    }
}

#[test]
fn t71_an_older_copy_of_the_data_directory_does_not_unspend() {
    for killed in [false, true] {
        let mut stage = Stage::new();
        let (single, revoked, kept) = (stage.permit(&["--uses", "1"]), stage.permit(&[]), stage.permit(&[]));
        // As a backup is made: while the broker runs, or in between.
        if !killed {
            stage.broker.stop();
        }
        let copy = stage.copy();
        if !killed {
            stage.broker.launch();
        }
        assert_eq!(stage.call(&single), None);
        stage.broker.cli(&["placeholder", "revoke", &revoked.id]);
        if killed {
            stage.broker.kill()
        } else {
            let _ = stage.broker.stop();
        }
        let sent = stage.upstream.requests().len();
        stage.restore(&copy);
        stage.broker.launch();
        for issued in [&single, &revoked, &kept] {
            assert_eq!(stage.call(issued).as_deref(), Some("placeholder-frozen"), "killed: {killed}");
            let shown = stage.shown(issued);
            assert_eq!(shown["state"], "frozen", "{shown}");
            assert!(shown["why"].as_str().is_some_and(|why| why.contains("older copy")), "{shown}");
        }
        assert_eq!(stage.rolled_back(), 1);
        assert!(stage.broker.output().contains("is an older copy than the epoch file knows"));
        // It stays so over a restart, which is no roll-back of its own.
        stage.broker.restart();
        assert_eq!(stage.call(&single).as_deref(), Some("placeholder-frozen"));
        assert_eq!((stage.rolled_back(), stage.upstream.requests().len()), (1, sent));
        // The way out: the operator thaws what is known to be good.
        stage.broker.cli(&["placeholder", "thaw", &kept.id]);
        assert_eq!(stage.call(&kept), None);
        assert_eq!(stage.call(&single).as_deref(), Some("placeholder-frozen"));
        stage.broker.verify_journal();
    }
}

#[test]
fn t71_an_older_copy_that_went_on_elsewhere_until_its_journal_was_as_long_is_noticed() {
    let mut stage = Stage::new();
    let single = stage.permit(&["--uses", "1"]);
    stage.broker.stop();
    let (copy, epoch) = (stage.copy(), stage.elsewhere.path().join("epoch"));
    stage.broker.launch();
    assert_eq!(stage.call(&single), None);
    stage.broker.stop();
    let known = std::fs::read(&epoch).unwrap();
    // Somebody runs the copy with an epoch file of its own, and puts it back with the first one.
    stage.restore(&copy);
    std::fs::remove_file(&epoch).unwrap();
    stage.broker.launch();
    stage.broker.cli(&["placeholder", "thaw", &single.id]);
    (0..20).for_each(|_| drop(stage.permit(&[])));
    stage.broker.stop();
    std::fs::write(&epoch, known).unwrap();
    stage.broker.launch();
    assert_eq!(stage.call(&single).as_deref(), Some("placeholder-frozen"));
    assert!(stage.broker.output().contains("other records among the first"), "{}", stage.broker.output());
}

#[test]
fn t71_kills_and_restarts_of_the_same_directory_are_no_rollback() {
    let mut stage = Stage::new();
    let counted = stage.permit(&["--uses", "9"]);
    for _ in 0..3 {
        assert_eq!(stage.call(&counted), None);
        stage.broker.kill();
        stage.broker.launch();
        assert_eq!(stage.call(&counted), None);
        stage.broker.restart();
    }
    assert_eq!((stage.rolled_back(), &stage.shown(&counted)["used"]), (0, &6.into()));
}

#[test]
fn t71_an_epoch_file_that_is_taken_away_is_missed() {
    let mut stage = Stage::new();
    let counted = stage.permit(&["--uses", "9"]);
    assert_eq!(stage.call(&counted), None);
    stage.broker.stop();
    std::fs::remove_file(stage.elsewhere.path().join("epoch")).unwrap();
    stage.broker.launch();
    assert_eq!(stage.call(&counted).as_deref(), Some("placeholder-frozen"));
    assert_eq!((stage.rolled_back(), stage.upstream.requests().len()), (1, 1));
}

#[test]
fn t71_a_process_that_dies_when_the_epoch_file_is_written_is_no_rollback_and_gives_nothing_back() {
    const USES: usize = 9;
    let mut stage = Stage::new();
    for pass in 1..=5 {
        let issued = stage.permit(&["--uses", &USES.to_string()]);
        let before = stage.upstream.requests().len();
        stage.broker.stop();
        stage.broker.die_at(Some(&format!("epoch:{pass}")));
        let mut answered = 0;
        // It is written at the start too, each second where there is something to say, and for each counted call.
        if catch_unwind(AssertUnwindSafe(|| stage.broker.launch())).is_ok() {
            let (listen, log) = (stage.broker.listen(), stage.broker.log());
            let call = item(&stage.upstream, "1", &issued.text).bytes(Way::Absolute, Some(&stage.robot));
            answered = std::iter::from_fn(|| acknowledged(listen, &log, &call)).count();
            assert!(!stage.broker.wait().success(), "pass {pass}: it lives");
        }
        assert!(answered < USES, "pass {pass}");
        let sent = stage.upstream.requests().len() - before;
        stage.broker.die_at(None);
        stage.broker.launch();
        assert_eq!(stage.rolled_back(), 0, "pass {pass}");
        let used = usize::try_from(stage.shown(&issued)["used"].as_u64().unwrap()).unwrap();
        assert!(answered <= sent && sent <= used && used <= answered + 1, "{answered}, {sent}, {used}");
        let rest = std::iter::from_fn(|| stage.call(&issued).is_none().then_some(())).count();
        assert_eq!(rest, USES - used, "pass {pass}");
        assert_eq!(stage.call(&issued).as_deref(), Some("placeholder-spent"), "pass {pass}");
        assert_eq!(stage.upstream.requests().len() - before, sent + rest, "pass {pass}");
    }
    stage.broker.verify_journal();
}

#[test]
#[cfg(target_os = "linux")]
fn t71_counted_calls_are_refused_while_the_epoch_file_cannot_be_written_and_go_on_when_it_can() {
    let Some(disk) = Disk::ext4() else { return };
    let file = disk.at().join("epoch");
    let mut stage = Stage::with(tempfile::tempdir().unwrap(), &file);
    let (counted, free) = (stage.permit(&["--uses", "3"]), stage.permit(&[]));
    assert_eq!(stage.call(&counted), None);
    let refused = |stage: &Stage, why: &str| {
        let before = stage.upstream.requests().len();
        for _ in 0..3 {
            assert_eq!(stage.call(&counted).as_deref(), Some("journal-unavailable"), "{why}");
        }
        assert_eq!(stage.upstream.requests().len(), before, "{why}: nothing is sent");
        // Those that are not counted do not wait for the file.
        assert_eq!(stage.call(&free), None, "{why}");
    };
    let recovers =
        |stage: &Stage, why: &str| eventually(why, || stage.call(&counted).is_none().then_some(()));
    let protect = |how: &str| {
        assert!(Command::new("chattr").arg(how).arg(&file).status().unwrap().success());
    };
    protect("+i");
    refused(&stage, "it is immutable");
    protect("-i");
    recovers(&stage, "it may be written again");
    disk.freeze();
    refused(&stage, "its disk does not answer");
    disk.thaw();
    recovers(&stage, "its disk answers again");
    // Three of three: what was refused took none.
    assert_eq!(stage.call(&counted).as_deref(), Some("placeholder-spent"));
    assert_eq!((stage.shown(&counted)["used"].as_u64(), stage.rolled_back()), (Some(3), 0));
    stage.broker.stop();
    protect("+i");
    assert!(catch_unwind(AssertUnwindSafe(|| stage.broker.launch())).is_err(), "it starts");
    assert!(stage.broker.output().contains("the epoch file"), "{}", stage.broker.output());
    protect("-i");
    stage.broker.launch();
    assert_eq!((stage.call(&counted).as_deref(), stage.rolled_back()), (Some("placeholder-spent"), 0));
    stage.broker.verify_journal();
}

#[test]
fn an_epoch_file_inside_the_data_directory_is_refused() {
    let (data, elsewhere) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let settings = elsewhere.path().join("cloakroom.toml");
    std::fs::write(&settings, format!("[epoch]\nfile = \"{}\"\n", data.path().join("epoch").display()))
        .unwrap();
    let mut serve = Command::new(BINARY);
    serve.args(["serve", "--listen", "127.0.0.1:0", "--console", "127.0.0.1:0", "--config"]).arg(&settings);
    let refused = serve.arg("--data").arg(data.path()).output().unwrap();
    assert!(!refused.status.success());
    let said = String::from_utf8_lossy(&refused.stderr);
    assert!(said.contains("the epoch file is inside the data directory"), "{said}");
}
