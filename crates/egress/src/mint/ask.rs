//! One question to an authorization server: a form or nothing goes to exactly one URL, and a short reply comes back whole.
//!
//! What is asked and what the reply means is said elsewhere. No redirect is followed, nothing of a reply is logged.

use super::dpop::{PROOF, Prover};
use super::exchange::{Failure, error_of};
use crate::stage::OutBody;
use crate::upstream::{Hints, PoolKey, RawBody, Upstream};
use bytes::Bytes;
use cloakroom_model::{CredentialId, Destination, Scheme};
use http::{HeaderMap, HeaderValue, Method, Response, header, request};
use http_body_util::BodyExt;
use zeroize::Zeroizing;

/// The longest reply that is read, in bytes.
pub(super) const LONGEST: usize = 64 * 1024;

/// A reply, whole.
pub(super) type Reply = Response<Zeroizing<Vec<u8>>>;

/// Who asks: connections are kept apart by it.
#[derive(Clone, Copy)]
pub(crate) struct Asker {
    pub(crate) credential: CredentialId,
    pub(crate) generation: u32,
}

/// Asks once.
pub(super) async fn ask(
    upstream: &Upstream,
    asker: Asker,
    destination: Destination,
    head: request::Parts,
    body: Bytes,
) -> Result<Reply, Failure> {
    let key = PoolKey { credentials: vec![(asker.credential, asker.generation)], destination };
    let mut ignore = |_, _| {};
    let sent = upstream.send(head, OutBody::whole(body), key, &mut Hints::new(&mut ignore)).await;
    let reply = sent.map_err(|refusal| {
        tracing::warn!(credential = %asker.credential, %refusal, "an authorization server could not be asked");
        let reason = "the authorization server could not be reached";
        if refusal.is_unsent() { Failure::Unreached(reason) } else { Failure::Unavailable(reason, None) }
    })?;
    let (head, body) = reply.into_parts();
    let body = read(body, LONGEST)
        .await
        .ok_or(Failure::Unavailable("the authorization server's reply broke off or is too long", None))?;
    Ok(Response::from_parts(head, body))
}

/// Asks with a proof of possession where there is a key (RFC 9449, section 5), and once more where the server only wants a nonce in it.
/// `question` is asked anew each time: nothing of it may be seen twice.
pub(super) async fn ask_proving(
    upstream: &Upstream,
    asker: Asker,
    url: &str,
    prover: Option<&Prover>,
    question: impl Fn(&str) -> Result<(request::Parts, Bytes), &'static str>,
) -> Result<Reply, Failure> {
    let (destination, path) = endpoint(url).ok_or(Failure::Refused("an endpoint cannot be read"))?;
    let mut is_last = prover.is_none();
    loop {
        let (mut head, body) = question(path).map_err(Failure::Refused)?;
        if let Some(prover) = prover {
            let nonce = prover.nonce(&destination);
            let proof = prover.proof(&head.method, url, None, nonce.as_deref());
            head.headers.insert(PROOF, proof.map_err(Failure::Refused)?);
        }
        let reply = ask(upstream, asker, destination.clone(), head, body).await?;
        let has_news = prover.is_some_and(|prover| prover.hear(&destination, reply.headers()));
        let wants_nonce = has_news && error_of(reply.body()).as_deref() == Some("use_dpop_nonce");
        if is_last || !wants_nonce {
            return Ok(reply);
        }
        is_last = true;
    }
}

/// Where an `https://` URL leads: its destination, and its path with query.
pub(super) fn endpoint(url: &str) -> Option<(Destination, &str)> {
    let rest = url.strip_prefix("https://")?;
    let slash = rest.find('/')?;
    let to: Destination = format!("https://{}", &rest[..slash]).parse().ok()?;
    let path = &rest[slash..];
    let plain = path.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'#');
    (to.scheme() == Scheme::Https && plain).then_some((to, path))
}

/// The fields that every question has: one reading of the reply is wanted, and no encoding of it.
pub(super) fn fields() -> HeaderMap {
    let mut fields = HeaderMap::new();
    fields.insert(header::ACCEPT, HeaderValue::from_static("application/json"));
    fields.insert(header::ACCEPT_ENCODING, HeaderValue::from_static("identity"));
    fields.insert(header::USER_AGENT, HeaderValue::from_static("cloakroom"));
    fields
}

/// The head of a question.
pub(super) fn head(method: Method, path: &str, fields: HeaderMap) -> Result<request::Parts, &'static str> {
    let (mut head, ()) = http::Request::new(()).into_parts();
    head.method = method;
    head.uri = path.parse().map_err(|_| "the endpoint's path cannot be written")?;
    head.headers = fields;
    Ok(head)
}

/// An `application/x-www-form-urlencoded` body.
#[derive(Default)]
pub(super) struct Form(Zeroizing<Vec<u8>>);

impl Form {
    pub(super) fn add(&mut self, name: &str, value: &str) {
        if !self.0.is_empty() {
            self.0.push(b'&');
        }
        self.0.extend_from_slice(name.as_bytes());
        self.0.push(b'=');
        self.0.extend_from_slice(&Zeroizing::new(encoded(value)));
    }

    pub(super) fn add_some(&mut self, name: &str, value: Option<&str>) {
        if let Some(value) = value {
            self.add(name, value);
        }
    }

    /// The body, and its type among the fields.
    pub(super) fn finish(self, fields: &mut HeaderMap) -> Bytes {
        let kind = HeaderValue::from_static("application/x-www-form-urlencoded");
        fields.insert(header::CONTENT_TYPE, kind);
        Bytes::from_owner(self.0)
    }
}

/// Everything but letters, digits and `*-._` percent-encoded: read alike by those who take `+` for a blank and those who do not.
pub(super) fn encoded(text: &str) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len() * 3);
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"*-._".contains(&byte) {
            out.push(byte);
        } else {
            out.extend_from_slice(format!("%{byte:02X}").as_bytes());
        }
    }
    out
}

/// A field's value that does not print.
pub(super) fn sensitive(text: &str) -> Result<HeaderValue, &'static str> {
    let mut value =
        HeaderValue::from_str(text).map_err(|_| "the OAuth client cannot be written into a header")?;
    value.set_sensitive(true);
    Ok(value)
}

/// All of a short reply: of so many bytes at most.
pub(crate) async fn read(mut body: RawBody, longest: usize) -> Option<Zeroizing<Vec<u8>>> {
    let mut bytes = Zeroizing::new(Vec::with_capacity(longest.min(LONGEST)));
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame.ok()?.into_data() else { continue };
        if bytes.len() + data.len() > longest {
            return None;
        }
        bytes.extend_from_slice(&data);
    }
    Some(bytes)
}
