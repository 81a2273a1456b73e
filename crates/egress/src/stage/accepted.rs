//! A handshake that the destination accepted: its head is scrubbed, and the channel is handed on with what is to be found in it.

use crate::scrub::{Finder, scrub_fields};
use crate::stage::Answer;
use crate::upstream::Switched;
use crate::websocket::{Channel, agreed};
use cloakroom_model::{Code, Destination, Refusal};
use cloakroom_policy::MessageJudge;
use http::HeaderMap;
use http::header::{
    CONNECTION, CONTENT_LENGTH, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_EXTENSIONS, TRANSFER_ENCODING, UPGRADE,
};
use std::sync::Arc;

/// What became of a call that asked for a WebSocket.
pub(crate) struct Accepted {
    pub(crate) switched: Switched,
    /// Judges what the workload will say.
    pub(crate) judge: Box<MessageJudge>,
    pub(crate) destination: Destination,
}

impl Accepted {
    /// # Errors
    /// `upstream-unreachable` when the destination agreed to a compression that was not offered.
    pub(super) fn scrub(self, fields: HeaderMap, finder: Arc<Finder>) -> Result<Answer, Refusal> {
        let Self { switched, judge, destination } = self;
        let deflate = switched.extensions.as_deref().map(agreed).transpose();
        let deflate = deflate.map_err(|reason| Refusal::new(Code::UpstreamUnreachable, reason))?;
        let (mut fields, replaced) = scrub_fields(fields, &finder);
        // They are about the hop to the destination; the workload's hop has its own.
        for name in [
            CONNECTION,
            UPGRADE,
            SEC_WEBSOCKET_ACCEPT,
            SEC_WEBSOCKET_EXTENSIONS,
            CONTENT_LENGTH,
            TRANSFER_ENCODING,
        ] {
            fields.remove(name);
        }
        let Switched { io, early, .. } = switched;
        let channel = Channel { upstream: io, early, deflate, finder, judge: *judge, destination, replaced };
        Ok(Answer::switching(fields, channel))
    }
}
