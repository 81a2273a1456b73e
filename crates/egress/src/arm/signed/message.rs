//! HTTP Message Signatures (RFC 9421) with digests of the body (RFC 9530).

use super::{Outgoing, Signature, body, key, not_followed, target, values};
use crate::arm::header::sensitive;
use crate::arm::{misplaced, unwritable};
use crate::custody::SigningKey;
use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::rand::{SecureRandom, SystemRandom};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use cloakroom_model::signing::{Component, Message};
use cloakroom_model::{Destination, Query, Refusal, Timestamp};
use http::{HeaderName, HeaderValue};
use http_body::Body;
use std::fmt::Write;
use zeroize::Zeroizing;

const INPUT: HeaderName = HeaderName::from_static("signature-input");
const SIGNATURE: HeaderName = HeaderName::from_static("signature");
const DIGEST: HeaderName = HeaderName::from_static("content-digest");
const LENGTH: HeaderName = http::header::CONTENT_LENGTH;

/// Signs what goes out.
pub(super) fn sign(
    outgoing: &mut Outgoing,
    to: &Destination,
    scheme: &Message,
    key: &SigningKey,
    at: Timestamp,
) -> Result<Signature, Refusal> {
    if scheme.over.contains(&Component::Field(DIGEST)) {
        let hash = STANDARD.encode(digest(&SHA256, body(outgoing)?));
        let value = HeaderValue::try_from(format!("sha-256=:{hash}:")).map_err(|_| misplaced())?;
        outgoing.head.headers.insert(DIGEST, value);
    }
    let parameters = parameters(scheme, key, at)?;
    let base = base(outgoing, to, &scheme.over, &parameters)?;
    let made = key::sign(key, scheme, &base)?;
    let made = Zeroizing::new(STANDARD.encode(made));
    let input = Zeroizing::new(format!("{}={parameters}", scheme.label).into_bytes());
    outgoing.head.headers.insert(INPUT, sensitive(input)?);
    let value = Zeroizing::new(format!("{}=:{}:", scheme.label, *made).into_bytes());
    outgoing.head.headers.insert(SIGNATURE, sensitive(value)?);
    Ok(Signature::new(made.as_bytes()))
}

/// What the signature says of itself (section 2.3): components and parameters.
fn parameters(scheme: &Message, key: &SigningKey, at: Timestamp) -> Result<String, Refusal> {
    let created = at.millis() / 1000;
    let mut text = format!("({});created={created}", identifiers(&scheme.over));
    let mut add = |name: &str, value: String| {
        // Writing to a String does not fail.
        let _ = write!(text, ";{name}={value}");
    };
    if let Some(seconds) = scheme.expires {
        add("expires", (created + u64::from(seconds)).to_string());
    }
    if let Some(id) = &key.id {
        add("keyid", format!("\"{id}\""));
    }
    if scheme.alg {
        add("alg", format!("\"{}\"", scheme.algorithm.as_str()));
    }
    if scheme.nonce {
        let mut bytes = [0; 18];
        SystemRandom::new().fill(&mut bytes).map_err(|_| misplaced())?;
        add("nonce", format!("\"{}\"", URL_SAFE_NO_PAD.encode(bytes)));
    }
    if let Some(tag) = scheme.quoted_tag() {
        add("tag", tag);
    }
    Ok(text)
}

fn identifiers(over: &[Component]) -> String {
    over.iter().map(identifier).collect::<Vec<_>>().join(" ")
}

fn identifier(component: &Component) -> String {
    match component {
        Component::QueryParam(name) => format!("\"@query-param\";name=\"{}\"", encoded(name)),
        other => format!("\"{other}\""),
    }
}

/// The signature base (section 2.5).
pub(super) fn base(
    outgoing: &Outgoing,
    to: &Destination,
    over: &[Component],
    parameters: &str,
) -> Result<Zeroizing<Vec<u8>>, Refusal> {
    let mut text = Zeroizing::new(String::new());
    for component in over {
        let value = value(outgoing, to, component)?;
        // SECURITY: a line feed would begin a line of the base that nobody covers; values of fields have none.
        if value.contains(['\n', '\r']) || !value.is_ascii() {
            return Err(unwritable());
        }
        let _ = writeln!(text, "{}: {value}", identifier(component));
    }
    let _ = write!(text, "\"@signature-params\": {parameters}");
    Ok(Zeroizing::new(std::mem::take(&mut *text).into_bytes()))
}

fn value(outgoing: &Outgoing, to: &Destination, component: &Component) -> Result<String, Refusal> {
    let (path, query) = target(outgoing);
    let whole = query.map_or(path.to_owned(), |query| format!("{path}?{query}"));
    Ok(match component {
        Component::Method => outgoing.head.method.to_string(),
        Component::TargetUri => format!("{}://{}{whole}", to.scheme().as_str(), to.authority()),
        Component::Authority => to.authority().to_owned(),
        Component::Scheme => to.scheme().as_str().to_owned(),
        Component::RequestTarget => whole,
        Component::Path => path.to_owned(),
        Component::Query => format!("?{}", query.unwrap_or_default()),
        Component::QueryParam(name) => only_pair(query.unwrap_or_default(), name)?,
        Component::Field(name) if *name == LENGTH => {
            let length = outgoing.body.size_hint().exact();
            length
                .ok_or_else(|| not_followed("the signature covers the length of a body that has none"))?
                .to_string()
        }
        Component::Field(name) => {
            let values = values(outgoing, name)?;
            if values.is_empty() {
                return Err(not_followed("the signature covers a header that the call does not have"));
            }
            values.join(", ")
        }
    })
}

fn only_pair(query: &str, name: &str) -> Result<String, Refusal> {
    let query = Query::parse(query).map_err(|_| misplaced())?;
    let mut named = query.pairs().iter().filter(|pair| pair.key() == name);
    match (named.next(), named.next()) {
        (Some(pair), None) => Ok(encoded(pair.value())),
        _ => Err(not_followed("the signature covers a query key that the call does not have exactly once")),
    }
}

/// Everything but what forms leave as it is (section 2.2.8; a space is `%20`).
fn encoded(text: &str) -> String {
    text.bytes().fold(String::new(), |mut out, byte| {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'*' | b'-' | b'.' | b'_') {
            out.push(char::from(byte));
        } else {
            let _ = write!(out, "%{byte:02X}");
        }
        out
    })
}
