//! A keyed hash over parts of the call, written where the scheme says.

use super::{Outgoing, Signature, body, not_followed, target, values};
use crate::arm::header::sensitive;
use crate::arm::{misplaced, unwritable};
use crate::custody::SigningKey;
use aws_lc_rs::{digest, hmac};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use bytes::Bytes;
use cloakroom_model::signing::{Carrier, Digest, Encoding, Hmac, Part, TimeForm};
use cloakroom_model::{Destination, Query, Refusal, Timestamp, hexadecimal};
use http::Uri;
use zeroize::Zeroizing;

/// Signs what goes out.
pub(super) fn sign(
    outgoing: &mut Outgoing,
    to: &Destination,
    scheme: &Hmac,
    key: &SigningKey,
    at: Timestamp,
) -> Result<Signature, Refusal> {
    let own: Vec<&str> = scheme.keys().collect();
    retarget(outgoing, &own, &[])?;
    let bytes = spelled(scheme.key, &key.key)?;
    let maker = Maker { outgoing: &*outgoing, to, key, at, made: None };
    let mut signed = Vec::new();
    for part in &scheme.over {
        signed.extend_from_slice(&maker.bytes(part)?);
    }
    let made = hmac::sign(&hmac::Key::new(keyed(scheme.digest), &bytes), &signed);
    let maker = Maker { made: Some(made.as_ref()), ..maker };
    let mut headers = Vec::new();
    let mut pairs = Vec::new();
    let mut shown = Signature::default();
    for output in &scheme.outputs {
        let mut text = Zeroizing::new(Vec::new());
        for part in &output.parts {
            let bytes = maker.bytes(part)?;
            if matches!(part, Part::Signature(_)) {
                shown.also(&bytes);
            }
            text.extend_from_slice(&bytes);
        }
        match &output.carrier {
            Carrier::Header(name) => headers.push((name.clone(), sensitive(text)?)),
            Carrier::Query(key) => {
                let text = std::str::from_utf8(&text).map_err(|_| unwritable())?;
                pairs.push(format!("{}={}", Query::encode_value(key), Query::encode_value(text)));
            }
        }
    }
    for (name, value) in headers {
        // Another secret may stand there: it was written first.
        if outgoing.head.headers.insert(name, value).is_some() {
            return Err(misplaced());
        }
    }
    retarget(outgoing, &own, &pairs)?;
    Ok(shown)
}

/// Takes the signature's own keys out of the query, and adds pairs at its end.
fn retarget(outgoing: &mut Outgoing, own: &[&str], add: &[String]) -> Result<(), Refusal> {
    if own.is_empty() {
        return Ok(());
    }
    let (path, query) = target(outgoing);
    let mut kept = Vec::new();
    for pair in query.unwrap_or_default().split('&').filter(|pair| !pair.is_empty()) {
        let read = Query::parse(pair).map_err(|_| misplaced())?;
        if !read.pairs().iter().any(|pair| own.contains(&pair.key())) {
            kept.push(pair);
        }
    }
    kept.extend(add.iter().map(String::as_str));
    let query = Zeroizing::new(kept.join("&"));
    let mark = if query.is_empty() { "" } else { "?" };
    let text = Zeroizing::new([path, mark, &query].concat().into_bytes());
    outgoing.head.uri = Uri::from_maybe_shared(Bytes::from_owner(text)).map_err(|_| unwritable())?;
    Ok(())
}

/// Makes the bytes of parts.
struct Maker<'c> {
    outgoing: &'c Outgoing,
    to: &'c Destination,
    key: &'c SigningKey,
    at: Timestamp,
    /// The keyed hash, once there is one.
    made: Option<&'c [u8]>,
}

