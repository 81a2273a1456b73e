//! Reading one `[[permit]]`.

use super::body;
use super::class;
use super::complaint::Complaints;
use super::reader::{Table, Value, nearest};
use super::tokens;
use super::upgrade;
use crate::constraint::Constraint;
use crate::permit::{Approve, BodyRule, FieldRule, Permit, RangeRule, Rate};
use crate::pointer::Pointer;
use crate::repeats::{Repeats, Retry, Store};
use crate::sigv4;
use crate::template::Template;
use cloakroom_model::{Destination, DestinationError, Place, Scheme};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use toml::de::DeValue;

const KEYS: [&str; 21] = [
    "name", "to", "call", "place", "query", "body", "headers", "rate", "approve", "range", "upgrade",
    "messages", "speaks", "reads", "writes", "refuse", "retry", "store", "capture", "id_token", "presents",
];

const APPROVE: [(&str, Approve); 3] =
    [("once", Approve::Once), ("writes", Approve::Writes), ("each-call", Approve::EachCall)];

/// The most calls one permit may list.
const MOST_CALLS: usize = 64;

/// A permit whose name may still be missing, and where its name stands.
pub(super) struct Read {
    pub(super) permit: Permit,
    pub(super) named: Option<Range<usize>>,
}

/// Reads one permit. `None` where something that it cannot do without is missing or wrong.
pub(super) fn read(table: &Table<'_, '_>, to: &mut Complaints<'_>) -> Option<Read> {
    table.refuse_unknown(&KEYS, to);
    let name = table.value("name").and_then(|value| name(&value, to).map(|name| (name, value.span)));
    let destination =
        needed(table, "to", "to = \"https://api.example.com\"", to).and_then(|v| destination(&v, to));
    let calls =
        needed(table, "call", "call = \"GET /v1/things/{id}\"", to).and_then(|value| calls(&value, to));
    let place_value = needed(table, "place", "place = \"header authorization bearer\"", to);
    let place = place_value.as_ref().and_then(|value| place(value, to));
    let query = table.value("query").and_then(|value| body::query(&value, to)).unwrap_or_default();
    let headers = table.value("headers").and_then(|value| body::headers(&value, to)).unwrap_or_default();
    let upgrade = upgrade::read(table, place.as_ref(), to);
    let body = match table.value("body") {
        Some(value) => body::body(&value, to),
        None if upgrade.is_some() => Some(BodyRule::None),
        None => Some(body::absent(place.as_ref())),
    };
    let messages = upgrade::messages(table, place.as_ref(), to);
    let rate = table.value("rate").and_then(|value| rate(&value, to));
    let approve = table.value("approve").and_then(|v| word(&v, &APPROVE, to));
    let range = table
        .value("range")
        .and_then(|v| word(&v, &[("drop", RangeRule::Drop), ("pass", RangeRule::Pass)], to));
    let (named, name) = name.map_or((None, String::new()), |(name, span)| (Some(span), name));
    let mut permit = Permit {
        name,
        to: destination?,
        calls: calls?,
        place: place?,
        query,
        headers,
        body: body?,
        rate,
        approve: approve.unwrap_or(Approve::Once),
        range: range.unwrap_or(RangeRule::Drop),
        upgrade,
        messages,
        terms: class::read(table, to),
        repeats: repeats(table, upgrade.is_some(), to),
        tokens: tokens::read(table, to),
    };
    class::fit(&permit, table, to);
    upgrade::fit(&permit, table, to);
    tokens::fit(&permit, table, to);
    fit_place(&mut permit, &place_value?, to);
    Some(Read { permit, named })
}

/// Which repeats go out again, and whether replies are kept.
fn repeats(table: &Table<'_, '_>, upgrades: bool, to: &mut Complaints<'_>) -> Repeats {
    let (retry, store) = (table.value("retry"), table.value("store"));
    if let Some(value) = retry.as_ref().or(store.as_ref()).filter(|_| upgrades) {
        value.complain(
            to,
            "a WebSocket is no request that could be repeated",
            "leave retry and store out here",
        );
    }
    let known = [("idempotency-key", Retry::IdempotencyKey), ("same-request", Retry::SameRequest)];
    Repeats {
        retry: retry.and_then(|value| word(&value, &known, to)),
        store: store.and_then(|value| word(&value, &[("response", Store::Response)], to)),
    }
}

