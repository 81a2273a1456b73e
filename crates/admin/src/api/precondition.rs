//! Entity tags (RFC 9110, section 8.8.3) of what can be changed, and changes that are bound to one (`If-Match`): what was looked at is what is
//! changed, or nothing is.
//!
//! A tag names the state that a change is about. What only grows with use, as the count of uses does, is no part of it.

use crate::{Problem, ProblemCode};
use aws_lc_rs::digest::{SHA256, digest};
use axum::Json;
use axum::extract::FromRequestParts;
use axum::response::{IntoResponse, Response};
use cloakroom_model::hexadecimal;
use http::request::Parts;
use http::{HeaderValue, header};
use serde::Serialize;

/// How much of a digest tells two states apart.
const LENGTH: usize = 32;

/// The tag of a state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Tag(String);

impl Tag {
    /// Of what is shown of it.
    pub(crate) fn of(state: &impl Serialize) -> Self {
        Self::of_bytes(&serde_json::to_vec(state).unwrap_or_default())
    }

    /// Of these bytes.
    pub(crate) fn of_bytes(bytes: &[u8]) -> Self {
        let mut text = hexadecimal(digest(&SHA256, bytes).as_ref());
        text.truncate(LENGTH);
        Self(format!("\"{text}\""))
    }

    /// With its quotes.
    pub(crate) fn text(&self) -> &str {
        &self.0
    }

    /// As a header field has it.
    pub(crate) fn value(&self) -> Option<HeaderValue> {
        HeaderValue::from_str(&self.0).ok()
    }
}

/// An answer with its tag.
#[derive(Debug)]
pub(crate) struct Tagged<T>(pub(crate) Tag, pub(crate) T);

impl<T: Serialize> IntoResponse for Tagged<T> {
    fn into_response(self) -> Response {
        let mut answer = Json(self.1).into_response();
        answer.headers_mut().extend(self.0.value().map(|tag| (header::ETAG, tag)));
        answer
    }
}

/// The tags that the caller binds a change to; none: whatever the state is.
#[derive(Clone, Debug, Default)]
pub(crate) struct IfMatch(Option<Vec<String>>);

impl IfMatch {
    /// Lets the change go on where the state is one that the caller knows.
    ///
    /// # Errors
    /// [`ProblemCode::ChangedMeanwhile`]
    pub(crate) fn require(&self, state: &impl Serialize) -> Result<(), Problem> {
        let Some(known) = &self.0 else { return Ok(()) };
        let now = Tag::of(state).0;
        if known.iter().any(|tag| *tag == "*" || *tag == now) {
            return Ok(());
        }
        Err(Problem::new(
            ProblemCode::ChangedMeanwhile,
            "it is not in the state any more that the request is bound to",
        ))
    }
}

impl<S: Send + Sync> FromRequestParts<S> for IfMatch {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
        let fields = parts.headers.get_all(header::IF_MATCH).iter();
        // One that cannot be read names no state: nothing matches it.
        let texts = fields.map(|field| field.to_str().unwrap_or_default().to_owned());
        let tags: Vec<String> = texts
            .flat_map(|text| text.split(',').map(|tag| tag.trim().to_owned()).collect::<Vec<_>>())
            .collect();
        Ok(Self((!tags.is_empty()).then_some(tags)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_that_is_bound_to_a_state_waits_for_no_other() {
        let tag = Tag::of(&"now").0;
        let bound = |tags: &[&str]| IfMatch(Some(tags.iter().map(|tag| (*tag).to_owned()).collect()));
        assert!(IfMatch(None).require(&"now").is_ok());
        assert!(bound(&["*"]).require(&"now").is_ok() && bound(&["\"x\"", &tag]).require(&"now").is_ok());
        for wrong in [bound(&["\"x\""]), bound(&[""]), bound(&[tag.trim_matches('"')])] {
            assert_eq!(wrong.require(&"now").unwrap_err().code(), ProblemCode::ChangedMeanwhile);
        }
        assert!(bound(&[&tag]).require(&"later").is_err());
    }
}