impl Maker<'_> {
    fn bytes(&self, part: &Part) -> Result<Zeroizing<Vec<u8>>, Refusal> {
        let (path, query) = target(self.outgoing);
        let whole = || query.map_or(path.to_owned(), |query| format!("{path}?{query}"));
        let text = |text: String| Zeroizing::new(text.into_bytes());
        Ok(match part {
            Part::Text(own) => text(own.to_string()),
            Part::Method => text(self.outgoing.head.method.to_string()),
            Part::Host => text(self.to.authority().to_owned()),
            Part::Path => text(path.to_owned()),
            Part::Query => text(query.unwrap_or_default().to_owned()),
            Part::Target => text(whole()),
            Part::Url => text(format!("{}://{}{}", self.to.scheme().as_str(), self.to.authority(), whole())),
            Part::Header(name) => match values(self.outgoing, name)?.as_slice() {
                [one] => text(one.clone()),
                _ => {
                    return Err(not_followed(
                        "the scheme signs a header that the call does not have exactly once",
                    ));
                }
            },
            Part::Body => Zeroizing::new(body(self.outgoing)?.to_vec()),
            Part::BodyHash(digest, encoding) => {
                let hash = digest::digest(hashed(*digest), body(self.outgoing)?);
                text(encoded(*encoding, hash.as_ref()))
            }
            Part::Time(form) => text(time(*form, self.at)),
            Part::KeyId => {
                let none = "the scheme writes the key's id, and the credential was deposited without one";
                text(self.key.id.clone().ok_or_else(|| not_followed(none))?)
            }
            Part::Signature(encoding) => text(encoded(*encoding, self.made.ok_or_else(misplaced)?)),
        })
    }
}

fn time(form: TimeForm, at: Timestamp) -> String {
    let seconds = at.millis() / 1000;
    let iso = Timestamp::from_millis(seconds * 1000).to_string();
    match form {
        TimeForm::Seconds => seconds.to_string(),
        TimeForm::Millis => at.millis().to_string(),
        TimeForm::Iso => iso,
        TimeForm::IsoMillis => format!("{}.{:03}Z", iso.trim_end_matches('Z'), at.millis() % 1000),
        TimeForm::HttpDate => at.http_date(),
    }
}

/// The bytes that the deposited key stands for. A prefix that services put before the base64 is no part of it.
pub(super) fn spelled(encoding: Encoding, key: &str) -> Result<Zeroizing<Vec<u8>>, Refusal> {
    let other = |_| not_followed("the key is not spelled as the scheme says");
    let bare = key.strip_prefix("whsec_").unwrap_or(key);
    let bytes = match encoding {
        Encoding::Raw => key.as_bytes().to_vec(),
        Encoding::Base64 => STANDARD.decode(bare).map_err(other)?,
        Encoding::Base64Url => URL_SAFE_NO_PAD.decode(bare.trim_end_matches('=')).map_err(other)?,
        Encoding::Hex => {
            let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
            let pair = |two: &[u8]| Some(digit(two[0])? << 4 | digit(*two.get(1)?)?);
            let bytes: Option<Vec<u8>> = key.as_bytes().chunks(2).map(pair).collect();
            bytes.ok_or_else(|| not_followed("the key is not spelled as the scheme says"))?
        }
    };
    Ok(Zeroizing::new(bytes))
}

fn encoded(encoding: Encoding, bytes: &[u8]) -> String {
    match encoding {
        // A scheme writes none raw.
        Encoding::Hex | Encoding::Raw => hexadecimal(bytes),
        Encoding::Base64 => STANDARD.encode(bytes),
        Encoding::Base64Url => URL_SAFE_NO_PAD.encode(bytes),
    }
}

fn keyed(digest: Digest) -> hmac::Algorithm {
    match digest {
        Digest::Sha1 => hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY,
        Digest::Sha256 => hmac::HMAC_SHA256,
        Digest::Sha384 => hmac::HMAC_SHA384,
        Digest::Sha512 => hmac::HMAC_SHA512,
    }
}

fn hashed(digest: Digest) -> &'static digest::Algorithm {
    match digest {
        Digest::Sha1 => &digest::SHA1_FOR_LEGACY_USE_ONLY,
        Digest::Sha256 => &digest::SHA256,
        Digest::Sha384 => &digest::SHA384,
        Digest::Sha512 => &digest::SHA512,
    }
}