fn needed<'t, 'i>(
    table: &Table<'t, 'i>,
    key: &str,
    example: &str,
    to: &mut Complaints<'_>,
) -> Option<Value<'t, 'i>> {
    let value = table.value(key);
    if value.is_none() {
        table.complain(to, format!("the permit has no {key:?}"), &format!("write: {example}"));
    }
    value
}

fn name(value: &Value<'_, '_>, to: &mut Complaints<'_>) -> Option<String> {
    let text = value.text(to)?;
    if text.trim().is_empty() || text.chars().count() > 100 || text.chars().any(char::is_control) {
        value.complain(to, "not a name for a permit", "1 to 100 characters, no control characters");
        return None;
    }
    Some(text.to_owned())
}

fn destination(value: &Value<'_, '_>, to: &mut Complaints<'_>) -> Option<Destination> {
    let text = value.text(to)?;
    let parsed = Destination::parse(text);
    if let Err(error) = &parsed {
        let hint = match error {
            DestinationError::Extra => "the path goes into call = \"GET /path\"",
            DestinationError::Wildcard => "write one permit for each host",
            _ => "write: to = \"https://api.example.com\"",
        };
        value.complain(to, format!("{text:?}: {error}"), hint);
    }
    parsed.ok()
}

fn calls(value: &Value<'_, '_>, to: &mut Complaints<'_>) -> Option<BTreeSet<Template>> {
    let items = match value.value {
        DeValue::String(_) => vec![value.clone()],
        _ => value.items(to),
    };
    if items.len() > MOST_CALLS {
        value.complain(to, format!("more than {MOST_CALLS} calls"), "write several permits");
    }
    let mut calls = BTreeSet::new();
    for item in &items {
        let Some(text) = item.text(to) else { continue };
        match Template::parse(text) {
            Ok(template) => drop(calls.insert(template)),
            Err(error) => {
                item.complain(to, format!("{text:?}: {error}"), "write: call = \"GET /v1/things/{id}\"")
            }
        }
    }
    (calls.len() <= MOST_CALLS && !calls.is_empty()).then_some(calls)
}

fn place(value: &Value<'_, '_>, to: &mut Complaints<'_>) -> Option<Place> {
    let text = value.text(to)?;
    match Place::parse(text) {
        Ok(Place::Json(pointer)) => canonical(&pointer, value, to).map(Place::Json),
        Ok(Place::WebSocket(pointer)) => canonical(&pointer, value, to).map(Place::WebSocket),
        Ok(place) => Some(place),
        Err(error) => {
            value.complain(
                to,
                error.to_string(),
                "the usual one: place = \"header authorization bearer\"; docs/policy.md has them all",
            );
            None
        }
    }
}

fn canonical(pointer: &str, value: &Value<'_, '_>, to: &mut Complaints<'_>) -> Option<Box<str>> {
    let parsed = Pointer::parse(pointer);
    if parsed.is_none() {
        let hint = "in a pointer, '~' is written ~0 and '/' ~1";
        value.complain(to, format!("{pointer:?} is not a JSON pointer"), hint);
    }
    parsed.map(|pointer| pointer.to_string().into())
}

fn rate(value: &Value<'_, '_>, to: &mut Complaints<'_>) -> Option<Rate> {
    let text = value.text(to)?;
    let rate = Rate::parse(text);
    if rate.is_none() {
        let hint = "write a count from 1 to 100000, a slash and s, min, h or d: \"10/min\"";
        value.complain(to, format!("{text:?} is not a rate"), hint);
    }
    rate
}

pub(super) fn word<T: Copy>(
    value: &Value<'_, '_>,
    known: &[(&str, T)],
    to: &mut Complaints<'_>,
) -> Option<T> {
    let text = value.text(to)?;
    let found = known.iter().find(|(word, _)| *word == text).map(|(_, meaning)| *meaning);
    if found.is_none() {
        let words: Vec<&str> = known.iter().map(|(word, _)| *word).collect();
        let near = nearest(text, &words).map(|near| format!("did you mean {near:?}? ")).unwrap_or_default();
        value.complain(
            to,
            format!("unknown word {text:?}"),
            &format!("{near}known here: {}", words.join(", ")),
        );
    }
    found
}

