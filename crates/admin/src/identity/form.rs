//! A form of a page: its fields, once the one that only pages of this session know was right (T82).

use super::Caller;
use super::guard::require_token;
use crate::{Problem, ProblemCode};
use axum::body::Bytes;
use axum::extract::{FromRequest, Request};
use cloakroom_model::{Pair, form_pairs};

/// The fields of a form, in order.
pub(crate) struct Form(Vec<Pair>);

impl Form {
    /// The only field of this name.
    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        let mut found = self.0.iter().filter(|pair| pair.key() == name).map(Pair::value);
        found.next().filter(|_| found.next().is_none())
    }
}

impl<S: Send + Sync> FromRequest<S> for Form {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        let malformed = || Problem::new(ProblemCode::MalformedRequest, "the body is not a form");
        let caller = request.extensions().get::<Caller>().cloned();
        let bytes = Bytes::from_request(request, state).await.map_err(|_| malformed())?;
        let text = std::str::from_utf8(&bytes).map_err(|_| malformed())?;
        let form = Self(form_pairs(text).map_err(|_| malformed())?);
        if let Some(caller) = caller.filter(|caller| caller.session().is_some()) {
            require_token(form.field("csrf").unwrap_or_default().as_bytes(), &caller)?;
        }
        Ok(form)
    }
}
