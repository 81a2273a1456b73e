//! Why a command did not do what was asked: one sentence, one hint, an exit code.

use crate::exit::Exit;
use cloakroom_admin::wire::{Complaint, ProblemDocument};
use std::fmt;

/// Why a command did not do what was asked.
#[derive(Debug)]
pub(crate) struct Failure {
    exit: Exit,
    code: String,
    message: String,
    hint: Option<String>,
    complaints: Vec<Complaint>,
}

impl Failure {
    fn with(exit: Exit, code: &str, message: impl Into<String>) -> Self {
        Self { exit, code: code.into(), message: message.into(), hint: None, complaints: Vec::new() }
    }

    /// It failed.
    pub(crate) fn failed(message: impl Into<String>) -> Self {
        Self::with(Exit::Failed, "failed", message)
    }

    /// The command line, a file or a value is wrong.
    pub(crate) fn bad_input(message: impl Into<String>) -> Self {
        Self::with(Exit::BadInput, "bad-input", message)
    }

    /// What was shown is not what was demanded.
    pub(crate) fn refused(message: impl Into<String>) -> Self {
        Self::with(Exit::Refused, "refused", message)
    }

    /// The command line is wrong.
    pub(crate) fn usage(message: &str, hint: String) -> Self {
        Self::with(Exit::BadInput, "usage", message).hinting(hint)
    }

    /// Nothing answers.
    pub(crate) fn no_broker(message: impl Into<String>) -> Self {
        Self::with(Exit::NoBroker, "broker-not-reachable", message)
    }

    /// A login came to nothing: the broker's word and sentence for it.
    pub(crate) fn login(code: &str, reason: String) -> Self {
        Self::with(Exit::Failed, code, reason)
    }

    /// A file could not be read or written.
    pub(crate) fn file(doing: &str, path: &std::path::Path, error: &std::io::Error) -> Self {
        Self::with(Exit::Failed, "file", format!("cannot {doing} {}: {}", path.display(), plain(error)))
    }

    /// Errors in a policy file.
    pub(crate) fn bad_policy(complaints: Vec<Complaint>) -> Self {
        let (message, hint) = match complaints.as_slice() {
            [one] => (format!("{}:{}:{}: {}", one.file, one.line, one.column, one.message), one.hint.clone()),
            many => (format!("the policy has {} errors", many.len()), None),
        };
        let hint = hint.unwrap_or_else(|| "correct the file, then run: cloakroom policy check FILE".into());
        let failure = Self::with(Exit::BadInput, "bad-policy", message);
        Self { complaints, ..failure.hinting(hint) }
    }

    /// An error in the settings file.
    pub(crate) fn bad_settings(complaint: Complaint) -> Self {
        Self { code: "bad-settings".into(), ..Self::bad_policy(vec![complaint]) }
    }

    /// What the broker said no with.
    pub(crate) fn from_problem(problem: ProblemDocument) -> Self {
        let exit = match problem.status {
            400 | 413 | 415 | 422 => Exit::BadInput,
            403 => Exit::Refused,
            _ => Exit::Failed,
        };
        Self {
            exit,
            code: problem.code,
            message: problem.detail,
            hint: Some(problem.hint),
            complaints: problem.complaints,
        }
    }

    /// Adds what to do next.
    #[must_use]
    pub(crate) fn hinting(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// The exit code.
    pub(crate) fn exit(&self) -> Exit {
        self.exit
    }

    /// What to do next.
    pub(crate) fn hint(&self) -> Option<&str> {
        self.hint.as_deref()
    }

    /// The errors in a policy file.
    pub(crate) fn complaints(&self) -> &[Complaint] {
        &self.complaints
    }

    /// As JSON.
    pub(crate) fn document(&self) -> serde_json::Value {
        let mut error = serde_json::json!({ "code": self.code, "message": self.message, "hint": self.hint });
        if !self.complaints.is_empty() {
            error["complaints"] = serde_json::to_value(&self.complaints).unwrap_or_default();
        }
        serde_json::json!({ "error": error })
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

/// The system's words without its number, in lower case.
pub(crate) fn plain(error: &std::io::Error) -> String {
    let text = error.to_string();
    let text = text.split(" (os error").next().unwrap_or_default();
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| first.to_lowercase().chain(letters).collect())
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        Self::failed(plain(&error))
    }
}

impl From<cloakroom_store::journal::JournalError> for Failure {
    fn from(error: cloakroom_store::journal::JournalError) -> Self {
        let failure = Self::failed(error.to_string());
        match error.hint() {
            Some(hint) => failure.hinting(hint),
            None => failure,
        }
    }
}
