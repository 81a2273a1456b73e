//! Everything by which frameworks take another method for a call than the one that it has (T33).

use super::Disagreement;
use crate::decide::body::BodyView;
use crate::json::Json;
use crate::json::Node;
use cloakroom_model::{Call, overrides_method};
use std::borrow::Cow;

const OTHER: Disagreement =
    Disagreement("the call names two methods: one as its own, and another that overrides it");

/// Where the call overrides its method, the two have to be the same.
pub(super) fn check(call: &Call, body: &BodyView<'_>) -> Result<(), Disagreement> {
    let same = |word: &str| word.eq_ignore_ascii_case(call.method.as_str());
    for (_, value) in call.headers.iter().filter(|(name, _)| overrides_method(name.as_str())) {
        value.to_str().ok().filter(|word| same(word)).ok_or(OTHER)?;
    }
    let form = body.form_if_it_is_one().unwrap_or_default();
    for pair in call.query.pairs().iter().chain(form) {
        let overrides = names_override(pair.key())
            || (as_frameworks_read(pair.key()) == "method" && is_method(pair.value()));
        if overrides && !same(pair.value()) {
            return Err(OTHER);
        }
    }
    let objects: &[Node] = match body.json_if_it_is_one() {
        Some(Node { value: Json::Array(items), .. }) => items,
        Some(node) => std::slice::from_ref(node),
        None => &[],
    };
    for node in objects {
        let Json::Object(members) = &node.value else { continue };
        let overriding = members.iter().filter(|(name, _)| names_override(name));
        for (_, node) in overriding {
            match &node.value {
                Json::Text(word) if same(word) => {}
                _ => return Err(OTHER),
            }
        }
    }
    Ok(())
}

/// Whether the body could override the method unseen: it is there, and it is no form and no JSON with one reading.
///
/// Frameworks look for an override in bodies of POST, some in those of other methods; in those of WebDAV's and HTTP's questions none.
pub(super) fn could_be_hidden(call: &Call, body: &BodyView<'_>) -> bool {
    let asks = matches!(call.method.as_str(), "PROPFIND" | "REPORT" | "SEARCH");
    let is_read = body.form_if_it_is_one().is_some() || body.json_if_it_is_one().is_some();
    !asks && !body.is_empty() && !is_read
}

pub(super) fn names_override(key: &str) -> bool {
    let key = as_frameworks_read(key);
    (key.starts_with('_') && key.trim_start_matches('_') == "method") || overrides_method(&key)
}

/// Whether the form field of this name means `_method` to some framework, although it is spelled otherwise.
pub(crate) fn is_method_misspelled(key: &str) -> bool {
    key != "_method" && as_frameworks_read(key) == "_method"
}

/// A key as the laxest of PHP, Rack and qs take it: blanks and brackets before the name are dropped, what follows a bracket is an
/// index, and dots and blanks within are underscores. In lower case.
pub(super) fn as_frameworks_read(key: &str) -> Cow<'_, str> {
    let in_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-');
    let key = key.trim_start_matches(|c| !in_name(c));
    let name = key.split(['[', ']', ';']).next().unwrap_or(key).trim_end();
    if name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_') {
        return Cow::Borrowed(name);
    }
    Cow::Owned(name.to_ascii_lowercase().replace(['.', ' ', '+'], "_"))
}

/// Some services take `?method=delete` for the method; others name their operations so.
fn is_method(word: &str) -> bool {
    const METHODS: [&str; 8] = ["get", "head", "options", "post", "put", "patch", "delete", "merge"];
    METHODS.iter().any(|method| word.eq_ignore_ascii_case(method))
}
