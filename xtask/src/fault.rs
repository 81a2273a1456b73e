//! What went wrong, for the person at the terminal.

use std::fmt;

/// A message; several lines where several things are wrong.
#[derive(Debug)]
pub(crate) struct Fault(String);

impl Fault {
    /// From a sentence.
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self(message.into())
    }

    /// `Ok` when there are no complaints, else all of them.
    pub(crate) fn unless_empty(what: &str, complaints: Vec<String>) -> Result<(), Self> {
        match complaints.len() {
            0 => Ok(()),
            count => Err(Self(format!("{what}: {count} complaint(s)\n  {}", complaints.join("\n  ")))),
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<std::io::Error> for Fault {
    fn from(error: std::io::Error) -> Self {
        Self(error.to_string())
    }
}

impl From<serde_json::Error> for Fault {
    fn from(error: serde_json::Error) -> Self {
        Self(format!("unexpected JSON: {error}"))
    }
}
