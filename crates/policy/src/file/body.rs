//! Reading `query`, `headers` and `body` of a permit.

use super::complaint::Complaints;
use super::constraint::{self, Typing};
use super::reader::{Table, Value, nearest};
use super::size;
use crate::constraint::Constraint;
use crate::permit::{BodyRule, FieldRule};
use crate::pointer::Pointer;
use cloakroom_model::{Place, ends_here, overrides_method};
use std::collections::BTreeMap;

const BODY_KEYS: [&str; 5] = ["type", "max_bytes", "fields", "repeat", "only"];
const BODY_TYPES: [&str; 4] = ["form", "json", "any", "none"];

/// The bound of a body that is read and has none of its own.
const DEFAULT_BODY: u64 = 1 << 20;
/// The largest bound of a body that is read, and of one that streams through.
const LARGEST_READ: u64 = 64 << 20;
const LARGEST_STREAM: u64 = 1 << 40;

/// `{ allow = […], repeat = […], fields = {…} }`
pub(super) fn query(value: &Value<'_, '_>, to: &mut Complaints<'_>) -> Option<BTreeMap<String, FieldRule>> {
    let table = value.filled_table(to)?;
    table.refuse_unknown(&["allow", "repeat", "fields"], to);
    let mut rules = BTreeMap::new();
    for (_, key) in table.value("allow").map(|list| list.texts(to)).unwrap_or_default() {
        rules.insert(key.to_owned(), FieldRule::default());
    }
    if let Some(fields) = table.value("fields").and_then(|value| value.filled_table(to)) {
        constrained(&fields, &mut rules, to);
    }
    repeats(&table, &mut rules, to);
    Some(rules)
}

/// `{ "x-name" = constraint }`
pub(super) fn headers(
    value: &Value<'_, '_>,
    to: &mut Complaints<'_>,
) -> Option<BTreeMap<String, Constraint>> {
    let table = value.filled_table(to)?;
    let mut rules = BTreeMap::new();
    for (name, value) in table.entries() {
        let Ok(parsed) = http::HeaderName::from_bytes(name.as_bytes()) else {
            value.complain(to, format!("{name:?} is not a header name"), "");
            continue;
        };
        if ends_here(parsed.as_str()) || overrides_method(parsed.as_str()) {
            let hint = "constrain to, call or body instead";
            value.complain(to, format!("the header {name:?} is never forwarded"), hint);
        }
        if let Some(rule) = constraint::read(&value, Typing::Untyped, to)
            && rules.insert(parsed.as_str().to_owned(), rule).is_some()
        {
            value.complain(
                to,
                format!("the header {name:?} occurs twice"),
                "header names do not differ by case",
            );
        }
    }
    Some(rules)
}

/// `{ type = "form"|"json"|"any"|"none", max_bytes, fields, repeat, only }`
pub(super) fn body(value: &Value<'_, '_>, to: &mut Complaints<'_>) -> Option<BodyRule> {
    let table = value.filled_table(to)?;
    table.refuse_unknown(&BODY_KEYS, to);
    let kind = match table.value("type") {
        Some(kind) => body_type(&kind, to)?,
        None => {
            unfit(&table, &["fields", "repeat", "only"], "need type = \"form\" or type = \"json\"", to);
            "any"
        }
    };
    let most = if kind == "any" { LARGEST_STREAM } else { LARGEST_READ };
    let max_bytes = table.value("max_bytes").map(|value| size::read(&value, most, to));
    let bound = max_bytes.flatten().unwrap_or(DEFAULT_BODY);
    match kind {
        "form" => form(&table, bound, to),
        "json" => json(&table, bound, to),
        "none" => {
            unfit(
                &table,
                &["fields", "repeat", "only", "max_bytes"],
                "say nothing about a body that is absent",
                to,
            );
            Some(BodyRule::None)
        }
        _ => {
            if table.value("type").is_some() {
                unfit(&table, &["fields", "repeat", "only"], "need type = \"form\" or type = \"json\"", to);
            }
            Some(BodyRule::Any { max_bytes: max_bytes.flatten() })
        }
    }
}

