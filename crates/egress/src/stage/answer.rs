//! Stage 5: a reply without secrets.

#![allow(clippy::todo, dead_code)]

/// A reply without secrets. Made only by [`crate::Returned::scrub`].
pub struct Answer {
    _private: (),
}

impl Answer {
    /// The status.
    pub fn status(&self) -> http::StatusCode {
        todo!()
    }

    /// The reply, for the workload.
    pub fn into_response(self) -> http::Response<ScrubbedBody> {
        todo!()
    }
}

/// A scrubbed body. Implements `http_body::Body<Data = Bytes, Error = BodyFault>`; `on_end` is told once, at its end or drop.
pub struct ScrubbedBody {}

/// What a reply came to.
#[derive(Clone, Copy, Debug, Default)]
pub struct Tally {
    /// Bytes handed on.
    pub bytes: u64,
    /// Finds replaced.
    pub replaced: u64,
    /// Whether the reply came to its end.
    pub complete: bool,
}

impl ScrubbedBody {
    /// Calls `tell` once, when the body ends or is dropped.
    #[must_use]
    pub fn on_end(self, _tell: impl FnOnce(Tally) + Send + 'static) -> Self {
        todo!()
    }
}
