//! A connection that left HTTP: the destination agreed to speak WebSocket on it (RFC 6455, section 4).

use super::http1::Exchange;
use super::unreachable;
use crate::websocket::{Io, OFFER, accept_of, is_offered};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::BytesMut;
use cloakroom_model::{Code, Refusal};
use cloakroom_wire::ReplyHead;
use http::header::{
    CONNECTION, HeaderMap, HeaderName, HeaderValue, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_EXTENSIONS,
    SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_VERSION, UPGRADE,
};
use std::fmt;

/// The connection after `101`.
pub(crate) struct Switched {
    /// Towards the destination.
    pub(crate) io: Box<dyn Io>,
    /// What came right behind the head.
    pub(crate) early: BytesMut,
    /// `Sec-WebSocket-Extensions` of the reply: what the destination accepted of what was offered.
    pub(crate) extensions: Option<String>,
}

impl fmt::Debug for Switched {
    /// SECURITY: what came may hold the secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Switched")
    }
}

impl Switched {
    /// The connection of an exchange that ended with `101`.
    ///
    /// # Errors
    /// `upstream-unreachable` when the reply's extensions cannot be read, or none was `offered`.
    pub(super) fn new(exchange: Exchange, reply: &ReplyHead, offered: bool) -> Result<Self, Refusal> {
        let extensions = extensions(reply)?;
        if extensions.is_some() && !offered {
            return Err(unreachable("the destination chose a WebSocket extension that was not offered"));
        }
        let Exchange { line, buffer, .. } = exchange;
        Ok(Self { io: Box::new(line.io), early: buffer, extensions })
    }
}

/// The key of one opening handshake. It proves that the destination understood what was asked for, and keeps nothing secret.
pub(super) struct Key(String);

impl Key {
    /// A fresh one.
    ///
    /// # Errors
    /// `internal-fault` when the operating system gives no random bytes.
    pub(super) fn fresh() -> Result<Self, Refusal> {
        let mut bytes = [0u8; 16];
        getrandom::fill(&mut bytes)
            .map_err(|_| Refusal::new(Code::InternalFault, "the operating system gave no random bytes"))?;
        Ok(Self(STANDARD.encode(bytes)))
    }

    /// The fields that ask for a WebSocket on this hop. The workload's own are taken out: they are about its hop.
    pub(super) fn fields(&self, workloads: &mut HeaderMap) -> Vec<(&'static str, &str)> {
        let offered = is_offered(workloads);
        for name in [SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_VERSION, SEC_WEBSOCKET_EXTENSIONS, SEC_WEBSOCKET_ACCEPT]
        {
            workloads.remove(name);
        }
        let mut fields = vec![
            ("connection", "Upgrade"),
            ("upgrade", "websocket"),
            ("sec-websocket-version", "13"),
            ("sec-websocket-key", self.0.as_str()),
        ];
        if offered {
            fields.push(("sec-websocket-extensions", OFFER));
        }
        fields
    }

    /// Checks a `101`: it must be what this handshake asked for, and nothing else.
    ///
    /// # Errors
    /// `upstream-unreachable`.
    pub(super) fn check(&self, head: &ReplyHead) -> Result<(), Refusal> {
        let upgrades = only(head, &UPGRADE).is_some_and(|value| value.eq_ignore_ascii_case(b"websocket"));
        let says_so = head.fields.get_all(CONNECTION).iter().any(|value| {
            let mut options = value.as_bytes().split(|b| *b == b',');
            options.any(|option| option.trim_ascii().eq_ignore_ascii_case(b"upgrade"))
        });
        let accepted =
            only(head, &SEC_WEBSOCKET_ACCEPT).is_some_and(|value| value == accept_of(&self.0).as_bytes());
        if upgrades && says_so && accepted {
            Ok(())
        } else {
            Err(unreachable("the destination did not accept the WebSocket that was asked for"))
        }
    }
}

/// The extensions that the destination accepted.
///
/// # Errors
/// `upstream-unreachable` when the field is not ASCII.
fn extensions(head: &ReplyHead) -> Result<Option<String>, Refusal> {
    let values = head.fields.get_all(SEC_WEBSOCKET_EXTENSIONS);
    let values: Result<Vec<&str>, _> = values.iter().map(HeaderValue::to_str).collect();
    let values = values.map_err(|_| unreachable("the destination accepted an unreadable extension"))?;
    Ok((!values.is_empty()).then(|| values.join(", ")))
}

fn only<'a>(head: &'a ReplyHead, name: &HeaderName) -> Option<&'a [u8]> {
    let mut values = head.fields.get_all(name).iter();
    let first = values.next();
    first.filter(|_| values.next().is_none()).map(HeaderValue::as_bytes)
}
