//! Several approvers, keys of `ssh-keygen`, and what an approver takes back.

use crate::support::{Furnished, eventually, item, items, outcome};
use cloakroom_testkit::{Broker, Issued, TestAuthority, TlsUpstream, Way, Workload, shaped};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// A broker with two approvers: its own first one, called `first`, and `bob` with an SSH key.
struct Board {
    broker: Broker,
    upstream: TlsUpstream,
    robot: Workload,
    /// Where bob works.
    desk: tempfile::TempDir,
    /// Its file is read again when the broker is launched again.
    _authority: TestAuthority,
}

impl Board {
    fn new(settings: &str) -> Self {
        let desk = tempfile::tempdir().unwrap();
        let Furnished { broker, upstream, robot, authority } = Furnished::with(settings);
        enrol(&broker, "bob", &ssh_key(desk.path(), "bob"));
        Self { broker, upstream, robot, desk, _authority: authority }
    }

    fn issue(&self, more: &[&str]) -> Issued {
        self.broker.issue("c", "robot", &items(&self.upstream), more)
    }

    /// What the next call gets.
    fn call(&self, issued: &Issued) -> String {
        outcome(&self.broker, &self.robot, &self.upstream, issued)
    }

    /// The same, where the connection may be cut meanwhile.
    fn call_or_cut(&self, issued: &Issued) -> String {
        let request = item(&self.upstream, "1", &issued.text);
        let mut wire = self.broker.wire();
        wire.send(&request.bytes(Way::Absolute, Some(&self.robot)));
        match wire.receive(&request.method) {
            Ok(answer) => answer.code().unwrap_or_else(|| answer.status.to_string()),
            Err(_) => "cut".to_owned(),
        }
    }

    /// Somebody signs this text with `ssh-keygen`, in this namespace.
    fn signed(&self, text: &str, namespace: &str, key: &str) -> String {
        signed_with(self.desk.path(), text, namespace, &self.desk.path().join(key))
    }

    fn text(&self, issued: &Issued) -> String {
        self.broker.cli(&["approval", "text", &issued.approval]).stdout
    }

    fn grant_as_bob(&self, issued: &Issued) -> cloakroom_testkit::Answer {
        let signature = self.signed(&self.text(issued), "cloakroom", "bob");
        self.broker.run(&["approval", "grant", &issued.approval, "--ssh-signature", &signature])
    }
}

/// The first approver enrols another, alone.
pub(crate) fn enrol(broker: &Broker, name: &str, key: &Path) {
    let public = key.with_extension("pub");
    let asked = broker.cli_json(&["approver", "enrol", name, "--public-key", public.to_str().unwrap()]);
    let granted = broker.cli_json(&["approval", "grant", asked["id"].as_str().unwrap()]);
    assert_eq!(granted["state"], "granted", "{granted}");
}

/// The file with what `ssh-keygen` made of this text.
pub(crate) fn signed_with(directory: &Path, text: &str, namespace: &str, key: &Path) -> String {
    let file = directory.join("text");
    let signature = file.with_extension("sig");
    std::fs::write(&file, text).unwrap();
    let _ = std::fs::remove_file(&signature);
    let signing = Command::new("ssh-keygen")
        .args(["-q", "-Y", "sign", "-n", namespace, "-f"])
        .args([key, &file])
        .output()
        .unwrap();
    assert!(signing.status.success(), "{signing:?}");
    signature.to_string_lossy().into_owned()
}

pub(crate) fn ssh_key(directory: &Path, name: &str) -> PathBuf {
    let key = directory.join(name);
    let made = Command::new("ssh-keygen")
        .args(["-q", "-t", "ed25519", "-N", "", "-C", name, "-f"])
        .arg(&key)
        .stdin(std::process::Stdio::null())
        .output()
        .unwrap();
    assert!(made.status.success(), "{made:?}");
    key
}

const TWO: &str = "[approval]\nquorum = 2\n";

