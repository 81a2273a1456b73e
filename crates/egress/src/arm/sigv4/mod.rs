//! A call that is signed anew with AWS Signature Version 4. Whatever the workload signed with is thrown away: it has no key.
//!
//! SPEC: AWS, "Create a signed AWS API request"; "Signature calculations: transferring payload in multiple chunks".

mod canonical;
mod chunks;
mod endpoint;
mod key;
mod own;

use super::fields::forwarded;
use super::header::sensitive;
use super::outgoing::{Outgoing, body};
use super::signed::Signature as Made;
use super::{misplaced, unwritable};
use crate::custody::AccessKey;
use crate::secret::Secret;
use crate::stage::OutBody;
use bytes::Bytes;
use canonical::{Spelled, hashed};
use chunks::{Chunks, Trailer};
use cloakroom_model::{Call, Refusal, Timestamp};
use cloakroom_policy::{Signature, sigv4};
pub(crate) use endpoint::endpoint;
use http::Uri;
use http::header::{AUTHORIZATION, HOST, HeaderMap, HeaderName, HeaderValue};
use http_body::Body;
use http_body_util::BodyExt;
use key::SigningKey;
pub(crate) use own::sign_own;
use std::collections::BTreeMap;
use zeroize::Zeroizing;

const DATE: HeaderName = HeaderName::from_static("x-amz-date");
const SESSION: HeaderName = HeaderName::from_static("x-amz-security-token");
const CONTENT: HeaderName = HeaderName::from_static("x-amz-content-sha256");

/// The body is not part of what is signed.
const UNSIGNED: &str = "UNSIGNED-PAYLOAD";
/// Neither is this one, which has a checksum in its trailer.
const UNSIGNED_TRAILER: &str = "STREAMING-UNSIGNED-PAYLOAD-TRAILER";
/// Each chunk of the body is signed.
const SIGNED_CHUNKS: &str = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD";
/// And so is what comes behind them.
const SIGNED_CHUNKS_TRAILER: &str = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER";

/// The longest time that a presigned URL is made for, in seconds: it is used at once.
const LONGEST: u64 = 300;

/// Writes the call with a signature of the real key, made at this time.
///
/// # Errors
/// `place-not-permitted` where the call cannot be signed so that it has one reading.
pub(crate) fn sign(
    call: Call,
    signature: Signature,
    secret: &Secret,
    range_allowed: bool,
    at: Timestamp,
) -> Result<(Outgoing, Made), Refusal> {
    let access = AccessKey::read(secret.expose())?;
    let scope = sigv4::scope_at(&call, signature).ok_or_else(misplaced)?;
    let key = SigningKey::new(&access.secret, stamp(at), scope.region, scope.service);
    let content = content(&call, signature, scope.service)?;
    let mut fields = forwarded(call.headers.clone(), &call.destination, range_allowed);
    sigv4::REPLACED.iter().for_each(|name| drop(fields.remove(*name)));
    if signature == Signature::Header {
        date(&mut fields, &access, &key, &content)?;
    }
    // From here on no field changes but the one that carries the signature.
    let headers = normal(&fields, is_signed)?;
    let names = headers.keys().map(String::as_str).collect::<Vec<_>>().join(";");
    let mut spelled = Spelled::of(&call);
    if signature != Signature::Header {
        presign(&mut spelled, &call, &access, &key, &names);
    }
    let request = spelled.request(call.method.as_str(), scope.service, &headers, &names, content.as_str());
    let signed = key.sign_request(&request);
    match signature {
        Signature::Header => {
            let (id, scope) = (&access.id, key.scope());
            let value = format!(
                "{} Credential={id}/{scope}, SignedHeaders={names}, Signature={signed}",
                sigv4::ALGORITHM
            );
            fields.insert(AUTHORIZATION, sensitive(Zeroizing::new(value.into_bytes()))?);
        }
        Signature::Query(_) => spelled.add("X-Amz-Signature", &signed),
    }
    let (mut head, ()) = http::Request::new(()).into_parts();
    head.method = call.method;
    head.uri = Uri::from_maybe_shared(Bytes::from_owner(spelled.target())).map_err(|_| unwritable())?;
    head.headers = fields;
    let body = body(call.body, Vec::new())?;
    let made = Made::new(signed.as_bytes());
    let body = match content {
        Content::Chunks(trailer) => resigned(body, Chunks::new(key, signed, trailer)),
        Content::Hash(_) => body,
    };
    Ok((Outgoing { head, body }, made))
}

