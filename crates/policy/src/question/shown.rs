//! The request itself: URL, headers, and the body, field by field and as it is.

use super::mail;
use super::mime::Message;
use super::page::Page;
use crate::class::form_parts;
use crate::decide::body::BodyView;
use crate::json::{Json, Node};
use crate::{Spot, pointer};
use cloakroom_model::{Call, HeaderForm, Pair};
use http::header::{CONTENT_ENCODING, CONTENT_TYPE};

pub(super) fn url(page: &mut Page<'_>, call: &Call) {
    let path = call.path.encoded_with(|index| page.at(&Spot::Path(index)));
    page.pieces("path", &path);
    let own = page.own();
    let own_key = |pair: &Pair| own.has_key(pair.key());
    for (index, pair) in call.query.pairs().iter().enumerate().filter(|(_, pair)| !own_key(pair)) {
        let value = page.at(&Spot::Query(index)).unwrap_or_else(|| pair.value().to_owned());
        page.named("query", pair.key(), &value);
    }
}

pub(super) fn headers(page: &mut Page<'_>, call: &Call) {
    let own = page.own();
    if own.is_signed() {
        page.line("signature: made by the broker when the call goes out");
    }
    let mut fields: Vec<(&str, String)> = call
        .headers
        .iter()
        .filter(|(name, _)| !own.has_header(name.as_str()))
        .map(|(name, value)| {
            let hidden = [HeaderForm::BasicUser, HeaderForm::BasicPassword]
                .into_iter()
                .find_map(|form| page.at(&Spot::Header(name.clone(), form)));
            (name.as_str(), hidden.unwrap_or_else(|| String::from_utf8_lossy(value.as_bytes()).into_owned()))
        })
        .collect();
    fields.sort();
    for (name, value) in fields {
        page.named("header", name, &value);
    }
}

pub(super) fn body(page: &mut Page<'_>, call: &Call, view: &BodyView<'_>) {
    let body = view.head();
    page.line(&format!("body: {} bytes", body.len()));
    if body.is_empty() {
        return;
    }
    let words = |name| call.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let Ok(plain) = std::str::from_utf8(body) else {
        page.line("  ! the body is not text; only its hash can be compared");
        return page.pieces("  body as it is", &String::from_utf8_lossy(body));
    };
    if !words(CONTENT_ENCODING).is_empty() {
        page.line("  ! the body is compressed; only its hash can be compared");
    }
    let kind = words(CONTENT_TYPE).split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    if kind == "application/x-www-form-urlencoded" {
        match view.form() {
            Ok(pairs) => {
                pairs.iter().for_each(|pair| page.named("  form field", pair.key(), pair.value()));
            }
            Err(why) => page.line(&format!("  ! {}", why.reason)),
        }
    } else if kind == "application/json" || kind.ends_with("+json") {
        match view.json() {
            Ok(node) => node.into_iter().for_each(|node| leaves(page, "  json", "", node)),
            Err(why) => page.line(&format!("  ! {}", why.reason)),
        }
    } else if kind == "multipart/form-data" {
        match form_parts(&call.headers, body) {
            Ok(parts) => parts.iter().for_each(|(name, value)| page.named("  form part", name, value)),
            Err(why) => page.line(&format!("  ! {why}")),
        }
    }
    page.pieces("  body as it is", plain);
}

/// Every value, a line each, under its pointer.
pub(super) fn leaves(page: &mut Page<'_>, label: &str, at: &str, node: &Node) {
    if page.is_full() {
        return;
    }
    match &node.value {
        Json::Object(members) if !members.is_empty() => {
            members.iter().for_each(|(key, value)| {
                leaves(page, label, &format!("{at}/{}", pointer::escaped(key)), value);
            });
        }
        Json::Array(items) if !items.is_empty() => {
            items
                .iter()
                .enumerate()
                .for_each(|(index, value)| leaves(page, label, &format!("{at}/{index}"), value));
        }
        Json::Object(_) => page.named_word(label, at, "{}"),
        Json::Array(_) => page.named_word(label, at, "[]"),
        Json::Null => page.named_word(label, at, "null"),
        Json::Boolean(value) => page.named_word(label, at, if *value { "true" } else { "false" }),
        Json::Number(number) => number_line(page, label, at, number),
        Json::Text(value) => {
            page.named(label, at, value);
            if !page.tells_mail && (at == "/raw" || at.ends_with("/raw")) {
                whole_mail(page, value);
            }
        }
    }
}

/// A number has any length, so it is shown in pieces where it is long.
fn number_line(page: &mut Page<'_>, label: &str, at: &str, number: &str) {
    if number.len() <= 64 { page.named_word(label, at, number) } else { page.named(label, at, number) }
}

/// A whole message in base64, as Gmail's API takes it, wherever it goes.
fn whole_mail(page: &mut Page<'_>, value: &str) {
    let Some(bytes) = mail::decode(value) else { return };
    let Message { fields, parts } = Message::read(&bytes);
    for (label, value) in fields.into_iter().chain(parts) {
        page.pieces(&format!("    mail {label}"), &value);
    }
}
