//! The command line as a person meets it: one file per case, with files, arguments, exact output and exit code.
//!
//! `UPDATE_CASES=1` writes what the program says now into the cases; read the difference before you keep it.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::fmt::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

/// One part of a case: `--- NAME` and the lines below it.
type Section = (String, String);

struct Case {
    arguments: String,
    sections: Vec<Section>,
}

impl Case {
    fn parse(text: &str) -> Self {
        let mut lines = text.lines();
        let first = lines.next().unwrap();
        let arguments =
            first.strip_prefix("$ cloakroom").expect("a case begins with: $ cloakroom …").trim().to_owned();
        let mut sections: Vec<Section> = Vec::new();
        for line in lines {
            match (line.strip_prefix("--- "), sections.last_mut()) {
                (Some(name), _) => sections.push((name.to_owned(), String::new())),
                (None, Some((_, text))) => {
                    text.push_str(line);
                    text.push('\n');
                }
                (None, None) => panic!("a line before the first section: {line}"),
            }
        }
        Self { arguments, sections }
    }

    fn section(&self, name: &str) -> &str {
        self.sections.iter().find(|(of, _)| of == name).map_or("", |(_, text)| text)
    }

    fn files(&self) -> impl Iterator<Item = (&str, &str)> {
        self.sections.iter().filter_map(|(name, text)| Some((name.strip_prefix("file ")?, text.as_str())))
    }

    /// The case as it would stand in its file with this outcome.
    fn written(&self, exit: i32, stdout: &str, stderr: &str) -> String {
        let mut text = format!("$ cloakroom {}\n", self.arguments);
        for (name, content) in
            self.sections.iter().filter(|(name, _)| name.starts_with("file ") || name == "stdin")
        {
            write!(text, "--- {name}\n{content}").unwrap();
        }
        write!(text, "--- exit\n{exit}\n").unwrap();
        for (name, content) in [("stdout", stdout), ("stderr", stderr)] {
            if !content.is_empty() {
                write!(text, "--- {name}\n{content}").unwrap();
            }
        }
        text
    }
}

fn run(case: &Case, directory: &Path) -> (i32, String, String) {
    for (name, text) in case.files() {
        std::fs::write(directory.join(name), text).unwrap();
    }
    let mut child = Command::new(env!("CARGO_BIN_EXE_cloakroom"))
        .args(case.arguments.split_whitespace())
        .current_dir(directory)
        .env_clear()
        .env("HOME", directory)
        .env("NO_COLOR", "1")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let _ = std::io::Write::write_all(&mut stdin, case.section("stdin").as_bytes());
    drop(stdin);
    let output = child.wait_with_output().unwrap();
    let text =
        |bytes: Vec<u8>| String::from_utf8(bytes).unwrap().replace(directory.to_str().unwrap(), "[DIR]");
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

#[test]
fn every_case_says_exactly_this() {
    let cases = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cmd");
    let update = std::env::var_os("UPDATE_CASES").is_some();
    let mut wrong = Vec::new();
    let mut count = 0;
    for entry in std::fs::read_dir(cases).unwrap() {
        let path = entry.unwrap().path();
        let text = std::fs::read_to_string(&path).unwrap();
        let case = Case::parse(&text);
        let directory = tempfile::tempdir().unwrap();
        let (exit, stdout, stderr) = run(&case, directory.path());
        let now = case.written(exit, &stdout, &stderr);
        count += 1;
        if now != text && update {
            std::fs::write(&path, now).unwrap();
        } else if now != text {
            wrong.push(format!("{}:\n{now}", path.display()));
        }
    }
    assert!(wrong.is_empty(), "these cases say something else now:\n{}", wrong.join("\n"));
    assert!(count > 20, "only {count} cases were found");
}