/// Adds what a call that is signed in its header says of its signature.
fn date(
    fields: &mut HeaderMap,
    access: &AccessKey,
    key: &SigningKey,
    content: &Content,
) -> Result<(), Refusal> {
    fields.insert(DATE, HeaderValue::try_from(key.stamp()).map_err(|_| misplaced())?);
    fields.insert(CONTENT, HeaderValue::try_from(content.as_str()).map_err(|_| misplaced())?);
    if let Some(session) = &access.session {
        fields.insert(SESSION, sensitive(Zeroizing::new(session.as_bytes().to_vec()))?);
    }
    Ok(())
}

/// Adds what a presigned URL says of its signature.
fn presign(spelled: &mut Spelled, call: &Call, access: &AccessKey, key: &SigningKey, names: &str) {
    let expires = call.query.pairs().iter().find(|pair| pair.key() == "X-Amz-Expires");
    let expires = expires.and_then(|pair| pair.value().parse().ok()).unwrap_or(LONGEST).min(LONGEST);
    spelled.add("X-Amz-Algorithm", sigv4::ALGORITHM);
    spelled.add("X-Amz-Credential", &format!("{}/{}", access.id, key.scope()));
    spelled.add("X-Amz-Date", key.stamp());
    spelled.add("X-Amz-Expires", &expires.to_string());
    spelled.add("X-Amz-SignedHeaders", names);
    if let Some(session) = &access.session {
        spelled.add("X-Amz-Security-Token", session);
    }
}

/// What the signature says of the body.
enum Content {
    /// Its hash, or that there is none.
    Hash(String),
    /// Its chunks are signed one by one.
    Chunks(Trailer),
}

impl Content {
    fn as_str(&self) -> &str {
        match self {
            Self::Hash(text) => text,
            Self::Chunks(Trailer::No) => SIGNED_CHUNKS,
            Self::Chunks(Trailer::Yes) => SIGNED_CHUNKS_TRAILER,
        }
    }
}

/// What the workload named, which the destination compares with what it gets; else what is computed of the body that is here.
fn content(call: &Call, signature: Signature, service: &str) -> Result<Content, Refusal> {
    let mut named = call.headers.get_all(CONTENT).iter();
    let is_hash = |text: &str| text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    match (named.next().map(|value| value.to_str().unwrap_or_default()), named.next()) {
        (None, _) if signature != Signature::Header && sigv4::streams(service) => {
            Ok(Content::Hash(UNSIGNED.to_owned()))
        }
        // A body that is larger than what is read for a permit has no hash to sign.
        (None, _) => call.body.whole().map(|body| Content::Hash(hashed(body))).ok_or_else(unwritable),
        (Some(SIGNED_CHUNKS), None) => Ok(Content::Chunks(Trailer::No)),
        (Some(SIGNED_CHUNKS_TRAILER), None) => Ok(Content::Chunks(Trailer::Yes)),
        (Some(text), None) if text == UNSIGNED || text == UNSIGNED_TRAILER || is_hash(text) => {
            Ok(Content::Hash(text.to_owned()))
        }
        (Some(_), _) => Err(unwritable()),
    }
}

/// Whether a field is signed: all that AWS asks for, and what says how the body is read.
fn is_signed(name: &str) -> bool {
    *name == *HOST.as_str() || name.starts_with("x-amz-") || matches!(name, "content-type" | "content-md5")
}

/// The fields that are signed, in order and in their normal form.
fn normal(fields: &HeaderMap, is_signed: impl Fn(&str) -> bool) -> Result<BTreeMap<String, String>, Refusal> {
    let mut signed: BTreeMap<String, String> = BTreeMap::new();
    for (name, value) in fields {
        let name = name.as_str();
        if !is_signed(name) {
            continue;
        }
        let value = value.to_str().map_err(|_| unwritable())?;
        let value = value.split_ascii_whitespace().collect::<Vec<_>>().join(" ");
        match signed.get_mut(name) {
            Some(before) => *before = format!("{before},{value}"),
            None => drop(signed.insert(name.to_owned(), value)),
        }
    }
    Ok(signed)
}

/// `20130524T000000Z`.
fn stamp(at: Timestamp) -> String {
    let text = at.to_string();
    let seconds = text.split('.').next().unwrap_or_default().trim_end_matches('Z');
    format!("{}Z", seconds.replace(['-', ':'], ""))
}

/// The body with its chunks signed anew. It keeps its length: only signatures change.
fn resigned(body: OutBody, chunks: Chunks) -> OutBody {
    let length = body.size_hint().exact();
    OutBody::streaming(Bytes::new(), chunks.over(body).boxed_unsync(), length)
}

#[cfg(test)]
mod tests;
