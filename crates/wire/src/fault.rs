//! Bytes outside the grammar.

/// What is wrong, as one fixed sentence: no byte of the message is in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Fault(pub(crate) &'static str);

impl Fault {
    /// The sentence.
    pub fn reason(self) -> &'static str {
        self.0
    }
}
