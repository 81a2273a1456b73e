//! Where a call in a lesson carries its credential: where a placeholder stands, or where credentials usually do.

use crate::decide::body::BodyView;
use crate::decide::place::{basic, cookies};
use crate::json::{Json, Node};
use crate::pointer::escaped;
use crate::sigv4;
use cloakroom_model::{Call, HeaderForm, Place};
use http::header::{AUTHORIZATION, COOKIE};

/// A place, and whether a placeholder stood there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) place: Place,
    /// The path segment, where it is one.
    pub(super) segment: Option<usize>,
    pub(super) sure: bool,
}

/// Headers that carry credentials by custom.
const USUAL_HEADERS: [&str; 8] = [
    "x-api-key",
    "api-key",
    "apikey",
    "x-auth-token",
    "private-token",
    "x-goog-api-key",
    "x-access-token",
    "x-api-token",
];
/// Query keys that do.
const USUAL_KEYS: [&str; 6] = ["key", "api_key", "apikey", "access_token", "token", "api-key"];

/// The name of the parameter that a placeholder in the path gets.
pub(super) const PARAMETER: &str = "credential";

pub(super) fn of(call: &Call, body: &BodyView<'_>, is_placeholder: &dyn Fn(&str) -> bool) -> Option<Found> {
    let sure = |place| Some(Found { place, segment: None, sure: true });
    let signed = call.headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
    if let Some(scope) = signed.and_then(sigv4::in_authorization)
        && let Ok(place) = Place::parse(&format!("sigv4 {} {}", scope.region, scope.service))
    {
        return Some(Found { place, segment: None, sure: is_placeholder(scope.access_key) });
    }
    for (name, value) in &call.headers {
        let Ok(value) = value.to_str() else { continue };
        if let Some(form) = form_of(value, is_placeholder)
            && let Ok(place) = Place::parse(&format!("header {name} {form}"))
        {
            return sure(place);
        }
        if *name == COOKIE
            && let Some((cookie, _)) = cookies(value).find(|(_, value)| is_placeholder(value))
            && let Ok(place) = Place::parse(&format!("cookie {cookie}"))
        {
            return sure(place);
        }
    }
    if let Some(pair) = call.query.pairs().iter().find(|pair| is_placeholder(pair.value())) {
        return sure(Place::Query(pair.key().into()));
    }
    let mut segments = call.path.segments().iter();
    if let Some(index) = segments.position(|segment| is_placeholder(segment.decoded())) {
        return Some(Found { place: Place::Path(PARAMETER.into()), segment: Some(index), sure: true });
    }
    let form = body.form_if_it_is_one().unwrap_or_default();
    if let Some(pair) = form.iter().find(|pair| is_placeholder(pair.value())) {
        return sure(Place::Form(pair.key().into()));
    }
    if let Some(pointer) = body.json_if_it_is_one().and_then(|root| pointer_of(root, is_placeholder)) {
        return sure(Place::Json(pointer.into()));
    }
    guess(call)
}

fn form_of(value: &str, is_placeholder: &dyn Fn(&str) -> bool) -> Option<&'static str> {
    if is_placeholder(value) {
        return Some("raw");
    }
    if let Some((user, password)) = basic(value) {
        return match (is_placeholder(&user), is_placeholder(&password)) {
            (true, _) => Some("basic-user"),
            (_, true) => Some("basic-password"),
            _ => None,
        };
    }
    value.split_once(' ').filter(|(_, rest)| is_placeholder(rest)).map(|_| "bearer")
}

fn pointer_of(node: &Node, is_placeholder: &dyn Fn(&str) -> bool) -> Option<String> {
    let below = |token: &str, node: &Node| {
        pointer_of(node, is_placeholder).map(|rest| format!("/{}{rest}", escaped(token)))
    };
    match &node.value {
        Json::Text(text) => is_placeholder(text).then(String::new),
        Json::Object(members) => members.iter().find_map(|(name, node)| below(name, node)),
        Json::Array(items) => items.iter().enumerate().find_map(|(at, node)| below(&at.to_string(), node)),
        _ => None,
    }
}

fn guess(call: &Call) -> Option<Found> {
    let unsure = |place| Some(Found { place, segment: None, sure: false });
    if let Some(value) = call.headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok()) {
        let form = match basic(value) {
            // Most services take the key as the password; some as a user without one.
            Some((_, password)) if password.is_empty() => HeaderForm::BasicUser,
            Some(_) => HeaderForm::BasicPassword,
            None if value.contains(' ') => HeaderForm::Bearer,
            None => HeaderForm::Raw,
        };
        return unsure(Place::Header(AUTHORIZATION, form));
    }
    let header = USUAL_HEADERS.iter().find(|name| call.headers.contains_key(**name));
    if let Some(place) = header.and_then(|name| Place::parse(&format!("header {name}")).ok()) {
        return unsure(place);
    }
    let usual = |key: &str| USUAL_KEYS.iter().any(|known| key.eq_ignore_ascii_case(known));
    let pair = call.query.pairs().iter().find(|pair| usual(pair.key()) && !pair.key().contains(' '));
    pair.and_then(|pair| unsure(Place::Query(pair.key().into())))
}
