//! Why the store did not do what was asked.

/// Why the store did not do what was asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// A name is taken.
    #[error("{what} {name:?} exists already")]
    Exists {
        /// `credential`, `workload` …
        what: &'static str,
        /// The name or id.
        name: String,
    },
    /// There is no such row, or it was removed.
    #[error("there is no {what} {name:?}")]
    Missing {
        /// `credential`, `workload` …
        what: &'static str,
        /// The name or id.
        name: String,
    },
    /// The row is not in the state that the change needs.
    #[error("{0}")]
    Conflict(String),
    /// The database cannot be used at all: damaged, newer than this program, or not ours.
    #[error("{what}")]
    Unusable {
        /// What was found.
        what: String,
        /// What the operator can do.
        hint: String,
    },
    /// The database failed while at work: disk full, input or output error.
    #[error("the store failed: {0}")]
    Failed(String),
}

impl StoreError {
    /// What the operator can do next, where there is something.
    pub fn hint(&self) -> Option<&str> {
        match self {
            Self::Unusable { hint, .. } => Some(hint),
            _ => None,
        }
    }

    pub(crate) fn missing(what: &'static str, name: impl ToString) -> Self {
        Self::Missing { what, name: name.to_string() }
    }
}

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Failed(error.to_string())
    }
}
