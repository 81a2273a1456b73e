//! Destination, method, path, query and headers.

use super::{Mismatch, Stage};
use crate::constraint::Given;
use crate::own;
use crate::permit::{FieldRule, Permit};
use crate::template::Template;
use cloakroom_model::{Call, Destination, Pair, Path, Query, Upgrade, overrides_method, same_variable};
use std::collections::BTreeMap;

/// Everything of the call's shape.
pub(crate) fn check(permit: &Permit, call: &Call) -> Result<(), Mismatch> {
    target(permit, &call.destination, call.method.as_str(), &call.path, &call.query)?;
    upgrade(permit, call.upgrade)?;
    headers(permit, call)
}

/// The protocol that is asked for is the permit's, or neither names one.
pub(crate) fn upgrade(permit: &Permit, asked: Option<Upgrade>) -> Result<(), Mismatch> {
    let mismatch = |reason| Err(Mismatch::new(Stage::Upgrade, reason).rule("upgrade"));
    match (permit.upgrade, asked) {
        (Some(Upgrade::WebSocket), Some(Upgrade::WebSocket)) | (None, None) => Ok(()),
        (None, Some(_)) => mismatch("the call asks for another protocol, and the permit names none"),
        (Some(_), None) => mismatch("the permit is for calls that ask for a websocket"),
    }
}

/// What a method and a URL alone decide.
pub(crate) fn target(
    permit: &Permit,
    to: &Destination,
    method: &str,
    path: &Path,
    query: &Query,
) -> Result<(), Mismatch> {
    if permit.to != *to {
        return Err(Mismatch::new(Stage::Destination, "the permit names another destination")
            .rule(permit.to.to_string()));
    }
    let mut of_method = permit.calls.iter().filter(|call| call.method() == method).peekable();
    if of_method.peek().is_none() {
        let mut methods: Vec<&str> = Vec::new();
        for method in permit.calls.iter().map(Template::method) {
            if !methods.contains(&method) {
                methods.push(method);
            }
        }
        return Err(Mismatch::new(Stage::Method, "the permit names other methods").rule(methods.join(", ")));
    }
    if !of_method.any(|call| call.matches_path(path)) {
        let paths: Vec<String> =
            permit.calls.iter().filter(|call| call.method() == method).map(Template::shown_path).collect();
        return Err(Mismatch::new(Stage::Path, "the permit names other paths").rule(paths.join(", ")));
    }
    let own = own::keys(&permit.place);
    let none_listed = permit.query.is_empty().then(|| "no query keys".to_owned());
    fields(query.pairs(), &permit.query, Closed::Yes, &own).map_err(|broken| Mismatch {
        stage: Stage::Query,
        rule: none_listed.or(broken.rule),
        ..broken
    })
}

/// Whether names that are not listed are refused.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Closed {
    Yes,
    No,
}

/// The pairs of a query or form. `own` are the keys that belong to the placeholder; the place judges them.
pub(super) fn fields(
    pairs: &[Pair],
    rules: &BTreeMap<String, FieldRule>,
    closed: Closed,
    own: &[&str],
) -> Result<(), Mismatch> {
    let mismatch = |reason, rule: &str| Err(Mismatch::new(Stage::Body, reason).rule(rule));
    let mut seen: BTreeMap<&str, usize> = BTreeMap::new();
    for pair in pairs.iter().filter(|pair| !own.contains(&pair.key())) {
        let times = seen.entry(pair.key()).or_default();
        *times += 1;
        let rule = match rules.get(pair.key()) {
            Some(rule) => rule,
            None if closed == Closed::Yes => {
                let listed: Vec<&str> = rules.keys().map(String::as_str).collect();
                return mismatch("a key is not among those that the permit lists", &listed.join(", "));
            }
            // The key is the workload's own text, so it is not repeated to anyone.
            None if *times > 1 => return mismatch("a key occurs more than once", "repeat"),
            None => continue,
        };
        if *times > 1 && !rule.repeat {
            return mismatch("a key occurs more than once", pair.key());
        }
        if let Some(broken) = rule.constraint.broken_by(Given::Untyped(pair.value())) {
            return mismatch("a value breaks its constraint", &format!("{}: {broken}", pair.key()));
        }
    }
    match rules.iter().find(|(key, rule)| rule.constraint.required && !seen.contains_key(key.as_str())) {
        Some((key, _)) => mismatch("a required key is missing", key),
        None => Ok(()),
    }
}

fn headers(permit: &Permit, call: &Call) -> Result<(), Mismatch> {
    let mismatch = |reason, rule: String| Err(Mismatch::new(Stage::Headers, reason).rule(rule));
    if let Some(name) = call.headers.keys().find(|name| overrides_method(name.as_str())) {
        return mismatch("a header means another method", name.to_string());
    }
    for (name, constraint) in &permit.headers {
        let double =
            |other: &&http::HeaderName| other.as_str() != name && same_variable(other.as_str(), name);
        if let Some(double) = call.headers.keys().find(double) {
            return mismatch("some servers read this header as one that is constrained", double.to_string());
        }
        let mut values = call.headers.get_all(name).iter();
        let value = match (values.next(), values.next()) {
            (None, _) if constraint.required => {
                return mismatch("a required header is missing", name.clone());
            }
            (None, _) => continue,
            (Some(_), Some(_)) => {
                return mismatch("a constrained header occurs more than once", name.clone());
            }
            (Some(value), None) => value,
        };
        let broken = match value.to_str() {
            Ok(text) => constraint.broken_by(Given::Untyped(text)),
            Err(_) => Some("printable ASCII"),
        };
        if let Some(broken) = broken {
            return mismatch("a header breaks its constraint", format!("{name}: {broken}"));
        }
    }
    Ok(())
}
