//! Everything by which frameworks take another method for a call than the one that it has (T33).

use super::Disagreement;
use crate::decide::body::BodyView;
use crate::json::Json;
use cloakroom_model::{Call, overrides_method};

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
            || (pair.key().eq_ignore_ascii_case("method") && is_method(pair.value()));
        if overrides && !same(pair.value()) {
            return Err(OTHER);
        }
    }
    if let Some(Json::Object(members)) = body.json_if_it_is_one().map(|node| &node.value) {
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

pub(super) fn names_override(key: &str) -> bool {
    let key = key.to_ascii_lowercase();
    key == "_method" || key == "__method" || overrides_method(&key)
}

/// Some services take `?method=delete` for the method; others name their operations so.
fn is_method(word: &str) -> bool {
    const METHODS: [&str; 8] = ["get", "head", "options", "post", "put", "patch", "delete", "merge"];
    METHODS.iter().any(|method| word.eq_ignore_ascii_case(method))
}