/// The place belongs to the placeholder: what else the permit says has to leave room for it, and not speak about it.
fn fit_place(permit: &mut Permit, value: &Value<'_, '_>, to: &mut Complaints<'_>) {
    let constrained = "the placeholder itself cannot be constrained: leave it out there";
    match &permit.place {
        Place::Header(name, _) if permit.headers.contains_key(name.as_str()) => {
            value.complain(to, "headers constrains the placeholder's own header", constrained);
        }
        Place::Cookie(_) if permit.headers.contains_key("cookie") => {
            value.complain(to, "headers constrains the placeholder's own header", constrained);
        }
        Place::Query(key) => match permit.query.remove(&**key) {
            None => {}
            Some(rule) if rule == FieldRule::default() => {}
            Some(_) => value.complain(to, "query constrains the placeholder's own key", constrained),
        },
        Place::Path(name) => fit_path(name, permit, value, to),
        Place::Form(field) => match &mut permit.body {
            BodyRule::Form { fields, .. } => {
                if fields.remove(&**field).is_some_and(|rule| rule != FieldRule::default()) {
                    value.complain(to, "body constrains the placeholder's own field", constrained);
                }
            }
            // A handshake has no body; that the place is in one is complained of with the upgrade.
            BodyRule::None if permit.upgrade.is_some() => {}
            _ => value.complain(to, "a form place needs a form body", "write: body = { type = \"form\" }"),
        },
        Place::Json(pointer) => match &permit.body {
            BodyRule::Json { fields, .. } => fit_json(pointer, fields, value, to),
            BodyRule::None if permit.upgrade.is_some() => {}
            _ => value.complain(to, "a json place needs a json body", "write: body = { type = \"json\" }"),
        },
        Place::SigV4 { .. } if permit.headers.contains_key("authorization") => {
            value.complain(to, "headers constrains the placeholder's own header", constrained);
        }
        Place::SigV4 { .. } if sigv4::PRESIGNED.iter().any(|key| permit.query.contains_key(*key)) => {
            value.complain(to, "query names a key that belongs to the signature", constrained);
        }
        Place::Mtls(name) if permit.headers.contains_key(name.as_str()) => {
            value.complain(to, "headers constrains the placeholder's own header", constrained);
        }
        Place::Mtls(_) if permit.to.scheme() == Scheme::Http => {
            value.complain(to, "plain http has no certificates", "write: to = \"https://…\"");
        }
        Place::Signed(scheme) => {
            if scheme.replaced().iter().any(|name| permit.headers.contains_key(name.as_str())) {
                value.complain(to, "headers constrains a header that the signature writes", constrained);
            }
            if scheme.replaced_keys().iter().any(|key| permit.query.contains_key(*key)) {
                value.complain(to, "query names a key that belongs to the signature", constrained);
            }
        }
        Place::Header(..) | Place::Cookie(_) | Place::WebSocket(_) | Place::SigV4 { .. } | Place::Mtls(_) => {
        }
    }
}

fn fit_path(name: &str, permit: &Permit, value: &Value<'_, '_>, to: &mut Complaints<'_>) {
    for call in permit.calls.iter().filter(|call| call.parameter(name).is_none()) {
        let message = format!("the call {:?} has no segment {{{name}}}", call.to_string());
        value.complain(to, message, "put the segment into each call, or write another permit for the others");
    }
}

fn fit_json(
    pointer: &str,
    fields: &BTreeMap<String, Constraint>,
    value: &Value<'_, '_>,
    to: &mut Complaints<'_>,
) {
    let Some(own) = Pointer::parse(pointer) else { return };
    let mut others = fields.keys().filter_map(|key| Pointer::parse(key));
    if others.any(|other| other.overlaps(&own)) {
        let hint =
            "leave it out there: the placeholder's own member cannot be constrained, nor what it stands in";
        value.complain(to, "body constrains the placeholder's own member", hint);
    }
}
