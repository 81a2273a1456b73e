//! The name an operator gives to a credential or a workload.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::sync::Arc;

/// 1 to 64 of `A-Z a-z 0-9 . _ -`, beginning with a letter or digit. Safe to print anywhere.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Name(Arc<str>);

/// Why a text is not a [`Name`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// Empty or longer than 64 characters.
    #[error("a name has 1 to 64 characters")]
    Length,
    /// A character outside the allowed set.
    #[error("a name uses only letters, digits, '.', '_' and '-', and begins with a letter or digit")]
    Character,
}

impl Name {
    /// Parses a name.
    ///
    /// # Errors
    /// [`NameError`] when the text is empty, too long, or has a character outside the set.
    pub fn parse(text: &str) -> Result<Self, NameError> {
        if text.is_empty() || text.len() > 64 {
            return Err(NameError::Length);
        }
        let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-');
        if !text.as_bytes()[0].is_ascii_alphanumeric() || !text.bytes().all(allowed) {
            return Err(NameError::Character);
        }
        Ok(Self(text.into()))
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for Name {
    type Error = NameError;
    fn try_from(text: String) -> Result<Self, NameError> {
        Self::parse(&text)
    }
}

impl From<Name> for String {
    fn from(name: Name) -> String {
        name.as_str().to_owned()
    }
}

impl std::str::FromStr for Name {
    type Err = NameError;
    fn from_str(text: &str) -> Result<Self, NameError> {
        Self::parse(text)
    }
}
