//! Policy files as the CLI judges them: one canonical form, complaints with a position and a remedy.

use crate::support::{BINARY, policy};
use cloakroom_testkit::Answer;
use std::process::Command;

const PLACE: &str = "header authorization bearer";

fn check(text: &str) -> Answer {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("policy.toml");
    std::fs::write(&file, text).unwrap();
    let output = Command::new(BINARY).args(["policy", "check"]).arg(&file).output().unwrap();
    Answer {
        status: output.status,
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

fn assert_refused(text: &str) {
    let answer = check(text);
    assert_eq!(answer.status.code(), Some(2), "{text}\n{answer:?}");
    assert!(answer.stderr.contains("error:") && answer.stderr.contains("policy.toml"), "{answer:?}");
}

#[test]
fn t23_t75_a_destination_has_one_spelling_and_it_is_ascii() {
    for (written, shown) in [
        ("https://API.Example.COM:443", "https://api.example.com"),
        ("https://b\u{fc}cher.example", "https://xn--bcher-kva.example"),
        ("https://a\u{ad}b.example", "https://ab.example"),
    ] {
        let answer = check(&policy(written, "GET /v1", PLACE, ""));
        assert!(answer.status.success(), "{answer:?}");
        assert!(answer.stdout.contains(shown) && answer.stdout.is_ascii(), "{answer:?}");
    }
    for written in ["https://xn--a.example", "https://api.example.com.", "https://a_b..example"] {
        assert_refused(&policy(written, "GET /v1", PLACE, ""));
    }
}

#[test]
fn t25_t49_wildcards_and_number_forms_name_no_destination() {
    for written in [
        "https://*.example.com",
        "https://*",
        "https://2130706433",
        "https://0x7f.1",
        "https://127.1",
        "https://127.0.0.01",
        "https://user@api.example.com",
        "https://api.example.com/v1",
        "ftp://api.example.com",
        "api.example.com",
    ] {
        assert_refused(&policy(written, "GET /v1", PLACE, ""));
    }
}

#[test]
fn t98_t110_a_policy_has_no_place_for_patterns_or_code() {
    for call in
        ["GET /v1/.*", "GET /v1/(a|b)+$", "GET /v1/[a-z]", "GET /v1/${env}", "GET /v1/{{ 1 }}", "GET ~/v1"]
    {
        let answer = check(&policy("https://api.example.com", call, PLACE, ""));
        // What is accepted is text and matches itself alone; it never becomes a pattern.
        if answer.status.success() {
            let url = "https://api.example.com/v1/a";
            let directory = tempfile::tempdir().unwrap();
            let file = directory.path().join("policy.toml");
            std::fs::write(&file, policy("https://api.example.com", call, PLACE, "")).unwrap();
            let judged = Command::new(BINARY)
                .args(["policy", "explain"])
                .arg(&file)
                .args(["--", "GET", url])
                .output()
                .unwrap();
            assert_eq!(judged.status.code(), Some(3), "{call}: {judged:?}");
        }
    }
    for rest in ["when = \"1 + 1\"", "script = \"x\"", "exec = [\"sh\"]", "regex = true"] {
        assert_refused(&policy("https://api.example.com", "GET /v1", PLACE, rest));
    }
}

#[test]
fn an_unknown_key_is_refused_with_its_line_and_the_nearest_known() {
    let text = policy("https://api.example.com", "GET /v1", PLACE, "qery = { allow = [\"a\"] }");
    let answer = check(&text);
    assert_eq!(answer.status.code(), Some(2));
    assert!(answer.stderr.contains("query"), "{answer:?}");
    assert!(answer.stderr.contains(":7"), "{answer:?}");
}

#[test]
fn order_in_a_policy_file_has_no_meaning() {
    let permit = |name: &str, call: &str| {
        format!(
            "[[permit]]\nname = \"{name}\"\nto = \"https://a.example\"\ncall = \"{call}\"\nplace = \"{PLACE}\"\n"
        )
    };
    let (one, two) = (permit("one", "GET /1"), permit("two", "GET /2"));
    let (forth, back) =
        (check(&format!("version = 1\n{one}{two}")), check(&format!("version = 1\n{two}{one}")));
    assert!(forth.status.success(), "{forth:?}");
    assert_eq!(forth.stdout, back.stdout);
}