#[test]
fn t78_two_approvers_have_to_sign_one_with_ssh_keygen() {
    let board = Board::new(TWO);
    let issued = board.issue(&[]);
    let half = board.broker.cli_json(&["approval", "grant", &issued.approval]);
    assert_eq!(
        (&half["state"], &half["signed"][0], &half["needed"]),
        (&"pending".into(), &"first".into(), &2.into())
    );
    assert_eq!(board.call(&issued), "placeholder-pending");
    let again = board.broker.run(&["approval", "grant", &issued.approval]);
    assert!(!again.status.success() && again.stderr.contains("signed this approval already"), "{again:?}");
    let granted = board.grant_as_bob(&issued);
    assert!(granted.status.success(), "{granted:?}");
    assert_eq!(board.call(&issued), "200");
    assert_eq!(board.upstream.requests().len(), 1);
}

#[test]
fn t78_whoever_asked_does_not_approve() {
    let board = Board::new("[approval]\nnot-requester = true\n");
    let asked = board.issue(&["--requester", "first"]);
    assert!(board.text(&asked).contains("requested by: \"first\""));
    let own = board.broker.run(&["approval", "grant", &asked.approval]);
    assert!(!own.status.success() && own.stderr.contains("asked for the placeholder"), "{own:?}");
    assert_eq!(board.call(&asked), "placeholder-pending");
    assert!(board.grant_as_bob(&asked).status.success());
    assert_eq!(board.call(&asked), "200");
}

#[test]
fn t78_a_signature_for_another_text_another_namespace_or_by_a_stranger_is_refused() {
    let board = Board::new("");
    let issued = board.issue(&[]);
    let text = board.text(&issued);
    ssh_key(board.desk.path(), "stranger");
    let edited = text.replace("/v1/items", "/v1/itemt");
    for (text, namespace, key) in
        [(&edited, "cloakroom", "bob"), (&text, "git", "bob"), (&text, "cloakroom", "stranger")]
    {
        let signature = board.signed(text, namespace, key);
        let refused =
            board.broker.run(&["approval", "grant", &issued.approval, "--ssh-signature", &signature]);
        assert!(!refused.status.success() && refused.stderr.contains("no enrolled approver"), "{refused:?}");
        assert_eq!(refused.stderr.contains("-n cloakroom"), namespace == "git", "{refused:?}");
    }
    assert_eq!(board.call(&issued), "placeholder-pending");
    assert!(board.grant_as_bob(&issued).status.success());
    assert_eq!(board.call(&issued), "200");
}

#[test]
fn t78_half_a_quorum_that_is_written_into_the_database_as_whole_is_no_permit() {
    let mut board = Board::new(TWO);
    let (half, whole) = (board.issue(&[]), board.issue(&[]));
    for issued in [&half, &whole] {
        board.broker.cli(&["approval", "grant", &issued.approval]);
    }
    assert!(board.grant_as_bob(&whole).status.success());
    board.broker.stop();
    let statements = [
        "UPDATE approval SET signature = gathered, gathered = NULL, decided = 1 WHERE placeholder = ?1",
        "UPDATE placeholder SET state = 'active' WHERE id = ?1",
    ];
    for statement in statements {
        assert_eq!(board.broker.tamper(statement, [&half.id]), 1);
    }
    board.broker.launch();
    assert_eq!(board.call(&half), "placeholder-revoked");
    assert_eq!(board.call(&whole), "200");
}

#[test]
fn what_is_withdrawn_stops_with_the_next_call() {
    let board = Board::new("");
    let issued = board.issue(&[]);
    assert!(!board.broker.run(&["approval", "withdraw", &issued.approval]).status.success());
    board.broker.cli(&["approval", "grant", &issued.approval]);
    assert_eq!(board.call(&issued), "200");
    let withdrawn = board.broker.cli_json(&["approval", "withdraw", &issued.approval]);
    assert_eq!(withdrawn["state"], "withdrawn");
    assert_eq!(board.call(&issued), "placeholder-revoked");
    assert_eq!(board.upstream.requests().len(), 1);
}

