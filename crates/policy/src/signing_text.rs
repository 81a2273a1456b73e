//! A signing scheme in the approver's text: what is signed, with what, and what is written. All of it is fixed words, names of headers and
//! texts in quotes.

use crate::class::{Class, by_method};
use crate::permit::{BodyRule, Permit};
use cloakroom_model::Place;
use cloakroom_model::signing::{Hmac, Message, MessageAlgorithm, Signing};

/// The facts of a scheme, a line each.
pub(crate) fn lines(place: &Place) -> Vec<String> {
    let Place::Signed(scheme) = place else { return Vec::new() };
    match &**scheme {
        Signing::Hmac(scheme) => hmac(scheme),
        Signing::Message(scheme) => message(scheme),
    }
}

fn hmac(scheme: &Hmac) -> Vec<String> {
    let Hmac { digest, key, over, outputs } = scheme;
    let over: Vec<String> = over.iter().map(ToString::to_string).collect();
    let mut lines = vec![
        format!("signed with: hmac {}, the key spelled {}", digest.as_str(), key.as_str()),
        format!("signed, one after the other: {}", over.join(" ")),
    ];
    lines.extend(outputs.iter().map(|output| format!("written: {output}")));
    lines
}

fn message(scheme: &Message) -> Vec<String> {
    let Message { algorithm, key, over, label, expires, alg, nonce, tag: _ } = scheme;
    let over: Vec<String> = over.iter().map(ToString::to_string).collect();
    let mut said = vec!["created".to_owned()];
    said.extend(expires.map(|seconds| format!("expires after {seconds} seconds")));
    said.push("keyid".to_owned());
    said.extend(alg.then(|| "alg".to_owned()));
    said.extend(nonce.then(|| "a nonce".to_owned()));
    said.extend(scheme.quoted_tag().map(|tag| format!("tag {tag}")));
    vec![
        match algorithm {
            MessageAlgorithm::Hmac => {
                format!(
                    "signed with: hmac-sha256 (HTTP Message Signatures, RFC 9421), the key spelled {}",
                    key.as_str()
                )
            }
            _ => format!("signed with: {} (HTTP Message Signatures, RFC 9421)", algorithm.as_str()),
        },
        format!("signed, in this order: {}", over.join(" ")),
        format!("written: the signature {label}, which says {}", said.join(", ")),
    ]
}

/// What of a call could be changed without the signature's notice.
pub(crate) fn warning(place: &Place) -> Option<String> {
    let Place::Signed(scheme) = place else { return None };
    let parts = scheme.uncovered();
    let (last, before) = parts.split_last()?;
    let parts =
        if before.is_empty() { (*last).to_owned() } else { format!("{} or {last}", before.join(", ")) };
    Some(format!("the signature does not cover {parts}: it is good for other calls too, for whoever sees it"))
}

/// Whether a call with a body goes out under a signature that does not cover it.
pub(crate) fn leaves_body_out(permit: &Permit) -> bool {
    let Place::Signed(scheme) = &permit.place else { return false };
    let has_body = permit.body != BodyRule::None
        && permit
            .calls
            .iter()
            .any(|call| by_method(call.method()) != Class::Read && call.method() != "DELETE");
    has_body && scheme.uncovered().contains(&"the body")
}
