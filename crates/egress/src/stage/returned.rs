//! Stage 4: the upstream answered; the reply is not scrubbed yet.

#![allow(clippy::todo, dead_code)]
use crate::stage::Answer;
use cloakroom_model::Refusal;

/// A reply that may hold the secret. Made only by [`crate::Armed::send`].
pub struct Returned {
    _private: (),
}

impl Returned {
    /// Takes the secret out of the reply.
    ///
    /// # Errors
    /// `response-not-scrubbable` when the reply cannot be searched.
    pub fn scrub(self) -> Result<Answer, Refusal> {
        todo!()
    }
}
