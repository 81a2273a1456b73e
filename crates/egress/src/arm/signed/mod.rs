//! A call that is signed by the scheme of its permit, as the last thing before it goes out: over exactly what goes out.

mod hmac;
mod key;
mod message;

use super::outgoing::Outgoing;
use super::unwritable;
use crate::custody::SigningKey;
use crate::scrub::Needles;
use crate::secret::Secret;
use bytes::Bytes;
use cloakroom_model::{Code, Destination, Refusal, Signing, Timestamp};
use http::HeaderName;
use std::sync::Arc;
use zeroize::Zeroizing;

/// A signature that went out, in each spelling that it was written in.
#[derive(Default)]
pub(crate) struct Signature(Vec<Zeroizing<Vec<u8>>>);

impl Signature {
    /// As it is written.
    pub(crate) fn new(text: &[u8]) -> Self {
        let mut signature = Self::default();
        signature.also(text);
        signature
    }

    /// And in another spelling.
    fn also(&mut self, text: &[u8]) {
        self.0.push(Zeroizing::new(text.to_vec()));
    }

    /// What to look for in the reply, which must not show it.
    pub(crate) fn needles(&self) -> impl Iterator<Item = Arc<Needles>> {
        self.0.iter().map(|text| Arc::new(Needles::new(text, None)))
    }
}

/// Signs what goes out.
///
/// # Errors
/// `place-not-permitted` where the scheme cannot be followed with this call or this key; `body-not-permitted` where the body is signed
/// and larger than what is read.
pub(super) fn sign(
    outgoing: &mut Outgoing,
    to: &Destination,
    scheme: &Signing,
    secret: &Secret,
    at: Timestamp,
) -> Result<Signature, Refusal> {
    let key = SigningKey::read(secret.expose())?;
    scheme.replaced().iter().for_each(|name| drop(outgoing.head.headers.remove(name)));
    match scheme {
        Signing::Hmac(scheme) => hmac::sign(outgoing, to, scheme, &key, at),
        Signing::Message(scheme) => message::sign(outgoing, to, scheme, &key, at),
    }
}

/// Path and query as they go out.
fn target(outgoing: &Outgoing) -> (&str, Option<&str>) {
    let uri = &outgoing.head.uri;
    (uri.path(), uri.query())
}

/// The whole body.
fn body(outgoing: &Outgoing) -> Result<&Bytes, Refusal> {
    let reason = "the body is part of what is signed, and larger than what is read for that";
    outgoing.body.as_whole().ok_or_else(|| Refusal::new(Code::BodyNotPermitted, reason))
}

/// The values of a header that is signed.
fn values(outgoing: &Outgoing, name: &HeaderName) -> Result<Vec<String>, Refusal> {
    let text = |value: &http::HeaderValue| value.to_str().map(|text| text.trim().to_owned());
    let values = outgoing.head.headers.get_all(name).iter().map(text).collect::<Result<Vec<_>, _>>();
    values.map_err(|_| unwritable())
}

fn not_followed(reason: &'static str) -> Refusal {
    Refusal::new(Code::PlaceNotPermitted, reason)
}

#[cfg(test)]
mod tests;
