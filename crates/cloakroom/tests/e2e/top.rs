//! `cloakroom top`, as a person sees it: in a terminal of its own.

use crate::support::{BINARY, Furnished, eventually, item, items, policy};
use cloakroom_testkit::{Request, Way};
use std::process::{Command, Output};

/// A terminal, until it is dropped.
struct Terminal {
    directory: tempfile::TempDir,
}

impl Terminal {
    fn run(stage: &Furnished, command: &str) -> Self {
        let terminal = Self { directory: tempfile::tempdir().unwrap() };
        let line = format!(
            "CLOAKROOM_DATA={} {BINARY} {command}; echo ended with $?; sleep 600",
            stage.broker.data().display()
        );
        terminal.tmux(&["new-session", "-d", "-x", "160", "-y", "24", &line]);
        terminal
    }

    fn tmux(&self, arguments: &[&str]) -> Output {
        let socket = self.directory.path().join("socket");
        let output = Command::new("tmux")
            .arg("-S")
            .arg(socket)
            .args(["-f", "/dev/null"])
            .args(arguments)
            .output()
            .unwrap();
        assert!(output.status.success(), "{arguments:?}: {output:?}");
        output
    }

    fn press(&self, keys: &[&str]) {
        self.tmux(&[&["send-keys"], keys].concat());
    }

    /// What is on the screen, once this is.
    fn shows(&self, wanted: &str) -> String {
        eventually(wanted, || {
            let screen = String::from_utf8_lossy(&self.tmux(&["capture-pane", "-p"]).stdout).into_owned();
            screen.contains(wanted).then_some(screen)
        })
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let socket = self.directory.path().join("socket");
        let _ = Command::new("tmux").arg("-S").arg(socket).arg("kill-server").output();
    }
}

#[test]
fn top_shows_refusals_and_what_waits_as_they_come_and_quits() {
    let stage = Furnished::with("");
    let issued = stage.broker.permit("c", "robot", &items(&stage.upstream), &[]);
    let asks = policy(
        &stage.upstream.url(),
        "POST /v1/mails",
        "header authorization bearer",
        "approve = \"each-call\"",
    );
    let asked = stage.broker.permit("c", "robot", &asks, &[]);
    let terminal = Terminal::run(&stage, "top");
    terminal.shows("[1 under way: 0]");
    let elsewhere = Request::new("GET", &stage.upstream.authority(), "/v2")
        .with("authorization", &format!("Bearer {}", issued.text));
    assert_eq!(stage.broker.call(Way::Absolute, Some(&stage.robot), &elsewhere).status, 403);
    terminal.press(&["Tab"]);
    let screen = terminal.shows("call-not-permitted");
    assert!(screen.contains("[2 refused: 1]") && screen.contains("robot"), "{screen}");
    let mail = Request::new("POST", &stage.upstream.authority(), "/v1/mails")
        .with("authorization", &format!("Bearer {}", asked.text))
        .with_body("application/json", "{}");
    let parked = stage.broker.call(Way::Absolute, Some(&stage.robot), &mail).json();
    terminal.press(&["3"]);
    terminal.shows(parked["approval"].as_str().unwrap());
    assert_eq!(
        stage
            .broker
            .call(Way::Absolute, Some(&stage.robot), &item(&stage.upstream, "1", &issued.text))
            .status,
        200
    );
    terminal.shows("1 calls");
    terminal.press(&["q"]);
    terminal.shows("ended with 0");
}

#[test]
fn top_is_for_people() {
    let stage = Furnished::with("");
    let answer = stage.broker.run(&["top"]);
    assert_eq!((answer.status.code(), answer.stdout.as_str()), (Some(2), ""), "{answer:?}");
    assert!(answer.stderr.contains("at a terminal"), "{answer:?}");
}
