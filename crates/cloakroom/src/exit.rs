//! How the program ends. Scripts branch on these; they are documented in `--help` and docs/cli.md.

use crate::failure::Failure;
use crate::output::Output;
use clap::error::{ContextKind, ErrorKind};
use std::process::ExitCode;

/// The exit codes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    /// It was done.
    Done,
    /// It failed: a conflict, an unknown name, a disk.
    Failed,
    /// The command line, a file or a value is wrong.
    BadInput,
    /// Refused, not permitted, or does not verify.
    Refused,
    /// No broker answers in the data directory.
    NoBroker,
    /// A check could not find out.
    NotProved,
    /// As the command ended that `cloakroom run` ran.
    OfCommand(u8),
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(match exit {
            Exit::Done => 0,
            Exit::Failed => 1,
            Exit::BadInput => 2,
            Exit::Refused => 3,
            Exit::NoBroker => 4,
            Exit::NotProved => 5,
            Exit::OfCommand(code) => code,
        })
    }
}

/// Help and version go to stdout and are a success; a wrong command line is bad input, said in our own form.
pub(crate) fn of_usage(error: &clap::Error) -> ExitCode {
    let wants_json = std::env::args_os().skip(1).any(|argument| argument == "--json");
    let is_help = error.kind() == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand;
    if !error.use_stderr() || (is_help && !wants_json) {
        // A closed pipe is no reason to fail: there is nobody left to tell.
        let _ = error.print();
        return if error.use_stderr() { Exit::BadInput } else { Exit::Done }.into();
    }
    let failure = match is_help {
        true => Failure::usage("the command is missing", "list the commands: cloakroom --help".into()),
        // Clap's own words list every command, internal ones too.
        false if error.kind() == ErrorKind::MissingSubcommand => {
            let parent = error.get(ContextKind::InvalidSubcommand).map(ToString::to_string);
            let parent = parent.unwrap_or_else(|| "cloakroom".into());
            Failure::usage("the command is missing", format!("list the commands: {parent} --help"))
        }
        false if holds_a_stray_value(error) => Failure::usage(
            "there is a value too many on the command line",
            "secrets come from stdin, a prompt or --secret-file FILE; see also: --help".into(),
        ),
        false => in_our_form(&error.render().to_string()),
    };
    Output::new(wants_json).failure(&failure);
    failure.exit().into()
}

/// SECURITY: a stray value may be a secret that someone put on the command line; it is not repeated.
fn holds_a_stray_value(error: &clap::Error) -> bool {
    let argument = error.get(ContextKind::InvalidArg).map(ToString::to_string);
    error.kind() == ErrorKind::UnknownArgument && argument.is_some_and(|argument| !argument.starts_with('-'))
}

/// From `error: …`, `tip: …`, `Usage: …` to one sentence and one hint.
fn in_our_form(rendered: &str) -> Failure {
    let lines: Vec<&str> = rendered.lines().map(str::trim).collect();
    let sentence: Vec<&str> = lines.iter().copied().take_while(|line| !line.is_empty()).collect();
    let message = sentence.join(" ");
    let message = message.strip_prefix("error: ").unwrap_or(&message);
    let tip = lines.iter().find_map(|line| line.strip_prefix("tip: "));
    let usage = lines.iter().find_map(|line| line.strip_prefix("Usage: "));
    let hint = match (tip, usage) {
        (Some(tip), _) => tip.to_owned(),
        (None, Some(usage)) => format!("usage: {}", required_only(usage)),
        (None, None) => "run the command with --help".to_owned(),
    };
    Failure::usage(message, hint)
}

/// Without the data directory, which clap lists as if it were required when it comes from the environment.
fn required_only(usage: &str) -> String {
    usage.replace(" --data <DIR>", "")
}
