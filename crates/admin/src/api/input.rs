//! Request bodies: JSON of the expected type, or a problem that says which member is wrong.

use crate::{Problem, ProblemCode};
use axum::Json;
use axum::extract::rejection::JsonRejection;
use axum::extract::{FromRequest, Request};
use serde::de::DeserializeOwned;

/// A request body.
pub(crate) struct Body<T>(pub(crate) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Body<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        match Json::<T>::from_request(request, state).await {
            Ok(Json(value)) => Ok(Self(value)),
            Err(rejection) => Err(Problem::new(ProblemCode::MalformedRequest, sentence(&rejection))),
        }
    }
}

fn sentence(rejection: &JsonRejection) -> String {
    let text = rejection.body_text();
    let rest = text.split_once(": ").map_or(text.as_str(), |(_, rest)| rest);
    rest.to_owned()
}
