//! A form of a page: its fields.

use crate::{Problem, ProblemCode};
use axum::body::Bytes;
use axum::extract::{FromRequest, Request};
use cloakroom_model::{Pair, form_pairs};

/// The fields of a form, in order.
pub(crate) struct Form(Vec<Pair>);

impl Form {
    /// Reads a body.
    ///
    /// # Errors
    /// [`ProblemCode::MalformedRequest`]
    pub(super) fn read(body: &[u8]) -> Result<Self, Problem> {
        let malformed = || Problem::new(ProblemCode::MalformedRequest, "the body is not a form");
        let text = std::str::from_utf8(body).map_err(|_| malformed())?;
        form_pairs(text).map(Self).map_err(|_| malformed())
    }

    /// The only field of this name.
    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        let mut found = self.0.iter().filter(|pair| pair.key() == name).map(Pair::value);
        found.next().filter(|_| found.next().is_none())
    }
}

impl<S: Send + Sync> FromRequest<S> for Form {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        let unread = |_| Problem::new(ProblemCode::MalformedRequest, "the body cannot be read");
        Self::read(&Bytes::from_request(request, state).await.map_err(unread)?)
    }
}