#[test]
fn what_is_withdrawn_during_traffic_stops_with_the_next_call() {
    let board = Board::new("");
    let issued = board.issue(&[]);
    board.broker.cli(&["approval", "grant", &issued.approval]);
    let (withdrawn, begun) = (AtomicBool::new(false), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        let traffic = || {
            // Whether the withdrawal had been answered is asked before the call begins.
            let mut seen = Vec::new();
            while seen.iter().filter(|(after, _)| *after).count() < 3 {
                let after = withdrawn.load(Ordering::SeqCst);
                seen.push((after, board.call_or_cut(&issued)));
                begun.fetch_add(1, Ordering::SeqCst);
            }
            seen
        };
        let callers: Vec<_> = (0..3).map(|_| scope.spawn(traffic)).collect();
        eventually("calls pass", || (begun.load(Ordering::SeqCst) > 9).then_some(()));
        board.broker.cli(&["approval", "withdraw", &issued.approval]);
        withdrawn.store(true, Ordering::SeqCst);
        for caller in callers {
            let seen = caller.join().unwrap();
            assert!(seen.iter().any(|(after, outcome)| !after && outcome == "200"), "{seen:?}");
            for (after, outcome) in &seen {
                // What was under way is ended; what begins afterwards is refused.
                let before = !after && ["200", "cut"].contains(&outcome.as_str());
                assert!(before || outcome == "placeholder-revoked", "{after} {outcome}");
            }
        }
    });
}

#[test]
fn an_approval_has_an_end_of_its_own_that_is_signed() {
    let mut board = Board::new("[approval]\nexpires = \"2h\"\n");
    let (usual, short) = (board.issue(&[]), board.issue(&["--approval-expires", "30d", "--expires", "90d"]));
    for issued in [&usual, &short] {
        assert!(board.text(issued).contains("this approval ends: "), "{}", board.text(issued));
        board.broker.cli(&["approval", "grant", &issued.approval]);
        assert_eq!(board.call(issued), "200");
    }
    let shown = board.broker.cli_json(&["approval", "show", &usual.approval]);
    assert!(shown["expires"].is_string(), "{shown}");
    // Longer in the database: another text than the one that was signed. Past: it is over.
    board.broker.stop();
    let set = "UPDATE approval SET expires = expires + 60000 WHERE placeholder = ?1";
    assert_eq!(board.broker.tamper(set, [&short.id]), 1);
    board.broker.launch();
    assert_eq!(board.call(&short), "placeholder-revoked");
    assert_eq!(board.call(&usual), "200");
}

#[test]
fn an_approval_that_has_ended_is_no_permit_any_more() {
    let board = Board::new("[approval]\nexpires = \"1500ms\"\n");
    let (granted, late) = (board.issue(&[]), board.issue(&[]));
    board.broker.cli(&["approval", "grant", &granted.approval]);
    let over = || (board.call_or_cut(&granted) == "placeholder-expired").then_some(());
    eventually("the approval ends", over);
    assert_eq!(board.broker.cli_json(&["placeholder", "show", &granted.id])["state"], "expired");
    eventually("so does the other", || {
        let refused = board.broker.run(&["approval", "grant", &late.approval]);
        (refused.stderr.contains("expired")).then_some(())
    });
    assert_ne!(board.call(&late), "200");
}

#[test]
fn a_rotation_ends_approvals_that_cover_one_generation() {
    let board = Board::new("[approval]\npin-generation = true\n");
    let issued = board.issue(&[]);
    assert!(board.text(&issued).contains("credential generation: 1 "));
    board.broker.cli(&["approval", "grant", &issued.approval]);
    assert_eq!(board.call(&issued), "200");
    let mut rotated = board.broker.run_with(&["credential", "rotate", "c"], &shaped("sk_live_"));
    assert!(rotated.status.success(), "{rotated:?}");
    assert_eq!(board.call(&issued), "placeholder-revoked");
    rotated = board.broker.run(&["placeholder", "show", &issued.id]);
    assert!(rotated.stdout.contains("the credential was rotated"), "{rotated:?}");
}

#[test]
fn an_approvers_line_that_is_there_twice_keeps_the_broker_from_starting() {
    let mut board = Board::new(TWO);
    board.broker.stop();
    let path = board.broker.data().join("approver.pub");
    let line = std::fs::read_to_string(&path).unwrap().lines().next().unwrap().replace("first", "second");
    std::fs::OpenOptions::new().append(true).open(&path).unwrap().write_all(line.as_bytes()).unwrap();
    let refused = board.broker.run(&["serve", "--listen", "127.0.0.1:0", "--console", "127.0.0.1:0"]);
    assert!(!refused.status.success() && refused.stderr.contains("is there twice"), "{refused:?}");
}

