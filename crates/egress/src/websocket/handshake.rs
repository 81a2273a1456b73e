//! The opening handshake with the workload (RFC 6455, section 4.2; RFC 8441, section 5).
//!
//! Key, accept, version and extensions are made on each hop; only `Sec-WebSocket-Protocol` and `Origin` go from end to end.

use super::extension::{self, Agreed};
use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use cloakroom_model::{Code, Refusal};
use http::header::{
    CONNECTION, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_EXTENSIONS, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_VERSION,
    UPGRADE,
};
use http::{HeaderMap, HeaderName, HeaderValue};

/// What carries the channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Carrier {
    /// A connection of HTTP/1.1, by `Upgrade`.
    Connection,
    /// A stream of HTTP/2, by extended CONNECT: there is neither a key nor an accept.
    Stream,
}

/// A workload's handshake that can be answered.
#[derive(Clone, Debug)]
pub struct Greeting {
    accept: Option<String>,
    pub(crate) deflate: Option<Agreed>,
}

impl Greeting {
    /// Reads the fields of a handshake.
    ///
    /// # Errors
    /// `malformed-call` where version or key are not what RFC 6455 asks for.
    pub fn read(fields: &HeaderMap, carrier: Carrier) -> Result<Self, Refusal> {
        if only(fields, &SEC_WEBSOCKET_VERSION) != Some("13") {
            return Err(malformed("a WebSocket handshake has another version than 13"));
        }
        let key = only(fields, &SEC_WEBSOCKET_KEY);
        let accept = match carrier {
            Carrier::Stream => None,
            Carrier::Connection => Some(
                key.filter(|key| is_key(key))
                    .map(accept_of)
                    .ok_or_else(|| malformed("a WebSocket handshake has no key of sixteen bytes"))?,
            ),
        };
        Ok(Self { accept, deflate: extension::offered(fields) })
    }

    /// The fields of the answer that switches protocols.
    pub fn answer(&self) -> HeaderMap {
        let mut fields = HeaderMap::new();
        if let Some(accept) = self.accept.as_deref().and_then(|text| HeaderValue::from_str(text).ok()) {
            fields.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
            fields.insert(UPGRADE, HeaderValue::from_static("websocket"));
            fields.insert(SEC_WEBSOCKET_ACCEPT, accept);
        }
        if let Some(value) = self.deflate.and_then(|agreed| HeaderValue::from_str(&agreed.answer()).ok()) {
            fields.insert(SEC_WEBSOCKET_EXTENSIONS, value);
        }
        fields
    }
}

/// What proves that a key was read (RFC 6455, section 4.2.2). SHA-1 protects nothing here.
pub(crate) fn accept_of(key: &str) -> String {
    const NAME: &str = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
    STANDARD.encode(digest(&SHA1_FOR_LEGACY_USE_ONLY, [key, NAME].concat().as_bytes()))
}

fn is_key(key: &str) -> bool {
    STANDARD.decode(key).is_ok_and(|bytes| bytes.len() == 16)
}

fn only<'f>(fields: &'f HeaderMap, name: &HeaderName) -> Option<&'f str> {
    let mut values = fields.get_all(name).iter();
    match (values.next(), values.next()) {
        (Some(value), None) => value.to_str().ok(),
        _ => None,
    }
}

fn malformed(reason: &'static str) -> Refusal {
    Refusal::new(Code::MalformedCall, reason)
}
