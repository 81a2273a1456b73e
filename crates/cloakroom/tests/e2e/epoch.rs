//! An older copy of the data directory gives nothing back: the epoch file outside it has come further.

use crate::support::{BINARY, item, items};
use cloakroom_testkit::{
    Broker, BrokerBuilder, Issued, TestAuthority, TlsUpstream, Way, Workload, echo, shaped,
};
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
        let authority = TestAuthority::new();
        let elsewhere = tempfile::tempdir().unwrap();
        let settings = elsewhere.path().join("cloakroom.toml");
        let epoch = elsewhere.path().join("epoch");
        std::fs::write(&settings, format!("[epoch]\nfile = \"{}\"\n", epoch.display())).unwrap();
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
