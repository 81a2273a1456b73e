//! The skill file for coding agents, held against the broker: its commands as they stand there, and the codes that it names.

use crate::support::{Furnished, items};
use serde_json::Value;
use std::path::Path;
use std::process::Command;

const SKILL: &str = include_str!("../../../../skills/cloakroom/SKILL.md");

/// What stands between backquotes.
fn quoted() -> Vec<&'static str> {
    SKILL.split('`').skip(1).step_by(2).collect()
}

#[test]
fn the_commands_of_the_skill_file_work_as_they_stand_there() {
    let stage = Furnished::with("");
    stage.broker.permit("c", "robot", &items(&stage.upstream), &[]);
    let run = |command: &str| {
        let output = Command::new("sh")
            .args(["-c", &command.replacen("curl ", "curl --silent --show-error ", 1)])
            .env("CLOAKROOM_URL", format!("http://{}", stage.broker.listen()))
            .env("CLOAKROOM_KEY", &stage.robot.key)
            .output()
            .unwrap();
        assert!(output.status.success(), "{command}: {output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    let commands: Vec<&str> = quoted().into_iter().filter(|text| text.starts_with("curl ")).collect();
    let [holds, asks, hears] = commands.as_slice() else { panic!("{commands:?}") };
    assert!(run(holds).contains("You are workload robot"));
    let asked: Value = serde_json::from_str(&run(asks)).unwrap();
    let id = asked["proposal"].as_str().unwrap_or_else(|| panic!("{asked}"));
    let heard = run(&hears.replace("/ID\"", &format!("/{id}\"")));
    assert!(heard.contains("waiting"), "{heard}");
    assert!(stage.broker.cli(&["proposal", "list"]).stdout.contains(id), "a human sees it");
}

#[test]
fn the_skill_file_names_codes_that_there_are() {
    let pages = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/refusals");
    let is_code = |text: &&str| {
        text.contains('-') && text.bytes().all(|byte| byte == b'-' || byte.is_ascii_lowercase())
    };
    let codes: Vec<&str> = quoted().into_iter().filter(is_code).collect();
    assert!(codes.len() > 8, "{codes:?}");
    for code in codes {
        assert!(pages.join(format!("{code}.md")).is_file(), "{code} is no refusal");
    }
}
