//! Stage 5: a reply without secrets.

use super::body::ScrubbedBody;
use http::{HeaderMap, Response, StatusCode};

/// A reply without secrets. Made only by [`crate::Returned::scrub`].
#[derive(Debug)]
pub struct Answer {
    status: StatusCode,
    fields: HeaderMap,
    body: ScrubbedBody,
}

impl Answer {
    pub(super) fn new(status: StatusCode, fields: HeaderMap, body: ScrubbedBody) -> Self {
        Self { status, fields, body }
    }

    /// The status.
    pub fn status(&self) -> StatusCode {
        self.status
    }

    /// The reply, for the workload. The upstream's reason phrase is not in it.
    pub fn into_response(self) -> Response<ScrubbedBody> {
        let mut response = Response::new(self.body);
        *response.status_mut() = self.status;
        *response.headers_mut() = self.fields;
        response
    }
}
