//! Progress of long work: seen at a terminal, and nowhere else.

use crate::support::{BINARY, Furnished, item, items};
use cloakroom_testkit::Way;
use std::process::{Command, Stdio};

/// What the command writes to a terminal that it is given. `script` makes one (util-linux).
fn at_a_terminal(stage: &Furnished, command: &str) -> String {
    let output = Command::new("script")
        .args(["--quiet", "--return", "--command", &format!("{BINARY} {command}"), "/dev/null"])
        .env("CLOAKROOM_DATA", stage.broker.data())
        .env("TERM", "xterm")
        .stdin(Stdio::null())
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn long_work_says_how_far_it_is_at_a_terminal_and_nothing_elsewhere() {
    let stage = Furnished::with("");
    let issued = stage.broker.permit("c", "robot", &items(&stage.upstream), &[]);
    for _ in 0..3 {
        let call = item(&stage.upstream, "1", &issued.text);
        assert_eq!(stage.broker.call(Way::Absolute, Some(&stage.robot), &call).status, 200);
    }
    let seen = at_a_terminal(&stage, "journal verify");
    assert!(seen.contains("verifying the journal [") && seen.contains("the journal verifies"), "{seen}");
    let bar = seen.find("verifying the journal [").unwrap();
    assert!(seen[bar..].contains("\r\u{1b}[K"), "what was drawn is gone at the end: {seen:?}");
    assert!(!at_a_terminal(&stage, "journal verify --json").contains("verifying the journal"));
    // Where the records themselves are seen, nothing is drawn between them.
    assert!(!at_a_terminal(&stage, "journal export").contains("exporting"));
    let exported = at_a_terminal(&stage, "journal export > /dev/null");
    assert!(exported.contains("exporting the journal ["), "{exported}");
    stage.broker.cli(&["custody", "rotate-kek"]);
    let rewrapped = at_a_terminal(&stage, "custody rewrap");
    assert!(rewrapped.contains("rewrapping [") && rewrapped.contains("sealed things"), "{rewrapped}");
    for command in [&["journal", "verify"][..], &["journal", "export"], &["custody", "rewrap"]] {
        let answer = stage.broker.cli(command);
        assert_eq!(answer.stderr, "", "{command:?}");
    }
}