/// What an absent `body` means: any, but where the placeholder stands in the body its type follows from the place.
pub(super) fn absent(place: Option<&Place>) -> BodyRule {
    match place {
        Some(Place::Json(_)) => {
            BodyRule::Json { max_bytes: DEFAULT_BODY, only: false, fields: BTreeMap::new() }
        }
        Some(Place::Form(_)) => {
            BodyRule::Form { max_bytes: DEFAULT_BODY, closed: false, fields: BTreeMap::new() }
        }
        _ => BodyRule::Any { max_bytes: None },
    }
}

fn body_type<'t>(value: &Value<'t, '_>, to: &mut Complaints<'_>) -> Option<&'t str> {
    let text = value.text(to)?;
    if BODY_TYPES.contains(&text) {
        return Some(text);
    }
    let near = nearest(text, &BODY_TYPES).map(|near| format!("did you mean {near:?}? ")).unwrap_or_default();
    value.complain(
        to,
        format!("unknown body type {text:?}"),
        &format!("{near}types: {}", BODY_TYPES.join(", ")),
    );
    None
}

fn form(table: &Table<'_, '_>, max_bytes: u64, to: &mut Complaints<'_>) -> Option<BodyRule> {
    unfit(table, &["only"], "is for json: a form with fields allows no others", to);
    let mut fields = BTreeMap::new();
    let listed = table.value("fields");
    let closed = listed.is_some();
    if let Some(rules) = listed.and_then(|value| value.table(to)) {
        constrained(&rules, &mut fields, to);
    }
    repeats(table, &mut fields, to);
    Some(BodyRule::Form { max_bytes, closed, fields })
}

fn json(table: &Table<'_, '_>, max_bytes: u64, to: &mut Complaints<'_>) -> Option<BodyRule> {
    unfit(table, &["repeat"], "is for forms: a json member never repeats", to);
    let mut fields = BTreeMap::new();
    for (key, value) in table
        .value("fields")
        .and_then(|value| value.filled_table(to))
        .map(|t| t.entries())
        .unwrap_or_default()
    {
        let Some(pointer) = Pointer::written(key) else {
            value.complain(
                to,
                format!("{key:?} is not a JSON pointer"),
                "in a pointer, '~' is written ~0 and '/' ~1",
            );
            continue;
        };
        if let Some(rule) = constraint::read(&value, Typing::Typed, to)
            && fields.insert(pointer.to_string(), rule).is_some()
        {
            value.complain(
                to,
                format!("{:?} is constrained twice", pointer.to_string()),
                "a bare name is a top-level pointer",
            );
        }
    }
    let only = table.value("only").and_then(|value| value.boolean(to)).unwrap_or(false);
    Some(BodyRule::Json { max_bytes, only, fields })
}

fn constrained(fields: &Table<'_, '_>, rules: &mut BTreeMap<String, FieldRule>, to: &mut Complaints<'_>) {
    for (key, value) in fields.entries() {
        if let Some(constraint) = constraint::read(&value, Typing::Untyped, to) {
            rules.insert(key.to_owned(), FieldRule { repeat: false, constraint });
        }
    }
}

/// Keys that may occur more than once; each is allowed by being listed.
fn repeats(table: &Table<'_, '_>, rules: &mut BTreeMap<String, FieldRule>, to: &mut Complaints<'_>) {
    for (_, key) in table.value("repeat").map(|list| list.texts(to)).unwrap_or_default() {
        rules.entry(key.to_owned()).or_default().repeat = true;
    }
}

/// Complains of keys that do not go with the body's type.
fn unfit(table: &Table<'_, '_>, keys: &[&str], why: &str, to: &mut Complaints<'_>) {
    for (key, value) in keys.iter().filter_map(|key| table.value(key).map(|value| (key, value))) {
        value.complain(to, format!("{key} does not go with this body type"), &format!("{key}: {why}"));
    }
}
