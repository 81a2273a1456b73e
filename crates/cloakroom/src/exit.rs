//! How the program ends. Scripts branch on these; they are documented in `--help` and docs/cli.md.

use std::io::Write;
use std::process::ExitCode;

/// The exit codes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    /// It was done.
    Done = 0,
    /// It failed: a conflict, an unknown name, a disk.
    Failed = 1,
    /// The command line, a file or a value is wrong.
    BadInput = 2,
    /// Refused, not permitted, or does not verify.
    Refused = 3,
    /// No broker answers in the data directory.
    NoBroker = 4,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// Help and version go to stdout and are a success; a wrong command line is bad input.
pub(crate) fn of_usage(error: &clap::Error) -> ExitCode {
    let wants_json = std::env::args_os().skip(1).any(|argument| argument == "--json");
    if !error.use_stderr() || !wants_json {
        // A closed pipe is no reason to fail: there is nobody left to tell.
        let _ = error.print();
        return if error.use_stderr() { Exit::BadInput } else { Exit::Done }.into();
    }
    let text = error.render().to_string();
    let first = text.lines().next().unwrap_or_default();
    let message = first.strip_prefix("error: ").unwrap_or(first);
    let hint = "run the command with --help";
    let document = serde_json::json!({ "error": { "code": "usage", "message": message, "hint": hint } });
    let _ = writeln!(std::io::stderr(), "{document}");
    Exit::BadInput.into()
}
