//! Calls that ask a token endpoint for tokens (RFC 6749, section 3.2): their reply holds secrets that nobody deposited (T09).

use super::body::BodyView;
use super::{Mismatch, Stage};
use crate::json::Json;
use crate::permit::Permit;
use cloakroom_model::Call;

/// The one parameter that every grant has (RFC 6749, sections 4.1.3, 4.3.2, 4.4.2, 6; RFC 7523; RFC 8628; RFC 8693).
const PARAMETER: &str = "grant_type";

/// Refuses it where the permit does not say what becomes of the tokens in the reply.
pub(super) fn check(permit: &Permit, call: &Call, body: &BodyView<'_>) -> Result<(), Mismatch> {
    if permit.tokens.capture.is_some() || !asks(call, body) {
        return Ok(());
    }
    let reason = "the call asks a token endpoint for tokens, and the permit does not capture them";
    Err(Mismatch::new(Stage::Body, reason).rule("capture"))
}

fn asks(call: &Call, body: &BodyView<'_>) -> bool {
    // Most calls end here: nothing is parsed for them.
    if call.body.head.is_empty() && call.query.pairs().is_empty() {
        return false;
    }
    call.query.pairs().iter().any(|pair| pair.key() == PARAMETER)
        || stands_in(&call.body.head)
        || body.form_if_it_is_one().is_some_and(|pairs| pairs.iter().any(|pair| pair.key() == PARAMETER))
        || body.json_if_it_is_one().is_some_and(|root| match &root.value {
            Json::Object(members) => members.iter().any(|(name, _)| name == PARAMETER),
            _ => false,
        })
}

/// Whether the name stands where a form, JSON or a multipart body has names, whatever the body is labelled as.
fn stands_in(head: &[u8]) -> bool {
    let name = PARAMETER.as_bytes();
    let ends = |at: usize| head.get(at + name.len());
    let begins = |at: usize| at.checked_sub(1).and_then(|before| head.get(before));
    let found = |at: usize| match (begins(at), ends(at)) {
        (None | Some(b'&'), Some(b'=')) => true,
        (before, after) => before == Some(&b'"') && after == Some(&b'"'),
    };
    let mut from = 0;
    while let Some(found_at) = head[from..].windows(name.len()).position(|window| window == name) {
        if found(from + found_at) {
            return true;
        }
        from += found_at + 1;
    }
    false
}