#[test]
fn a_change_of_the_approvers_is_on_record() {
    let mut board = Board::new("");
    let trusted = board.broker.cli(&["journal", "show"]).stdout;
    assert_eq!(trusted.matches("approvers trusted").count(), 1, "{trusted}");
    let recorded = |board: &Board| {
        let shown = board.broker.cli(&["journal", "show"]).stdout;
        shown
            .lines()
            .filter(|line| line.contains("approvers in force"))
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    let before = recorded(&board);
    assert!(before.len() == 2 && before[1].contains("bob") && !before[0].contains("bob"), "{before:?}");
    let digest = |line: &str| line.split("sha256:").nth(1).map(|rest| rest[..64].to_owned());
    assert_ne!(digest(&before[0]), digest(&before[1]));
    board.broker.restart();
    let after = recorded(&board);
    assert_eq!((after.len(), digest(&after[2])), (3, digest(&before[1])));
    assert!(board.broker.output().contains("trust on first use"), "{}", board.broker.output());
}

const NARROWER: &str = "[approval]\nquorum = 2\nnarrower = 1\n";

#[test]
fn t78_one_approver_is_enough_for_what_only_narrows_and_it_ends_with_what_it_leans_on() {
    let mut board = Board::new(NARROWER);
    let wide = board.issue(&[]);
    let state_after_one = |board: &Board, issued: &Issued| {
        let shown = board.broker.cli_json(&["approval", "grant", &issued.approval]);
        (shown["state"].as_str().unwrap().to_owned(), shown["needed"].as_u64().unwrap())
    };
    assert_eq!(state_after_one(&board, &wide), ("pending".into(), 2), "it descends from nothing");
    assert!(board.grant_as_bob(&wide).status.success());
    let narrow = board.issue(&["--parent", &wide.id, "--expires", "1h"]);
    assert_eq!(board.call(&narrow), "placeholder-pending");
    assert_eq!(state_after_one(&board, &narrow), ("granted".into(), 1));
    // For another workload it is not narrower, and what leans is none to lean on.
    board.broker.workload("another");
    let items = items(&board.upstream);
    let elsewhere = board.broker.issue("c", "another", &items, &["--parent", &wide.id]);
    assert_eq!(state_after_one(&board, &elsewhere), ("pending".into(), 2));
    let leaning = board.issue(&["--parent", &narrow.id]);
    assert_eq!(state_after_one(&board, &leaning), ("pending".into(), 2));
    assert_eq!(board.call(&narrow), "200");
    board.broker.restart();
    assert_eq!((board.call(&narrow), board.call(&wide)), ("200".into(), "200".into()));
    board.broker.cli(&["approval", "withdraw", &wide.approval]);
    assert_eq!(board.call(&narrow), "placeholder-revoked");
    // A row that says active again does not bring it back.
    board.broker.stop();
    assert_eq!(board.broker.tamper("UPDATE placeholder SET state = 'active' WHERE id = ?1", [&wide.id]), 1);
    board.broker.launch();
    assert_eq!(
        (board.call(&narrow), board.call(&wide)),
        ("placeholder-revoked".into(), "placeholder-revoked".into())
    );
}

#[test]
fn t78_without_the_setting_what_narrows_takes_the_quorum() {
    let board = Board::new(TWO);
    let wide = board.issue(&[]);
    board.broker.cli(&["approval", "grant", &wide.approval]);
    assert!(board.grant_as_bob(&wide).status.success());
    let narrow = board.issue(&["--parent", &wide.id]);
    let half = board.broker.cli_json(&["approval", "grant", &narrow.approval]);
    assert_eq!((&half["state"], &half["needed"]), (&"pending".into(), &2.into()));
    assert_eq!(board.call(&narrow), "placeholder-pending");
    assert!(board.grant_as_bob(&narrow).status.success());
    assert_eq!(board.call(&narrow), "200");
}
