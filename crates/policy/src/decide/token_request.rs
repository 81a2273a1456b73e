//! Calls that ask a token endpoint for tokens (RFC 6749, section 3.2): their reply holds secrets that nobody deposited (T09).

use super::body::BodyView;
use super::names::Wanted;
use super::{Mismatch, Stage};
use crate::json::{Json, Node};
use crate::permit::Permit;
use cloakroom_model::Call;

/// The one parameter that every grant has (RFC 6749, sections 4.1.3, 4.3.2, 4.4.2, 6; RFC 7523; RFC 8628; RFC 8693).
const PARAMETER: Wanted = Wanted("granttype");

/// Refuses it where the permit does not say what becomes of the tokens in the reply.
pub(super) fn check(permit: &Permit, call: &Call) -> Result<(), Mismatch> {
    if permit.tokens.capture.is_some() || !asks(call) {
        return Ok(());
    }
    let reason = "the call asks a token endpoint for tokens, and the permit does not capture them";
    Err(Mismatch::new(Stage::Body, reason).rule("capture"))
}

fn asks(call: &Call) -> bool {
    // Most calls end here: nothing is read for them.
    if call.body.head.is_empty() && call.query.pairs().is_empty() {
        return false;
    }
    call.query.pairs().iter().any(|pair| PARAMETER.is(pair.key().as_bytes()))
        || PARAMETER.is_in(&call.headers, &call.body.head)
}

/// What other grants are asked with: a server may go by one of them, whatever the grant is called.
const OF_OTHER_GRANTS: [&str; 7] =
    ["code", "devicecode", "assertion", "subjecttoken", "username", "password", "authreqid"];

/// Whether a call asks to refresh (RFC 6749, section 6) and for nothing else, to every reader: a form or JSON with one reading, in which
/// `grant_type` and `refresh_token` stand once, and nothing that another grant is asked with.
pub fn is_refresh(call: &Call) -> bool {
    let view = BodyView::new(call);
    let form = view.form_if_it_is_one().map(|pairs| {
        pairs.iter().map(|pair| (pair.key().to_owned(), Some(pair.value().to_owned()))).collect::<Vec<_>>()
    });
    let of_json = || match &view.json_if_it_is_one()?.value {
        Json::Object(members) => {
            Some(members.iter().map(|(name, node)| (name.clone(), text(node))).collect())
        }
        _ => None,
    };
    let Some(members) = form.or_else(of_json) else { return false };
    let in_query = call.query.pairs().iter().map(|pair| pair.key());
    let names = || members.iter().map(|(name, _)| name.as_str()).chain(in_query.clone());
    let once = |wanted: &str, known: &str| {
        let mut alike = names().filter(|name| letters(name).starts_with(known));
        alike.next() == Some(wanted) && alike.next().is_none()
    };
    let refreshes =
        members.iter().any(|(name, value)| name == "grant_type" && value.as_deref() == Some("refresh_token"));
    refreshes
        && once("grant_type", "granttype")
        && once("refresh_token", "refreshtoken")
        && !names().any(|name| OF_OTHER_GRANTS.contains(&letters(name).as_str()))
}

fn text(node: &Node) -> Option<String> {
    match &node.value {
        Json::Text(text) => Some(text.clone()),
        _ => None,
    }
}

/// A name as tolerant readers compare it.
fn letters(name: &str) -> String {
    name.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_lowercase()).collect()
}
