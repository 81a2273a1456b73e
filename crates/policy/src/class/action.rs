//! Form RPC as AWS's older services take it: `Action=` in a form or query, or `X-Amz-Target` beside a JSON body.

use super::{Class, Classified, Disagreement, Known, Terms, by_method};
use crate::decide::body::{BodyView, content_type};
use crate::json;
use cloakroom_model::Call;
use std::collections::BTreeSet;

const TARGET: &str = "x-amz-target";

pub(super) fn classify(call: &Call, body: &BodyView<'_>, terms: &Terms) -> Result<Classified, Disagreement> {
    if !matches!(call.method.as_str(), "GET" | "POST") {
        return Ok(Classified::write("actions come by GET and POST only"));
    }
    let Some(name) = name(call, body) else {
        return Ok(Classified::write("the call does not name exactly one action"));
    };
    let class = class_of(&name, terms)?;
    // COMPAT: a GET carries actions as well as a POST does; one that writes is a trick on whoever trusts the method.
    if class.class == Class::Write && by_method(call.method.as_str()) == Class::Read {
        return Err(Disagreement("the method only reads, and the action that it carries writes"));
    }
    Ok(class)
}

/// The action, where there is exactly one, spelled as the services spell it.
pub(crate) fn name(call: &Call, body: &BodyView<'_>) -> Option<String> {
    let mut names: Vec<String> = Vec::new();
    for value in call.headers.get_all(TARGET) {
        names.push(value.to_str().ok()?.rsplit('.').next()?.to_owned());
    }
    let has_target = !names.is_empty();
    let form = match body.form_if_it_is_one() {
        Some(pairs) => pairs,
        None if body.is_empty() => &[],
        // A body that is no form goes with a target only, and only where it is surely none.
        None if has_target && is_json_of_a_target(call, body) => &[],
        None => return None,
    };
    for pair in call.query.pairs().iter().chain(form) {
        if pair.key() == "Action" {
            names.push(pair.value().to_owned());
        } else if pair.key().eq_ignore_ascii_case("action") {
            return None;
        }
    }
    let [one] = names.as_slice() else { return None };
    (!one.is_empty() && one.bytes().all(|b| b.is_ascii_alphanumeric())).then(|| one.clone())
}

fn is_json_of_a_target(call: &Call, body: &BodyView<'_>) -> bool {
    const KINDS: [&str; 3] = ["application/x-amz-json-1.0", "application/x-amz-json-1.1", "application/json"];
    let is_kind = content_type(&call.headers).is_some_and(|kind| KINDS.contains(&&*kind));
    is_kind && body.bytes().is_some_and(|text| json::parse(text).is_ok())
}

fn class_of(name: &str, terms: &Terms) -> Result<Classified, Disagreement> {
    let listed = |known: &BTreeSet<Known>| known.contains(&Known::Action(name.into()));
    match (listed(&terms.reads), listed(&terms.writes)) {
        (true, true) => {
            return Err(Disagreement("the permit lists the action both as a read and as a write"));
        }
        (true, false) => return Ok(Classified::read("the permit says that this action only reads")),
        (false, true) => return Ok(Classified::write("the permit says that this action writes")),
        (false, false) => {}
    }
    let begins = |word: &str| {
        name.strip_prefix(word).is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_uppercase()))
    };
    // What makes a credential hands out more than it reads; GetId makes an identity.
    let mints = name.contains("Token") || name.contains("Credential") || name == "GetId";
    if ["Describe", "List", "Get"].into_iter().any(begins) && !mints {
        return Ok(Classified::read("its action is named Describe…, List… or Get…"));
    }
    Ok(Classified::write("its action is none of those that are known to read"))
}
