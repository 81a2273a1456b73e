//! Stage 5: a reply without secrets.

use super::body::ScrubbedBody;
use crate::websocket::Channel;
use bytes::Bytes;
use http::{HeaderMap, Response, StatusCode};

/// A reply without secrets. Made only by [`crate::Returned::scrub`].
#[derive(Debug)]
pub struct Answer {
    status: StatusCode,
    fields: HeaderMap,
    body: ScrubbedBody,
    channel: Option<Box<Channel>>,
}

impl Answer {
    pub(super) fn new(status: StatusCode, fields: HeaderMap, body: ScrubbedBody) -> Self {
        Self { status, fields, body, channel: None }
    }

    /// A handshake that was accepted. Its fields are end to end.
    pub(super) fn switching(fields: HeaderMap, channel: Channel) -> Self {
        let body = ScrubbedBody::whole(Bytes::new(), None);
        let channel = Some(Box::new(channel));
        Self { status: StatusCode::SWITCHING_PROTOCOLS, fields, body, channel }
    }

    /// The WebSocket, where the destination accepted one. What is left is the head of the reply.
    pub fn take_channel(&mut self) -> Option<Box<Channel>> {
        self.channel.take()
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
